"""Bass lines: tabled patterns over the chords' roots, and a walking line."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from engine.sketch import grid, patterns, theory
from engine.sketch.form import Setting, pick
from engine.sketch.grid import STEP_BEATS
from engine.sketch.score import ChordSpan, Note

# The lowest note of what plays, as MIDI pitch: E1 on a bass; C2 on a cello, on pizzicato strings
# and on a baritone saxophone; B flat 1 on a bassoon.
_LOWEST, _LOWEST_OF = 28, {42: 36, 45: 36, 67: 36, 70: 34}
_SPAN = 23  # semitones from a part's lowest note: an octave of roots, and one above each of them
_MARKS = "Rr5O37a"


def bass_notes(
    rng: np.random.Generator, setting: Setting, active: tuple[bool, ...], program: int
) -> list[Note]:
    """The bass part on the straight grid, section by section where `active`.

    It keeps to two octaves that begin on the program's lowest note or up to three semitones above.
    """
    lines = _choose_lines(rng, setting)
    low = _LOWEST_OF.get(program, _LOWEST) + int(rng.integers(0, 4))
    notes: list[Note] = []
    for index, section in enumerate(setting.sections):
        if not active[index]:
            continue
        for offset in range(section.bars):
            pattern = lines[section.letter][offset % 2]
            last = section.last and offset == section.bars - 1
            start = (section.start_bar + offset) * setting.bar_beats
            if last and rng.random() < 0.5:
                pattern = "R" + "-" * (setting.steps - 1)
            if "w" in pattern:
                notes += _walk(rng, setting, start, low, section.intensity)
            else:
                notes += _bar(rng, setting, pattern, start, low, section.intensity)
    return notes


def _choose_lines(rng: np.random.Generator, setting: Setting) -> dict[str, tuple[str, str]]:
    """Per letter a pattern for odd and for even bars."""
    family = pick(rng, setting.style.bass)
    lines: dict[str, tuple[str, str]] = {}
    for letter in "ABC":
        name = family if rng.random() < 0.7 else pick(rng, setting.style.bass)
        options = grid.choices(patterns.BASS[name], setting.metre)
        first = pick(rng, options)
        second = first if rng.random() < 0.6 else pick(rng, options)
        lines[letter] = (_fitted(first, setting.steps), _fitted(second, setting.steps))
        if letter != "A" and rng.random() < 0.4:
            lines[letter] = lines["A"]
    return lines


def _fitted(pattern: str, steps: int) -> str:
    """The pattern cut to the bar; a very short bar may leave rests only, then it is one note."""
    line = grid.fit(pattern, steps)
    return line if line.strip(".-") else "R" + "-" * (steps - 1)


def _root(chord: ChordSpan, low: int) -> int:
    return theory.fold(chord.root + 24, low, low + 11)


def _tone(mark: str, chord: ChordSpan, following: ChordSpan, low: int) -> int:
    """The pitch a mark stands for over a chord."""
    root = _root(chord, low)
    quality = theory.QUALITIES[chord.quality]
    if mark == "O":
        return root + 12
    if mark == "5":
        return root + next((step for step in quality if step in (6, 7, 8)), 7)
    if mark == "3":
        return root + next((step for step in quality if step in (3, 4)), 7)
    if mark == "7":
        return root + next((step for step in quality if step in (9, 10, 11)), 10)
    if mark == "a":
        target = _root(following, low)
        if target == root:
            return theory.fold(target - 5, low, low + _SPAN)
        return target - 1 if target > root else target + 2
    return root


def _bar(
    rng: np.random.Generator,
    setting: Setting,
    pattern: str,
    start_beats: float,
    low: int,
    intensity: float,
) -> list[Note]:
    notes: list[Note] = []
    chord_before: ChordSpan | None = None
    for step, mark in enumerate(pattern):
        beats = start_beats + step * STEP_BEATS
        chord = setting.chord_at(beats)
        # A chord that enters under a held note or a rest is still given its root.
        changed = chord_before is not None and chord is not chord_before
        chord_before = chord
        if mark not in _MARKS and not (changed and mark == "-"):
            continue
        length = 1
        while step + length < len(pattern) and pattern[step + length] == "-":
            if setting.chord_at(beats + length * STEP_BEATS) is not chord:
                break
            length += 1
        mark = mark if mark in _MARKS and not (changed and mark != "r") else "R"
        following = setting.chord_at(start_beats + len(pattern) * STEP_BEATS)
        level = (58 if mark == "r" else 96) + (8 if step == 0 else 0)
        velocity = int(np.clip(level * (0.6 + 0.4 * intensity) + rng.normal(0, 4), 15, 127))
        gate = 0.6 if mark == "r" else setting.style.legato
        pitch = _tone(mark, chord, following, low)
        notes.append(Note(beats, length * STEP_BEATS * gate, pitch, velocity))
    return notes


def _walk(
    rng: np.random.Generator, setting: Setting, start_beats: float, low: int, intensity: float
) -> list[Note]:
    """A walking bar: the root, steps through the chord's scale, a leading note to what comes."""
    edges = np.cumsum((0, *grid.pulses(setting.metre))) * STEP_BEATS
    ladder: list[int] = []
    notes: list[Note] = []
    pitch = low
    chord: ChordSpan | None = None
    direction = 1 if rng.random() < 0.5 else -1
    for begin, end in pairwise(edges):
        beats = start_beats + float(begin)
        here = setting.chord_at(beats)
        after = setting.chord_at(start_beats + float(end))
        if here is not chord:
            chord = here
            scale = theory.chord_scale(setting.key, here.pitch_classes)
            ladder = theory.ladder(scale, low, low + _SPAN)
            pitch = _root(here, low)
        elif after is not here:
            target = _root(after, low)
            pitch = target + (1 if pitch > target or target == low else -1)
        else:
            index = ladder.index(theory.nearest(pitch, ladder))
            stride = direction * (1 if rng.random() < 0.7 else 2)
            if not 0 <= index + stride < len(ladder):
                direction, stride = -direction, -stride
            pitch = ladder[int(np.clip(index + stride, 0, len(ladder) - 1))]
        velocity = int(np.clip(92 * (0.65 + 0.35 * intensity) + rng.normal(0, 5), 15, 127))
        notes.append(Note(beats, float(end - begin) * 0.9, pitch, velocity))
    return notes
