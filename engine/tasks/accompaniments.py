"""Scenes that start from a clip and leave it alone: the parts that are missing to it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from engine.analysis.tempo import COMMON_TIME
from engine.files.audio import Clip, lossless_subtype, read_clip
from engine.models.studio import STUDIO_RATE_HZ, Model
from engine.render.finish import from_model
from engine.sketch.accompany import accompany
from engine.sketch.prompt import Reading, read_prompt
from engine.sketch.score import Key
from engine.spec import RenderRequest
from engine.tasks.beside import Beside, listen
from engine.tasks.pulse import Pulse, beats_of, check_length
from engine.tasks.scene import Scene
from engine.tasks.sketches import SUBTYPE, Format, Sketch, sketch_scene
from engine.tasks.song_time import asked_metre, song_time
from engine.tasks.words import read_key
from engine.units import Metre

_BACKING = ("drums", "bass", "chords")  # what is missing to a clip where nobody says


def accompany_scene(request: RenderRequest, model: Model) -> Scene:
    """What is missing to a clip: new parts alone, as long as the clip and in its format."""
    assert request.source is not None
    clip = read_clip(request.source)
    check_length(clip.seconds)
    reading = read_prompt(request.prompt)
    metre = Metre(*reading.metre) if reading.metre else COMMON_TIME
    song = song_time(request, metre)
    beside = listen(
        clip,
        bpm=request.bpm or reading.tempo_bpm,
        metre=asked_metre(request, metre) if song is None else None,
        seconds=clip.seconds,
        time=song,
    )
    sketch = _sketch(request, reading, beside)
    scene = sketch_scene(request, model, sketch, format_of(clip), beside=beside, by_stems=True)
    return replace(scene, digest=clip.digest, name=clip.name)


def _sketch(request: RenderRequest, reading: Reading, beside: Beside) -> Sketch:
    """Parts on the clip's own beats and chords, from the bar on that holds its first sample."""
    clip, grid = beside.clip, beside.grid
    length = round(clip.length_samples * STUDIO_RATE_HZ / clip.sample_rate_hz)
    rng = np.random.default_rng(request.seed)
    pulse = Pulse(grid.bpm, grid.metre, Fraction(length, STUDIO_RATE_HZ), grid.time)
    if grid.time is None:
        starts_s = grid.first_beat_s - grid.bar_s if grid.first_beat_s > 0.0 else 0.0
        starts_at = round(-starts_s * STUDIO_RATE_HZ)
        length_beats = beats_of(starts_at + length, grid.bpm)
        heard = beside.heard(grid.bpm, starts_s)
    else:
        length_beats = pulse.length_beats
        heard = beside.heard(grid.time.tempo, lead_beats=float(pulse.lead_beats))
    piece = accompany(
        heard,
        tempo_bpm=grid.bpm,
        metre=pulse.counted,
        key=read_key(request.key) or reading.key or beside.key or _any_key(rng, reading),
        length_beats=length_beats,
        style=reading.style,
        mood=reading.mood,
        roles=request.roles or reading.roles or _BACKING,
        programs=reading.programs,
        stretches=pulse.stretches,
        rng=rng,
    )
    if grid.time is None:
        return Sketch(piece, length, grid, reading.unknown, starts_at)
    return Sketch.of(piece, pulse, reading.unknown)


def _any_key(rng: np.random.Generator, reading: Reading) -> Key:
    """To drums every key goes."""
    return Key(int(rng.integers(12)), reading.mode or ("minor", "major")[int(rng.integers(2))])


def format_of(clip: Clip) -> Format:
    """The clip's rate, channels and length, in 24 bits or, beside float audio, in float."""
    floating = lossless_subtype(clip.subtype) in ("FLOAT", "DOUBLE")
    return Format(
        clip.sample_rate_hz,
        "FLOAT" if floating else SUBTYPE,
        clip.length_samples,
        lambda audio: from_model(audio, clip.sample_rate_hz, clip.length_samples, clip.samples),
    )
