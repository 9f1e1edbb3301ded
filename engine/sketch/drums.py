"""Drum parts from groove tables: one groove per material, fills and crashes at phrase ends."""

from __future__ import annotations

import numpy as np

from engine.sketch import grid, patterns
from engine.sketch.drumkit import choked_by
from engine.sketch.form import Section, Setting, pick
from engine.sketch.grid import STEP_BEATS
from engine.sketch.patterns import DRUM_PITCHES
from engine.sketch.score import Note

_VELOCITY = {"X": 112, "x": 88, "o": 46, "?": 70, "O": 100}
_HIT_BEATS = 0.2
_TIMEKEEPERS = "HAYWP"


def drum_notes(rng: np.random.Generator, setting: Setting, active: tuple[bool, ...]) -> list[Note]:
    """The drum part on the straight grid, section by section where `active`."""
    family = pick(rng, setting.style.drums)
    grooves: dict[str, dict[str, str]] = {}
    options = grid.choices(patterns.DRUMS[family], setting.metre)
    for letter in "ABC":
        same = letter != "A" and rng.random() < 0.45
        groove = grooves["A"] if same else grid.parse_groove(pick(rng, options), setting.steps)
        grooves[letter] = _lighter(rng, groove) if letter == "C" else groove
    notes: list[Note] = []
    for index, section in enumerate(setting.sections):
        if not active[index]:
            continue
        groove = grooves[section.letter]
        if index == 0 and len(setting.sections) > 2 and rng.random() < 0.2:
            groove = _lighter(rng, groove)
        entry = index > 0 and rng.random() < 0.6
        notes += _section_notes(rng, setting, section, groove, entry)
    return notes


def _lighter(rng: np.random.Generator, groove: dict[str, str]) -> dict[str, str]:
    """A groove with its backbeat or its kick left out, for breakdowns and beginnings."""
    drop = "KSC" if rng.random() < 0.4 else ("SC" if rng.random() < 0.5 else "K")
    kept = {name: line for name, line in groove.items() if name not in drop}
    return kept if kept else groove


def _section_notes(
    rng: np.random.Generator,
    setting: Setting,
    section: Section,
    groove: dict[str, str],
    entry: bool,
) -> list[Note]:
    notes: list[Note] = []
    steps = setting.steps
    for offset in range(section.bars):
        bar = section.start_bar + offset
        lines = dict(groove)
        if section.varied or offset % 2 == 1:
            lines = _varied(rng, lines)
        if offset == section.bars - 1 and rng.random() < setting.style.fills:
            lines = _with_fill(rng, lines, steps)
        if entry and offset == 0 and setting.style.fills >= 0.4:
            lines["Z"] = "X" + "." * (steps - 1)
        notes += _bar_notes(rng, lines, bar * setting.bar_beats, section.intensity)
    return notes


def _varied(rng: np.random.Generator, lines: dict[str, str]) -> dict[str, str]:
    """One hit more or one hit less, off the strong places."""
    out = dict(lines)
    if rng.random() < 0.5:
        return out
    name = pick(rng, tuple(out))
    line = list(out[name])
    step = int(rng.integers(1, max(2, len(line)))) % len(line)
    if step % 4 and name not in _TIMEKEEPERS:
        line[step] = "." if line[step] != "." else ("o" if name in "SR" else "x")
    out[name] = "".join(line)
    return out


def _with_fill(rng: np.random.Generator, lines: dict[str, str], steps: int) -> dict[str, str]:
    """Replace the end of a bar with a fill of a quarter, a half or a whole bar."""
    sizes = [size for size in patterns.FILLS if size <= steps]
    if not sizes:
        return lines
    weights = np.array([3.0, 3.0, 1.0][: len(sizes)])
    size = sizes[int(rng.choice(len(sizes), p=weights / weights.sum()))]
    fill = grid.parse_groove(pick(rng, patterns.FILLS[size]), size)
    head = steps - size
    out = {name: line[:head] + "." * size for name, line in lines.items()}
    for name, line in fill.items():
        out[name] = out.get(name, "." * steps)[:head] + line
    return out


def _bar_notes(
    rng: np.random.Generator, lines: dict[str, str], start_beats: float, intensity: float
) -> list[Note]:
    notes: list[Note] = []
    for name, line in lines.items():
        for step, mark in enumerate(line):
            if mark == "." or (mark == "?" and rng.random() < 0.5):
                continue
            level = _VELOCITY[mark] * (0.55 + 0.45 * intensity)
            velocity = int(np.clip(level + rng.normal(0.0, 4.0), 12, 127))
            pitch = DRUM_PITCHES["O" if mark == "O" else name]
            notes.append(Note(start_beats + step * STEP_BEATS, _HIT_BEATS, pitch, velocity))
    return _unchoked(notes)


def _unchoked(notes: list[Note]) -> list[Note]:
    """The strokes without those that would silence another of the same step.

    A hi-hat is not opened and closed at once; in human timing either stroke may come later.
    """
    closing = {(n.start_beats, pitch) for n in notes for pitch in choked_by(n.pitch)}
    return [note for note in notes if (note.start_beats, note.pitch) not in closing]
