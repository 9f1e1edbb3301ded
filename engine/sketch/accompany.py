"""What is missing to a clip: chords heard in its audio, and parts written to them.

The chords are the Viterbi path of `harmonise_chords`, with the clip's pitch classes in place of a
melody's notes, or beside them: what a frame of chroma costs against a chord is what notes of its
pitch classes would cost, by their share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

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
from engine.sketch.harmonise import _mood, melody_swing
from engine.sketch.score import ROLES, ChordSpan, Key, Note, Part, Piece, check_metre
from engine.sketch.stretches import Stretch, chords_in_piece
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
    stretches: Sequence[Stretch] = (),
    rng: np.random.Generator,
) -> Piece:
    """Write parts that go with a clip, and with a melody where there is one.

    Beat 0 is a bar line. The lead is the melody, note for note, or composed over the chords
    without one. Without anything heard the chords are the melody's, without either the style's
    own. A style that is not asked for plays straight, because nothing is known of the clip's
    swing. Where the metre changes, `stretches` cover the length and `metre` is that of the first.
    Raises `ValueError` for anything out of range.
    """
    stretches = stretches or (Stretch(0.0, length_beats, metre),)
    for stretch in stretches:
        check_metre(stretch.metre)
    if not 20.0 <= tempo_bpm <= 400.0:
        raise ValueError(f"the tempo must be 20 to 400 bpm, not {tempo_bpm}")
    if not (length_beats > 0.0 and math.isfinite(length_beats)):
        raise ValueError(f"the length must be above 0 beats, not {length_beats}")
    wanted = check_roles(roles)
    melody = sorted(melody, key=lambda note: (note.start_beats, note.pitch))
    name = check_style(choose_style(rng, tempo_bpm, metre) if style is None else style)
    mood = check_mood(_mood(key, tempo_bpm) if mood is None else mood)
    row = STYLES[name]
    sections = [level_sections(form.plan_sections(rng, s.bars), mood) for s in stretches]
    if heard is None and not melody:
        chords = _usual_chords(rng, row, key, stretches, sections)
    else:
        chords = heard_chords(heard, melody, key, stretches)
    swing = _swing(rng, row, metre, melody, asked=style is not None)
    tune = tuple(melody)
    first = Setting(row, mood, metre, key, tempo_bpm, (), chords, length_beats, swing, tune)
    settings = [_own(first, s, own) for s, own in zip(stretches, sections, strict=True)]
    entries = [form.plan_entries(rng, wanted, own, steady=True) for own in sections]
    parts = []
    for role in wanted:
        program = (programs or {}).get(role)
        if program is None:
            program = choose_program(rng, row, role, wild=False)
        if role == "lead" and melody:
            parts.append(Part(role, program, cut_notes(melody, length_beats), 0.0, 0.0))
        else:
            active = [own[role] for own in entries]
            parts.append(_written(rng, stretches, settings, role, program, active))
    piece = assemble(rng, settings[0], name, parts)
    whole = Stretch(0.0, length_beats, metre).own_chords(chords)
    return replace(piece, chords=whole, length_beats=length_beats)


def _own(whole: Setting, stretch: Stretch, sections: tuple[form.Section, ...]) -> Setting:
    """What the players agree on for one stretch of a piece."""
    swings = can_swing(stretch.metre, whole.style.swing_unit_beats)
    return replace(
        whole,
        metre=stretch.metre,
        sections=sections,
        chords=stretch.own_chords(whole.chords),
        length_beats=stretch.length_beats,
        swing=whole.swing if swings else _STRAIGHT,
        tune=tuple(stretch.own_notes(whole.tune)),
    )


def _usual_chords(
    rng: np.random.Generator,
    style: Style,
    key: Key,
    stretches: Sequence[Stretch],
    sections: Sequence[tuple[form.Section, ...]],
) -> tuple[ChordSpan, ...]:
    """The style's own chords over all stretches."""
    return tuple(
        chord
        for stretch, own in zip(stretches, sections, strict=True)
        for chord in chords_in_piece(stretch, form.plan_chords(rng, style, stretch.metre, key, own))
    )


def _written(
    rng: np.random.Generator,
    stretches: Sequence[Stretch],
    settings: Sequence[Setting],
    role: str,
    program: int,
    active: Sequence[tuple[bool, ...]],
) -> Part:
    """One role's part through all stretches, with the same habits in each of them."""
    if len(stretches) == 1:
        return write_part(rng, settings[0], role, program, active[0])
    seed = int(rng.integers(2**62))
    notes: list[Note] = []
    parts: list[Part] = []
    for stretch, setting, own in zip(stretches, settings, active, strict=True):
        part = write_part(np.random.default_rng(seed), setting, role, program, own)
        notes += stretch.in_piece(part.notes)
        parts.append(part)
    return replace(parts[0], notes=tuple(notes))


def heard_chords(
    heard: Heard | None, melody: Sequence[Note], key: Key, stretches: Sequence[Stretch]
) -> tuple[ChordSpan, ...]:
    """One chord or two for each bar, from what is heard and from a melody over it."""
    states = [harmony._state(key, *row) for row in harmony._CHORDS[key.mode]]
    edges: list[tuple[float, float]] = []
    misfit, inside_bar = [], []
    for stretch in stretches:
        tune = stretch.own_notes(melody)
        limit = math.inf if stretch is stretches[-1] else stretch.length_beats
        for begin, whole in harmony._segments(stretch.metre, stretch.bars):
            end = min(whole, limit)
            if begin >= end:
                continue
            misfit.append(harmony._misfit(tune, stretch.metre, begin, end, states))
            inside_bar.append(begin % stretch.bar_beats > 1e-6)
            edges.append((begin + stretch.start_beats, end + stretch.start_beats))
    emission = np.zeros((len(edges), len(states)))
    if heard is not None:
        costs = [[harmony._note_cost(pitch, state) for state in states] for pitch in range(12)]
        emission += _HEARD_COST * (_shares(heard, edges) @ np.array(costs))
    emission += harmony._FIT_COST * np.array(misfit)
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
