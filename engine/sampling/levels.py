"""Noise levels of a sampling run."""

from __future__ import annotations


def levels(start: float, steps: int, shift: float = 1.0) -> tuple[float, ...]:
    """`steps + 1` levels from `start` down to 0.

    Args:
        start: first level, in (0, 1]; below 1 when a noised prior is the start.
        steps: number of intervals.
        shift: above 1 spends more steps near noise: `t' = s t / (1 + (s - 1) t)` (Esser et al.
            2024, section 5.3).
    """
    if not 0.0 < start <= 1.0 or steps < 1:
        raise ValueError(f"cannot sample from level {start} in {steps} steps")
    plain = (start * (1.0 - index / steps) for index in range(steps + 1))
    # the formula above written so that level 1 stays 1 whatever the rounding of the shift
    return tuple(shift * t / (shift * t + (1.0 - t)) for t in plain)
