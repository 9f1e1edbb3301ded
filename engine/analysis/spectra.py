"""Short-time spectra for the analysis: one plain STFT, mel bands, onset strength."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.signal
import soxr

Samples = npt.NDArray[np.float64]

ANALYSIS_RATE_HZ = 22_050
TINY = 1e-10
_CANCELLED = 1e-3  # of a channel's energy is left in the mean


def spokesman(*clips: Samples) -> int | None:
    """The channel to hear instead of the mean where the channels of a clip cancel in it.

    Args:
        clips: `[channels, samples]` each, of as many channels as each other.

    Returns:
        The loudest channel of all clips together; None where the mean does for every clip.
    """
    energies = [np.sum(clip**2, axis=1) for clip in clips]
    cancels = any(
        np.sum(clip.mean(axis=0) ** 2) < _CANCELLED * np.mean(energy)
        for clip, energy in zip(clips, energies, strict=True)
    )
    return int(np.argmax(np.sum(energies, axis=0))) if cancels else None


def as_one(samples: Samples, channel: int | None) -> Samples:
    """One channel `[samples]` of `[channels, samples]`, as `spokesman` says, or their mean."""
    return np.asarray(samples.mean(axis=0) if channel is None else samples[channel])


def mono_at(samples: Samples, sample_rate_hz: int, rate_hz: int = ANALYSIS_RATE_HZ) -> Samples:
    """Mix `[channels, samples]` to one channel at another rate; float64 `[samples]`.

    A clip whose channels cancel is analysed by its loudest one.
    """
    mixed = as_one(samples, spokesman(samples))
    if rate_hz == sample_rate_hz:
        return np.ascontiguousarray(mixed)
    return np.asarray(soxr.resample(mixed, sample_rate_hz, rate_hz, quality="HQ"))


def stft_magnitude(mono: Samples, window: int, hop: int) -> npt.NDArray[np.float64]:
    """Magnitudes `[frames, window // 2 + 1]`; frame i is centred on sample i * hop.

    The ends are padded with zeros, so there are `len(mono) // hop + 1` frames.
    """
    padded = np.pad(mono, window // 2)
    if len(padded) < window:
        padded = np.pad(padded, (0, window - len(padded)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    taper = scipy.signal.windows.hann(window, sym=False)
    return np.asarray(np.abs(scipy.fft.rfft(frames * taper, axis=1)))


def _hz_to_mel(hz: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return 2595.0 * np.log10(1.0 + np.asarray(hz, dtype=np.float64) / 700.0)


@lru_cache(maxsize=16)
def mel_filters(
    bands: int, window: int, rate_hz: int, low_hz: float = 30.0, high_hz: float = 0.0
) -> npt.NDArray[np.float64]:
    """Triangular filters `[window // 2 + 1, bands]` on the HTK mel scale, each of unit sum."""
    high = high_hz or rate_hz / 2
    edges = 700.0 * (
        10 ** (np.linspace(_hz_to_mel(low_hz), _hz_to_mel(high), bands + 2) / 2595.0) - 1.0
    )
    bins = np.linspace(0.0, rate_hz / 2, window // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0.0, np.minimum(rising, falling))
    # A low band can be narrower than a bin: give it the nearest bin rather than nothing.
    empty = filters.sum(axis=0) == 0
    filters[np.argmin(np.abs(bins - edges[1:-1]), axis=0)[empty], np.flatnonzero(empty)] = 1.0
    return np.asarray(filters / filters.sum(axis=0))


def log_mel(
    mono: Samples, rate_hz: int, *, bands: int, window: int, hop: int, range_db: float = 70.0
) -> npt.NDArray[np.float64]:
    """Mel levels in dB `[frames, bands]`, floored `range_db` below the loudest value."""
    level = stft_magnitude(mono, window, hop) @ mel_filters(bands, window, rate_hz)
    floor = max(float(level.max()) * 10 ** (-range_db / 20), TINY)
    return 20.0 * np.log10(np.maximum(level, floor))


def onset_strength(mono: Samples, rate_hz: int, *, window: int, hop: int) -> Samples:
    """How much starts in each frame `[frames]`: the mean rise of the mel levels in dB.

    The rise is taken against the maximum over the neighbouring bands one hop-lag before (SuperFlux,
    Böck and Widmer 2013), so that vibrato does not count as an onset.
    """
    levels = log_mel(mono, rate_hz, bands=60, window=window, hop=hop, range_db=60.0)
    lag = max(1, round(0.012 * rate_hz / hop))
    before = np.pad(levels, ((lag, 0), (0, 0)), mode="constant", constant_values=levels.min())
    before = before[: len(levels)]
    widened = np.maximum(before, np.maximum(np.roll(before, 1, 1), np.roll(before, -1, 1)))
    return np.asarray(np.maximum(0.0, levels - widened).mean(axis=1))
