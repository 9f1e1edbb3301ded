"""Melodies: motifs that repeat, vary and close, with chord tones on the strong places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.sketch import grid, patterns, theory
from engine.sketch.form import Section, Setting, pick
from engine.sketch.grid import STEP_BEATS
from engine.sketch.score import Note

_STRONG = 0.7
# Bars of a phrase: motif a, motif b, varied (lower-case v after it), or a close.
_PHRASES = ("a a b .", "a b a .", "a av a .", "a b av .", "a a av .", "a - b .", "a b b .")


@dataclass(frozen=True, slots=True)
class Motif:
    """A bar of rhythm with a contour: onset and length in steps, offset in scale degrees."""

    notes: tuple[tuple[int, int, int], ...]


def lead_notes(
    rng: np.random.Generator, setting: Setting, active: tuple[bool, ...], program: int
) -> list[Note]:
    """The lead part on the straight grid, section by section where `active`; one voice."""
    low, high = _range(rng, program)
    low_density, high_density = setting.style.density
    density = float(rng.uniform(low_density, high_density))
    materials: dict[str, tuple[Motif, Motif, str]] = {}
    for letter in "ABC":
        level = float(np.clip(density + {"A": 0.0, "B": 0.1, "C": -0.15}[letter], 0.0, 1.0))
        first, second = _motif(rng, setting, level), _motif(rng, setting, level)
        materials[letter] = (first, second, pick(rng, _PHRASES))
    notes: list[Note] = []
    pitch = (low + high) // 2
    for index, section in enumerate(setting.sections):
        if not active[index]:
            continue
        lift = 3 if section.letter == "B" else 0
        pitch = min(high, pitch + lift)
        phrase, pitch = _phrase(rng, setting, section, materials[section.letter], low, high, pitch)
        notes += phrase
    return notes


def _range(rng: np.random.Generator, program: int) -> tuple[int, int]:
    """A comfortable span of about an octave and a half for the instrument."""
    lows = {32: 36, 42: 48, 43: 40, 57: 46, 58: 40, 60: 50, 66: 50, 67: 44, 70: 44, 71: 54}
    highs = {9: 76, 10: 74, 14: 67, 72: 74, 78: 72, 79: 67, 98: 72, 112: 76}
    low = lows.get(program, highs.get(program, 60)) + int(rng.integers(0, 5))
    return low, low + 19


def _motif(rng: np.random.Generator, setting: Setting, density: float) -> Motif:
    """A rhythm from the table or made by chance on the metric weights, and a contour."""
    steps = setting.steps
    table = patterns.MELODY[grid.table_metre(setting.metre)]
    if rng.random() < 0.6:
        place = np.clip(density + rng.normal(0.0, 0.12), 0.0, 0.999)
        line = grid.fit(table[int(place * len(table))], steps)
        line = line if "x" in line else "x" + "-" * (steps - 1)
    else:
        weights = np.array(grid.step_weights(setting.metre))
        chance = np.clip(weights * (0.35 + 1.1 * density), 0.0, 1.0)
        onsets = rng.random(steps) < chance
        if not onsets.any():
            onsets[0] = True
        line = "".join("x" if on else "-" for on in onsets)
        line = line.replace("-", ".", line.index("x")) if line[0] != "x" else line
    onset_steps = [step for step, mark in enumerate(line) if mark == "x"]
    contour = _contour(rng, len(onset_steps))
    notes = []
    for onset, offset in zip(onset_steps, contour, strict=True):
        length = 1
        while onset + length < steps and line[onset + length] == "-":
            length += 1
        notes.append((onset, length, offset))
    return Motif(tuple(notes))


def _contour(rng: np.random.Generator, count: int) -> list[int]:
    """Scale-degree offsets: mostly steps, a leap now and then, leaps turn back."""
    shape = pick(rng, ("arch", "fall", "rise", "wave", "repeat"))
    out = [0]
    last = 0
    for index in range(1, count):
        half = index < count / 2
        drift = {"arch": 1 if half else -1, "fall": -1, "rise": 1, "repeat": 0}.get(shape)
        if drift is None:
            drift = 1 if index % 2 else -1
        if abs(last) > 2:
            move = -int(np.sign(last))
        elif rng.random() < 0.12:
            move = int(rng.choice([-4, -3, 3, 4]))
        else:
            move = drift + int(rng.choice([-1, 0, 0, 1]))
        last = move
        out.append(out[-1] + move)
    return out


def _phrase(
    rng: np.random.Generator,
    setting: Setting,
    section: Section,
    material: tuple[Motif, Motif, str],
    low: int,
    high: int,
    pitch: int,
) -> tuple[list[Note], int]:
    first, second, plan = material
    names = (plan.split() * (section.bars // 4 + 1))[: section.bars]
    if section.bars > 1:
        names[-1] = "."
    notes: list[Note] = []
    centre = (low + high) / 2
    for offset, name in enumerate(names):
        if name == "-":
            continue
        motif = second if name[0] == "b" else first
        if name == ".":
            motif = _close(motif, setting.steps)
        if name.endswith("v") or (section.varied and rng.random() < 0.5):
            motif = _vary(rng, motif)
        start = (section.start_bar + offset) * setting.bar_beats
        # A return begins near the middle of the range, so that repeats are heard as repeats.
        anchor = pitch if offset % 2 else round(0.5 * (pitch + centre))
        home = name == "." and (section.last or rng.random() < 0.4)
        bar, pitch = _realise(rng, setting, section, motif, start, anchor, low, high, home)
        notes += bar
    return notes, pitch


def _close(motif: Motif, steps: int) -> Motif:
    """The beginning of a motif, then one long note."""
    kept = [note for note in motif.notes if note[0] < steps // 2]
    if not kept:
        return Motif(((0, steps, 0),))
    onset, _, offset = kept[-1]
    return Motif((*kept[:-1], (onset, max(1, steps - onset), offset)))


def _vary(rng: np.random.Generator, motif: Motif) -> Motif:
    """One change: another turn at the end, a note split in two, or a note left out."""
    notes = list(motif.notes)
    place = int(rng.integers(len(notes)))
    onset, length, offset = notes[place]
    change = rng.random()
    if change < 0.4:
        notes[-1] = (notes[-1][0], notes[-1][1], notes[-1][2] + int(rng.choice([-2, -1, 1, 2])))
    elif change < 0.75 and length >= 4:
        half = length // 2
        late = (onset + half, length - half, offset + 1)
        notes[place : place + 1] = [(onset, half, offset), late]
    elif len(notes) > 2:
        del notes[place]
    return Motif(tuple(notes))


def _realise(
    rng: np.random.Generator,
    setting: Setting,
    section: Section,
    motif: Motif,
    start_beats: float,
    anchor: int,
    low: int,
    high: int,
    home: bool,
) -> tuple[list[Note], int]:
    """Pitches for one bar: the contour walked on the chord's scale, strong notes on its tones."""
    weights = grid.step_weights(setting.metre)
    notes: list[Note] = []
    pitch = anchor
    origin: int | None = None
    for place, (onset, length, offset) in enumerate(motif.notes):
        beats = start_beats + onset * STEP_BEATS
        chord = setting.chord_at(beats)
        scale = theory.ladder(
            theory.chord_scale(setting.key, chord.pitch_classes), low - 5, high + 5
        )
        if origin is None:
            origin = scale.index(theory.nearest(anchor, scale)) - offset
        pitch = scale[_inside(origin + offset, len(scale))]
        ending = home and place == len(motif.notes) - 1
        if weights[onset] >= _STRONG or length >= 4 or ending:
            tones = theory.ladder(chord.pitch_classes[:4], low, high)
            pitch = theory.nearest(pitch, tones)
        if ending and setting.key.tonic in chord.pitch_classes:
            pitch = theory.nearest(pitch, theory.ladder([setting.key.tonic], low - 6, high + 6))
        velocity = _velocity(rng, weights[onset], section.intensity)
        notes.append(Note(beats, length * STEP_BEATS * setting.style.legato, pitch, velocity))
    return notes, pitch


def _inside(index: int, size: int) -> int:
    """A step of the scale's ladder, moved by octaves of seven steps until it is on it."""
    while index >= size:
        index -= 7
    while index < 0:
        index += 7
    return index


def _velocity(rng: np.random.Generator, weight: float, intensity: float) -> int:
    level = 84 + 18 * weight * (0.5 + 0.5 * float(rng.random()))
    level = level * (0.62 + 0.38 * intensity) + float(rng.normal(0.0, 4.0))
    return int(np.clip(level, 15, 127))
