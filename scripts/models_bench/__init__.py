"""The benchmark of public models: what our adapters add, what they take, and full-size models."""

from __future__ import annotations

import warnings


def quiet() -> None:
    """Let the libraries' bars and advice be."""
    import diffusers
    import transformers

    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
    warnings.filterwarnings("ignore", ".*weight_norm", FutureWarning)
    warnings.filterwarnings("ignore", "`past_key_values` is deprecated", FutureWarning)
    warnings.filterwarnings("ignore", "Should have t[ab]", UserWarning)  # their Brownian motion
