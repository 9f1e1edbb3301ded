"""The score's own checks, and the arithmetic of bars, steps and samples."""

from __future__ import annotations

from fractions import Fraction

import pytest

from engine.sketch import grid
from engine.sketch.score import Key, Note, Part, Piece, bar_beats, check_metre

METRES = [(4, 4), (3, 4), (6, 8), (7, 8), (5, 4), (2, 4), (9, 8), (12, 8), (11, 8), (1, 4), (3, 2)]


def piece(**changes: object) -> Piece:
    fields: dict[str, object] = {
        "style": "pop", "mood": "calm", "tempo_bpm": 120.0, "metre": (4, 4), "key": Key(0, "major"),
        "chords": (), "parts": (), "length_beats": 4.0,
    }  # fmt: skip
    return Piece(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Note(-0.1, 1.0, 60, 90),
        lambda: Note(0.0, 0.0, 60, 90),
        lambda: Note(0.0, float("nan"), 60, 90),
        lambda: Note(0.0, 1.0, 128, 90),
        lambda: Note(0.0, 1.0, 60, 0),
        lambda: Key(12, "major"),
        lambda: Key(0, "lydian"),
        lambda: Part("vocals", 0, (), 0.0, 0.0),
        lambda: Part("lead", 128, (), 0.0, 0.0),
        lambda: piece(tempo_bpm=19.0),
        lambda: piece(tempo_bpm=401.0),
        lambda: piece(length_beats=0.0),
        lambda: piece(metre=(4, 3)),
        lambda: check_metre((0, 4)),
    ],
)
def test_bad_values_are_refused(make: object) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("metre", METRES)
def test_steps_pulses_and_bars_agree(metre: tuple[int, int]) -> None:
    steps = grid.bar_steps(metre)
    assert steps * grid.STEP_BEATS == bar_beats(metre)
    assert sum(grid.pulses(metre)) == steps
    weights = grid.step_weights(metre)
    assert len(weights) == steps
    assert weights[0] == max(weights) == 1.0
    assert 0 <= grid.split_steps(metre) < steps


def test_the_strong_places_of_common_metres() -> None:
    assert grid.pulses((4, 4)) == (4, 4, 4, 4)
    assert grid.pulses((6, 8)) == (6, 6)
    assert grid.pulses((7, 8)) == (4, 4, 6)
    assert grid.split_steps((4, 4)) == 8
    assert grid.split_steps((6, 8)) == 6
    assert grid.fit("abcd", 6) == "abcdab"
    assert grid.fit("abcd", 3) == "abc"


@pytest.mark.parametrize("tempo_bpm", [20.0, 97.3, 120.0, 174.01, 400.0])
@pytest.mark.parametrize("rate_hz", [8000, 44100, 48000, 96000])
def test_the_length_is_the_nearest_sample(tempo_bpm: float, rate_hz: int) -> None:
    exact = Fraction(11) * 60 * rate_hz / Fraction(tempo_bpm)
    made = piece(tempo_bpm=tempo_bpm, length_beats=11.0).length_samples(rate_hz)
    assert abs(made - exact) <= Fraction(1, 2)
