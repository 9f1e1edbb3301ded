"""Dither for integer samples: noise that keeps what is rounded away from becoming distortion.

The noise is the difference of two uniform numbers, triangular (TPDF) from -1 to +1 of the last
bit: with it the error of a sample has mean 0 and a variance of a quarter of a bit squared (1/6 of
the noise and 1/12 of the rounding), whatever the sample is, and its spectrum is white.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.files.quantise import INTEGER_BITS, to_integers

Samples = npt.NDArray[np.float64]

_HALF_BITS = 32
_LOW_MASK = np.uint64((1 << _HALF_BITS) - 1)


def loses_bits(samples: Samples, subtype: str) -> bool:
    """Whether an integer format cannot hold the samples exactly; full scale ±1, any shape.

    What lies over full scale is cut and not rounded: it is no reason for dither.
    """
    if subtype not in INTEGER_BITS:
        return False
    full = 1 << (INTEGER_BITS[subtype] - 1)
    scaled = np.clip(samples * full, -full, full - 1)
    return bool(np.any(scaled != np.rint(scaled)))


def dithered(samples: Samples, subtype: str, seed: int) -> Samples:
    """Samples rounded to an integer format with dither: whole steps of it, cut at full scale.

    Args:
        samples: float64 `[channels, samples]`, full scale ±1.
        subtype: one of `INTEGER_BITS`.
        seed: the same seed gives the same noise, on every machine.
    """
    full = 1 << (INTEGER_BITS[subtype] - 1)
    noise = _triangular(samples.size, seed).reshape(samples.shape)
    return to_integers(samples + noise / full, subtype) / full


def _triangular(count: int, seed: int) -> Samples:
    """Noise from -1 to 1; from raw numbers, because only they are the same in every release."""
    # numpy's stubs say `integer or array`; with a size it is always an array.
    raw = np.asarray(np.random.PCG64(seed).random_raw(count), dtype=np.uint64)
    high = (raw >> np.uint64(_HALF_BITS)).astype(np.float64)
    return (high - (raw & _LOW_MASK).astype(np.float64)) / (1 << _HALF_BITS)
