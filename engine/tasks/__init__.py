"""Requests made concrete: what is known, what the prior is, and how the result is put together."""
