"""Bass parts: what the instrument can play, over any chords."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from engine.sketch.bass import bass_notes
from engine.sketch.compose import choose_setting, compose
from engine.sketch.form import Setting
from engine.sketch.score import Key, Note
from engine.sketch.styles import STYLES, WILD_PROGRAMS

LOWEST = {42: 36, 45: 36, 67: 36, 70: 34}  # C2, B flat 1; anything else goes down to E1
E1 = 28
ROOM = 26  # semitones: an octave of roots, up to three higher as it comes, and an octave above


def line(style: str, pattern: str, tonic: int, seed: int = 0) -> tuple[Setting, list[Note]]:
    """Eight bars of one kind of pattern on the straight grid, with a chord to the bar."""
    rng = np.random.default_rng(seed)
    row = replace(STYLES[style], bass=(pattern,), bars_per_chord=(1.0,))
    key = Key(tonic, "major")
    setting, _ = choose_setting(rng, style, None, None, (4, 4), key, 8)
    setting = replace(setting, style=row)
    return setting, bass_notes(rng, setting, (True,) * len(setting.sections), 32)


@pytest.mark.parametrize("style", STYLES)
def test_every_note_lies_in_the_instruments_range(style: str) -> None:
    programs = sorted({*STYLES[style].bass_programs, *WILD_PROGRAMS["bass"]})
    for seed in range(4 * len(programs)):
        program = programs[seed % len(programs)]
        piece = compose(
            np.random.default_rng(seed), style=style, bars=8, roles=("bass",),
            programs={"bass": program},
        )  # fmt: skip
        pitches = [note.pitch for note in piece.parts[0].notes]
        lowest = LOWEST.get(program, E1)
        assert lowest <= min(pitches), program
        assert max(pitches) <= lowest + ROOM, program


@pytest.mark.parametrize("tonic", range(12))
def test_an_octave_stays_an_octave(tonic: int) -> None:
    """High roots, too, are answered by the octave and not by themselves."""
    setting, notes = line("disco", "octaves", tonic)
    roots = {chord.root for chord in setting.chords}
    above = [b.pitch % 12 for a, b in pairwise(notes) if b.pitch - a.pitch == 12]
    assert set(above) == roots


@pytest.mark.parametrize("tonic", range(12))
def test_a_walking_line_leads_into_each_chord_by_a_semitone(tonic: int) -> None:
    """Also into the lowest note that there is, which has nothing below it."""
    led = 0
    for seed in range(6):
        setting, notes = line("swing", "walk", tonic, seed)
        assert min(note.pitch for note in notes) >= E1
        starts = {chord.start_beats for chord in setting.chords[1:]}
        for earlier, before, note in zip(notes, notes[1:], notes[2:], strict=False):
            here = setting.chord_at(before.start_beats)
            walked = note.start_beats - before.start_beats == 1.0
            if (
                note.start_beats in starts
                and walked
                and setting.chord_at(earlier.start_beats) is here
            ):
                assert abs(note.pitch - before.pitch) == 1
                led += 1
    assert led > 10
