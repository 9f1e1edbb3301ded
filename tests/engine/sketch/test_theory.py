"""Chords, scales and voice leading against what a harmony book says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.sketch import form, grid, patterns, styles, theory
from engine.sketch.score import MODES, Key


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I", (0, "")), ("ii7", (2, "m7")), ("bVI", (8, "")), ("V7", (7, "7")),
        ("iih", (2, "m7b5")),
        ("viio", (11, "dim")), ("IVmaj7", (5, "maj7")), ("im9", (0, "m9")), ("#io7", (1, "dim7")),
        ("bVIIsus2", (10, "sus2")), ("i6", (0, "m6")),
    ],
)  # fmt: skip
def test_numerals(text: str, expected: tuple[int, str]) -> None:
    assert theory.numeral(text) == expected


@pytest.mark.parametrize("text", ["", "H", "Ifoo", "iiii", "7"])
def test_bad_numerals_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="chord"):
        theory.numeral(text)


def test_every_tabled_progression_can_be_read() -> None:
    assert set(styles.PROGRESSIONS) == set(MODES)
    for groups in styles.PROGRESSIONS.values():
        for loops in groups.values():
            for name in " ".join(loops).split():
                theory.numeral(name)


def test_every_style_names_what_exists() -> None:
    for style in styles.STYLES.values():
        assert all(name in patterns.DRUMS for name in style.drums)
        assert all(name in patterns.BASS for name in style.bass)
        assert all(name in patterns.COMP for name in style.comps)
        for mode in style.modes:
            assert all(group in styles.PROGRESSIONS[mode] for group in style.progressions)
        programs = style.bass_programs + style.chord_programs + style.lead_programs
        assert all(0 <= program <= 119 for program in programs)


def test_patterns_are_as_long_as_their_bars() -> None:
    lengths = {"4/4": 16, "3/4": 12, "6/8": 12, "7/8": 14, "5/4": 20}
    for table in (patterns.BASS, patterns.COMP):
        for entry in table.values():
            for metre, lines in entry.items():
                assert {len(line) for line in lines} == {lengths[metre]}
    for entry in patterns.DRUMS.values():
        for metre, grooves in entry.items():
            for groove in grooves:
                for item in groove.split():
                    name, line = item.split(":")
                    assert name in patterns.DRUM_PITCHES
                    assert len(line) == lengths[metre]
    for metre, lines in patterns.MELODY.items():
        assert {len(line) for line in lines} == {lengths[metre]}


@pytest.mark.parametrize("metre", [(7, 8), (5, 4)])
def test_odd_metres_have_patterns_of_their_own(metre: tuple[int, int]) -> None:
    """None is a bar of 4/4 cut short or carried on, and drums hit the second strong place."""
    name, steps = f"{metre[0]}/{metre[1]}", grid.bar_steps(metre)
    for table in (patterns.DRUMS, patterns.BASS, patterns.COMP):
        assert all(entry[name] for entry in table.values())
    for entry in patterns.DRUMS.values():
        cut = [grid.parse_groove(groove, steps) for groove in entry["4/4"]]
        for groove in entry[name]:
            lines = grid.parse_groove(groove, steps)
            assert lines not in cut
            strong = (0, grid.split_steps(metre))
            assert all(any(line[s] in "xX" for line in lines.values()) for s in strong), groove
    assert patterns.MELODY[name]


@pytest.mark.parametrize(
    ("key", "chord", "expected"),
    [
        (Key(9, "minor"), "V7", "A B C D E F G#"),
        (Key(0, "major"), "iv", "C D E F G Ab B"),
        (Key(0, "major"), "bVII", "C D E F G A Bb"),
        (Key(0, "major"), "II7", "C D E F# G A B"),
        (Key(0, "major"), "III7", "C D E F G# A B"),
        (Key(0, "major"), "VI7", "C# D E F G A B"),
        (Key(0, "major"), "vi", "C D E F G A B"),
    ],
)
def test_a_scale_bends_to_its_chord(key: Key, chord: str, expected: str) -> None:
    names = {"C": 0, "C#": 1, "D": 2, "E": 4, "F": 5, "F#": 6, "G": 7, "G#": 8, "Ab": 8, "A": 9,
             "Bb": 10, "B": 11}  # fmt: skip
    root, quality = theory.numeral(chord)
    tones = theory.pitch_classes((key.tonic + root) % 12, quality)
    assert set(theory.chord_scale(key, tones)) == {names[name] for name in expected.split()}


@pytest.mark.parametrize(
    ("mode", "numeral", "expected"),
    [
        ("major", "I", "add9 maj7 6 sus2"),
        ("major", "V", "add9 6 sus2 7 9"),
        ("major", "iii", "m7 m7"),
        ("major", "iv", "madd9"),
        ("minor", "V", "7"),
        ("minor", "v", "m7 m7"),
        ("minor", "bVII", "add9 6 sus2"),
        ("mixolydian", "I", "add9 6 sus2"),
        ("dorian", "IV", "add9 6 sus2"),
        ("minor", "V7", "7 7"),
        ("major", "V7", "9 7 7"),
        ("minor", "iio", ""),
    ],
)
def test_a_colour_stays_in_the_key(mode: str, numeral: str, expected: str) -> None:
    assert theory.colours(Key(0, mode), *theory.numeral(numeral)) == tuple(expected.split())
    assert theory.colours(Key(7, mode), *theory.numeral(numeral)) == tuple(expected.split())


@pytest.mark.parametrize("mode", MODES)
def test_the_richest_style_adds_no_tone_from_outside_the_key(mode: str) -> None:
    """Its chords without colours bring the same tones from outside, and no others."""
    key = Key(2, mode)
    sections = form.plan_sections(np.random.default_rng(0), 16)
    row = replace(styles.STYLES["pop"], progressions=("pop", "folk", "classical"), colour=1.0)
    names = [styles.PROGRESSIONS[mode][group] for group in row.progressions]
    plain = {theory.numeral(name) for group in names for loop in group for name in loop.split()}
    known = {(key.tonic + root) % 12: set[int]() for root, _ in plain}
    for root, quality in plain:
        known[(key.tonic + root) % 12] |= set(theory.pitch_classes(key.tonic + root, quality))
    dominants = set()
    for seed in range(60):
        for chord in form.plan_chords(np.random.default_rng(seed), row, (4, 4), key, sections):
            foreign = set(chord.pitch_classes) - set(theory.scale_pitch_classes(key))
            assert foreign <= known[chord.root], (chord.root, chord.quality)
            if chord.root == (key.tonic + 7) % 12:
                dominants.add(chord.quality)
    assert "maj7" not in dominants
    assert ("7" in dominants) == (mode in ("major", "minor"))


def test_voices_move_little() -> None:
    voices: tuple[int, ...] | None = None
    for name in ("I", "vi", "IV", "V", "I", "ii", "V", "I"):
        root, quality = theory.numeral(name)
        chord = theory.pitch_classes(root, quality)
        after = theory.voice_lead(chord, voices, 52, 76)
        assert {voice % 12 for voice in after} == set(chord)
        assert min(after) >= 52
        assert max(after) <= 76
        if voices is not None:
            assert sum(abs(a - b) for a, b in zip(voices, after, strict=True)) <= 9
        voices = after


@pytest.mark.parametrize("name", ["I", "IV", "V7", "vi"])
def test_under_a_tune_the_top_voice_is_another_and_below_it(name: str) -> None:
    chord = theory.pitch_classes(*theory.numeral(name))
    for previous in (None, theory.voice_lead(chord, None, 52, 76)):
        for tone in chord:
            tune = 72 + tone % 12
            voices = theory.voice_lead(chord, previous, 52, 76, {tune: 1.0})
            assert {voice % 12 for voice in voices} == set(chord)
            assert voices[-1] % 12 != tone
            assert voices[-1] < tune


def test_a_passing_note_of_the_tune_moves_no_voice_far() -> None:
    chord = theory.pitch_classes(*theory.numeral("I"))
    alone = theory.voice_lead(chord, None, 52, 76)
    assert theory.voice_lead(chord, alone, 52, 76, {alone[-1] + 12: 0.05}) == alone
