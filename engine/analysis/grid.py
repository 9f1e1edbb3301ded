"""Does new material keep to the grid? Onset deviation and tempo error for the report."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

from engine.analysis.spectra import Samples
from engine.analysis.tempo import SLOTS, Onsets, beat_strength, find_onsets, onset_confidence
from engine.musical_time import MusicalTime

_SEARCHED = 0.12  # the tempo is looked for within this share of the grid's
_ENOUGH_ONSETS = 4
_ENOUGH_CONFIDENCE = 0.2


def grid_figures(
    samples: Samples,
    sample_rate_hz: int,
    bpm: float,
    *,
    first_beat_s: float = 0.0,
    time: MusicalTime | None = None,
) -> dict[str, float | None]:
    """Figures of new material against the beat it should keep.

    Args:
        samples: float64 `[channels, samples]`, the new material alone.
        bpm: tempo of the grid in quarter notes a minute.
        first_beat_s: where a beat of the grid falls, from the first sample; may be negative.
        time: a grid whose tempo changes, from the first sample on, in place of that; `bpm` is the
            tempo that the others are measured as multiples of.

    Returns:
        `onset_deviation_ms_median`: median distance of the onsets, weighted by their strength, to
        the nearest sixteenth. `tempo_error_percent`: the tempo the onsets keep, against `bpm`.
        Each is None where too few onsets are heard to say.
    """
    onsets = find_onsets(samples, sample_rate_hz)
    if len(onsets.times_s) < _ENOUGH_ONSETS:
        return {"onset_deviation_ms_median": None, "tempo_error_percent": None}
    if time is None:
        deviation = _median_deviation_s(onsets, bpm, first_beat_s) * 1000
    else:
        deviation = _median_deviation_in(onsets, time) * 1000
        onsets = _steadied(onsets, time, bpm)
    tempo = _nearby_tempo(onsets, bpm)
    error = None if tempo is None else round(100 * abs(tempo / bpm - 1), 3)
    return {"onset_deviation_ms_median": round(deviation, 2), "tempo_error_percent": error}


def _median_deviation_s(onsets: Onsets, bpm: float, first_beat_s: float) -> float:
    slot = 60.0 / bpm / SLOTS[-1]
    position = (onsets.times_s - first_beat_s) / slot
    return _weighted_median(np.abs(position - np.round(position)) * slot, onsets)


def _median_deviation_in(onsets: Onsets, time: MusicalTime) -> float:
    """The same, where sixteenths are counted from each bar line and last as long as they do."""
    distances = []
    for at in onsets.times_s.tolist():
        since, _ = time.phase(at)
        slot = Fraction(round(since * SLOTS[-1]), SLOTS[-1])
        nearest_s = time.tempo.seconds_at(time.tempo.beats_at(at) - since + slot)
        distances.append(abs(float(nearest_s) - at))
    return _weighted_median(np.array(distances), onsets)


def _steadied(onsets: Onsets, time: MusicalTime, bpm: float) -> Onsets:
    """The onsets on the clock of a steady tempo."""
    beats = np.array([float(time.tempo.beats_at(at)) for at in onsets.times_s.tolist()])
    return Onsets(beats * 60.0 / bpm, onsets.strengths_db)


def _weighted_median(distance: npt.NDArray[np.float64], onsets: Onsets) -> float:
    order = np.argsort(distance)
    share = np.cumsum(onsets.strengths_db[order])
    return float(distance[order][np.searchsorted(share, 0.5 * share[-1])])


def _nearby_tempo(onsets: Onsets, bpm: float) -> float | None:
    """The tempo near the grid's on which the onsets gather best; None without a beat."""
    span = float(np.ptp(onsets.times_s))
    if span <= 0:
        return None
    step = min(0.2, 1.0 / span)
    tempi = np.arange(bpm * (1 - _SEARCHED), bpm * (1 + _SEARCHED), step)
    best = float(tempi[np.argmax(beat_strength(onsets, tempi))])
    fine = np.linspace(best - step, best + step, 41)
    best = float(fine[np.argmax(beat_strength(onsets, fine))])
    return best if onset_confidence(onsets, best) >= _ENOUGH_CONFIDENCE else None
