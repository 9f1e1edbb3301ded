"""Scenes that start from a clip: extend, inpaint, loop.

All three lay the same kind of timeline: kept audio, a stretch to be made whose prior is the clip's
own material, and for inpainting and loops kept audio again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

from engine.analysis.bridge import bridge_prior
from engine.analysis.continuation import continuation
from engine.analysis.tempo import Grid
from engine.files.audio import MIN_SECONDS, Clip, lossless_subtype, read_clip
from engine.models.studio import Model
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
from engine.tasks.clip_timeline import Place, clip_timeline, grid_of
from engine.tasks.layouts import (
    Layout,
    bridge_layout,
    context_samples,
    extension_layout,
    fade_samples,
    gap_layout,
    prior_facts,
    window_seconds,
)
from engine.tasks.scene import (
    Finished,
    Part,
    Scene,
    Stereo,
    known_steps,
    model_audio,
)
from engine.units import bars_to_samples, round_half_up, seconds_to_samples

LONGEST_RESULT_S = 900.0
LONGEST_NEW_S = 600.0
_PRE_ROLL_S = 0.06  # a seam just before a beat is hidden by it; on the beat it would be the beat
_SHORTEST_CLOSING_S, _LONGEST_CLOSING_S = 0.4, 2.0


def extend_scene(request: RenderRequest, model: Model) -> Scene:
    """The clip with new audio after it, or before it."""
    clip, grid = _read(request)
    rate, backwards = clip.sample_rate_hz, request.side == "start"
    length = _new_length(request, clip, grid)
    grid = grid.near(0.0 if backwards else clip.seconds)
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
    layout = extension_layout(clip.samples, 0, rate, window_seconds(model), prior)
    fade = min(
        fade_samples(request, rate),
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
    facts = {"prior": prior_facts(prior.segments, rate, begins_at)}
    span = (-length if backwards else 0, clip.length_samples + length)
    scene = _scene(request, model, clip, grid, layout, finish, facts, span)
    return replace(
        scene,
        expected_samples=clip.length_samples + length,
        grid_start_samples=-length if backwards else 0,
    )


def inpaint_scene(request: RenderRequest, model: Model) -> Scene:
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
    if max(start, clip.length_samples - end) < MIN_SECONDS * rate:
        raise BridgeError(
            "bad_request",
            "the region is the whole clip, or all but a moment of it",
            f"leave {MIN_SECONDS:g} s of it or more to be heard",
        )
    grid = grid.near(start / rate)
    layout, facts = gap_layout(request, window_seconds(model), clip, grid, start, end)
    fade = fade_samples(request, rate)
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

    span = (0, clip.length_samples)
    return _scene(request, model, clip, grid, layout, finish, {"prior": facts}, span)


def loop_scene(request: RenderRequest, model: Model) -> Scene:
    """Exactly so many bars that repeat without a seam.

    What the clip has of those bars is kept but for a closing stretch of a beat or so before the
    loop's end, which is made anew so that it leads back into the clip's own start.
    """
    clip, grid = _read(request)
    rate = clip.sample_rate_hz
    assert request.bars is not None
    total = _bars_samples(request.bars, grid, rate)
    _check_length(total, rate)
    grid = grid.near(total / rate)
    fade = min(fade_samples(request, rate), clip.length_samples // 4, total // 8)
    closing_s = min(_closing_s(total / rate, grid), _LONGEST_CLOSING_S, total / rate / 2)
    keep = min(clip.length_samples, total - round(closing_s * rate))
    missing = total - keep
    context = context_samples(request, window_seconds(model), missing, rate)
    left, right = min(context, keep), min(context, keep)
    kept_part = clip.samples[:, :keep]
    bridge = bridge_prior(kept_part, kept_part, rate, grid, missing)
    layout = bridge_layout(kept_part, kept_part, bridge, left, right, rate)
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
        "prior": prior_facts(bridge.segments, rate, keep - bridge.left_context, period=total),
        "closing_s": round(missing / rate, 4),
        "kept_samples": keep,
    }
    scene = _scene(request, model, clip, grid, layout, finish, facts, (0, total))
    return replace(scene, expected_samples=total)


def _closing_s(total_s: float, grid: Grid) -> float:
    """From just before a beat to the loop's end: the last beat that leaves time enough to close."""
    if grid.time is None:
        after_last_beat_s = (total_s - grid.first_beat_s) % grid.beat_s
    else:
        after_last_beat_s = float(grid.time.since_beat_s(total_s))
    beats = max(0, math.ceil((_SHORTEST_CLOSING_S - after_last_beat_s) / grid.beat_s - 1e-6))
    return after_last_beat_s + beats * grid.beat_s + _PRE_ROLL_S


def _read(request: RenderRequest) -> tuple[Clip, Grid]:
    assert request.source is not None
    clip = read_clip(request.source)
    return clip, grid_of(request, clip)


def _new_length(request: RenderRequest, clip: Clip, grid: Grid) -> int:
    rate = clip.sample_rate_hz
    if request.seconds is not None:
        return seconds_to_samples(request.seconds, rate)
    assert request.bars is not None
    if request.side == "start":
        return -_bars_samples(-request.bars, grid, rate)
    return _bars_samples(request.bars, grid, rate, Fraction(clip.length_samples, rate))


def _bars_samples(bars: float, grid: Grid, rate: int, from_s: Fraction = Fraction(0)) -> int:
    """Samples in so many bars after a moment of the clip; negative for bars before it."""
    if grid.time is None:
        return bars_to_samples(bars, grid.bpm, grid.metre, rate)
    return round_half_up(grid.time.bars_s(bars, grid.time.tempo.beats_at(from_s)) * rate)


def _check_length(samples: int, rate: int, longest_s: float = LONGEST_RESULT_S) -> None:
    if samples > longest_s * rate:
        raise BridgeError(
            "too_large",
            f"it would be {samples / rate:.0f} s long",
            f"ask for at most {longest_s:.0f} s",
        )


def _scene(
    request: RenderRequest,
    model: Model,
    clip: Clip,
    grid: Grid,
    layout: Layout,
    finish: Callable[[Stereo], Finished],
    facts: dict[str, Any],
    span: tuple[int, int],
) -> Scene:
    """The scene of a layout.

    Args:
        span: sample of the clip with which the result begins, negative before the clip, and the
            result's length.
    """
    rate = clip.sample_rate_hz
    codec = model.codec
    guide = model_audio(layout.audio, rate, codec.step_samples)
    ranges_s = layout.known_ranges_s(rate, codec.step_samples)
    known = known_steps(codec, guide.shape[-1] // codec.step_samples, ranges_s)
    starts = layout.starts_at
    place = Place(starts / rate, (starts - span[0]) / rate, span[1] / rate)
    # Windows begin beside what is known, wherever in the result that lies.
    backwards = bool(known.any()) and not bool(known[..., 0].any())
    timeline, guide, wished, heard = clip_timeline(
        request, model, clip, grid, guide, known, place, backwards=backwards
    )
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
        facts=facts | heard,
        controls=wished,
    )
