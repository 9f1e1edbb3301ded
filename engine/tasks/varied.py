"""A variation of a clip: the noise it would be made of, sampled with fresh noise on the way."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from engine.files.audio import Clip, lossless_subtype, read_clip
from engine.models.studio import Model
from engine.render.finish import fit_new_audio, from_model
from engine.spec import RenderRequest
from engine.tasks.clip_timeline import Place, clip_timeline, grid_of
from engine.tasks.pulse import check_length
from engine.tasks.scene import Finished, Part, Scene, Stereo, model_audio


def vary_scene(request: RenderRequest, model: Model) -> Scene:
    """As long as the clip, in its format, nothing of it kept as it is."""
    assert request.source is not None
    clip = read_clip(request.source)
    check_length(clip.seconds)
    rate = clip.sample_rate_hz
    grid = grid_of(request, clip)
    guide = model_audio(clip.samples, rate, model.codec.step_samples)
    known = torch.zeros(1, 1, guide.shape[-1] // model.codec.step_samples)
    place = Place(0.0, 0.0, clip.seconds)
    timeline, guide, wished, heard = clip_timeline(
        request, model, clip, grid, guide, known, place, inverted=True
    )
    return Scene(
        (Part("mix", timeline, guide, refined=bool(timeline.controls)),),
        lambda rendered: _finished(rendered, clip),
        rate,
        lossless_subtype(clip.subtype),
        clip.digest,
        clip.name,
        clip.length_samples,
        grid=grid,
        facts=heard,
        controls=wished,
    )


def _finished(rendered: Sequence[Stereo], clip: Clip) -> Finished:
    rate, length = clip.sample_rate_hz, clip.length_samples
    audio = from_model(rendered[0], rate, length, clip.samples)
    audio, headroom_db = fit_new_audio(audio, rate, lossless_subtype(clip.subtype))
    return Finished(audio, (), (), (0, length), headroom_db)
