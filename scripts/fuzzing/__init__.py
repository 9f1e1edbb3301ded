"""Malformed packets, frames, bodies and files, by the hundred thousand; see `scripts/fuzz`."""
