"""Composed pieces: every style in every metre, on the grid, in the key, the same from a seed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from engine.sketch.compose import can_swing, compose, cut_piece, swing_time
from engine.sketch.score import ROLES, Key, Piece
from engine.sketch.styles import STYLES

METRES = [(4, 4), (3, 4), (6, 8), (7, 8), (5, 4), (2, 4), (9, 8), (11, 8)]
MAX_SHIFT_MS = 18.0


def made(seed: int, **wishes: object) -> Piece:
    return compose(np.random.default_rng(seed), **wishes)  # type: ignore[arg-type]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("metre", METRES)
def test_every_style_plays_in_every_metre(style: str, metre: tuple[int, int]) -> None:
    piece = made(3, style=style, metre=metre, bars=5, roles=ROLES)
    assert piece.length_beats == 5 * piece.bar_beats
    assert [part.role for part in piece.parts] == list(ROLES)
    for part in piece.parts:
        assert part.notes
        assert max(note.end_beats for note in part.notes) <= piece.length_beats
        assert -1.0 <= part.pan <= 1.0
    covered = 0.0
    for chord in piece.chords:
        assert chord.start_beats == pytest.approx(covered)
        covered = chord.end_beats
    assert covered == pytest.approx(piece.length_beats)


@pytest.mark.parametrize("bars", [1, 2, 3, 7, 48])
def test_any_number_of_bars(bars: int) -> None:
    assert made(bars, bars=bars).length_beats == bars * made(bars, bars=bars).bar_beats


def test_a_seed_gives_the_same_piece_and_another_a_different_one() -> None:
    assert made(11) == made(11)
    assert made(11) != made(12)


def test_wishes_are_kept() -> None:
    piece = made(
        5, style="funk", mood="dark", tempo_bpm=101.5, metre=(7, 8), key=Key(3, "dorian"), bars=4,
        roles=("lead", "drums"), programs={"lead": 56}, steady=True,
    )  # fmt: skip
    assert (piece.style, piece.mood, piece.tempo_bpm, piece.metre) == (
        "funk",
        "dark",
        101.5,
        (7, 8),
    )
    assert piece.key == Key(3, "dorian")
    assert [part.role for part in piece.parts] == ["drums", "lead"]
    assert piece.parts[1].program == 56


@pytest.mark.parametrize(
    "wishes",
    [
        {"style": "polka"}, {"mood": "hungry"}, {"metre": (4, 5)}, {"tempo_bpm": 500.0},
        {"bars": 0}, {"roles": ("vocals",)}, {"roles": ()},
    ],
)  # fmt: skip
def test_bad_wishes_are_refused(wishes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        made(0, **wishes)


@pytest.mark.parametrize("seed", range(12))
def test_onsets_lie_on_the_swung_grid(seed: int) -> None:
    piece = made(seed, bars=4, roles=("drums", "bass", "lead"))
    straight = np.arange(0.0, piece.length_beats, 0.25)
    swung = np.array([swing_time(float(t), piece.swing, piece.swing_unit_beats) for t in straight])
    for part in piece.parts:
        for note in part.notes:
            off_ms = np.abs(swung - note.start_beats).min() * 60000.0 / piece.tempo_bpm
            assert off_ms <= MAX_SHIFT_MS + 1e-6


def test_swing_keeps_beats_and_moves_off_beats() -> None:
    assert swing_time(3.0, 0.66, 1.0) == 3.0
    assert swing_time(3.5, 0.66, 1.0) == pytest.approx(3.66)
    assert swing_time(3.5, 0.5, 1.0) == 3.5
    times = [swing_time(t / 16.0, 0.66, 0.5) for t in range(64)]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("metre", "unit_beats", "swings"),
    [((4, 4), 1.0, True), ((5, 4), 1.0, True), ((7, 8), 1.0, False), ((7, 8), 0.5, True),
     ((6, 8), 1.0, False), ((6, 8), 0.5, True)],
)  # fmt: skip
def test_swing_never_moves_a_bar_line(
    metre: tuple[int, int], unit_beats: float, swings: bool
) -> None:
    """Pairs of eighths run over the bar line of 7/8, and across the pulse of 6/8."""
    assert can_swing(metre, unit_beats) == swings
    for style, row in STYLES.items():
        piece = made(1, style=style, metre=metre, bars=2)
        if row.swing_unit_beats == unit_beats and not swings:
            assert piece.swing == 0.5
        for bar in range(3):
            beats = bar * piece.bar_beats
            assert swing_time(beats, piece.swing, piece.swing_unit_beats) == pytest.approx(beats)


@pytest.mark.parametrize("role", ["bass", "lead"])
def test_one_voice_never_overlaps_itself_by_more_than_human_timing(role: str) -> None:
    for seed in range(8):
        piece = made(seed, bars=8, roles=(role,))
        notes = piece.parts[0].notes
        slack = 2.0 * MAX_SHIFT_MS * piece.tempo_bpm / 60000.0
        for note, after in pairwise(notes):
            assert note.end_beats <= after.start_beats + slack


def test_music_is_made_of_its_chords_and_key() -> None:
    strong = inside = 0
    for seed in range(30):
        piece = made(seed, bars=8, roles=("chords", "lead"), metre=(4, 4))
        lead = piece.part("lead")
        assert lead is not None
        for note in lead.notes:
            beat = round(note.start_beats)
            if abs(note.start_beats - beat) < 0.1 and beat % 4 == 0:
                chord = next(c for c in reversed(piece.chords) if c.start_beats <= beat + 0.01)
                strong += 1
                inside += note.pitch % 12 in chord.pitch_classes
    assert strong > 100
    assert inside / strong > 0.95


def test_every_line_up_occurs() -> None:
    seen = {tuple(part.role for part in made(seed, bars=1).parts) for seed in range(200)}
    assert ("drums",) in seen
    assert ("chords",) in seen
    assert ROLES in seen
    assert len(seen) >= 10


def test_melodies_repeat_and_vary() -> None:
    repeated = 0
    for seed in range(20):
        piece = made(seed, style="pop", bars=16, roles=("lead",), metre=(4, 4), steady=True)
        rhythms = [
            tuple(
                round((note.start_beats - bar * 4.0) * 4)
                for note in piece.parts[0].notes
                if bar * 4.0 <= note.start_beats + 0.05 < bar * 4.0 + 4.0
            )
            for bar in range(16)
        ]
        assert len(set(rhythms)) > 1
        repeated += len(set(rhythms)) <= 12
    assert repeated >= 15


@pytest.mark.parametrize("style", ["house", "techno", "disco", "trap"])
def test_no_closed_hat_falls_on_an_open_one(style: str) -> None:
    """It would choke it, or not, by chance of human timing."""
    opened = 0
    for seed in range(25):
        piece = made(seed, style=style, roles=("drums",), bars=8, metre=(4, 4))
        notes = piece.parts[0].notes
        closing = np.array([n.start_beats for n in notes if n.pitch in (42, 44)])
        for note in notes:
            if note.pitch == 46:
                opened += 1
                off_ms = np.abs(closing - note.start_beats).min(initial=9.0) * 6e4 / piece.tempo_bpm
                assert off_ms > 2 * MAX_SHIFT_MS
    assert opened > 20


def test_the_second_part_is_what_is_lifted() -> None:
    """The lead rises more into the B than into the A after it."""
    lifts: dict[str, list[float]] = {"B": [], "A": []}
    for seed in range(150):
        form = [("A", 0), ("B", 4), ("A", 8)]
        piece = made(seed, style="pop", bars=12, roles=("lead",), metre=(4, 4), sections=form)
        notes = piece.parts[0].notes
        for letter, at in (("B", 16.0), ("A", 32.0)):
            before = [n.pitch for n in notes if n.start_beats < at - 0.1]
            after = [n.pitch for n in notes if n.start_beats >= at - 0.1]
            lifts[letter].append(after[0] - before[-1])
    assert np.mean(lifts["B"]) > np.mean(lifts["A"]) + 0.3


def test_a_cut_piece_ends_where_it_is_cut() -> None:
    piece = cut_piece(made(2, bars=8, metre=(4, 4)), 13.7)
    assert piece.length_beats == 13.7
    assert all(n.end_beats <= 13.7 + 1e-9 for part in piece.parts for n in part.notes)
    assert piece.chords[-1].end_beats == pytest.approx(13.7)
    with pytest.raises(ValueError, match="cut"):
        cut_piece(piece, 14.0)
