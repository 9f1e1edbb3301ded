"""Written tunes become melodies in whole bars, in the key they sound in."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from engine.sketch.score import Key, Note
from tests.engine.sketch.scripts import load


@pytest.fixture(scope="module")
def tunes() -> ModuleType:
    return load("_tunes")


def written(*items: tuple[float, int | None], tie: str | None = None, **marks: Any) -> Any:
    """A measure of (beats, pitch) as music21 has it; None is a rest, `tie` is its first note's."""
    now, notes, everything = 0.0, [], []
    for index, (beats, pitch) in enumerate(items):
        knot = SimpleNamespace(type=tie) if tie and index == 0 else None
        item = SimpleNamespace(quarterLength=beats, offset=now, tie=knot)
        if pitch is not None:
            item.pitches = [SimpleNamespace(midi=pitch)]
            notes.append(item)
        everything.append(item)
        now += beats
    blank = {"timeSignature": None, "keySignature": None}
    return SimpleNamespace(notes=notes, notesAndRests=everything, **{**blank, **marks})


def part(metre: str, measures: list[Any]) -> Any:
    measures[0].timeSignature = SimpleNamespace(ratioString=metre)
    return SimpleNamespace(getElementsByClass=lambda name: measures)


def test_strains_keep_their_bars_and_their_pickups(tunes: ModuleType) -> None:
    """A pickup, a strain whose last bar lacks a beat, and the next strain's pickup in its place."""
    bar = [(1.0, 60), (1.0, 62), (1.0, 64)]
    strain = [written(*bar) for _ in range(3)]
    measures = [
        written((1.0, 55)), *strain, written((1.0, 60), (1.0, 67)), written((1.0, 55)),
        *(written(*bar) for _ in range(4)),
    ]  # fmt: skip
    tune = tunes._tune("test", part("3/4", measures))
    assert tune.metre == (3, 4)
    assert tune.bars == 8
    starts = [note.start_beats for note in tune.notes]
    assert starts == [float(beat) for beat in range(24)]
    assert [note.pitch for note in tune.notes[9:12]] == [60, 67, 55]


def test_two_bars_of_two_are_one_of_four(tunes: ModuleType) -> None:
    measures = [written((1.0, 60 + bar % 3), (1.0, 67)) for bar in range(17)]
    tune = tunes._tune("test", part("2/4", measures))
    assert (tune.metre, tune.bars) == ((4, 4), 8)
    assert max(note.start_beats for note in tune.notes) == 31.0


def test_ties_are_joined_and_grace_notes_left_out(tunes: ModuleType) -> None:
    measures = [written((2.0, 60), (0.0, 63), (2.0, 64)) for _ in range(9)]
    measures[1] = written((2.0, 64), (1.0, 65), (1.0, 67), tie="stop")
    tune = tunes._tune("test", part("4/4", measures))
    assert tune.notes[1] == Note(2.0, 4.0, 64, tune.notes[0].velocity)
    assert all(note.pitch != 63 for note in tune.notes)


@pytest.mark.parametrize(
    ("metre", "count", "pitch"), [("9/8", 9, 60), ("4/4", 5, 60), ("4/4", 9, 30)]
)
def test_what_cannot_be_used_is_left_out(
    tunes: ModuleType, metre: str, count: int, pitch: int
) -> None:
    measures = [written((2.0, pitch), (2.0, pitch)) for _ in range(count)]
    assert tunes._tune("test", part(metre, measures)) is None


def test_a_dorian_tune_under_a_major_signature_is_heard_as_dorian(tunes: ModuleType) -> None:
    """Old collections write E dorian with the two sharps of D major and say no more."""
    signature = SimpleNamespace(mode="major", tonic=SimpleNamespace(pitchClass=2))
    line = [64, 71, 71, 69, 71, 64, 64, 66, 67, 66, 64, 62, 64, 66, 67, 69]
    bars = [[(1.0, pitch) for pitch in line[start : start + 4]] for start in (0, 4, 8, 12)]
    measures = [written(*bars[index % 4]) for index in range(8)]
    measures[-1] = written((1.0, 71), (1.0, 73), (1.0, 71), (1.0, 64))
    measures[0].keySignature = signature
    tune = tunes._tune("test", part("4/4", measures))
    assert tune.key.tonic == 4
    assert tune.key.mode in ("dorian", "minor")


def test_the_cache_is_read_and_may_be_missing(tunes: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "tunes.json"
    assert tunes.load_tunes(path) == ()
    row = {"name": "a", "metre": [6, 8], "tonic": 7, "mode": "major", "bars": 8}
    path.write_text(json.dumps([{**row, "notes": [[0.0, 0.5, 67]]}]), encoding="utf-8")
    (tune,) = tunes.load_tunes(path)
    assert (tune.metre, tune.key, tune.bars) == ((6, 8), Key(7, "major"), 8)
    assert [(note.start_beats, note.pitch) for note in tune.notes] == [(0.0, 67)]
