"""The timeline of everything that starts from a clip: what is heard in it, told and wished for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from engine.analysis.tempo import Grid, estimate_grid
from engine.controls.control import Control
from engine.files.audio import Clip
from engine.models.studio import Model
from engine.spec import RenderRequest
from engine.tasks.listening import KEY_CONFIDENT, heard_key, key_name
from engine.tasks.scene import beat_phases
from engine.tasks.song_time import asked_metre, song_time
from engine.tasks.wishes import (
    Axis,
    free_frames,
    gain_curve_db,
    in_stereo,
    loudness_wish,
    spread_db,
    wishes_of,
    with_gain,
)
from engine.tasks.words import unused_wishes, words_of
from engine.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Place:
    """Where a timeline lies, in seconds.

    Attributes:
        in_clip_s, in_result_s: where it begins on either time axis; negative before it.
        length_s: of the result.
    """

    in_clip_s: float
    in_result_s: float
    length_s: float


def grid_of(request: RenderRequest, clip: Clip) -> Grid:
    """The clip's beats: where the host says they lie, or as they are heard.

    Raises:
        BridgeError: as `song_time` and `asked_metre`.
    """
    song = song_time(request)
    if song is not None:
        return Grid.of(song)
    metre = asked_metre(request)
    return estimate_grid(clip.samples, clip.sample_rate_hz, bpm=request.bpm, metre=metre)


def clip_timeline(
    request: RenderRequest,
    model: Model,
    clip: Clip,
    grid: Grid,
    guide: Tensor,
    known: Tensor,
    place: Place,
    *,
    backwards: bool = False,
    inverted: bool = False,
) -> tuple[Timeline, Tensor, tuple[Control, ...], dict[str, Any]]:
    """The timeline, its prior as audio under the level wished for, what the finished result is
    compared with, and facts for the report.

    Args:
        guide: the prior as audio `[2, samples]` at 44.1 kHz.
        known: 1 at the musician's own audio `[1, 1, steps]`.
    """
    steps, trusted = int(known.shape[-1]), grid.trusted
    bar_s = grid.bar_s if trusted else None
    time = grid.time
    if time is not None:
        time = time.later(time.tempo.beats_at(place.in_clip_s - place.in_result_s))
    axis = Axis.of(model.codec, steps, place.in_result_s)
    wished = wishes_of(request, axis, place.length_s, bar_s, time)
    controls = in_stereo(wished, spread_db(clip.samples))
    wish = loudness_wish(controls)
    if wish is not None:
        gain_db = gain_curve_db(guide, wish, free_frames(known, axis.frames_per_step))
        guide = with_gain(guide, gain_db, wish.frame_s)
    prior = model.codec.encode(guide)[None]
    key, confidence = heard_key(clip.samples, clip.sample_rate_hz)
    sure = key if confidence >= KEY_CONFIDENT else None
    words, reading = words_of(request, place.length_s, grid.bpm if trusted else None, sure)
    timeline = Timeline(
        prior,
        known,
        model.told(words),
        axis.step_s,
        beat=beat_phases(steps, model.codec.step_samples, grid, place.in_clip_s)
        if trusted
        else None,
        backwards=backwards,
        level=model.told_level(prior),
        harmony=model.told_harmony(prior),
        inverted=inverted,
        controls=controls,
        starts_s=place.in_result_s,
    )
    heard: dict[str, Any] = {
        "heard_key": None if sure is None else key_name(sure),
        "key_confidence": round(confidence, 3),
    }
    if reading.unknown and not model.reads_text:
        heard["unknown_words"] = reading.unknown
    if (unused := unused_wishes(reading)) and not model.reads_text:
        heard["unused_wishes"] = unused
    return timeline, guide, wished, heard
