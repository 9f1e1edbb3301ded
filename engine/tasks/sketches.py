"""Scenes that start from a sketch: accompany a melody, or play what a prompt says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from engine.analysis.tempo import Grid
from engine.files.midi import melody_chroma, read_melody
from engine.models.house.codec import SAMPLE_RATE_HZ, STEP_SAMPLES
from engine.models.house.model import HouseModel
from engine.models.house.network import Globals
from engine.render.finish import fit_new_audio
from engine.sketch.harmonise import harmonise
from engine.sketch.prompt import read_prompt, sketch_from_prompt, usual_metre
from engine.sketch.score import ROLES, Note, Piece
from engine.sketch.synth import mix, synthesise
from engine.spec import BridgeError, RenderRequest
from engine.tasks.scene import Finished, Samples, Scene, Stereo, beat_phases, whole_steps
from engine.tasks.words import key_index, read_key, style_index
from engine.timeline import Timeline
from engine.units import Metre, bars_to_samples, seconds_to_samples

SUBTYPE = "PCM_24"
FRAME_RATE_HZ = SAMPLE_RATE_HZ / STEP_SAMPLES
LONGEST_RESULT_S = 300.0
_DEFAULT_METRE = "4/4"  # not said: the melody's own or the style's counts
_SILENT_POWER = 1e-9
_GAIN_LIMITS = (0.1, 4.0)
_TONICS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


def melody_scene(request: RenderRequest, model: HouseModel) -> Scene:
    """An accompaniment to a MIDI melody: harmonised, arranged, plainly played, then rendered."""
    assert request.melody is not None
    melody = read_melody(request.melody)
    reading = read_prompt(request.prompt)
    bpm = float(request.bpm or melody.bpm)
    metre = melody.metre if request.metre == _DEFAULT_METRE else Metre.parse(request.metre)
    length = _length_samples(request, bpm, metre)
    piece = harmonise(
        [Note(n.start_beats, n.duration_beats, n.pitch, n.velocity) for n in melody.notes],
        tempo_bpm=bpm,
        metre=(metre.beats, metre.unit),
        key=read_key(request.key) or reading.key,
        style=reading.style,
        mood=reading.mood,
        length_beats=_beats(length, bpm),
        roles=request.roles if request.roles != ROLES else reading.roles or ROLES,
        programs=reading.programs,
        rng=np.random.default_rng(request.seed),
    )
    chroma = melody_chroma(melody, -(-length // STEP_SAMPLES), FRAME_RATE_HZ, bpm=bpm)
    if not chroma.any():
        raise BridgeError(
            "bad_midi",
            "no note of the melody falls into the length asked for",
            "ask for more seconds or bars, or move the notes to the start",
        )
    # The tune steers the model only where the tune is to be heard.
    heard = chroma if any(part.role == "lead" for part in piece.parts) else None
    scene = _scene(request, model, piece, length, reading.unknown, heard)
    return replace(scene, melody=melody, digest=melody.digest)


def generate_scene(request: RenderRequest, model: HouseModel) -> Scene:
    """A piece from words alone."""
    reading = read_prompt(request.prompt)
    metre = Metre.parse(request.metre)
    if request.metre == _DEFAULT_METRE:
        metre = Metre(*(reading.metre or usual_metre(reading.style)))
    tempo = request.bpm or reading.tempo_bpm
    if request.bars is not None and tempo is None:
        raise BridgeError(
            "bad_request",
            "generate needs a tempo for a length in bars",
            "give bpm, or write it into the prompt, or give seconds",
        )
    length = _length_samples(request, float(tempo or 0.0), metre)
    piece, unknown = sketch_from_prompt(
        request.prompt,
        rng=np.random.default_rng(request.seed),
        length_s=length / SAMPLE_RATE_HZ,
        tempo_bpm=tempo,
        metre=(metre.beats, metre.unit),
        key=read_key(request.key),
        roles=request.roles if request.roles != ROLES else None,
    )
    return _scene(request, model, piece, length, unknown, None)


def _at_level_of(sketch: Stereo, rendered: Stereo) -> Samples:
    """The rendering at the sketch's level: a control must not be met by playing louder."""
    wanted, found = float(np.mean(sketch**2)), float(np.mean(rendered**2))
    gain = (wanted / found) ** 0.5 if min(wanted, found) > _SILENT_POWER else 1.0
    return rendered.astype(np.float64) * float(np.clip(gain, *_GAIN_LIMITS))


def _length_samples(request: RenderRequest, bpm: float, metre: Metre) -> int:
    if request.seconds is not None:
        length = seconds_to_samples(request.seconds, SAMPLE_RATE_HZ)
    else:
        assert request.bars is not None
        length = bars_to_samples(request.bars, bpm, metre, SAMPLE_RATE_HZ)
    if length > LONGEST_RESULT_S * SAMPLE_RATE_HZ:
        raise BridgeError(
            "too_large",
            f"the result would be {length / SAMPLE_RATE_HZ:.0f} s long",
            f"ask for at most {LONGEST_RESULT_S:.0f} s",
        )
    return length


def _beats(length_samples: int, bpm: float) -> float:
    return length_samples / SAMPLE_RATE_HZ * bpm / 60.0


def _scene(
    request: RenderRequest,
    model: HouseModel,
    piece: Piece,
    length: int,
    unknown: list[str],
    chroma: np.ndarray[Any, np.dtype[np.float32]] | None,
) -> Scene:
    """The sketch as prior, nothing known."""
    audio = mix(synthesise(piece, SAMPLE_RATE_HZ))
    audio = np.pad(audio, ((0, 0), (0, max(0, length - audio.shape[1]))))[:, :length]
    guide = whole_steps(audio.astype(np.float32))
    prior = model.codec.encode(guide)[None]
    steps = prior.shape[-1]
    grid = Grid(piece.tempo_bpm, 1.0, 0.0, True, Metre(*piece.metre))
    playing = {part.role for part in piece.parts}
    shape = model.network.shape
    conditions = Globals(
        torch.tensor([style_index(piece.style, shape)]),
        torch.tensor([key_index(piece.key, shape)]),
        torch.tensor([float(piece.tempo_bpm)]),
        torch.tensor([[int(role in playing) for role in ROLES]]),
        torch.tensor([shape.moods]),
        torch.full((1, len(ROLES)), shape.programs),
    )
    target = None if chroma is None else torch.from_numpy(chroma.T.astype(np.float32))[None]
    timeline = Timeline(
        prior, torch.zeros(1, 1, steps), conditions, target, beat_phases(steps, grid, 0.0)
    )

    def finish(rendered: Stereo) -> Finished:
        new = _at_level_of(guide[:, :length].numpy(), rendered[:, :length])
        samples, headroom_db = fit_new_audio(new, SAMPLE_RATE_HZ, SUBTYPE)
        return Finished(samples, (), (), (0, length), headroom_db)

    facts = {
        "style": piece.style,
        "mood": piece.mood,
        "key": f"{_TONICS[piece.key.tonic]} {piece.key.mode}",
        "roles": sorted(playing),
        "unknown_words": unknown,
    }
    return Scene(
        timeline,
        guide,
        finish,
        SAMPLE_RATE_HZ,
        SUBTYPE,
        "",
        request.task,
        length,
        grid=grid,
        facts=facts,
    )
