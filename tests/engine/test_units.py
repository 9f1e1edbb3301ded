"""Units: decimals as written, one rounding at the very end."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.units import (
    Metre,
    bars_to_samples,
    bars_to_seconds,
    beats_to_seconds,
    exact,
    round_half_up,
    seconds_to_samples,
)

METRES = st.builds(Metre, st.integers(1, 32), st.sampled_from([1, 2, 4, 8, 16, 32]))
RATES_HZ = st.sampled_from([8_000, 44_100, 48_000, 88_200, 96_000, 192_000])


def test_a_tempo_is_the_decimal_it_was_written_as() -> None:
    assert exact(123.4) == exact("123.4") == exact(Fraction(617, 5)) == Fraction(617, 5)
    assert Fraction(123.4) != Fraction(617, 5)  # what a plain conversion would have given


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "fast", "", "1/0"])
def test_what_is_no_number_is_refused(value: float | str) -> None:
    with pytest.raises(ValueError, match="number"):
        exact(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_exact_keeps_every_float(value: float) -> None:
    assert float(exact(value)) == value


@given(METRES)
def test_a_metre_reads_what_it_writes(metre: Metre) -> None:
    assert Metre.parse(str(metre)) == metre
    assert metre.bar_beats == 4 * Fraction(metre.beats, metre.unit)


def test_spaces_in_a_metre_are_forgiven() -> None:
    assert Metre.parse(" 7 / 8 ") == Metre(7, 8)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("waltz", "written like 4/4"),
        ("3", "written like 4/4"),
        ("-3/4", "written like 4/4"),
        ("3/4/5", "written like 4/4"),
        ("0/4", "1 to 32 beats"),
        ("33/4", "1 to 32 beats"),
        ("4/3", "32nd notes, not 3"),
        ("4/0", "32nd notes, not 0"),
    ],
)
def test_errors_say_how_a_metre_is_written(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Metre.parse(text)


@pytest.mark.parametrize(
    ("value", "rounded"),
    [("0.5", 1), ("1.5", 2), ("2.5", 3), ("2.49", 2), ("-0.5", 0), ("-1.5", -1), ("7", 7)],
)
def test_halves_go_up(value: str, rounded: int) -> None:
    assert round_half_up(exact(value)) == rounded


@pytest.mark.parametrize(
    ("bars", "bpm", "metre", "rate_hz", "samples"),
    [
        (1, 120, "4/4", 48_000, 96_000),
        (4, 123.4, "7/8", 44_100, 300_194),  # 14 beats * 60 * 5 / 617 s = 300194.489…
        (0.5, 60, "3/4", 44_100, 66_150),
        (1, 60, "6/8", 44_100, 132_300),  # six eighths are three quarter notes
        (1, 70.3, "5/16", 22_050, 23_524),  # 1.25 * 600/703 * 22050 = 23524.18…
    ],
)
def test_lengths_worked_out_by_hand(
    bars: float, bpm: float, metre: str, rate_hz: int, samples: int
) -> None:
    assert bars_to_samples(bars, bpm, Metre.parse(metre), rate_hz) == samples


def test_seconds_are_rounded_to_the_nearest_sample() -> None:
    assert seconds_to_samples(6, 44_100) == 264_600
    assert seconds_to_samples(0.00001, 44_100) == 0
    assert seconds_to_samples("0.1", 192_000) == 19_200
    assert beats_to_seconds(3, 90) == 2


@given(st.integers(1, 64), st.decimals(20, 400, places=3).map(str), METRES, RATES_HZ)
def test_many_bars_never_drift(bars: int, bpm: str, metre: Metre, rate_hz: int) -> None:
    """Rounded once: no more than half a sample off, however many bars."""
    exact_samples = bars * bars_to_seconds(1, bpm, metre) * rate_hz
    samples = bars_to_samples(bars, bpm, metre, rate_hz)
    assert abs(samples - exact_samples) <= Fraction(1, 2)
