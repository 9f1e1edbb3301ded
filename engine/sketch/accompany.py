"""What is missing to a clip: chords heard in its audio, and parts written to them.

The chords are the Viterbi path of `harmonise_chords`, with the clip's pitch classes in place of a
melody's notes, or beside them: what a frame of chroma costs against a chord is what notes of its
pitch classes would cost, by their share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.sketch import form, harmony
from engine.sketch.compose import (
    assemble,
    can_swing,
    check_mood,
    check_roles,
    check_style,
    choose_program,
    choose_style,
    cut_notes,
    level_sections,
    write_part,
)
from engine.sketch.form import Setting
from engine.sketch.harmonise import _mood, loop_chords, melody_swing
from engine.sketch.score import ROLES, ChordSpan, Key, Note, Part, Piece, bar_beats, check_metre
from engine.sketch.styles import STYLES, Style

# Of 46 composed clips this weight found the right root in 81 of 100 half-bars, 6 and 16 in 79.
_HEARD_COST = 10.0
_COMPRESSION = 0.5  # loud frames must not decide alone
_FAINT = 0.3  # half-bars quieter than this share of the usual one say less
_TINY = 1e-12
_STRAIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Heard:
    """What a clip sounds like, on the time axis of the piece that is to go with it.

    Attributes:
        chroma: energy of the pitch classes `[frames, 12]`, C first.
        beats: where each frame lies `[frames]`, in quarter notes from the piece's first bar line.
    """

    chroma: NDArray[np.float64] = field(repr=False)
    beats: NDArray[np.float64] = field(repr=False)


def accompany(
    heard: Heard | None,
    *,
    tempo_bpm: float,
    metre: tuple[int, int],
    key: Key,
    length_beats: float,
    melody: Sequence[Note] = (),
    style: str | None = None,
    mood: str | None = None,
    roles: Sequence[str] = ROLES,
    programs: Mapping[str, int] | None = None,
    rng: np.random.Generator,
) -> Piece:
    """Write parts that go with a clip, and with a melody where there is one.

    Beat 0 is a bar line. The lead is the melody, note for note, or composed over the chords
    without one. Without anything heard the chords are the melody's, without either the style's
    own. A style that is not asked for plays straight, because nothing is known of the clip's
    swing. Raises `ValueError` for anything out of range.
    """
    check_metre(metre)
    if not 20.0 <= tempo_bpm <= 400.0:
        raise ValueError(f"the tempo must be 20 to 400 bpm, not {tempo_bpm}")
    if not (length_beats > 0.0 and math.isfinite(length_beats)):
        raise ValueError(f"the length must be above 0 beats, not {length_beats}")
    wanted = check_roles(roles)
    melody = sorted(melody, key=lambda note: (note.start_beats, note.pitch))
    name = check_style(choose_style(rng, tempo_bpm, metre) if style is None else style)
    mood = check_mood(_mood(key, tempo_bpm) if mood is None else mood)
    row = STYLES[name]
    bars = max(1, math.ceil(length_beats / bar_beats(metre) - 1e-9))
    sections = level_sections(form.plan_sections(rng, bars), mood)
    if heard is None and not melody:
        chords = form.plan_chords(rng, row, metre, key, sections)
    else:
        chords = heard_chords(heard, melody, key, metre, bars)
    chords = loop_chords(chords, bars * bar_beats(metre), length_beats)
    swing = _swing(rng, row, metre, melody, asked=style is not None)
    setting = Setting(row, mood, metre, key, tempo_bpm, sections, chords, length_beats, swing)
    entries = form.plan_entries(rng, wanted, sections, steady=True)
    parts = []
    for role in wanted:
        program = (programs or {}).get(role)
        if program is None:
            program = choose_program(rng, row, role, wild=False)
        if role == "lead" and melody:
            parts.append(Part(role, program, cut_notes(melody, length_beats), 0.0, 0.0))
        else:
            parts.append(write_part(rng, setting, role, program, entries[role]))
    return assemble(rng, setting, name, parts)


def heard_chords(
    heard: Heard | None, melody: Sequence[Note], key: Key, metre: tuple[int, int], bars: int
) -> tuple[ChordSpan, ...]:
    """One chord or two for each of `bars` bars, from what is heard and from a melody over it."""
    states = [harmony._state(key, *row) for row in harmony._CHORDS[key.mode]]
    edges = harmony._segments(metre, bars)
    emission = np.zeros((len(edges), len(states)))
    if heard is not None:
        costs = [[harmony._note_cost(pitch, state) for state in states] for pitch in range(12)]
        emission += _HEARD_COST * (_shares(heard, edges) @ np.array(costs))
    for row, (begin, end) in enumerate(edges):
        emission[row] += harmony._FIT_COST * harmony._misfit(melody, metre, begin, end, states)
    inside_bar = [begin % bar_beats(metre) > 1e-6 for begin, _ in edges]
    path = harmony._viterbi(states, emission, inside_bar)
    return form.merge_chords(
        [
            ChordSpan(begin, end - begin, states[s].root, states[s].quality, states[s].tones)
            for (begin, end), s in zip(edges, path, strict=True)
        ]
    )


def _shares(heard: Heard, edges: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """Share of each pitch class in each stretch `[stretches, 12]`.

    A row sums to 1 where the clip is as loud as usual, to less where it is faint, and to 0 where
    it is silent or does not reach.
    """
    energy = heard.chroma.sum(axis=1, keepdims=True)
    frames = heard.chroma / (energy + _TINY) ** _COMPRESSION
    rows = np.zeros((len(edges), 12))
    for row, (begin, end) in enumerate(edges):
        inside = (heard.beats >= begin) & (heard.beats < end)
        if inside.any():
            rows[row] = frames[inside].mean(axis=0)
    total = rows.sum(axis=1, keepdims=True)
    sounding = total[total > _TINY]
    usual = float(np.median(sounding)) if len(sounding) else 1.0
    return np.asarray(rows / np.maximum(total, _TINY) * np.minimum(1.0, total / (_FAINT * usual)))


def _swing(
    rng: np.random.Generator,
    style: Style,
    metre: tuple[int, int],
    melody: Sequence[Note],
    *,
    asked: bool,
) -> float:
    """The melody's own swing, that of a style that was asked for, or none."""
    if not can_swing(metre, style.swing_unit_beats):
        return _STRAIGHT
    swing = melody_swing(melody, style.swing_unit_beats)
    if swing is not None:
        return swing
    return float(rng.uniform(*style.swing)) if asked else _STRAIGHT
