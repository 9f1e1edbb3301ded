"""The crossfade that keeps the level, whatever the two signals have in common.

With gains a(s), b(s) and two signals of equal power and correlation rho, the power of the mix is
a^2 + b^2 + 2 rho a b. Equal-power gains a = cos(pi s / 2), b = sin(pi s / 2) give 1 + 2 rho a b, so
dividing both by its root makes the power constant for any rho: rho = 0 is the equal-power
crossfade, rho = 1 gives a / (a + b), the equal-gain one (Fink, Holters and Zölzer 2016).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]


def correlation(outgoing: Samples, incoming: Samples) -> float:
    """Correlation in [0, 1] of two signals `[channels, samples]` over their common length.

    Negative correlation counts as none: making up for a cancellation would need a boost.
    """
    energy = float(np.sum(outgoing**2)) * float(np.sum(incoming**2))
    if energy <= 1e-20:
        return 0.0
    return float(np.clip(np.sum(outgoing * incoming) / np.sqrt(energy), 0.0, 1.0))


def crossfade_gains(length_samples: int, rho: float) -> tuple[Samples, Samples]:
    """Gains `[samples]` of the outgoing and the incoming signal for correlation `rho` in [0, 1].

    >>> out, into = crossfade_gains(4, 1.0)
    >>> bool(np.allclose(out + into, 1.0))
    True
    """
    position = (np.arange(length_samples) + 0.5) / max(1, length_samples)
    out, into = np.cos(0.5 * np.pi * position), np.sin(0.5 * np.pi * position)
    level = np.sqrt(1.0 + 2.0 * rho * out * into)
    return out / level, into / level


def crossfade(outgoing: Samples, incoming: Samples, rho: float | None = None) -> Samples:
    """Fade from one signal to the other; both `[channels, samples]` of the same length.

    Args:
        rho: correlation; measured from the two signals when absent.
    """
    if rho is None:
        rho = correlation(outgoing, incoming)
    out, into = crossfade_gains(outgoing.shape[1], rho)
    return outgoing * out + incoming * into
