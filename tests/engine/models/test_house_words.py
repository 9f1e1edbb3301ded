"""Words as the rows of the embedded model's tables."""

from __future__ import annotations

import pytest

from engine.models.house.network import NetworkShape
from engine.models.house.words import globals_of
from engine.models.studio import Words

SHAPE = NetworkShape()
VOCABULARY = {"styles": ("waltz", "folk"), "moods": ("sad",), "modes": ("minor", "major")}


def test_nothing_said_is_unknown() -> None:
    told = globals_of(Words("warm", 3.0), VOCABULARY, SHAPE)
    found = [told.style, told.key, told.tempo_bpm, told.mood]
    assert [value.tolist() for value in found] == [[32], [96], [0.0], [16]]
    assert told.roles.tolist() == [[2, 2, 2, 2]]
    assert told.programs.tolist() == [[SHAPE.programs] * 4]


@pytest.mark.parametrize(("style", "place"), [("folk", 1), ("house", 32), (None, 32)])
def test_styles_are_counted_as_the_weights_were_told_them(style: str | None, place: int) -> None:
    assert globals_of(Words("", 1.0, style=style), VOCABULARY, SHAPE).style.tolist() == [place]


@pytest.mark.parametrize(("mode", "place"), [("minor", 3), ("major", 15), ("dorian", 96)])
def test_keys_are_counted_by_their_mode(mode: str, place: int) -> None:
    words = Words("", 1.0, tonic=3, mode=mode)
    assert globals_of(words, VOCABULARY, SHAPE).key.tolist() == [place]


def test_those_who_play_are_told_and_all_others_are_silent() -> None:
    words = Words("", 1.0, bpm=90.0, mood="sad", roles=("bass",), programs={"bass": 33})
    told = globals_of(words, VOCABULARY, SHAPE)
    assert (told.tempo_bpm.tolist(), told.mood.tolist()) == ([90.0], [0])
    assert told.roles.tolist() == [[0, 1, 0, 0]]
    assert told.programs.tolist() == [[128, 33, 128, 128]]
