"""Timbre of audio over time, by features other than any optimiser's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.signal

from engine.analysis.intensity import smoothing_window
from engine.analysis.spectra import ANALYSIS_RATE_HZ, Samples, log_mel, mono_at

_WINDOW, _HOP, _BANDS, _COEFFICIENTS = 2048, 1024, 40, 14
_SILENT = 1e-6
FRAME_RATE_HZ = ANALYSIS_RATE_HZ / _HOP


def unit_timbres(
    samples: Samples, sample_rate_hz: int, context_s: float = 1.0
) -> npt.NDArray[np.float64]:
    """Unit vectors of timbre `[frames, 13]` of `[channels, samples]`.

    The product of two rows is their similarity, -1 to 1; rows are chosen before they are
    multiplied, because the matrix of all pairs of a long file would need gigabytes.

    Thirteen mel cepstral coefficients without the one of level, each normalised over time, smoothed
    over `context_s`. Frame i is centred on second i / `FRAME_RATE_HZ`.
    """
    mono = mono_at(samples, sample_rate_hz, ANALYSIS_RATE_HZ)
    levels = log_mel(mono, ANALYSIS_RATE_HZ, bands=_BANDS, window=_WINDOW, hop=_HOP)
    cepstrum = scipy.fft.dct(levels, axis=1, norm="ortho")[:, 1:_COEFFICIENTS]
    cepstrum = cepstrum - cepstrum.mean(axis=0)
    spread = cepstrum.std(axis=0)
    cepstrum = cepstrum / np.where(spread > _SILENT, spread, 1.0)
    window = smoothing_window(len(cepstrum), FRAME_RATE_HZ, context_s)
    if window >= 3:
        cepstrum = scipy.signal.savgol_filter(cepstrum, window, 1, axis=0)
    length = np.linalg.norm(cepstrum, axis=1, keepdims=True)
    return np.asarray(cepstrum / np.maximum(length, _SILENT), dtype=np.float64)
