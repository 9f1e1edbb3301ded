"""A melody in, a band around it out: key, chords, and bass, chords and drums in a style."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from engine.sketch import form
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
from engine.sketch.harmony import harmonise_chords
from engine.sketch.keyfinding import estimate_key
from engine.sketch.score import ROLES, ChordSpan, Key, Note, Part, Piece, bar_beats, check_metre
from engine.sketch.styles import STYLES, Style

_MIN_SWING_PAIRS = 3


def harmonise(
    melody: Sequence[Note],
    *,
    tempo_bpm: float,
    metre: tuple[int, int] = (4, 4),
    key: Key | None = None,
    style: str | None = None,
    mood: str | None = None,
    length_beats: float | None = None,
    roles: Sequence[str] = ROLES,
    programs: dict[str, int] | None = None,
    rng: np.random.Generator,
) -> Piece:
    """Arrange a melody: the lead is the melody itself, note for note, the rest is written to it.

    Beat 0 is a bar line. Without a key it is estimated, without a style one that suits tempo and
    metre is chosen, without a length the melody's own, rounded up to whole bars. A longer
    `length_beats` repeats the melody's chords under the rest, a shorter one cuts. A melody
    without notes gets the style's own chords. Raises `ValueError` for anything out of range.
    """
    check_metre(metre)
    if not 20.0 <= tempo_bpm <= 400.0:
        raise ValueError(f"the tempo must be 20 to 400 bpm, not {tempo_bpm}")
    melody = sorted(melody, key=lambda note: (note.start_beats, note.pitch))
    length = _length(melody, metre, length_beats)
    name = check_style(choose_style(rng, tempo_bpm, metre) if style is None else style)
    if key is None:
        key = estimate_key(melody) if melody else Key(0, "major")
    mood = check_mood(_mood(key, tempo_bpm) if mood is None else mood)
    wanted = check_roles(roles)
    setting = _setting(rng, melody, STYLES[name], mood, metre, key, tempo_bpm, length)
    entries = form.plan_entries(rng, wanted, setting.sections, steady=True)
    parts = []
    for role in wanted:
        program = (programs or {}).get(role)
        if program is None:
            program = choose_program(rng, setting.style, role, wild=False)
        if role == "lead":
            parts.append(Part(role, program, cut_notes(melody, length), 0.0, 0.0))
        else:
            parts.append(write_part(rng, setting, role, program, entries[role]))
    return assemble(rng, setting, name, parts)


def _length(melody: Sequence[Note], metre: tuple[int, int], length_beats: float | None) -> float:
    if length_beats is not None:
        if not (length_beats > 0.0 and math.isfinite(length_beats)):
            raise ValueError(f"the length must be above 0 beats, not {length_beats}")
        return length_beats
    return _melody_bars(melody, metre) * bar_beats(metre)


def _melody_bars(melody: Sequence[Note], metre: tuple[int, int]) -> int:
    """Whole bars the melody covers; a note held a sixteenth over the bar line opens no new bar."""
    end = max((note.end_beats for note in melody), default=0.0)
    return max(1, math.ceil((end - 0.25) / bar_beats(metre)))


def _setting(
    rng: np.random.Generator,
    melody: Sequence[Note],
    style: Style,
    mood: str,
    metre: tuple[int, int],
    key: Key,
    tempo_bpm: float,
    length_beats: float,
) -> Setting:
    bars = max(1, math.ceil(length_beats / bar_beats(metre) - 1e-9))
    sections = level_sections(form.plan_sections(rng, bars), mood)
    if melody:
        period = _melody_bars(melody, metre)
        chords = harmonise_chords(melody, key, metre, period)
        chords = loop_chords(chords, period * bar_beats(metre), length_beats)
    else:
        chords = form.plan_chords(rng, style, metre, key, sections)
        chords = loop_chords(chords, bars * bar_beats(metre), length_beats)
    swing = melody_swing(melody, style.swing_unit_beats)
    if swing is None:
        swing = float(rng.uniform(*style.swing))
    if not can_swing(metre, style.swing_unit_beats):
        swing = 0.5
    return Setting(
        style, mood, metre, key, tempo_bpm, sections, chords, length_beats, swing, tuple(melody)
    )


def loop_chords(
    chords: Sequence[ChordSpan], period_beats: float, length_beats: float
) -> tuple[ChordSpan, ...]:
    """Repeat chords every `period_beats`, cut at `length_beats`."""
    out: list[ChordSpan] = []
    for turn in range(math.ceil(length_beats / period_beats - 1e-9)):
        for chord in chords:
            begin = chord.start_beats + turn * period_beats
            end = min(begin + chord.duration_beats, length_beats)
            if end > begin + 1e-9:
                out.append(replace(chord, start_beats=begin, duration_beats=end - begin))
    return form.merge_chords(out)


def melody_swing(melody: Sequence[Note], unit_beats: float) -> float | None:
    """Where the melody puts its off-beats inside a unit (0.5 straight); None where it has few."""
    phases = [note.start_beats / unit_beats % 1.0 for note in melody]
    off = [phase for phase in phases if 0.4 < phase < 0.75]
    if len(off) < _MIN_SWING_PAIRS:
        return None
    return float(np.clip(median(off), 0.5, 0.7))


def _mood(key: Key, tempo_bpm: float) -> str:
    if key.mode in ("minor", "dorian"):
        return "sad" if tempo_bpm < 100.0 else "dark"
    return "calm" if tempo_bpm < 84.0 else ("happy" if tempo_bpm < 130.0 else "energetic")
