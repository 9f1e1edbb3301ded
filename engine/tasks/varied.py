"""A variation of a clip: the noise it would be made of, sampled with fresh noise on the way."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from engine.analysis.tempo import COMMON_TIME, estimate_grid
from engine.files.audio import Clip, lossless_subtype, read_clip
from engine.models.house.conditions import level_curve
from engine.models.house.model import HouseModel
from engine.render.finish import fit_new_audio, from_model
from engine.spec import RenderRequest
from engine.tasks.listening import KEY_CONFIDENT, heard_key, key_name
from engine.tasks.scene import Finished, Part, Scene, Stereo, beat_phases, model_audio
from engine.tasks.sketches import check_length
from engine.tasks.wishes import free_frames, gain_curve_db, loudness_wish, wishes_of, with_gain
from engine.tasks.words import told_conditions
from engine.timeline import Timeline
from engine.units import Metre


def vary_scene(request: RenderRequest, model: HouseModel) -> Scene:
    """As long as the clip, in its format, nothing of it kept as it is."""
    assert request.source is not None
    clip = read_clip(request.source)
    check_length(clip.seconds)
    rate, length = clip.sample_rate_hz, clip.length_samples
    metre = Metre.parse(request.metre) if request.metre else COMMON_TIME
    grid = estimate_grid(clip.samples, rate, bpm=request.bpm, metre=metre)
    guide = model_audio(clip.samples, rate)
    steps = guide.shape[-1] // model.codec.step_samples
    bar_s = grid.bar_s if grid.trusted else None
    controls = wishes_of(request, steps, 0.0, clip.seconds, bar_s)
    known = torch.zeros(1, 1, steps)
    wish = loudness_wish(controls)
    if wish is not None:
        guide = with_gain(guide, gain_curve_db(guide, wish, free_frames(known)))
    prior = model.codec.encode(guide)[None]
    key, confidence = heard_key(clip.samples, rate)
    sure = key if confidence >= KEY_CONFIDENT else None
    conditions, reading = told_conditions(request, model, grid.bpm if grid.trusted else None, sure)
    timeline = Timeline(
        prior,
        known,
        conditions,
        beat=beat_phases(steps, grid, 0.0) if grid.trusted else None,
        level=None if wish is None else level_curve(model.codec, prior),
        inverted=True,
        controls=controls,
    )
    return Scene(
        (Part("mix", timeline, guide, refined=bool(controls)),),
        lambda rendered: _finished(rendered, clip),
        rate,
        lossless_subtype(clip.subtype),
        clip.digest,
        clip.name,
        length,
        grid=grid,
        facts={
            "heard_key": None if sure is None else key_name(sure),
            "unknown_words": reading.unknown,
        },
        controls=controls,
    )


def _finished(rendered: Sequence[Stereo], clip: Clip) -> Finished:
    rate, length = clip.sample_rate_hz, clip.length_samples
    audio = from_model(rendered[0], rate, length, clip.samples)
    audio, headroom_db = fit_new_audio(audio, rate, lossless_subtype(clip.subtype))
    return Finished(audio, (), (), (0, length), headroom_db)
