"""How loud audio is over time, measured on the waveform."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.signal

from engine.analysis.spectra import Samples

CONTEXT_S = 1.0  # Music ControlNet (Wu et al. 2023), section 3.2
FLOOR_DB = -100.0
_WINDOW_S = 0.024  # as long as the energy of a Hann window of 2048 samples at 44.1 kHz


def smoothing_window(frames: int, frame_rate_hz: float, context_s: float = CONTEXT_S) -> int:
    """Odd number of frames nearest to the context, as many as there are at most."""
    wanted = 2 * round((context_s * frame_rate_hz - 1) / 2) + 1
    return max(1, min(wanted, frames - 1 + frames % 2))


def intensity_curve(
    samples: Samples, sample_rate_hz: int, frame_rate_hz: float
) -> npt.NDArray[np.float64]:
    """Smoothed level in dBFS of `[channels, samples]`: `[frames]`, one each 1 / `frame_rate_hz`.

    The root mean square of all channels in windows of 24 ms, in dB, through a Savitzky-Golay filter
    of first order over a second (DITTO, section 4; Music ControlNet, section 3.2).
    """
    power = np.mean(np.asarray(samples, dtype=np.float64) ** 2, axis=0)
    half = max(1, round(_WINDOW_S * sample_rate_hz / 2))
    count = max(1, int(np.ceil(len(power) / sample_rate_hz * frame_rate_hz - 1e-9)))
    centres = np.round(np.arange(count) / frame_rate_hz * sample_rate_hz).astype(int)
    total = np.concatenate([[0.0], np.cumsum(power)])
    first = np.clip(centres - half, 0, len(power))
    last = np.clip(centres + half, 0, len(power))
    mean = (total[last] - total[first]) / np.maximum(1, last - first)
    level_db = 10.0 * np.log10(np.maximum(mean, 10.0 ** (FLOOR_DB / 10.0)))
    return smoothed(level_db, frame_rate_hz)


def smoothed(level_db: npt.NDArray[np.float64], frame_rate_hz: float) -> npt.NDArray[np.float64]:
    """A curve `[frames]` through the Savitzky-Golay filter; its ends follow their own lines."""
    window = smoothing_window(len(level_db), frame_rate_hz)
    if window < 3:
        return level_db
    return np.asarray(scipy.signal.savgol_filter(level_db, window, 1), dtype=np.float64)
