"""Noise levels that more than one architecture is sampled on."""

from __future__ import annotations

import math


def log_snr_levels(steps: int, start: float, at_noise: float, at_data: float) -> tuple[float, ...]:
    """`steps + 1` levels from `start` to 0, even in the logarithm of the signal-to-noise ratio.

    The line goes from `at_noise`, where pure noise stands in for it, or from the start's own ratio.

    Raises:
        ValueError: no step, or a start outside (0, 1].
    """
    if steps < 1 or not 0.0 < start <= 1.0:
        raise ValueError(f"cannot sample from level {start} in {steps} steps")
    first = at_noise if start == 1.0 else math.log1p(-start) - math.log(start)
    step = (at_data - first) / steps
    inner = (1.0 / (1.0 + math.exp(first + step * index)) for index in range(1, steps))
    return (start, *inner, 0.0)
