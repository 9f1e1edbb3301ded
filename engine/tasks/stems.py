"""A sketch as parts for the model, as a whole or stem by stem, and their sum."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from engine.analysis.tempo import Grid
from engine.controls.control import Control
from engine.controls.loop import places_in_round
from engine.controls.melody import Tune as TuneControl
from engine.files.midi import Melody, melody_chroma, melody_pitches
from engine.files.quantise import quantise
from engine.models.studio import STUDIO_RATE_HZ, Model, Words, step_seconds
from engine.musical_time import TempoMap
from engine.render.finish import fit_new_audio
from engine.sketch.score import Piece
from engine.sketch.synth import mix
from engine.tasks.scene import Finished, Part, Samples, Stereo, beat_phases, whole_steps
from engine.tasks.wishes import for_stem, gain_curve_db, loudness_wish, with_gain
from engine.timeline import Timeline

MIX = "mix"
_PLAYS_THE_TUNE = "lead"
_EXACTLY = 1e-6  # of a step: a note that begins at one is not to be missed by rounding


@dataclass(frozen=True, slots=True)
class Tune:
    """A melody as the model is told it: chroma and onsets, each `[1, 12, steps]` of 0 and 1.

    As in training (`scripts/train_data.py`) a step has the note that sounds at its beginning, and
    an onset is at the first step of its note; a note is not told before it begins.

    Attributes:
        control: the wish that it be heard.
    """

    chroma: Tensor
    onsets: Tensor
    control: TuneControl

    @classmethod
    def of(cls, melody: Melody, length: int, step_samples: int, tempo: float | TempoMap) -> Tune:
        """The melody from sample 0 to `length`, at a fixed tempo or through changes."""
        steps, steps_hz = -(-length // step_samples), STUDIO_RATE_HZ / step_samples
        chroma = melody_chroma(melody, steps, steps_hz, tempo, place=_EXACTLY)
        onsets = np.zeros_like(chroma)
        for note in melody.notes:
            if isinstance(tempo, TempoMap):
                begins = float(tempo.seconds_at(note.start_beats)) * steps_hz
            else:
                begins = note.start_beats * 60.0 / tempo * steps_hz
            step = math.ceil(begins - _EXACTLY)
            if step < steps:
                onsets[step, note.pitch % 12] = 1.0
        heard = melody_chroma(melody, steps, steps_hz, tempo)
        told, begun, wished = (
            torch.from_numpy(np.ascontiguousarray(x.T))[None] for x in (chroma, onsets, heard)
        )
        wish = TuneControl(wished, lambda times: melody_pitches(melody, times, tempo))
        return cls(told, begun, wish)

    def repeated(self, period: float, steps: int) -> Tune:
        """The tune of a loop of `period` steps, told for so many steps from its start on."""
        own = places_in_round(steps, period).clamp_max(self.chroma.shape[-1] - 1)
        wish = replace(self.control, chroma=self.control.chroma[..., own])
        return Tune(self.chroma[..., own], self.onsets[..., own], wish)


def parts_of(
    piece: Piece,
    stems: Mapping[str, Stereo],
    model: Model,
    grid: Grid,
    tune: Tune | None,
    wishes: tuple[Control, ...] = (),
    *,
    apart: bool,
    prompt: str = "",
    round_samples: int | None = None,
) -> tuple[Part, ...]:
    """The sketch as one part, or as a part for each stem in the order in which they are made.

    Args:
        stems: the sketch by role, float32 `[2, samples]` at 44.1 kHz, from the grid's second 0 on.
        tune: told to whoever plays it, and to nobody where that role is missing.
        wishes: about the mix; each stem follows the level wished for by the same gain.
        prompt: as the musician wrote it.
        round_samples: of a loop, whose stems go on with the next round, as loud as the first.
    """
    step_samples = model.codec.step_samples
    together = whole_steps(mix(stems), step_samples)
    wish, gain_db = loudness_wish(wishes), None
    if wish is not None:
        gain_db = gain_curve_db(together, wish, np.ones(len(wish.target_db), dtype=np.bool_))
        if round_samples is not None:
            period = round_samples / STUDIO_RATE_HZ / wish.frame_s
            gain_db = gain_db[places_in_round(len(gain_db), period).numpy()]
    told = _Told(model, piece, grid, prompt, together.shape[1] / STUDIO_RATE_HZ)
    if not apart:
        guide = together
        if wish is not None and gain_db is not None:
            guide = with_gain(together, gain_db, wish.frame_s)
        return (_part(MIX, guide, tuple(stems), told, tune, wishes),)
    parts = []
    for role, stem in stems.items():
        guide, own = whole_steps(stem, step_samples), wishes
        if wish is not None and gain_db is not None:
            guide = with_gain(guide, gain_db, wish.frame_s)
            own = tuple(for_stem(wish, guide) if each is wish else each for each in wishes)
        parts.append(_part(role, guide, (role,), told, tune, own))
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class _Told:
    """What all parts have in common, and the words for one of them."""

    model: Model
    piece: Piece
    grid: Grid
    prompt: str
    seconds: float

    def words(self, roles: tuple[str, ...]) -> Words:
        piece = self.piece
        return Words(
            self.prompt,
            self.seconds,
            bpm=piece.tempo_bpm,
            tonic=piece.key.tonic,
            mode=piece.key.mode,
            beats_per_bar=self.grid.metre.beats,
            style=piece.style,
            mood=piece.mood,
            roles=roles,
            programs={part.role: part.program for part in piece.parts if part.role in roles},
        )


def _part(
    name: str,
    guide: Tensor,
    roles: tuple[str, ...],
    told: _Told,
    tune: Tune | None,
    wishes: tuple[Control, ...],
) -> Part:
    model = told.model
    prior = model.codec.encode(guide)[None]
    steps = prior.shape[-1]
    tune = tune if _PLAYS_THE_TUNE in roles else None  # as in training: others hear, not know it
    timeline = Timeline(
        prior,
        torch.zeros(1, 1, steps),
        model.told(told.words(roles)),
        step_seconds(model.codec),
        None if tune is None else tune.chroma,
        beat_phases(steps, model.codec.step_samples, told.grid, 0.0),
        melody_onsets=None if tune is None else tune.onsets,
        level=model.told_level(prior),
        harmony=model.told_harmony(prior),
        controls=wishes if tune is None else (tune.control, *wishes),
    )
    # Optimising a stem pays where there is something to meet; a mix is left to its objectives.
    refined = name == MIX or bool(timeline.controls)
    return Part(name, timeline, guide, holds_level=True, refined=refined)


def placed(stems: Mapping[str, Stereo], start: int, length: int) -> dict[str, Stereo]:
    """Samples `[start, start + length)` of every stem, silent beyond its end."""
    cut = {name: stem[:, start : start + length] for name, stem in stems.items()}
    return {
        name: np.pad(stem, ((0, 0), (0, length - stem.shape[1]))).astype(np.float32)
        for name, stem in cut.items()
    }


def wrapped(stems: Mapping[str, Stereo], length: int, beyond: int) -> dict[str, Stereo]:
    """Every stem as it sounds in a loop of `length` samples, and `beyond` of its next round.

    What rings on after the end rings into the beginning.
    """
    looped = {}
    for name, stem in stems.items():
        rounds = -(-stem.shape[1] // length)
        padded = np.pad(stem, ((0, 0), (0, rounds * length - stem.shape[1])))
        folded = padded.reshape(stem.shape[0], rounds, length).sum(axis=1)
        looped[name] = np.take(folded, np.arange(length + beyond) % length, axis=1)
    return {name: stem.astype(np.float32) for name, stem in looped.items()}


def summed(
    names: Sequence[str],
    stems: Sequence[Samples],
    sample_rate_hz: int,
    subtype: str,
    *,
    apart: bool,
) -> Finished:
    """The mix of stems under one limiter, all new.

    The limiter's gain is that of the loudest of the mix and the stems at each moment, and it is
    the same for all; the mix is the sum of the stems as their files hold them. So the files of
    the stems sum to the file of the mix.

    Args:
        stems: float64 `[channels, samples]` each.
        apart: whether the result gives the stems, too.
    """
    channels, length = stems[0].shape
    everything = np.concatenate([np.sum(stems, axis=0), *stems])
    limited, headroom_db = fit_new_audio(everything, sample_rate_hz, subtype)
    files = {
        name: quantise(limited[channels * place : channels * (place + 1)], subtype)
        for place, name in enumerate(names, 1)
    }
    total = np.sum(list(files.values()), axis=0)
    return Finished(total, (), (), (0, length), headroom_db, files if apart else {})
