"""Form: phrases, sections and chords, the frame every part is written into."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.sketch import grid, theory
from engine.sketch.score import ChordSpan, Key, Note, bar_beats
from engine.sketch.styles import PROGRESSIONS, Style

# Phrase plans by number of phrases; a letter is a material, ' a varied return.
_PLANS: dict[int, tuple[str, ...]] = {
    1: ("A",),
    2: ("A A'", "A B"),
    3: ("A A' B", "A B A'", "A A' A"),
    4: ("A A' B A", "A B A B'", "A A B A'", "A A' B B'", "A B C A"),
    5: ("A A' B A A'", "A B A' B A"),
    6: ("A A' B A B A'", "A B A B C B"),
    8: ("A A' B A C A' B A", "A A B B A A C B", "A B A B' C A B B"),
}
_MATERIALS = "ABC"
_LEVELS = {"A": 0.82, "B": 1.0, "C": 0.7}


@dataclass(frozen=True, slots=True)
class Section:
    """One phrase: its material's letter, where it lies in bars, and how strongly it is played."""

    letter: str
    varied: bool
    start_bar: int
    bars: int
    intensity: float
    last: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything the players agree on before the first note.

    Attributes:
        tune: a melody that is given, which the chords leave room for; empty without one.
    """

    style: Style
    mood: str
    metre: tuple[int, int]
    key: Key
    tempo_bpm: float
    sections: tuple[Section, ...]
    chords: tuple[ChordSpan, ...]
    length_beats: float
    swing: float
    tune: tuple[Note, ...] = ()

    @property
    def bar_beats(self) -> float:
        """The length of a bar in quarter notes."""
        return bar_beats(self.metre)

    @property
    def steps(self) -> int:
        """Sixteenth steps in a bar."""
        return grid.bar_steps(self.metre)

    def chord_at(self, beats: float) -> ChordSpan:
        """The chord sounding at a time (the last one beyond the end)."""
        starts = [chord.start_beats for chord in self.chords]
        return self.chords[max(0, bisect_right(starts, beats + 1e-6) - 1)]

    def tune_over(self, chord: ChordSpan) -> dict[int, float]:
        """Which part of a chord's time the tune spends on each of its pitches."""
        shares: dict[int, float] = {}
        for note in self.tune:
            begin = max(note.start_beats, chord.start_beats)
            share = (min(note.end_beats, chord.end_beats) - begin) / chord.duration_beats
            if share > 0.0:
                shares[note.pitch] = shares.get(note.pitch, 0.0) + share
        return shares


def pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    """One of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


def weighted(rng: np.random.Generator, weights: dict[str, float]) -> str:
    """One of the keys, with its relative weight."""
    values = np.array(list(weights.values()), dtype=float)
    return list(weights)[int(rng.choice(len(values), p=values / values.sum()))]


def plan_sections(
    rng: np.random.Generator, bars: int, parts: Sequence[tuple[str, int]] | None = None
) -> tuple[Section, ...]:
    """Phrases of four bars (eight in long pieces, two or less in short ones) over `bars` bars.

    `parts` gives the letters and the bars they begin with instead, rising from 0.
    """
    if parts is not None:
        return _given_sections(parts, bars)
    size = 8 if bars >= 48 else (4 if bars >= 4 else max(1, bars))
    count = -(-bars // size)
    plan = _PLANS.get(count)
    letters = pick(rng, plan).split() if plan else []
    while len(letters) < count:
        letters += pick(rng, _PLANS[4]).split()
    base = float(rng.uniform(0.85, 1.0))
    sections = []
    for index, letter in enumerate(letters[:count]):
        start = index * size
        rise = 0.94 if index == 0 and count > 2 else 1.0
        level = base * rise * _LEVELS[letter[0]] * float(rng.uniform(0.95, 1.05))
        sections.append(
            Section(
                letter[0], letter.endswith("'"), start, min(size, bars - start),
                min(1.0, level), index == count - 1,
            )
        )  # fmt: skip
    return tuple(sections)


def _given_sections(parts: Sequence[tuple[str, int]], bars: int) -> tuple[Section, ...]:
    """A section for each part; the fourth letter has the first one's material again."""
    order = list(dict.fromkeys(letter for letter, _ in parts))
    ends = [start for _, start in parts[1:]] + [bars]
    sections = []
    for index, ((letter, start), end) in enumerate(zip(parts, ends, strict=True)):
        material = _MATERIALS[order.index(letter) % len(_MATERIALS)]
        last = index == len(parts) - 1
        sections.append(Section(material, False, start, end - start, _LEVELS[material], last))
    return tuple(sections)


def entries_by_letter(roles: Sequence[str], letters: Sequence[str]) -> dict[str, tuple[bool, ...]]:
    """Which role plays in which part of a form, so that its letters can be told apart.

    Everybody plays in the first letter; in each other one somebody else rests.
    """
    order = list(dict.fromkeys(letters))
    resting = {letter: roles[(k - 1) % len(roles)] for k, letter in enumerate(order) if k}
    if len(roles) == 1:
        resting = {}
    return {role: tuple(resting.get(letter) != role for letter in letters) for role in roles}


def _spread(numerals: Sequence[str], bars: int, bars_per_chord: float) -> list[list[str]]:
    """The chords of each bar: a loop laid over `bars`, squeezed where it is too long for them."""
    if len(numerals) > bars / bars_per_chord and len(numerals) > bars:
        bars_per_chord = max(0.5, bars / len(numerals))
    per_bar = 2 if bars_per_chord <= 0.5 else 1
    hold = max(1, round(bars_per_chord))
    out = []
    for bar in range(bars):
        first = bar * per_bar if per_bar == 2 else bar // hold
        out.append([numerals[(first + k) % len(numerals)] for k in range(per_bar)])
    return out


def plan_chords(
    rng: np.random.Generator,
    style: Style,
    metre: tuple[int, int],
    key: Key,
    sections: Sequence[Section],
) -> tuple[ChordSpan, ...]:
    """One chord loop per letter; the last phrase comes home, a phrase before it may half-close."""
    group = pick(rng, style.progressions)
    loops: dict[str, list[str]] = {}
    rates: dict[str, float] = {}
    rate = float(rng.choice(np.array(style.bars_per_chord)))
    for letter in _MATERIALS:
        names = group if rng.random() < 0.75 else pick(rng, style.progressions)
        loops[letter] = [
            _coloured(rng, name, style.colour, key)
            for name in pick(rng, PROGRESSIONS[key.mode][names]).split()
        ]
        rates[letter] = rate if rng.random() < 0.7 else float(rng.choice(style.bars_per_chord))
    homeward = rng.random() < 0.6
    spans: list[ChordSpan] = []
    for section in sections:
        bars = _spread(loops[section.letter], section.bars, rates[section.letter])
        if section.last and homeward and section.bars > 1:
            bars[-1] = [_coloured(rng, "I" if _is_bright(key) else "i", style.colour, key)]
        for offset, names_in_bar in enumerate(bars):
            spans += _bar_spans(names_in_bar, section.start_bar + offset, metre, key)
    return merge_chords(spans)


def _is_bright(key: Key) -> bool:
    return key.mode in ("major", "mixolydian")


def _coloured(rng: np.random.Generator, name: str, colour: float, key: Key) -> str:
    """Now and then a richer chord of the same function, written as a numeral again."""
    options = theory.colours(key, *theory.numeral(name))
    if rng.random() >= colour or not options:
        return name
    rich = pick(rng, options)
    roman = name[: len(name) - len(name.lstrip("b#iIvV"))]
    is_minor = roman.lstrip("b#").islower()
    return roman + (rich[1:] if is_minor and rich.startswith("m") else rich)


def _bar_spans(names: Sequence[str], bar: int, metre: tuple[int, int], key: Key) -> list[ChordSpan]:
    length = bar_beats(metre)
    split = grid.split_steps(metre) * grid.STEP_BEATS
    names = names if len(names) < 2 or split > 0.0 else names[:1]
    edges = (0.0, length) if len(names) == 1 else (0.0, split, length)
    spans = []
    for name, begin, end in zip(names, edges, edges[1:], strict=False):
        offset, quality = theory.numeral(name)
        root = (key.tonic + offset) % 12
        tones = theory.pitch_classes(root, quality)
        spans.append(ChordSpan(bar * length + begin, end - begin, root, quality, tones))
    return spans


def merge_chords(spans: Sequence[ChordSpan]) -> tuple[ChordSpan, ...]:
    """Join neighbours that are the same chord."""
    out: list[ChordSpan] = []
    for span in spans:
        if out and (out[-1].root, out[-1].quality) == (span.root, span.quality):
            length = span.end_beats - out[-1].start_beats
            out[-1] = ChordSpan(
                out[-1].start_beats, length, span.root, span.quality, span.pitch_classes
            )
        else:
            out.append(span)
    return tuple(out)


def plan_entries(
    rng: np.random.Generator, roles: Sequence[str], sections: Sequence[Section], steady: bool
) -> dict[str, tuple[bool, ...]]:
    """Which role plays in which section; every section has somebody, every role plays once."""
    count = len(sections)
    entries = {role: [True] * count for role in roles}
    if steady or count == 1 or len(roles) == 1:
        return {role: tuple(flags) for role, flags in entries.items()}
    for flags in entries.values():
        chance = rng.random()
        if chance < 0.25:  # comes in later
            late = int(rng.integers(1, count))
            flags[:late] = [False] * late
        elif chance < 0.4:  # rests for one section
            flags[int(rng.integers(count))] = False
        elif chance < 0.48:  # leaves before the end
            flags[-1] = False
    for index in range(count):
        if not any(flags[index] for flags in entries.values()):
            entries[pick(rng, tuple(roles))][index] = True
    for flags in entries.values():
        if not any(flags):
            flags[-1] = True
    return {role: tuple(flags) for role, flags in entries.items()}
