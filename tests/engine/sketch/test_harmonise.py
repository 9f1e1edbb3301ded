"""Known tunes get their keys and consonant chords; lengths, pickups and loops are kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from engine.sketch.form import Setting
from engine.sketch.harmonise import harmonise, melody_swing
from engine.sketch.harmony import metric_weight
from engine.sketch.keyfinding import estimate_key
from engine.sketch.score import ROLES, ChordSpan, Key, Note, Piece
from tests.engine.sketch.tunes import SCALE, TUNES, TWINKLE, tune


def arranged(melody: Sequence[Note], **wishes: object) -> Piece:
    given: dict[str, object] = {"tempo_bpm": 110.0, "rng": np.random.default_rng(4)}
    return harmonise(melody, **(given | wishes))  # type: ignore[arg-type]


def chord_at(piece: Piece, beats: float) -> ChordSpan:
    return next(c for c in reversed(piece.chords) if c.start_beats <= beats + 1e-6)


@pytest.mark.parametrize("name", TUNES)
def test_the_key_of_known_tunes(name: str) -> None:
    notes, key, _ = TUNES[name]
    assert estimate_key(notes) == key


@pytest.mark.parametrize("shift", range(-6, 6))
def test_the_key_moves_with_the_tune(shift: int) -> None:
    moved = [Note(n.start_beats, n.duration_beats, n.pitch + shift, 90) for n in TWINKLE]
    assert estimate_key(moved) == Key(shift % 12, "major")


@pytest.mark.parametrize("name", TUNES)
def test_strong_notes_are_chord_tones(name: str) -> None:
    notes, key, metre = TUNES[name]
    piece = arranged(notes, metre=metre)
    assert piece.key == key
    strong = [n for n in notes if metric_weight(n.start_beats, metre) >= 0.75]
    held = [n.pitch % 12 in chord_at(piece, n.start_beats).pitch_classes for n in strong]
    assert len(strong) >= 6
    assert np.mean(held) >= 0.8


def test_a_tune_in_c_begins_and_ends_at_home() -> None:
    piece = arranged(TWINKLE)
    assert (piece.chords[0].root, piece.chords[0].quality) == (0, "")
    assert (piece.chords[-1].root, piece.chords[-1].quality) == (0, "")
    assert {chord.root for chord in piece.chords} >= {0, 5, 7}


def test_a_given_key_is_used() -> None:
    assert arranged(SCALE, key=Key(9, "minor")).key == Key(9, "minor")


def test_the_lead_is_the_melody_itself() -> None:
    piece = arranged(TWINKLE)
    lead = piece.part("lead")
    assert lead is not None
    assert lead.notes == tuple(TWINKLE)
    assert piece.length_beats == 48.0
    assert [part.role for part in piece.parts] == list(ROLES)


def test_a_longer_length_repeats_the_chords_and_a_shorter_one_cuts() -> None:
    own = arranged(SCALE)
    longer = arranged(SCALE, length_beats=40.0)
    for beats in np.arange(0.0, 40.0, 2.0):
        assert chord_at(longer, beats).root == chord_at(own, beats % 16.0).root
    bass = longer.part("bass")
    assert bass is not None
    assert max(note.start_beats for note in bass.notes) > 32.0
    shorter = arranged(SCALE, length_beats=5.5)
    assert shorter.length_beats == 5.5
    for part in shorter.parts:
        assert all(note.end_beats <= 5.5 + 1e-9 for note in part.notes)
    lead = shorter.part("lead")
    assert lead is not None
    assert len(lead.notes) == 6


@pytest.mark.parametrize("metre", [(4, 4), (3, 4), (6, 8), (7, 8), (5, 4), (1, 4)])
@pytest.mark.parametrize("length_beats", [0.3, 7.123, 33.3])
def test_odd_lengths_and_metres(metre: tuple[int, int], length_beats: float) -> None:
    piece = arranged(TWINKLE, metre=metre, length_beats=length_beats)
    assert piece.length_beats == length_beats
    assert piece.chords[-1].end_beats == pytest.approx(length_beats)


def test_overlapping_notes_and_silence_are_no_trouble() -> None:
    chords = [Note(0.0, 8.0, pitch, 80) for pitch in (60, 64, 67)] + [Note(3.9, 6.0, 72, 80)]
    piece = arranged(chords)
    assert piece.chords[0].root == 0
    silent = arranged([], length_beats=16.0, style="pop")
    assert silent.key == Key(0, "major")
    lead = silent.part("lead")
    assert lead is not None
    assert lead.notes == ()
    with pytest.raises(ValueError, match="without notes"):
        estimate_key([])


def test_roles_styles_and_seeds() -> None:
    piece = arranged(SCALE, roles=("bass", "lead"), style="swing")
    assert [part.role for part in piece.parts] == ["bass", "lead"]
    assert piece.style == "swing"
    assert piece == arranged(SCALE, roles=("bass", "lead"), style="swing")


@pytest.mark.parametrize(
    "wishes",
    [
        {"tempo_bpm": 10.0}, {"style": "polka"}, {"roles": ("kazoo",)}, {"length_beats": 0.0},
        {"metre": (4, 6)}, {"mood": "odd"}, {"length_beats": float("inf")},
    ],
)  # fmt: skip
def test_bad_wishes_are_refused(wishes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        arranged(SCALE, **wishes)


def test_the_band_swings_with_the_melody() -> None:
    swung = [Note(beat + off, 0.3, 60, 90) for beat in range(8) for off in (0.0, 0.66)]
    assert melody_swing(swung, 1.0) == pytest.approx(0.66)
    assert melody_swing(tune("C:.5 D:.5 E:.5 F:.5 G:.5 A:.5 B:.5 C':.5"), 1.0) == 0.5
    assert melody_swing(TWINKLE, 1.0) is None


def doubled_on_top(piece: Piece) -> list[bool]:
    """For each note of the tune over a whole chord whether the chord's top voice doubles it."""
    chords, lead = (piece.part(role) for role in ("chords", "lead"))
    assert chords is not None
    assert lead is not None
    doubled = []
    for note in lead.notes:
        middle = note.start_beats + note.duration_beats / 2
        under = [n.pitch for n in chords.notes if n.start_beats <= middle < n.end_beats]
        if len(under) > 2:
            doubled.append(max(under) % 12 == note.pitch % 12)
    return doubled


def test_the_chords_leave_the_top_to_the_tune(monkeypatch: pytest.MonkeyPatch) -> None:
    def doubled() -> float:
        return float(
            np.mean(
                [
                    note
                    for notes, _, metre in TUNES.values()
                    for seed in range(4)
                    for note in doubled_on_top(
                        arranged(notes, metre=metre, style="pop", rng=np.random.default_rng(seed))
                    )
                ]
            )
        )

    leaving_room = doubled()
    monkeypatch.setattr(Setting, "tune_over", lambda *_: {})
    assert leaving_room < 0.6 * doubled()
