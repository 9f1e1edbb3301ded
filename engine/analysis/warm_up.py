"""Pay the one-time costs (filters, kernels, plans) before a musician waits for them."""

from __future__ import annotations

import numpy as np

from engine.analysis.continuation import continuation
from engine.analysis.key import estimate_key
from engine.analysis.seams import seam_figures
from engine.analysis.tempo import estimate_grid


def warm_up() -> None:
    """Run the analysis once on a second of noise; takes a fraction of a second."""
    rate = 44_100
    noise = np.random.default_rng(0).normal(0.0, 0.1, (2, 2 * rate))
    grid = estimate_grid(noise, rate)
    estimate_key(noise, rate)
    continuation(noise, rate, grid, rate)
    seam_figures(noise, rate, rate, source=noise)
