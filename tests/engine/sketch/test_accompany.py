"""Chords heard in audio, and parts that go with them."""

from __future__ import annotations

import numpy as np
import pytest

from engine.sketch.accompany import Heard, accompany, heard_chords
from engine.sketch.score import Key, Note, Piece
from engine.sketch.stretches import Stretch
from engine.sketch.theory import pitch_classes

C_MAJOR = Key(0, "major")
FRAMES_TO_A_BEAT = 8


def heard(chords: list[tuple[int, str]], beats: float = 4.0, level: float = 1.0) -> Heard:
    """Each chord for so many beats: its tones loud, every other pitch class faint."""
    rows = []
    for root, quality in chords:
        row = np.full(12, 0.02)
        row[list(pitch_classes(root, quality))] = 1.0
        rows += [level * row] * round(beats * FRAMES_TO_A_BEAT)
    return Heard(np.array(rows), np.arange(len(rows)) / FRAMES_TO_A_BEAT)


def roots_of(chords: tuple[object, ...], places: list[float]) -> list[int]:
    spans = list(chords)
    return [
        next(c.root for c in spans if c.start_beats <= at < c.end_beats)  # type: ignore[attr-defined]
        for at in places
    ]


def common_time(bars: int) -> tuple[Stretch, ...]:
    return (Stretch(0.0, 4.0 * bars, (4, 4)),)


def piece(heard_clip: Heard | None, **fields: object) -> Piece:
    asked = {"tempo_bpm": 120.0, "metre": (4, 4), "key": C_MAJOR, "length_beats": 16.0}
    rng = np.random.default_rng(3)
    return accompany(heard_clip, rng=rng, **{**asked, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "chords"),
    [(C_MAJOR, [(0, ""), (9, "m"), (5, ""), (7, "")]),
     (C_MAJOR, [(2, "m"), (7, "7"), (0, ""), (0, "")]),
     (Key(9, "minor"), [(9, "m"), (5, ""), (0, ""), (7, "")]),
     (Key(4, "dorian"), [(4, "m"), (9, ""), (4, "m"), (9, "")])],
)  # fmt: skip
def test_the_chords_of_the_clip_are_found(key: Key, chords: list[tuple[int, str]]) -> None:
    found = heard_chords(heard(chords), (), key, common_time(4))
    assert roots_of(found, [1.0, 5.0, 9.0, 13.0]) == [root for root, _ in chords]
    made = piece(heard(chords), key=key)
    assert made.chords == found
    assert [part.role for part in made.parts] == ["drums", "bass", "chords", "lead"]


def test_loudness_decides_nothing() -> None:
    chords = [(0, ""), (5, ""), (7, ""), (0, "")]
    quiet = heard_chords(heard(chords, level=1e-4), (), C_MAJOR, common_time(4))
    assert quiet == heard_chords(heard(chords), (), C_MAJOR, common_time(4))


def test_frames_before_the_first_bar_count_for_nothing() -> None:
    clip = heard([(7, ""), (0, ""), (5, "")])
    late = Heard(clip.chroma, clip.beats - 4.0)
    assert roots_of(heard_chords(late, (), C_MAJOR, common_time(2)), [1.0, 5.0]) == [0, 5]


def test_the_melody_and_the_clip_are_heard_together() -> None:
    tune = [Note(float(beat), 1.0, pitch, 90) for beat, pitch in enumerate([65, 69, 72, 69])]
    flat = Heard(np.ones((32, 12)), np.arange(32) / FRAMES_TO_A_BEAT)
    assert roots_of(heard_chords(flat, tune, C_MAJOR, common_time(1)), [1.0]) == [5]
    made = piece(heard([(0, "")] * 4), melody=tune)
    lead = made.part("lead")
    assert lead is not None
    assert list(lead.notes) == tune
    backing = piece(heard([(0, "")] * 4), melody=tune, roles=("bass", "drums"))
    assert [part.role for part in backing.parts] == ["drums", "bass"]


def test_without_anything_heard_the_style_has_its_own_chords() -> None:
    made = piece(None, style="folk", roles=("bass",))
    assert made.style == "folk"
    assert made.chords[0].start_beats == 0.0
    assert made.chords[-1].end_beats == 16.0


def test_a_style_nobody_asked_for_plays_straight() -> None:
    assert all(piece(None, roles=("drums",), tempo_bpm=bpm).swing == 0.5 for bpm in (80.0, 130.0))
    assert piece(None, style="swing").swing > 0.5


@pytest.mark.parametrize(
    "fields",
    [{"tempo_bpm": 10.0}, {"length_beats": 0.0}, {"roles": ()}, {"roles": ("kazoo",)},
     {"style": "polka-core"}, {"mood": "hungry"}, {"metre": (0, 4)}],
)  # fmt: skip
def test_what_is_out_of_range_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        piece(None, **fields)
