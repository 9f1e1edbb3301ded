"""Tempo and beat phase of a clip, with an honest confidence.

Onsets are picked from a spectral-flux curve, and a tempo is scored by how well they gather on its
grid: for a grid of m slots to the beat, V_m(bpm) = |sum_j s_j exp(2 pi i m t_j bpm / 60)| / sum_j
s_j over onsets at t_j seconds of strength s_j (a Fourier tempogram of the onsets; Grosche and
Müller 2011). Producers' loops are cut to whole bars, so tempi at which the clip is a whole number
of beats, and of bars, are tried exactly and preferred when the onsets agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from engine.analysis.spectra import ANALYSIS_RATE_HZ, Samples, mono_at, onset_strength
from engine.musical_time import MusicalTime
from engine.units import Metre

COMMON_TIME = Metre(4, 4)
LOW_BPM, HIGH_BPM = 48.0, 230.0
SLOTS = (1, 2, 4)  # to the beat: quarters, eighths, sixteenths
_SLOT_WEIGHTS = np.array([0.2, 0.3, 0.5])
_WINDOW, _HOP = 1024, 128  # 46 and 5.8 ms
_LONGEST_S = 40.0
_WHOLE_BEATS_BONUS, _WHOLE_BARS_BONUS = 1.05, 1.2
_FLUX_LEAD_S = 0.0127  # the flux peaks this long before the onset; measured on click tracks
_SNAP_S = 0.015  # a beat this close to the clip's start is its start
CONFIDENT = 0.35  # above: the grid may decide where to cut


@dataclass(frozen=True, slots=True)
class Onsets:
    """Onset times in seconds and their strengths (mean rise over the mel bands, in dB)."""

    times_s: npt.NDArray[np.float64]
    strengths_db: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Grid:
    """The beat grid of a clip.

    Attributes:
        bpm: quarter notes a minute.
        confidence: 0 (no beat found) to 1; 1 when the tempo was given.
        first_beat_s: time of the first beat from the clip's start, in [0, 60 / bpm).
        given: the tempo came from the DAW and not from the analysis.
        time: the DAW's own beats and bars from the clip's start on, where it said where they lie;
            `bpm` and `metre` are only those of one place then.
    """

    bpm: float
    confidence: float
    first_beat_s: float
    given: bool
    metre: Metre = COMMON_TIME
    time: MusicalTime | None = None

    @classmethod
    def of(cls, time: MusicalTime, at_s: float = 0.0) -> Grid:
        """The grid of a DAW's time, with tempo and metre of one moment of it."""
        at = time.tempo.beats_at(at_s)
        since, _ = time.phase(0)
        first_s = time.tempo.seconds_at(-since % 1)
        bpm = float(time.tempo.bpm_at(at))
        return cls(bpm, 1.0, float(first_s), True, time.metres.metre_at(at), time)

    def near(self, at_s: float) -> Grid:
        """The same grid with tempo and metre of another moment."""
        return self if self.time is None else Grid.of(self.time, at_s)

    @property
    def beat_s(self) -> float:
        """Seconds to the quarter note."""
        return 60.0 / self.bpm

    @property
    def bar_s(self) -> float:
        """Seconds to the bar."""
        return float(self.metre.bar_beats) * self.beat_s

    @property
    def trusted(self) -> bool:
        """Whether cuts should follow the grid."""
        return self.given or self.confidence >= CONFIDENT


def find_onsets(samples: Samples, sample_rate_hz: int) -> Onsets:
    """Onsets of a clip `[channels, samples]`, in seconds from its start."""
    mono = mono_at(samples, sample_rate_hz)
    strength = onset_strength(mono, ANALYSIS_RATE_HZ, window=_WINDOW, hop=_HOP)
    rate = ANALYSIS_RATE_HZ / _HOP
    highest = maximum_filter1d(strength, 2 * round(0.03 * rate) + 1)
    usual = uniform_filter1d(strength, 2 * round(0.4 * rate) + 1)
    found = np.flatnonzero((strength == highest) & (strength > 1.5 * usual) & (strength > 0.3))
    # The first frame has no frame before it: an onset there is the clip starting on a beat.
    inner = np.clip(found, 1, max(1, len(strength) - 2))
    left, here, right = (
        strength[inner - 1],
        strength[inner],
        strength[np.minimum(inner + 1, len(strength) - 1)],
    )
    bend = np.minimum(left - 2 * here + right, -1e-9)
    offset = np.clip(0.5 * (left - right) / bend, -0.5, 0.5)
    times = np.maximum(0.0, (found + offset) / rate + _FLUX_LEAD_S)
    return Onsets(times, strength[found])


def estimate_grid(
    samples: Samples, sample_rate_hz: int, *, bpm: float | None = None, metre: Metre = COMMON_TIME
) -> Grid:
    """Find tempo and beat phase; with `bpm` given, the phase only.

    Args:
        samples: float64 `[channels, samples]`. Of a longer clip the last 40 s are used.
        bpm: quarter notes a minute as the DAW has them.
        metre: used to prefer whole bars.
    """
    length = samples.shape[1]
    start = max(0, length - round(_LONGEST_S * sample_rate_hz))
    onsets = find_onsets(samples[:, start:], sample_rate_hz)
    seconds = length / sample_rate_hz
    if bpm is not None:
        first = _first_beat(onsets, bpm, start / sample_rate_hz)
        return Grid(bpm, 1.0, first, True, metre)
    if len(onsets.times_s) < 3:
        return Grid(_whole_bar_bpm(seconds, metre), 0.0, 0.0, False, metre)
    best = _best_tempo(onsets, seconds if start == 0 else None, metre)
    first = _first_beat(onsets, best, start / sample_rate_hz)
    return Grid(best, onset_confidence(onsets, best), first, False, metre)


def _whole_bar_bpm(seconds: float, metre: Metre) -> float:
    """Without any onset: the tempo nearest to 110 at which the clip is whole bars."""
    bar_beats = float(metre.bar_beats)
    bars = max(1.0, np.round(seconds * 110.0 / 60.0 / bar_beats))
    return float(np.clip(60.0 * bars * bar_beats / seconds, LOW_BPM, HIGH_BPM))


def _gathering(
    onsets: Onsets, bpm: npt.NDArray[np.floating], slots: int
) -> npt.NDArray[np.complex128]:
    """V_m with its phase, complex `[tempi]`; |V| = 1 when every onset is on the grid."""
    strength = np.sqrt(onsets.strengths_db)
    turns = np.outer(bpm, onsets.times_s) * (slots / 60.0)
    return np.asarray(np.exp(2j * np.pi * turns) @ strength / strength.sum())


def beat_strength(onsets: Onsets, bpm: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """How well each tempo explains the onsets, times how usual the tempo is; `[tempi]`."""
    strength = np.sqrt(onsets.strengths_db)
    turned = np.exp(2j * np.pi / 60.0 * np.outer(bpm, onsets.times_s))
    gathered = np.zeros((len(bpm), len(SLOTS)))
    for column in range(len(SLOTS)):  # each has twice the slots of the one before
        gathered[:, column] = np.abs(turned @ strength) / strength.sum()
        turned *= turned
    usual = np.exp(-0.5 * (np.log2(bpm / 112.0) / 0.75) ** 2)
    return np.asarray((gathered @ _SLOT_WEIGHTS) * usual)


def _best_tempo(onsets: Onsets, seconds: float | None, metre: Metre) -> float:
    span = float(np.ptp(onsets.times_s)) or 1.0
    step = min(0.25, 2.0 / span)  # an eighth of a turn of the finest grid over the whole span
    free = np.arange(LOW_BPM, HIGH_BPM, step)
    coarse = float(free[np.argmax(beat_strength(onsets, free))])
    free = np.linspace(coarse - step, coarse + step, 41)
    free_scores = beat_strength(onsets, free)
    best, best_score = float(free[np.argmax(free_scores)]), float(free_scores.max())
    if seconds is None:
        return best
    beats = np.arange(1, int(HIGH_BPM * seconds / 60.0) + 1)
    whole = 60.0 * beats / seconds
    beats, whole = beats[whole >= LOW_BPM], whole[whole >= LOW_BPM]
    if not len(whole):
        return best
    bars = beats / float(metre.bar_beats)
    bonus = np.where(bars == np.round(bars), _WHOLE_BARS_BONUS, _WHOLE_BEATS_BONUS)
    scores = beat_strength(onsets, whole) * bonus
    return float(whole[np.argmax(scores)]) if scores.max() >= best_score else best


def onset_confidence(onsets: Onsets, bpm: float) -> float:
    """Gathering on the grid beyond what as many random onsets reach, times how clear they are."""
    count = len(onsets.times_s)
    gathered = max(abs(_gathering(onsets, np.array([bpm]), m)[0]) for m in SLOTS)
    by_chance = 3.0 / count  # E|V|^2 is 1 / count for random phases, and the best of many is taken
    if by_chance >= 1.0:
        return 0.0
    beyond = np.sqrt(max(0.0, (gathered**2 - by_chance) / (1.0 - by_chance)))
    clear = 1.0 - np.exp(-float(np.mean(onsets.strengths_db)) / 2.5)
    return float(np.clip(beyond * clear, 0.0, 1.0))


def _first_beat(onsets: Onsets, bpm: float, start_s: float) -> float:
    """Phase in [0, beat): on the grid the onsets gather on, where the strong ones are."""
    beat = 60.0 / bpm
    if not len(onsets.times_s):
        return 0.0
    gathered = [_gathering(onsets, np.array([bpm]), m)[0] for m in SLOTS]
    index = int(np.argmax(np.abs(gathered)))
    slots = SLOTS[index]
    offset = float(np.angle(gathered[index])) / (2 * np.pi) * beat / slots
    candidates = (offset + start_s + np.arange(slots) * beat / slots) % beat
    distance = (onsets.times_s[None, :] + start_s - candidates[:, None]) / beat
    near = np.exp(-0.5 * ((distance - np.round(distance)) / 0.05) ** 2)
    score = near @ onsets.strengths_db
    to_start = np.minimum(candidates, beat - candidates)
    score *= np.where(to_start < 0.1 * beat, 1.5, 1.0)  # clips start on a beat
    first = float(candidates[np.argmax(score)])
    return 0.0 if min(first, beat - first) < _SNAP_S else first
