"""Chord parts: pads, stabs, strums and arpeggios with the least voice movement."""

from __future__ import annotations

import numpy as np

from engine.sketch import grid, patterns, theory
from engine.sketch.form import Section, Setting, pick
from engine.sketch.grid import STEP_BEATS
from engine.sketch.score import ChordSpan, Note

_GUITARS = range(24, 32)
_PLUCKED = (15, 46, 104, 105, 106, 107, 108)
_LEVEL = {"X": 92, "x": 78, "s": 84}
_STRUM_MS = 11.0


def chord_notes(
    rng: np.random.Generator, setting: Setting, active: tuple[bool, ...], program: int
) -> list[Note]:
    """The chord part on the straight grid, section by section where `active`."""
    lines = _choose_lines(rng, setting)
    register = 50 + int(rng.integers(0, 7))
    voices: tuple[int, ...] | None = None
    notes: list[Note] = []
    strum = _STRUM_MS * 1e-3 * setting.tempo_bpm / 60.0
    strum = strum if program in _GUITARS or program in _PLUCKED else 0.0
    for index, section in enumerate(setting.sections):
        if not active[index]:
            continue
        for offset in range(section.bars):
            start = (section.start_bar + offset) * setting.bar_beats
            pattern = lines[section.letter]
            if section.last and offset == section.bars - 1 and rng.random() < 0.5:
                pattern = "X" + "-" * (setting.steps - 1)
            bar, voices = _bar(rng, setting, section, pattern, start, register, voices, strum)
            notes += bar
    return notes


def _choose_lines(rng: np.random.Generator, setting: Setting) -> dict[str, str]:
    family = pick(rng, setting.style.comps)
    lines: dict[str, str] = {}
    for letter in "ABC":
        name = family if rng.random() < 0.6 else pick(rng, setting.style.comps)
        options = grid.choices(patterns.COMP[name], setting.metre)
        line = grid.fit(pick(rng, options), setting.steps)
        # A very short bar may cut every stroke off a pattern that begins with rests.
        lines[letter] = line if line.strip(".-") else "X" + "-" * (setting.steps - 1)
        if letter != "A" and rng.random() < 0.4:
            lines[letter] = lines["A"]
    return lines


def _held_steps(pattern: str, step: int, setting: Setting, beats: float, chord: ChordSpan) -> int:
    """How many steps a note struck here may ring: to the pattern's end of it or the next chord."""
    length = 1
    while step + length < len(pattern) and pattern[step + length] == "-":
        if setting.chord_at(beats + length * STEP_BEATS) is not chord:
            break
        length += 1
    return length


def _bar(
    rng: np.random.Generator,
    setting: Setting,
    section: Section,
    pattern: str,
    start_beats: float,
    register: int,
    voices: tuple[int, ...] | None,
    strum_beats: float,
) -> tuple[list[Note], tuple[int, ...] | None]:
    notes: list[Note] = []
    chord: ChordSpan | None = None
    for step, written in enumerate(pattern):
        beats = start_beats + step * STEP_BEATS
        here = setting.chord_at(beats)
        changed = chord is not None and here is not chord
        if here is not chord:
            chord = here
            voices = theory.voice_lead(
                here.pitch_classes, voices, register, register + 24, setting.tune_over(here)
            )
        mark = "x" if changed and written == "-" else written
        if mark in ".-" or voices is None:
            continue
        steps = _held_steps(pattern, step, setting, beats, here)
        arpeggio = mark.isdigit()
        gate = 0.55 if mark == "s" else setting.style.legato
        # Arpeggio notes ring into each other as on a piano with its pedal or a guitar.
        duration = (2.0 * steps if arpeggio else steps * gate) * STEP_BEATS
        struck = (_voice(voices, int(mark)),) if arpeggio else voices
        level = (82 + 6 * (step == 0) if arpeggio else _LEVEL[mark]) * (
            0.6 + 0.4 * section.intensity
        )
        for order, pitch in enumerate(struck):
            velocity = int(np.clip(level + rng.normal(0.0, 4.0), 15, 127))
            delay = order * strum_beats
            if duration > delay + 0.05:
                notes.append(Note(beats + delay, duration - delay, pitch, velocity))
    return notes, voices


def _voice(voices: tuple[int, ...], index: int) -> int:
    """Voice number `index` of a chord, carried on an octave up beyond its last."""
    octave, place = divmod(index, len(voices))
    return voices[place] + 12 * octave
