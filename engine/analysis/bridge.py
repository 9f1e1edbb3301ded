"""A prior for a gap with music on both sides: repairs, replaced regions, the close of a loop.

Two ways are tried and the better one kept. *One stretch*: a part of the known music as long as the
gap, whose past is like what comes before the gap and whose future is like what comes after it; in
music of repeated bars that is the same place of another bar. *Two stretches*: the left side carried
on (`continuation`), the right side led up to, and a crossfade where the two are most alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from engine.analysis.continuation import (
    CONTEXT_S,
    UNKNOWN_DB,
    Prior,
    Segment,
    continuation,
    metrical_cost_db,
)
from engine.analysis.crossfade import crossfade
from engine.analysis.joins import LEAD_S, join_at
from engine.analysis.similarity import HOP_S, past_distances, past_levels, refine_join
from engine.analysis.spectra import Samples, mono_at
from engine.analysis.tempo import Grid

_MEETING_FADE_S, _MEETING_FADE_FREE_S = 0.06, 0.4
_GRID_SLACK = 0.1  # of a beat
_SLIVER_S = 0.1


@dataclass(frozen=True, slots=True)
class BridgePrior:
    """Material for a gap, with both its sides.

    Attributes:
        audio: float64 `[channels, left_context + length + right_context]`: what lies left of the
            gap, the prior, what lies right of it. The contexts are the known audio, changed only
            over a few milliseconds next to the gap.
        segments: what was taken from where; `source_start` counts from the left side's first
            sample, with the right side at its place after the gap.
        cost_db: how far the pasts and futures are from each other; small is good.
        left_lead, right_lead: the material's own past and future at the two seams; empty where
            there is none.
    """

    audio: Samples = field(repr=False)
    left_context: int
    right_context: int
    segments: tuple[Segment, ...]
    cost_db: float
    left_lead: Samples = field(repr=False)
    right_lead: Samples = field(repr=False)

    @property
    def new(self) -> Samples:
        """Only the gap, `[channels, length]`."""
        return self.audio[:, self.left_context : self.audio.shape[1] - self.right_context]

    def for_splice(self, left: int, right: int) -> Samples:
        """The gap with overlaps for `splice_inpaint` or `close_loop`.

        `[channels, left + length + right]`: overlaps are the material's own where it has them, else
        the context.
        """
        end = self.audio.shape[1] - self.right_context
        before = self.left_lead[:, max(0, self.left_lead.shape[1] - left) :]
        if before.shape[1] < left:
            before = self.audio[:, self.left_context - left : self.left_context]
        after = self.right_lead[:, :right]
        if after.shape[1] < right:
            after = self.audio[:, end : end + right]
        return np.concatenate([before, self.new, after], axis=1)


@dataclass(frozen=True, slots=True)
class _Filling:
    new: Samples
    left_lead: Samples
    right_lead: Samples
    segments: tuple[Segment, ...]
    cost_db: float


def bridge_prior(
    left: Samples,
    right: Samples,
    sample_rate_hz: int,
    grid: Grid,
    length_samples: int,
    *,
    context_s: float = CONTEXT_S,
) -> BridgePrior:
    """Fill the gap between two known stretches from their own material.

    Args:
        left, right: float64 `[channels, samples]` before and after the gap. To close a loop both
            are the loop's kept part: its start comes again after the gap.
        grid: the beat; where trusted, material moves by whole beats.
        length_samples: exact length of the gap, at least 1.
    """
    led = _from_one_side if _is_sliver(left, right, sample_rate_hz) else _two_stretches
    fillings = [led(left, right, sample_rate_hz, grid, length_samples, context_s)]
    pieces = [(left, 0), (right, left.shape[1] + length_samples)]
    if left.shape == right.shape and np.array_equal(left, right):
        pieces = pieces[:1]
    for piece, offset in pieces:
        found = _one_stretch(
            left, right, piece, offset, sample_rate_hz, grid, length_samples, context_s
        )
        if found is not None:
            fillings.append(found)
    best = min(fillings, key=lambda filling: filling.cost_db)
    return _with_context(best, left, right, sample_rate_hz, context_s)


def _with_context(
    filling: _Filling, left: Samples, right: Samples, rate: int, context_s: float
) -> BridgePrior:
    before = min(left.shape[1], round(context_s * rate))
    after = min(right.shape[1], round(context_s * rate))
    audio = np.concatenate(
        [left[:, left.shape[1] - before :], filling.new, right[:, :after]], axis=1
    )
    join_at(audio, before, filling.left_lead, rate)
    mirrored = audio[:, ::-1]  # a view: the right seam is joined in the mirror
    join_at(mirrored, after, filling.right_lead[:, ::-1], rate, forward=False)
    return BridgePrior(
        audio,
        before,
        after,
        filling.segments,
        filling.cost_db,
        filling.left_lead,
        filling.right_lead,
    )


def _is_sliver(left: Samples, right: Samples, rate: int) -> bool:
    """Whether one side, and not the other, is too short to be gone on from."""
    shorter, longer = sorted((left.shape[1], right.shape[1]))
    return bool(shorter < _SLIVER_S * rate <= longer)


def _from_one_side(
    left: Samples, right: Samples, rate: int, grid: Grid, length: int, context_s: float
) -> _Filling:
    """What the longer side goes on with, and some more of that to join the other one with."""
    lead = round(LEAD_S * rate)
    before = min(left.shape[1], round(context_s * rate))
    if left.shape[1] > right.shape[1]:
        prior = continuation(left, rate, grid, length + lead, side="end", context_s=context_s)
        new, future = prior.new[:, :length], prior.new[:, length:]
        segments = _until(prior.segments, before + length)
        return _Filling(new.copy(), prior.lead, future, segments, _first_cost(prior))
    prior = continuation(right, rate, grid, length + lead, side="start", context_s=context_s)
    past, new = prior.new[:, :lead], prior.new[:, lead:]
    segments = _since(prior.segments, lead, before - lead, left.shape[1] + length)
    return _Filling(new.copy(), past, prior.lead, segments, _last_cost(prior))


def _two_stretches(
    left: Samples, right: Samples, rate: int, grid: Grid, length: int, context_s: float
) -> _Filling:
    onward = continuation(left, rate, grid, length, side="end", context_s=context_s)
    back = continuation(right, rate, grid, length, side="start", context_s=context_s)
    fade_s = _MEETING_FADE_S if grid.trusted else _MEETING_FADE_FREE_S
    fade = max(1, min(length, round(fade_s * rate)))
    meeting, apart_db = _meeting_point(onward.new, back.new, rate, fade)
    new = onward.new.copy()
    new[:, meeting : meeting + fade] = crossfade(
        onward.new[:, meeting : meeting + fade], back.new[:, meeting : meeting + fade]
    )
    new[:, meeting + fade :] = back.new[:, meeting + fade :]
    cost = _first_cost(onward) + _last_cost(back) + apart_db
    segments = _met(onward, back, meeting + fade // 2, left.shape[1] + length)
    return _Filling(new, onward.lead, back.lead, segments, cost)


def _first_cost(prior: Prior) -> float:
    return prior.segments[0].cost_db if prior.segments else 0.0


def _last_cost(prior: Prior) -> float:
    return prior.segments[-1].cost_db if prior.segments else 0.0


def _met(onward: Prior, back: Prior, meeting: int, right_at: int) -> tuple[Segment, ...]:
    """Segments of both sides up to and from the meeting point, placed in the bridge's audio."""
    before = onward.context_samples
    until = _until(onward.segments, before + meeting)
    return until + _since(back.segments, meeting, before, right_at)


def _until(segments: Sequence[Segment], end: int) -> tuple[Segment, ...]:
    """What is played before a sample."""
    return tuple(
        replace(each, length=min(each.length, end - each.at)) for each in segments if each.at < end
    )


def _since(
    segments: Sequence[Segment], start: int, moved: int, right_at: int
) -> tuple[Segment, ...]:
    """What is played of the right side from a sample on, moved in the bridge's audio."""
    kept = []
    for each in segments:
        skip = max(0, start - each.at)
        if skip < each.length:
            at, source = moved + each.at + skip, right_at + each.source_start + skip
            kept.append(Segment(at, source, each.length - skip, each.cost_db))
    return tuple(kept)


def _meeting_point(onward: Samples, back: Samples, rate: int, fade: int) -> tuple[int, float]:
    """Where, in samples, two renditions of the same gap are most alike, and how far apart in dB."""
    length = onward.shape[1]
    if length <= 2 * fade:
        return (length - fade) // 2, UNKNOWN_DB / 2
    one, other = mono_at(onward, rate), mono_at(back, rate)
    floor = max(float(past_levels(one).min()), float(past_levels(other).min()))
    apart = (past_levels(one, floor) - past_levels(other, floor))[::-1]  # in the order of time
    distance = np.sqrt(np.mean(np.minimum(np.abs(apart), 24.0) ** 2, axis=1))
    width = max(1, min(len(distance), round(0.25 / HOP_S)))
    smooth = np.convolve(distance, np.ones(width) / width, mode="same")
    margin = len(smooth) // 8
    inner = smooth[margin : len(smooth) - margin]
    at = margin + int(np.argmin(inner)) if len(inner) else len(smooth) // 2
    start = round(at * HOP_S * rate) - fade // 2
    return int(np.clip(start, 0, length - fade)), float(smooth[at])


def _one_stretch(
    left: Samples,
    right: Samples,
    piece: Samples,
    offset: int,
    rate: int,
    grid: Grid,
    length: int,
    context_s: float,
) -> _Filling | None:
    """The best stretch of `piece` (which begins `offset` samples after left's start), if any."""
    room = piece.shape[1] - length
    if room < 0:
        return None
    starts = np.arange(0, room + 1, max(1, round(HOP_S * rate)))
    cost = _fit(left, piece, starts, rate, context_s)
    cost += _fit(right[:, ::-1], piece[:, ::-1], piece.shape[1] - starts - length, rate, context_s)
    if grid.trusted:
        beats = (left.shape[1] - offset - starts) / rate / grid.beat_s
        nearest = np.round(beats)
        cost += np.array([metrical_cost_db(beat, grid) for beat in nearest])
        cost[np.abs(beats - nearest) > _GRID_SLACK] = np.inf
    best = int(np.argmin(cost))
    if not np.isfinite(cost[best]):
        return None
    start = _aligned(left, piece, offset, int(starts[best]), rate, grid)
    start = int(np.clip(start, 0, room))
    lead = round(LEAD_S * rate)
    segment = Segment(
        min(left.shape[1], round(context_s * rate)), offset + start, length, float(cost[best])
    )
    return _Filling(
        piece[:, start : start + length].copy(),
        piece[:, max(0, start - lead) : start],
        piece[:, start + length : start + length + lead],
        (segment,),
        float(cost[best]),
    )


def _fit(
    side: Samples, piece: Samples, points: npt.NDArray[np.int64], rate: int, context_s: float
) -> npt.NDArray[np.float64]:
    """Cost in dB of each point of `piece` following the end of `side`."""
    reference = mono_at(side[:, -round((context_s + 0.1) * rate) :], rate)
    material = mono_at(piece, rate)
    floor = float(past_levels(material).min())
    pasts = past_distances(past_levels(reference, floor), past_levels(material, floor), context_s)
    cost = (1 - pasts.missing) * pasts.distance_db + pasts.missing * UNKNOWN_DB
    lags = np.round((piece.shape[1] - points) / rate / HOP_S).astype(int)
    # A point nearer to the piece's start than one window has no past at all.
    known = lags < len(cost)
    return np.where(known, cost[np.minimum(lags, len(cost) - 1)], UNKNOWN_DB)


def _aligned(left: Samples, piece: Samples, offset: int, start: int, rate: int, grid: Grid) -> int:
    """Move a start by milliseconds: onto the exact beat of a given grid, then by waveform."""
    if grid.given:
        beat = grid.beat_s * rate
        beats = round((left.shape[1] - offset - start) / beat)
        start = round(left.shape[1] - offset - beats * beat)
    radius = 0.003 if grid.given else 0.012
    past = min(start, round(0.1 * rate), left.shape[1])
    ahead = min(piece.shape[1] - start, round(0.05 * rate))
    reach = min(round(radius * rate), ahead - 1, past - 1)
    if reach < 2:
        return start
    # refine_join compares two places of one signal: lay the piece's place before left's end.
    line = np.concatenate(
        [piece[:, start - past : start + ahead], left[:, left.shape[1] - past :]], axis=1
    )
    mono = mono_at(line, rate, rate)
    moved, likeness = refine_join(mono, len(mono), past, reach, past - reach)
    return start + (moved - past if likeness >= 0.3 else 0)
