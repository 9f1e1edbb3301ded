"""Where a clip sounds as it does at its end: distances between pasts, refined to the sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.signal

from engine.analysis.spectra import ANALYSIS_RATE_HZ, TINY, Samples, mel_filters

_WINDOW, _HOP, _BANDS = 1024, 256, 48
HOP_S = _HOP / ANALYSIS_RATE_HZ
_RANGE_DB = 60.0
_FAR_DB = 24.0  # beyond this two bands are simply different
_NEAR_S = 0.6  # weight of the past falls to 1/e over this time


@dataclass(frozen=True, slots=True)
class PastDistances:
    """How unlike the past of each earlier point is to the past of the clip's end.

    Lag k means the point k * HOP_S seconds before the end; index 0 is the end itself.

    Attributes:
        distance_db: root-mean-square difference of mel levels over the past that both have.
        missing: share of the (weighted) past that lies before the clip's start, 0 to 1.
        level_db: mean level of each frame that ends at the lag.
    """

    distance_db: npt.NDArray[np.float64]
    missing: npt.NDArray[np.float64]
    level_db: npt.NDArray[np.float64]


def past_levels(mono: Samples, floor_db: float | None = None) -> npt.NDArray[np.float64]:
    """Mel levels in dB `[lags, bands]`; frame k covers the window that ends k hops before the end.

    No frame looks past the end, so nothing unknown (or silent) enters the comparison.

    Args:
        floor_db: quieter values are raised to it; 60 dB below the loudest when absent.
    """
    if len(mono) < _WINDOW:
        mono = np.pad(mono, (_WINDOW - len(mono), 0))
    backwards = mono[::-1]
    frames = np.lib.stride_tricks.sliding_window_view(backwards, _WINDOW)[::_HOP]
    taper = scipy.signal.windows.hann(_WINDOW, sym=False)
    spectrum = np.abs(scipy.fft.rfft(frames * taper, axis=1))
    level = spectrum @ mel_filters(_BANDS, _WINDOW, ANALYSIS_RATE_HZ)
    level = 20.0 * np.log10(np.maximum(level, TINY))
    floor = float(level.max()) - _RANGE_DB if floor_db is None else floor_db
    return np.asarray(np.maximum(level, floor))


def past_distances(
    reference: npt.NDArray[np.float64], levels: npt.NDArray[np.float64], context_s: float
) -> PastDistances:
    """Compare the past of every lag of one sound with the past of another one's end.

    Args:
        reference: `[any, bands]` from `past_levels`; its index 0 is the end that is continued.
        levels: `[lags, bands]` from `past_levels` of the material, often the same.
        context_s: how far back the pasts are compared, in seconds.
    """
    lags = len(levels)
    context = max(1, min(len(reference), round(context_s / HOP_S)))
    weight = np.exp(-np.arange(context) * HOP_S / _NEAR_S)
    total, known = np.zeros(lags), np.zeros(lags)
    for back in range(min(context, lags)):
        apart = np.minimum(np.abs(levels[back:] - reference[back]), _FAR_DB)
        total[: lags - back] += weight[back] * np.mean(apart**2, axis=1)
        known[: lags - back] += weight[back]
    distance = np.sqrt(total / known)
    missing = 1.0 - known / weight.sum()
    return PastDistances(distance, missing, levels.mean(axis=1))


def refine_join(mono: Samples, join: int, point: int, radius: int, width: int) -> tuple[int, float]:
    """Move `point` so that the waveform before it fits the one before `join`.

    Args:
        mono: `[samples]`; `join` and `point` are positions in it.
        radius: largest move in samples.
        width: how much past is compared, in samples.

    Returns:
        The point moved, and the normalised correlation there, -1 to 1. Where too little past
        exists the point stays and the correlation is 0.
    """
    radius = min(radius, point - 1, join - 1 - point)
    width = min(width, join, point - radius)
    if radius < 1 or width < 16:
        return point, 0.0
    template = mono[join - width : join]
    region = mono[point - radius - width : point + radius]
    products = scipy.signal.correlate(region, template, mode="valid")
    sums = np.cumsum(np.concatenate([[0.0], region**2]))
    energy = np.maximum(sums[width:] - sums[:-width], 0.0)
    scale = np.sqrt(energy * float(np.sum(template**2)))
    likeness = products / np.maximum(scale, TINY)
    moves = np.arange(-radius, radius + 1)
    # A move has to earn its keep, or noise would decide it.
    best = int(np.argmax(likeness - 0.05 * np.abs(moves) / radius))
    return point + int(moves[best]), float(likeness[best])
