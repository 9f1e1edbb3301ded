"""Metres of a request: as many changes as a long song has, and no more work than for those."""

from __future__ import annotations

import time

import pytest

from engine.errors import BridgeError
from engine.fields import FIELD_BY_NAME, MAX_TEXT_LENGTH, cast_field
from engine.musical_time import MOST_CHANGES

METRE = FIELD_BY_NAME["metre"]


def alternating(changes: int) -> str:
    """A metre for each bar, no two bars alike."""
    return ",".join(f"{4 * bar}:{3 + (bar + 1) % 2}/4" for bar in range(changes))


def test_a_metre_for_each_bar_of_a_long_song_is_taken() -> None:
    for changes in (600, MOST_CHANGES):
        text = alternating(changes)
        assert len(text) > MAX_TEXT_LENGTH
        assert cast_field(METRE, text) == text


def test_a_metre_that_is_said_again_in_every_bar_is_one_metre() -> None:
    assert cast_field(METRE, ",".join(f"{4 * bar}:4/4" for bar in range(600))) == "4/4"


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (alternating(MOST_CHANGES + 1), f"must be 1 to {MOST_CHANGES} points such as 0:4/4"),
        (",".join(["0:4/4"] * 1_000_000), f"must be 1 to {MOST_CHANGES} points such as 0:4/4"),
        ("0:4/4" + ":" * 5_000_000, "must have points such as 0:4/4,16:3/4"),
        ("4" * 5_000_000, "it must be a time signature: a metre is written like 4/4 or 7/8, not"),
        ("0:" + "9" * 5_000_000 + "/4", "it must be a time signature: a metre is written like"),
        ("4/4\0", "it must be a time signature"),
        ([["0", "4/4"]] * (MOST_CHANGES + 1), f"must be 1 to {MOST_CHANGES} points"),
        (4, "it must be text"),
    ],
    ids=[
        "points",
        "a million points",
        "colons",
        "digits",
        "digits of a point",
        "nul",
        "list",
        "number",
    ],
)
def test_what_is_too_much_is_refused_soon_and_in_few_words(value: object, hint: str) -> None:
    start_s = time.process_time()
    with pytest.raises(BridgeError) as refused:
        cast_field(METRE, value)
    assert time.process_time() - start_s < 1.0
    assert hint in refused.value.hint
    assert len(refused.value.hint) < 200
