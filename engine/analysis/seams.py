"""How audible a seam is: three ratios against the music around it, and the step in level.

The definitions (every ratio is 1 where the seam is as rough as the roughest of the music):

- `step_ratio`: largest sample-to-sample step within ±1 ms of the seam over the 99.9th percentile of
  such steps in the second either side.
- `flux_ratio`: largest positive spectral flux (STFT 1024/128 at 44.1 kHz, log-compressed) within
  ±10 ms of the seam over the 99th percentile of the flux in the two seconds either side, the seam
  left out.
- `timbre_ratio`: distance between the mean log-mel spectra of the 200 ms before and after the seam
  over the 95th percentile of such distances inside the source.
- `level_step_db`: level of the 200 ms after the seam less that of the 200 ms before.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.analysis.spectra import TINY, Samples, as_one, log_mel, spokesman, stft_magnitude

_COMPRESSION = (
    256.0  # log(1 + |X|) of the plain 1024-point Hann STFT, where a full-scale sine is 256
)
_TIMBRE_S = 0.2
_TIMBRE_BANDS, _TIMBRE_FLOOR_DB = 64, 80.0
_LARGEST_RATIO = 1e3  # against digital silence every ratio is infinite; JSON has no infinity


def seam_figures(
    samples: Samples, sample_rate_hz: int, at_sample: int, *, source: Samples
) -> dict[str, float | int]:
    """Figures of the seam between samples `at_sample - 1` and `at_sample`.

    Args:
        samples: float64 `[channels, samples]`, the result.
        source: float64 `[channels, samples]`, what the music's own changes of colour are taken
            from.

    Returns:
        `at_sample`, `step_ratio`, `flux_ratio`, `timbre_ratio`, `level_step_db`; always finite.
    """
    mono, own = _single(samples, source)
    before, after = _around(mono, sample_rate_hz, at_sample)
    return {
        "at_sample": int(at_sample),
        "step_ratio": _rounded(_step_ratio(samples, sample_rate_hz, at_sample)),
        "flux_ratio": _rounded(_flux_ratio(mono, sample_rate_hz, at_sample)),
        "timbre_ratio": _rounded(_timbre_ratio(mono, own, sample_rate_hz, at_sample)),
        "level_step_db": _rounded(
            float(
                np.clip(
                    10 * np.log10((np.mean(after**2) + TINY) / (np.mean(before**2) + TINY)),
                    -120.0,
                    120.0,
                )
            )
        ),
    }


def wrap_figures(
    samples: Samples, sample_rate_hz: int, *, source: Samples | None = None
) -> dict[str, float | int]:
    """Figures of a loop's wrap-around: its end against its start, as it sounds when repeated.

    `at_sample` is 0: the seam lies before the first sample of the file.
    """
    repeats = 1 + int(np.ceil(2.5 * sample_rate_hz / samples.shape[1]))
    twice = np.tile(samples, (1, 2 * repeats))
    own = samples if source is None else source
    figures = seam_figures(twice, sample_rate_hz, repeats * samples.shape[1], source=own)
    return {**figures, "at_sample": 0}


def _single(samples: Samples, source: Samples) -> tuple[Samples, Samples]:
    """Result and source as one channel each, the same of both where they have as many."""
    if len(samples) != len(source):
        return as_one(samples, spokesman(samples)), as_one(source, spokesman(source))
    channel = spokesman(samples, source)
    return as_one(samples, channel), as_one(source, channel)


def _rounded(value: float) -> float:
    return round(float(np.clip(np.nan_to_num(value), -_LARGEST_RATIO, _LARGEST_RATIO)), 4)


def _around(mono: Samples, rate: int, at: int) -> tuple[Samples, Samples]:
    width = round(_TIMBRE_S * rate)
    before, after = mono[max(0, at - width) : at], mono[at : at + width]
    return (before if len(before) else np.zeros(1)), (after if len(after) else np.zeros(1))


def _ratio(value: float, reference: float, floor: float) -> float:
    """Over a silent reference a silent value is 0 and any other one very large."""
    if value <= floor:
        return 0.0
    return value / max(reference, floor)


def _step_ratio(samples: Samples, rate: int, at: int) -> float:
    """Steps are taken in every channel, so a click in one channel counts in full."""
    steps = np.abs(np.diff(samples, axis=1))
    join = at - 1  # the step from the last sample before the seam to the first one after
    near = max(1, round(0.001 * rate))
    here = steps[:, max(0, join - near) : join + near + 1]
    around = steps[:, max(0, join - rate) : join + rate + 1]
    if not here.size:
        return 0.0
    return _ratio(float(here.max()), float(np.percentile(around, 99.9)), 1e-7)


def _flux_ratio(mono: Samples, rate: int, at: int) -> float:
    window = 1 << max(6, round(np.log2(1024 * rate / 44_100)))
    hop = window // 8
    reach = 2 * rate + window
    start = max(0, at - reach)
    excerpt = mono[start : at + reach]
    magnitude = stft_magnitude(excerpt, window, hop) / (window / 4)
    flux = np.maximum(0.0, np.diff(np.log1p(_COMPRESSION * magnitude), axis=0)).sum(axis=1)
    time = (np.arange(1, len(flux) + 1) * hop + start - at) / rate
    # The outermost windows hang over the excerpt's ends: their rise is the edge's, not the music's.
    inside = (np.arange(1, len(flux) + 1) * hop >= window) & (
        np.arange(1, len(flux) + 1) * hop <= len(excerpt) - window // 2
    )
    at_seam = np.abs(time) <= 0.01
    near_seam = np.abs(time) <= 0.01 + window / rate / 2
    around = (np.abs(time) <= 2.0) & ~near_seam & inside
    if not at_seam.any() or not around.any():
        return 0.0
    return _ratio(float(flux[at_seam].max()), float(np.percentile(flux[around], 99)), 1e-3)


def _timbre_ratio(mono: Samples, source: Samples, rate: int, at: int) -> float:
    before, after = _around(mono, rate, at)
    loudest = max(float(np.max(np.abs(source))), TINY)
    pair = _mean_spectra(
        np.concatenate([before, after]),
        rate,
        [0, len(before)],
        [len(before), len(before) + len(after)],
        loudest,
    )
    here = float(np.sqrt(np.mean((pair[0] - pair[1]) ** 2)))
    usual = _usual_change(source, rate, loudest)
    return _ratio(here, usual, 1e-3)


def _usual_change(source: Samples, rate: int, loudest: float) -> float:
    """95th percentile of the change of colour at every 20 ms of the source (of its last minute)."""
    source = source[-60 * rate :]
    width = round(_TIMBRE_S * rate)
    points = np.arange(width, len(source) - width + 1, max(1, round(0.02 * rate)))
    if not len(points):
        half = len(source) // 2
        points, width = np.array([half]), half
    starts = np.concatenate([points - width, points])
    spectra = _mean_spectra(source, rate, starts, starts + width, loudest)
    change = spectra[: len(points)] - spectra[len(points) :]
    return float(np.percentile(np.sqrt(np.mean(change**2, axis=1)), 95))


def _mean_spectra(
    mono: Samples,
    rate: int,
    starts: npt.ArrayLike,
    ends: npt.ArrayLike,
    loudest: float,
) -> npt.NDArray[np.float64]:
    """Mean log-mel spectra in dB `[stretches, bands]` of stretches given in samples.

    Only frames that lie wholly inside a stretch count (at least one), so neither side of a seam
    leaks into the other.
    """
    window = 1 << max(6, round(np.log2(1024 * rate / 44_100)))
    hop = window // 4
    levels = np.maximum(
        log_mel(mono, rate, bands=_TIMBRE_BANDS, window=window, hop=hop, range_db=200.0),
        20 * np.log10(loudest) - _TIMBRE_FLOOR_DB,
    )
    sums = np.concatenate([np.zeros((1, levels.shape[1])), np.cumsum(levels, axis=0)])
    first = np.ceil((np.asarray(starts) + window / 2) / hop).astype(int)
    last = np.floor((np.asarray(ends) - window / 2) / hop).astype(int)
    middle = np.clip(
        ((np.asarray(starts) + np.asarray(ends)) / 2 / hop).astype(int), 0, len(levels) - 1
    )
    first, last = np.where(last < first, middle, first), np.where(last < first, middle, last)
    first, last = np.clip(first, 0, len(levels) - 1), np.clip(last, 0, len(levels) - 1)
    count = (last - first + 1)[:, None]
    return np.asarray((sums[last + 1] - sums[first]) / count)
