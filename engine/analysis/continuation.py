"""Carry a clip on with its own bars: the prior every extension starts from.

The clip's end is compared with every earlier point by what sounded just before (`similarity`). The
point whose past is most like the end's past is where the music has already shown how it goes on,
so the clip is continued from there; when that runs out, at the clip's end again, it jumps again.
With a trusted grid only whole beats back are allowed, so the beat goes on unbroken, and a clip of
whole bars is taken for the loop that it most likely is: it goes on with its own bar 1. The other
side is the same problem in the mirror: a start is extended by mirroring the clip, comparing
futures, and mirroring back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from engine.analysis.joins import Join, assemble
from engine.analysis.similarity import (
    HOP_S,
    PastDistances,
    past_distances,
    past_levels,
    refine_join,
)
from engine.analysis.spectra import ANALYSIS_RATE_HZ, TINY, Samples, mono_at
from engine.analysis.tempo import Grid

Side = Literal["end", "start"]

CONTEXT_S = 1.5
_LONGEST_S = 60.0  # only the last minute is searched
_WANTED_RUN_S = 8.0
UNKNOWN_DB = 9.0  # what an unknown past counts: unrelated music is about 11 apart
_LOOP_DB = 0.5  # a clip of whole bars going on with bar 1
_LOOP_AT_MOST_S = 40.0  # longer ones are pieces, whose end does not lead to their start
_HALF_BAR_DB, _OFF_BAR_DB = 1.5, 3.0
_SHORT_RUN_DB = 5.0
_QUIET_FROM_DB, _QUIET_SLOPE = 6.0, 0.6
_ABRUPT_START_DB = 7.0  # without a grid: a clip that starts with a sound was cut to start again
_LEVEL_JUMP_SLOPE = 0.2  # dB of cost for each dB of difference between the clip's two ends
_ENDED_DB, _AFTER_END_DB = -24.0, 3.0  # below: the sound is over, and starts anew
_WHOLE_TOLERANCE_BEATS = 0.04


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the prior and where it was taken from.

    Attributes:
        at: where it begins in `Prior.audio`, in samples.
        source_start: where its material begins in the clip, in samples.
        length: samples.
        cost_db: how unlike the two pasts are that the join pretends to be one; small is good.
    """

    at: int
    source_start: int
    length: int
    cost_db: float


@dataclass(frozen=True, slots=True)
class Prior:
    """The clip carried on with its own material.

    Attributes:
        audio: float64 `[channels, context_samples + length]` for the end side and
            `[channels, length + context_samples]` for the start side, at the clip's rate. The
            context is the clip itself beside the seam, identical but for at most `joined_samples`
            next to the seam, over which it already fades into the new material.
        side: which end of the clip it extends.
        context_samples: length of the context.
        joined_samples: how much of the context, next to the seam, is changed.
        segments: what was taken from where, in the order of time.
        lead: float64 `[channels, lead]`, the material's own past (start side: future) at the seam;
            empty where the clip has none.
    """

    audio: Samples = field(repr=False)
    side: Side
    context_samples: int
    joined_samples: int
    segments: tuple[Segment, ...]
    lead: Samples = field(repr=False)

    @property
    def new(self) -> Samples:
        """Only the new audio, `[channels, length]`."""
        if self.side == "end":
            return self.audio[:, self.context_samples :]
        return self.audio[:, : self.audio.shape[1] - self.context_samples]

    def for_splice(self, crossfade_samples: int) -> Samples:
        """The new audio with the overlap that `splice_extend` fades over.

        `[channels, crossfade_samples + length]` (start side: the overlap comes last). The overlap
        is the material's own lead where there is one, so that one crossfade joins two real
        signals; else the context, which is the clip already led into the new material.
        """
        fade = min(crossfade_samples, self.context_samples)
        if self.lead.shape[1] >= fade:
            overlap = self.lead[:, self.lead.shape[1] - fade :]
            if self.side == "start":
                overlap = self.lead[:, :fade]
        elif self.side == "end":
            overlap = self.audio[:, self.context_samples - fade : self.context_samples]
        else:
            seam = self.audio.shape[1] - self.context_samples
            overlap = self.audio[:, seam : seam + fade]
        parts = (overlap, self.new) if self.side == "end" else (self.new, overlap)
        return np.concatenate(parts, axis=1)


def continuation(
    samples: Samples,
    sample_rate_hz: int,
    grid: Grid,
    length_samples: int,
    *,
    side: Side = "end",
    context_s: float = CONTEXT_S,
) -> Prior:
    """Continue a clip from itself.

    Args:
        samples: float64 `[channels, samples]`, the whole clip.
        grid: its beat; where trusted, segments follow each other in whole beats.
        length_samples: exact length of the new audio.
        side: `end` continues after the clip, `start` leads up to it.
        context_s: how much of the clip beside the seam is compared, and returned as context.
    """
    forward = side == "end"
    heard = samples if forward else samples[:, ::-1]
    length = heard.shape[1]
    context = min(length, round(context_s * sample_rate_hz))
    mono = mono_at(heard[:, -round(_LONGEST_S * sample_rate_hz) :], sample_rate_hz)
    restart_db = _free_restart_cost(samples, sample_rate_hz, forward)
    search = _Search(mono, length, sample_rate_hz, grid, length_samples, context_s, restart_db)
    joins = _plan(search, length_samples)
    built = assemble(heard, sample_rate_hz, joins, context, length_samples, forward=forward)
    segments = _segments(joins, context, length, length_samples, forward)
    audio, lead = (built.audio, built.lead)
    if not forward:
        audio, lead = audio[:, ::-1], lead[:, ::-1]
    return Prior(
        np.ascontiguousarray(audio),
        side,
        context,
        built.joined_samples,
        segments,
        np.ascontiguousarray(lead),
    )


@dataclass(frozen=True, slots=True)
class _Search:
    """Everything a choice of the next point needs; positions and lags count in clip samples."""

    mono: Samples
    length: int
    rate: int
    grid: Grid
    wanted: int
    context_s: float
    restart_db: float

    @property
    def whole_beats(self) -> float | None:
        """Beats in the clip when it is a whole number of them, else None."""
        beats = self.length / self.rate / self.grid.beat_s
        near = abs(beats - round(beats)) <= _WHOLE_TOLERANCE_BEATS and round(beats) >= 1
        return float(round(beats)) if near and self.grid.trusted else None


def _free_restart_cost(samples: Samples, sample_rate_hz: int, forward: bool) -> float:
    """Cost in dB of starting over where no grid says that the clip is a loop."""

    def level_db(part: Samples) -> float:
        return float(10 * np.log10(np.mean(part**2) + TINY))

    whole = level_db(samples)
    first = level_db(samples[:, : round(0.1 * sample_rate_hz)])
    last = level_db(samples[:, -round(0.1 * sample_rate_hz) :])
    if forward and last < whole + _ENDED_DB:
        return _AFTER_END_DB
    cost = _ABRUPT_START_DB if first > whole - 6.0 else UNKNOWN_DB
    return cost + _LEVEL_JUMP_SLOPE * max(0.0, abs(first - last) - 6.0)


def _plan(search: _Search, length_samples: int) -> list[Join]:
    """Joins one after the other until the length is filled."""
    lag, cost = _best_lag(search)
    joins: list[Join] = []
    filled, late = 0, 0.0
    while filled < length_samples:
        point = _refined(search, search.length - lag + late) if lag < search.length else 0
        if search.grid.given:  # what one join strayed from the DAW's beat the next makes good
            late += (search.length - point) - lag
        joins.append(Join(point=point, cost_db=cost))
        filled += search.length - point
    return joins


def _best_lag(search: _Search) -> tuple[float, float]:
    """The lag in samples (not yet rounded) to carry on from, and its cost in dB."""
    levels = past_levels(search.mono)
    pasts = past_distances(levels, levels, search.context_s)
    costs = _costs(pasts, search)
    hop = HOP_S * search.rate
    best_lag, best_cost = float(search.length), _restart_cost(search)
    if search.grid.trusted:
        best = _best_on_grid(costs, search, hop)
        if best and search.whole_beats is None:
            best_cost = np.inf  # starting over would break the beat
    else:
        shortest = min(search.length / 2, max(search.rate, search.length / 4))
        lags = np.flatnonzero(np.arange(len(costs)) * hop >= shortest)
        best = [(lags[i] * hop, float(costs[lags[i]])) for i in range(len(lags))]
    for lag, cost in best:
        if cost < best_cost and lag < search.length:
            best_lag, best_cost = lag, cost
    return best_lag, best_cost


def _costs(pasts: PastDistances, search: _Search) -> npt.NDArray[np.float64]:
    """Cost in dB of carrying on from every lag: unlike pasts, short runs and quiet ends."""
    lag_s = np.arange(len(pasts.distance_db)) * HOP_S
    cost = (1 - pasts.missing) * pasts.distance_db + pasts.missing * UNKNOWN_DB
    wanted_s = min(_WANTED_RUN_S, search.wanted / search.rate, search.length / search.rate)
    cost = cost + _SHORT_RUN_DB * np.maximum(0.0, 1.0 - lag_s / wanted_s)
    power = 10 ** (pasts.level_db / 10)
    run_db = 10 * np.log10(np.cumsum(power) / np.arange(1, len(power) + 1))
    quiet = np.maximum(0.0, run_db[-1] - run_db - _QUIET_FROM_DB)
    return np.asarray(cost + _QUIET_SLOPE * quiet)


def _restart_cost(search: _Search) -> float:
    """Cost in dB of going on with the clip's own start."""
    beats = search.whole_beats
    if beats is None or search.length > _LOOP_AT_MOST_S * search.rate:
        return search.restart_db
    return _LOOP_DB + metrical_cost_db(beats, search.grid)


def metrical_cost_db(beats: float, grid: Grid) -> float:
    """Cost in dB of moving music by so many beats: none for whole bars."""
    bars = beats / float(grid.metre.bar_beats)
    if abs(bars - round(bars)) < 1e-6:
        return 0.0
    return _HALF_BAR_DB if abs(2 * bars - round(2 * bars)) < 1e-6 else _OFF_BAR_DB


def _best_on_grid(
    costs: npt.NDArray[np.float64], search: _Search, hop: float
) -> list[tuple[float, float]]:
    """For every number of beats back the best lag nearby, with the cost of its place in the bar.

    A given tempo is exact; an estimated one is off by up to half a percent, so the search widens
    with the distance.
    """
    beat = search.grid.beat_s * search.rate
    found = []
    shortest = min(search.grid.bar_s * search.rate, search.length / 2)
    for beats in range(1, int(search.length / beat) + 1):
        lag = beats * beat
        if lag < shortest:
            continue
        slack = hop if search.grid.given else hop + 0.004 * lag
        low = max(1, int(np.ceil((lag - slack) / hop)))
        high = min(len(costs), int((lag + slack) / hop) + 1)
        if low >= high:
            continue
        near = low + int(np.argmin(costs[low:high]))
        exact_lag = lag if abs(near * hop - lag) <= hop else near * hop
        found.append((exact_lag, float(costs[near]) + metrical_cost_db(beats, search.grid)))
    return found


def _refined(search: _Search, ideal: float) -> int:
    """Move a point by a few milliseconds so that waveforms fit; position in clip samples."""
    if search.grid.given:
        radius_s = 0.003
    elif search.grid.trusted:
        radius_s = 0.008
    else:
        radius_s = 0.025
    ratio = search.rate / ANALYSIS_RATE_HZ
    shift = len(search.mono) - search.length / ratio
    point = round(ideal / ratio + shift)
    moved, likeness = refine_join(
        search.mono,
        len(search.mono),
        point,
        round(radius_s * ANALYSIS_RATE_HZ),
        round(0.08 * ANALYSIS_RATE_HZ),
    )
    if likeness < 0.3:  # nothing in common: the place in the bar decides alone
        return round(ideal)
    return int(np.clip(round(ideal + (moved - point) * ratio), 0, search.length - 1))


def _segments(
    joins: list[Join], context: int, length: int, wanted: int, forward: bool
) -> tuple[Segment, ...]:
    """The joins as stretches of the finished prior, in the order of time."""
    segments, at = [], 0
    for join in joins:
        run = min(length - join.point, wanted - at)
        if forward:
            segments.append(Segment(context + at, join.point, run, join.cost_db))
        else:  # mirrored: positions count from the other end
            start = length - join.point - run
            segments.append(Segment(wanted - at - run, start, run, join.cost_db))
        at += run
    return tuple(segments if forward else reversed(segments))
