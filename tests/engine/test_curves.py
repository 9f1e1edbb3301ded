"""Lanes and forms: what is written comes back, and what cannot be is refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.curves import Form, Lane


def test_a_lane_is_straight_between_its_points_and_level_beyond_them() -> None:
    lane = Lane.parse("1:-30, 3:-10")
    assert [lane.at(t) for t in (0.0, 1.0, 2.0, 3.0, 9.0)] == [-30.0, -30.0, -20.0, -10.0, -10.0]
    assert Lane.parse([[1, -30], (3.0, -10)]) == lane
    assert str(lane) == "1:-30,3:-10"


@given(
    st.lists(st.tuples(st.integers(0, 3600), st.integers(-80, 0)), min_size=1, max_size=9).map(
        lambda points: sorted(dict(points).items())
    )
)
def test_lanes_round_trip(points: list[tuple[int, int]]) -> None:
    lane = Lane.parse(points)
    assert Lane.parse(str(lane)) == lane


@given(
    st.lists(st.tuples(st.floats(0, 3600), st.floats(-80, 0)), min_size=1, max_size=9).map(
        lambda points: sorted(dict(points).items())
    )
)
def test_lanes_are_written_as_finely_as_they_were_drawn(points: list[tuple[float, float]]) -> None:
    lane = Lane.parse([[at, value] for at, value in points])
    assert Lane.parse(str(lane)) == lane


def test_forms_are_written_as_finely_as_they_were_drawn() -> None:
    for text in ("10:A,10.00004:B,3599.123456789:A", "A4.0000001 B2", "ABBA"):
        assert Form.parse(str(Form.parse(text))) == Form.parse(text)


@pytest.mark.parametrize(
    ("drawn", "says"),
    [
        ("", "1 to"), ([], "1 to"), ("0:-30,0:-20", "rise"), ("3:-30,1:-20", "rise"),
        ("0", "point"), ("0:x", "point"), ("0:-90", "-90 dB"), ("0:3", "3 dB"), ("-1:-20", "-1 s"),
        ("nan:-20", "nan"), ("0:nan", "nan"), ([[1, 2, 3]], "point"), (7, "1 to"),
        ([[10**400, 0]], "point"), ([[0, -(10**400)]], "point"),
    ],
)  # fmt: skip
def test_bad_lanes_are_refused(drawn: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Lane.parse(drawn)


def test_forms_in_bars_in_equal_parts_and_by_markers() -> None:
    bars = Form.parse("a4 B2, A2")
    assert (bars.letters, bars.sizes) == (("A", "B", "A"), (4.0, 2.0, 2.0))
    assert bars.boundaries_s(99.0, 2.0) == (0.0, 8.0, 12.0)
    equal = Form.parse("ABBA")
    assert equal.boundaries_s(8.0, 1.0) == (0.0, 2.0, 4.0, 6.0)
    marked = Form.parse("0.5:c, 8.25: B")
    assert (marked.letters, marked.starts_s) == (("C", "B"), (0.5, 8.25))
    assert [marked.part_at(t, 20.0, 1.0) for t in (0.0, 8.2, 8.25, 19.0)] == [0, 0, 1, 1]
    for form in (bars, equal, marked):
        assert Form.parse(str(form)) == form


def test_markers_are_told_apart_by_their_whole_names() -> None:
    song = Form.parse("0:Verse 1, 8:Bridge, 16:verse 2, 24:Break, 32:Verse-3")
    assert song.letters == ("A", "B", "A", "C", "A")
    assert Form.parse(str(song)) == song
    names = "".join(chr(ord("a") + k // 26) + chr(ord("a") + k % 26) for k in range(27))
    words = [names[2 * k : 2 * k + 2] for k in range(27)]
    with pytest.raises(ValueError, match="at most 26 different"):
        Form.parse(",".join(f"{k}:{word}" for k, word in enumerate(words)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "letters"), ("A4 B", "every letter or to none"), ("A0 B2", "more than 0"),
        ("4A", "letters"), ("A4 ? B4", "letters"), ("0:A,0:B", "rise"), ("A:3", "markers"),
        ("A" * 500, "parts"), (7, "text"),
    ],
)  # fmt: skip
def test_bad_forms_are_refused(text: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Form.parse(text)  # type: ignore[arg-type]
