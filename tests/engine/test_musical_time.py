"""Beats, bars, seconds and samples through tempo and metre changes, against closed forms."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.musical_time import MetreMap, MusicalTime, TempoMap, check_bpm, exact_beats
from engine.units import Metre

BEATS = st.fractions(0, 2000, max_denominator=960)
TEMPI = st.fractions(20, 400, max_denominator=1000)
MAPS = st.lists(st.tuples(st.fractions(Fraction(1, 8), 64, max_denominator=16), TEMPI), max_size=8)


def built(steps: list[tuple[Fraction, Fraction]], first: Fraction) -> TempoMap:
    at, changes = Fraction(0), [(Fraction(0), first)]
    for gap, bpm in steps:
        at += gap
        changes.append((at, bpm))
    return TempoMap(tuple(changes))


def test_a_ramp_of_thousands_of_tempos_stays_as_fine_as_its_numbers_do() -> None:
    """Exact sums of unlike tempos grow by a tempo's digits a change, and with them every step."""
    tempos = [60.0 + 0.0234567890123 * beat for beat in range(5000)]
    tempo = TempoMap.parse([[beat, bpm] for beat, bpm in enumerate(tempos)])
    exactly = Fraction(0)
    for beat, (_, bpm) in enumerate(tempo.changes[:300]):
        assert abs(tempo.seconds_at(beat) - exactly) < Fraction(1, 10**50)
        exactly += 60 / bpm
    assert tempo.seconds_at(4999).denominator <= 1 << 192
    assert float(tempo.seconds_at(4999)) == pytest.approx(sum(60 / bpm for bpm in tempos[:-1]))


def test_each_stretch_lasts_as_long_as_its_tempo_says() -> None:
    tempo = TempoMap.parse("0:120,4:60,6:90")
    assert [tempo.seconds_at(beat) for beat in (0, 1, 4, 5, 6, 9)] == [
        0, Fraction(1, 2), 2, 3, 4, 6,
    ]  # fmt: skip
    assert tempo.seconds_at(-2) == -1
    assert tempo.samples_at(Fraction(1, 3), 44_100) == 7350
    assert tempo.samples_at(0.25, 44_100) == 5513  # 5512.5: halves upwards, as everywhere
    assert [tempo.bpm_at(beat) for beat in (-1, 3.99, 4, 100)] == [120, 120, 60, 90]


@settings(max_examples=80, deadline=None)
@given(MAPS, TEMPI, BEATS, BEATS)
def test_seconds_and_beats_are_inverse_and_shift(
    steps: list[tuple[Fraction, Fraction]], first: Fraction, beats: Fraction, origin: Fraction
) -> None:
    tempo = built(steps, first)
    assert tempo.beats_at(tempo.seconds_at(beats)) == beats
    assert tempo.seconds_at(0) == 0
    later = tempo.from_beat(origin)
    assert later.seconds_at(beats - origin) == tempo.seconds_at(beats) - tempo.seconds_at(origin)
    assert TempoMap.parse(str(tempo)).seconds_at(beats) == tempo.seconds_at(beats)
    # The integral of 60 / bpm, summed tick by tick, is the same without any map.
    ticks = [Fraction(k, 960) * beats for k in range(961)]
    edges = sorted({*ticks, *(beat for beat, _ in tempo.changes if beat < beats)})
    total = sum((b - a) * 60 / tempo.bpm_at(a) for a, b in pairwise(edges))
    assert total == tempo.seconds_at(beats)


def test_a_float_is_taken_for_its_tick() -> None:
    assert exact_beats(1 / 3) == Fraction(1, 3)
    assert exact_beats(12345 / 480) == Fraction(12345, 480)
    assert exact_beats(123.4) == Fraction(617, 5)


def test_midi_tempi_survive_being_written() -> None:
    tempo = TempoMap(((Fraction(0), Fraction(60_000_000, 461_538)),))
    assert TempoMap.parse(str(tempo)) == tempo


@pytest.mark.parametrize(
    ("given_map", "says"),
    [
        ("", "1 to 5000 points"),
        ("4:120", "first point at beat 0"),
        ("0:120,8:90,8:60", "beats rise"),
        ("0:3159345", r"tempo of 3.15934e\+06 bpm; it must be 20 to 400 bpm \(at beat 0\)"),
        ("0:120,16:19.9", r"19.9 bpm.*at beat 16"),
        ("0:nan", "where a number belongs"),
        ("0:1e999999999", "where a number belongs"),
        ("0:120,2000000:100", "1000000"),
        ("0:1/0", "where a number belongs"),
        ([[0, 120], [4]], "points such as"),
        ([[0, True]], "where a number belongs"),
        (7, "1 to 5000 points"),
    ],
)
def test_a_host_that_sends_nonsense_is_told_so(given_map: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        TempoMap.parse(given_map)


def test_tempi_of_hosts_are_checked() -> None:
    assert check_bpm(20) == 20
    assert check_bpm(400.0) == 400
    for bpm in (19.99, 400.5, 0, -120, 3159345):
        with pytest.raises(ValueError, match="20 to 400"):
            check_bpm(bpm)


def test_bars_through_metre_changes() -> None:
    metres = MetreMap.parse("0:4/4,8:7/8,15:3/4")
    assert str(metres) == "0:4/4,8:7/8,15:3/4"
    assert list(metres.bar_lines(0, 22)) == [0, 4, 8, Fraction(23, 2), 15, 18, 21]
    assert metres.bars_later(0, 2) == 8
    assert metres.bars_later(0, 5) == 18
    assert metres.bars_later(18, -5) == 0
    assert metres.bars_later(4, Fraction(1, 2)) == 6
    assert metres.bars_later(0, -1) == -4
    assert metres.bar_line(14) == Fraction(23, 2)
    assert metres.bar_line(-1) == -4
    assert metres.metre_at(15) == Metre(3, 4)
    assert [(a, b, str(m)) for a, b, m in metres.stretches(5, 16)] == [
        (4, 8, "4/4"), (8, 15, "7/8"), (15, 16, "3/4"),
    ]  # fmt: skip


def test_a_change_that_moves_no_bar_line_is_none() -> None:
    four, three = Metre(4, 4), Metre(3, 4)
    told = [
        (Fraction(beat), metre) for beat, metre in ((0, four), (8, four), (10, four), (16, three))
    ]
    metres = MetreMap.of(told)
    assert metres == MetreMap.parse("0:4/4,8:4/4,10:4/4,16:3/4")
    assert metres.changes == (told[0], told[2], told[3])
    with pytest.raises(ValueError, match="at least one"):
        MetreMap.of([])
    with pytest.raises(ValueError, match="rise"):
        MetreMap.of([told[2], told[0]])


def test_a_change_inside_a_bar_ends_it() -> None:
    metres = MetreMap.parse("0:4/4,6:3/4")
    assert list(metres.bar_lines(0, 12)) == [0, 4, 6, 9]
    assert metres.bars_later(0, 2) == 7.5  # a bar, half a bar, and half a bar of three beats


@pytest.mark.parametrize("metre", ["4/4", "7/8", "12/8", "5/4", "1/1"])
def test_one_metre_is_written_as_it_was(metre: str) -> None:
    assert str(MetreMap.parse(metre)) == metre
    assert str(MetreMap.parse(f"0:{metre},{16 * Metre.parse(metre).bar_beats}:{metre}")) == metre


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from(["4/4", "7/8", "3/4", "5/16"]))),
    st.fractions(0, 60, max_denominator=8),
    st.integers(0, 40),
)
def test_bars_there_and_back(steps: list[tuple[int, str]], start: Fraction, bars: int) -> None:
    at, changes = Fraction(0), [(Fraction(0), Metre(4, 4))]
    for count, text in steps:
        at += count * changes[-1][1].bar_beats
        changes.append((at, Metre.parse(text)))
    metres = MetreMap(tuple(changes))
    end = metres.bars_later(start, bars)
    assert metres.bars_later(end, -bars) == start
    line = metres.bar_line(start)
    assert len(list(metres.bar_lines(line, metres.bars_later(line, bars)))) == bars


def test_where_a_clip_lies_in_its_song() -> None:
    tempo, metres = TempoMap.parse("0:120,8:60"), MetreMap.parse("0:4/4,8:3/4")
    time = MusicalTime.in_song(tempo, metres, 6)
    assert time.phase(0) == (2, 4)
    assert time.phase(1) == (0, 3)  # two beats at 120 bpm later the three-four begins
    assert time.tempo.seconds_at(3) == 2
    assert time.tempo.seconds_at(-6) == -3
    assert time.song_samples_at(0, 48_000) == 144_000
    assert time.song_samples_at(-4, 48_000) == 48_000
    assert time.bars_s(1, 2) == 3
    assert time.bars_s(-1, 2) == -2
    assert time.later(2).phase(0) == (0, 3)
    assert time.later(2).song_samples_at(0, 48_000) == 192_000
