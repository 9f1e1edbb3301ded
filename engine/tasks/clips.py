"""Scenes that start from a clip: extend, inpaint, loop.

All three lay the same kind of timeline: kept audio, a stretch to be made whose prior is the clip's
own material, and for inpainting and loops kept audio again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.analysis.bridge import BridgePrior, bridge_prior
from engine.analysis.continuation import Prior, Segment, continuation
from engine.analysis.tempo import COMMON_TIME, Grid, estimate_grid
from engine.files.audio import Clip, lossless_subtype, read_clip
from engine.models.house.codec import SAMPLE_RATE_HZ, STEP_SAMPLES
from engine.models.house.model import WINDOW_STEPS, HouseModel
from engine.render.finish import fit_crossfade, fit_new_audio, from_model
from engine.render.splice import (
    Side,
    close_loop,
    inpaint_overlaps,
    kept_extend,
    kept_inpaint,
    kept_loop,
    splice_extend,
    splice_inpaint,
)
from engine.spec import BridgeError, RenderRequest
from engine.tasks.listening import KEY_CONFIDENT, heard_key, key_name
from engine.tasks.scene import (
    Finished,
    Part,
    Samples,
    Scene,
    Stereo,
    beat_phases,
    known_steps,
    model_audio,
)
from engine.tasks.words import told_conditions, unused_wishes
from engine.timeline import Timeline
from engine.units import Metre, bars_to_samples, seconds_to_samples

WINDOW_S = WINDOW_STEPS * STEP_SAMPLES / SAMPLE_RATE_HZ
LONGEST_RESULT_S = 900.0
LONGEST_NEW_S = 600.0
_TOUCHED_S = 0.025  # the joins of a bridge change at most this much of the known audio
_PRE_ROLL_S = 0.06  # a seam just before a beat is hidden by it; on the beat it would be the beat
_SHORTEST_CLOSING_S, _LONGEST_CLOSING_S = 0.4, 2.0


@dataclass(frozen=True, slots=True)
class _Layout:
    """Audio of a timeline at the host's rate: `left` known samples, new ones, `right` known ones.

    Attributes:
        audio: float64 `[channels, left + new + right]`.
        starts_at: sample of the clip with which `audio` begins; negative before the clip.
        touched: known samples beside each seam that the prior's join has already changed.
    """

    audio: Samples
    left: int
    right: int
    starts_at: int
    touched: int

    @property
    def new(self) -> int:
        return int(self.audio.shape[1]) - self.left - self.right


def extend_scene(request: RenderRequest, model: HouseModel) -> Scene:
    """The clip with new audio after it, or before it."""
    clip, grid = _read(request)
    rate, backwards = clip.sample_rate_hz, request.side == "start"
    length = _new_length(request, grid, rate)
    _check_length(clip.length_samples + length, rate)
    _check_length(length, rate, LONGEST_NEW_S)
    overlap_s = min(request.overlap, clip.seconds)
    prior = continuation(
        clip.samples,
        rate,
        grid,
        length,
        side="start" if backwards else "end",
        context_s=overlap_s,
    )
    layout = _extension_layout(clip.samples, 0, rate, prior)
    fade = min(
        round(request.crossfade_ms * rate / 1000),
        clip.length_samples // 2,
        layout.left if not backwards else layout.right,
    )
    side: Side = "start" if backwards else "end"
    subtype = lossless_subtype(clip.subtype)

    def finish(rendered: Stereo) -> Finished:
        audio = from_model(rendered, rate, layout.audio.shape[1], clip.samples)
        if backwards:
            part = audio[:, : length + fade]
        else:
            part = audio[:, layout.left - fade : layout.left + length]
        part, headroom_db = fit_new_audio(part, rate, subtype)
        result = splice_extend(clip.samples, part, side, fade)
        seam = length if backwards else clip.length_samples
        edge = (seam, seam + fade) if backwards else (seam - fade, seam)
        fit_crossfade(result, *edge, rate, subtype)
        kept = kept_extend(clip.length_samples, length, side, fade)
        source_start = fade if backwards else 0
        new = (0, length) if backwards else (seam, seam + length)
        return Finished(result, (seam,), ((kept, source_start),), new, headroom_db)

    begins_at = -length if backwards else clip.length_samples - prior.context_samples
    facts = {"prior": _prior_facts(prior.segments, rate, begins_at)}
    scene = _scene(request, model, clip, grid, layout, finish, facts, backwards)
    return replace(
        scene,
        expected_samples=clip.length_samples + length,
        grid_start_samples=-length if backwards else 0,
    )


def inpaint_scene(request: RenderRequest, model: HouseModel) -> Scene:
    """The clip with a region replaced."""
    clip, grid = _read(request)
    rate = clip.sample_rate_hz
    assert request.start is not None
    assert request.end is not None
    start, end = (seconds_to_samples(value, rate) for value in (request.start, request.end))
    if end > clip.length_samples:
        raise BridgeError(
            "bad_request",
            f"the region ends at {request.end:g} s, the clip at {clip.seconds:g} s",
            "choose a region inside the clip",
        )
    if end <= start:
        raise BridgeError("bad_request", "the region is shorter than one sample", "make it longer")
    if start == 0 and end == clip.length_samples:
        raise BridgeError(
            "bad_request", "the region is the whole clip", "leave some of it to be heard"
        )
    layout, facts = _gap_layout(request, clip, grid, start, end)
    fade = round(request.crossfade_ms * rate / 1000)
    before, after = inpaint_overlaps(clip.length_samples, start, end, fade)
    before, after = min(before, layout.left), min(after, layout.right)
    subtype = lossless_subtype(clip.subtype)

    def finish(rendered: Stereo) -> Finished:
        audio = from_model(rendered, rate, layout.audio.shape[1], clip.samples)
        part, headroom_db = fit_new_audio(
            audio[:, layout.left - before : layout.left + (end - start) + after], rate, subtype
        )
        result = splice_inpaint(clip.samples, part, start, end, fade)
        fit_crossfade(result, start - before, start, rate, subtype)
        fit_crossfade(result, end, end + after, rate, subtype)
        kept = tuple(
            (span, span[0])
            for span in kept_inpaint(clip.length_samples, start, end, fade)
            if span[0] < span[1]
        )
        seams = tuple(at for at in (start, end) if 0 < at < clip.length_samples)
        return Finished(result, seams, kept, (start, end), headroom_db)

    return _scene(request, model, clip, grid, layout, finish, {"prior": facts}, False)


def loop_scene(request: RenderRequest, model: HouseModel) -> Scene:
    """Exactly so many bars that repeat without a seam.

    What the clip has of those bars is kept but for a closing stretch of a beat or so before the
    loop's end, which is made anew so that it leads back into the clip's own start.
    """
    clip, grid = _read(request)
    rate = clip.sample_rate_hz
    assert request.bars is not None
    bpm = request.bpm if request.bpm is not None else grid.bpm
    total = bars_to_samples(request.bars, bpm, grid.metre, rate)
    _check_length(total, rate)
    fade = min(round(request.crossfade_ms * rate / 1000), clip.length_samples // 4, total // 8)
    closing_s = min(_closing_s(total / rate, grid), _LONGEST_CLOSING_S, total / rate / 2)
    keep = min(clip.length_samples, total - round(closing_s * rate))
    missing = total - keep
    context = _context_samples(request, missing, rate)
    left, right = min(context, keep), min(context, keep)
    kept_part = clip.samples[:, :keep]
    bridge = bridge_prior(kept_part, kept_part, rate, grid, missing)
    layout = _bridge_layout(kept_part, kept_part, bridge, left, right, rate)
    fade = min(fade, left, right)
    subtype = lossless_subtype(clip.subtype)

    def finish(rendered: Stereo) -> Finished:
        audio = from_model(rendered, rate, layout.audio.shape[1], clip.samples)
        part = audio[:, left - fade : left + missing + fade]
        part, headroom_db = fit_new_audio(part, rate, subtype)
        result = close_loop(kept_part, part, total, fade)
        fit_crossfade(result, 0, fade, rate, subtype)
        fit_crossfade(result, keep - fade, keep, rate, subtype)
        kept = kept_loop(keep, total, fade)
        return Finished(result, (keep, 0), ((kept, kept[0]),), (keep, total), headroom_db)

    facts = {
        "prior": _prior_facts(bridge.segments, rate, keep - bridge.left_context),
        "closing_s": round(missing / rate, 4),
        "kept_samples": keep,
    }
    scene = _scene(request, model, clip, grid, layout, finish, facts, False)
    return replace(scene, expected_samples=total)


def _closing_s(total_s: float, grid: Grid) -> float:
    """From just before a beat to the loop's end: the last beat that leaves time enough to close."""
    after_last_beat_s = (total_s - grid.first_beat_s) % grid.beat_s
    beats = max(0, math.ceil((_SHORTEST_CLOSING_S - after_last_beat_s) / grid.beat_s - 1e-6))
    return after_last_beat_s + beats * grid.beat_s + _PRE_ROLL_S


def _read(request: RenderRequest) -> tuple[Clip, Grid]:
    assert request.source is not None
    clip = read_clip(request.source)
    metre = Metre.parse(request.metre) if request.metre else COMMON_TIME
    return clip, estimate_grid(clip.samples, clip.sample_rate_hz, bpm=request.bpm, metre=metre)


def _new_length(request: RenderRequest, grid: Grid, rate: int) -> int:
    if request.seconds is not None:
        return seconds_to_samples(request.seconds, rate)
    assert request.bars is not None
    bpm = request.bpm if request.bpm is not None else grid.bpm
    return bars_to_samples(request.bars, bpm, grid.metre, rate)


def _check_length(samples: int, rate: int, longest_s: float = LONGEST_RESULT_S) -> None:
    if samples > longest_s * rate:
        raise BridgeError(
            "too_large",
            f"it would be {samples / rate:.0f} s long",
            f"ask for at most {longest_s:.0f} s",
        )


def _context_samples(request: RenderRequest, new: int, rate: int) -> int:
    """Known audio on each side: the overlap asked for, or what fills a window of the model."""
    filling_s = (WINDOW_S - new / rate) / 2
    return round(max(request.overlap, filling_s, request.crossfade_ms / 1000) * rate)


def _gap_layout(
    request: RenderRequest, clip: Clip, grid: Grid, start: int, end: int
) -> tuple[_Layout, list[dict[str, float]]]:
    """The clip around samples `[start, end)`; at an end of the clip the gap has one side only."""
    rate, length = clip.sample_rate_hz, end - start
    before, after = clip.samples[:, :start], clip.samples[:, end:]
    if start and end < clip.length_samples:
        context = _context_samples(request, length, rate)
        bridge = bridge_prior(before, after, rate, grid, length)
        left, right = min(context, start), min(context, after.shape[1])
        facts = _prior_facts(bridge.segments, rate, start - bridge.left_context)
        return _bridge_layout(before, after, bridge, left, right, rate), facts
    side: Side = "end" if start else "start"
    known = before if start else after
    context_s = min(max(request.overlap, request.crossfade_ms / 1000), known.shape[1] / rate)
    prior = continuation(known, rate, grid, length, side=side, context_s=context_s)
    begins_at = start - prior.context_samples if start else 0
    facts = _prior_facts(prior.segments, rate, begins_at)
    return _extension_layout(known, 0 if start else end, rate, prior), facts


def _extension_layout(known: Samples, origin: int, rate: int, prior: Prior) -> _Layout:
    """The prior with as much more of the known audio as fills a window.

    Args:
        origin: sample of the clip with which `known` begins.
    """
    length, total = int(prior.new.shape[1]), int(known.shape[1])
    filling = round(WINDOW_S * rate) - length - prior.context_samples
    spare = total - prior.context_samples
    extra = max(0, min(filling, spare))
    kept = prior.context_samples + extra
    if prior.side == "start":
        more = known[:, prior.context_samples : kept]
        audio = np.concatenate([prior.audio, more], axis=1)
        return _Layout(audio, 0, kept, origin - length, prior.joined_samples)
    more = known[:, total - kept : spare]
    audio = np.concatenate([more, prior.audio], axis=1)
    return _Layout(audio, kept, 0, origin + total - kept, prior.joined_samples)


def _bridge_layout(
    before: Samples, after: Samples, bridge: BridgePrior, left: int, right: int, rate: int
) -> _Layout:
    """The bridge with its contexts lengthened (or cut) to `left` and `right` samples."""
    touched = round(_TOUCHED_S * rate)
    own_left, own_right = min(left, bridge.left_context), min(right, bridge.right_context)
    end = bridge.audio.shape[1] - bridge.right_context
    middle = bridge.audio[:, bridge.left_context - own_left : end + own_right]
    more_left = before[:, before.shape[1] - left : before.shape[1] - own_left]
    more_right = after[:, own_right:right]
    audio = np.concatenate([more_left, middle, more_right], axis=1)
    return _Layout(audio, left, right, before.shape[1] - left, touched)


def _scene(
    request: RenderRequest,
    model: HouseModel,
    clip: Clip,
    grid: Grid,
    layout: _Layout,
    finish: Callable[[Stereo], Finished],
    facts: dict[str, Any],
    backwards: bool,
) -> Scene:
    rate = clip.sample_rate_hz
    guide = model_audio(layout.audio, rate)
    prior = model.codec.encode(guide)[None]
    steps = prior.shape[-1]
    ranges = []
    if layout.left:
        ranges.append((0.0, (layout.left - layout.touched) / rate))
    if layout.right:
        first = layout.left + layout.new
        ranges.append(((first + layout.touched) / rate, steps * STEP_SAMPLES / SAMPLE_RATE_HZ))
    tempo_bpm = grid.bpm if grid.trusted else None
    key, key_confidence = heard_key(clip.samples, rate)
    sure = key if key_confidence >= KEY_CONFIDENT else None
    conditions, reading = told_conditions(request, model, tempo_bpm, sure)
    beat = beat_phases(steps, grid, layout.starts_at / rate) if grid.trusted else None
    facts = facts | {
        "heard_key": None if sure is None else key_name(sure),
        "key_confidence": round(key_confidence, 3),
    }
    if reading.unknown:
        facts = facts | {"unknown_words": reading.unknown}
    if unused := unused_wishes(reading):
        facts = facts | {"unused_wishes": unused}
    timeline = Timeline(prior, known_steps(steps, ranges), conditions, None, beat, backwards)
    return Scene(
        (Part("mix", timeline, guide),),
        lambda rendered: finish(rendered[0]),
        rate,
        lossless_subtype(clip.subtype),
        clip.digest,
        clip.name,
        clip.length_samples,
        source=clip,
        grid=grid,
        facts=facts,
    )


def _prior_facts(
    segments: tuple[Segment, ...], rate: int, begins_at: int
) -> list[dict[str, float]]:
    """Where the prior was taken from and where it lies, in seconds of the clip.

    Args:
        begins_at: sample of the clip at which the prior's own context begins.
    """
    return [
        {
            "at_s": round((begins_at + segment.at) / rate, 4),
            "from_s": round(segment.source_start / rate, 4),
            "seconds": round(segment.length / rate, 4),
            "cost_db": round(segment.cost_db, 3),
        }
        for segment in segments
    ]
