"""What REAPER's actions say of the song around an item: tempo, metre and an envelope."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.reaper.stage import POSITION_S, act

pytestmark = [
    pytest.mark.daw,
    pytest.mark.skipif(shutil.which("lua5.4") is None, reason="lua5.4 is not installed"),
]

ENOUGH = '{"error": {"message": "enough"}}'
FALLING = "function(at) return 1.0 - 0.1 * at end"  # by a tenth a second of its own time


def said(place: Path, tmp_path: Path, **scene: Any) -> dict[str, str]:
    """The options that an action gives the command."""
    after = act(place, tmp_path, "vary", answer=ENOUGH, **scene)
    assert after["message"] == "enough"
    return dict(re.findall(r'"--([a-z-]+)=([^"]*)"', after["line"]))


def gains(points: str) -> list[float]:
    """An intensity's levels as gains below the loudest."""
    return [10 ** (float(point.split(":")[1]) / 20) for point in points.split(",")]


def test_markers_that_say_the_same_again_are_left_out(place: Path, tmp_path: Path) -> None:
    bars = [[2.0 * bar, 120.0, 4, 4, False] for bar in range(600)]
    told = said(place, tmp_path, tempo=[*bars, [1200.0, 90.0, 3, 4, False]])
    assert (told["tempo-map"], told["metre"]) == ("0:120,2400:90", "0:4/4,2400:3/4")


def test_a_signature_inside_a_bar_is_said_though_it_is_the_same(
    place: Path, tmp_path: Path
) -> None:
    tempo = [[0.0, 120.0, 4, 4, False], [5.0, 120.0, 4, 4, False], [7.0, 120.0, 4, 4, False]]
    assert said(place, tmp_path, tempo=tempo)["metre"] == "0:4/4,10:4/4"


def test_a_tempo_after_a_ramp_is_said_though_it_was_there_before(
    place: Path, tmp_path: Path
) -> None:
    tempo = [[0.0, 120.0, 4, 4, False], [2.0, 120.0, 0, 0, True], [4.0, 180.0, 0, 0, False]]
    tempo.append([6.0, 120.0, 0, 0, False])
    points = said(place, tmp_path, tempo=tempo)["tempo-map"].split(",")
    assert (points[0], points[-2:]) == ("0:120", ["9:180", "15:120"])
    assert len(points) == 8  # of the ramp one for each of its five quarters


def test_a_metre_for_each_bar_of_a_long_song_is_taken(place: Path, tmp_path: Path) -> None:
    changes = [[2.0 * bar, 120.0, 3 + bar % 2, 4, False] for bar in range(600)]
    after = act(place, tmp_path, "vary", tempo=changes, settings={"prompt": "refuse"})
    assert "the clip is empty" in after["message"]  # what the engine says, so the metre was taken


@pytest.mark.parametrize(
    ("scene", "from_s", "to_s"),
    [
        ({}, POSITION_S, POSITION_S + 1),
        ({"envelope_of": "take"}, 0.0, 1.0),
        ({"envelope_of": "take", "rate": 2}, 0.0, 2.0),
        ({"envelope_of": "take", "envelope_state": "<VOLENV"}, 0.0, 1.0),
        ({"envelope_state": "<VOLENV3"}, POSITION_S, POSITION_S + 1),
        ({"envelope_state": "<MASTERVOLENV2"}, POSITION_S, POSITION_S + 1),
    ],
    ids=["track", "take", "take at double rate", "its state", "trim", "master"],
)
def test_an_envelope_is_read_where_it_sounds(
    place: Path, tmp_path: Path, scene: dict[str, Any], from_s: float, to_s: float
) -> None:
    settings = {"intensity": "y"}
    told = said(place, tmp_path, envelope=FALLING, length_s=1.0, settings=settings, **scene)
    middle_s = (from_s + to_s) / 2
    wanted = [(1 - 0.1 * at_s) / (1 - 0.1 * from_s) for at_s in (from_s, middle_s, to_s)]
    assert gains(told["intensity"]) == pytest.approx(wanted)


@pytest.mark.parametrize(("task", "to_s"), [("extend", 5.0), ("loop", 4.0), ("vary", 3.0)])
def test_an_envelope_is_read_over_what_will_be_there(
    place: Path, tmp_path: Path, task: str, to_s: float
) -> None:
    """The bar after the item is what an extension makes; half a bar of a loop is not the item's."""
    settings = {"intensity": "y", "bars": "1"}
    after = act(
        place, tmp_path, task, answer=ENOUGH, envelope=FALLING, length_s=1.0, settings=settings
    )
    points = dict(re.findall(r'"--([a-z-]+)=([^"]*)"', after["line"]))["intensity"]
    assert float(points.split(",")[-1].split(":")[0]) == pytest.approx(to_s - POSITION_S)
    levels = gains(points)
    assert levels[0] == 1.0
    assert levels[-1] == pytest.approx((1 - 0.1 * to_s) / (1 - 0.1 * POSITION_S))


@pytest.mark.parametrize(
    ("scene", "told"),
    [
        ({"envelope": "nil"}, "Select the volume envelope"),
        ({"envelope_of": "other"}, "is of another item. Select the volume envelope of this item"),
        ({"envelope_state": "<PANENV2"}, "is not of volume. Select the volume envelope"),
        ({"envelope_state": "<PARMENV 3 0 1 0.5"}, "is not of volume"),
        ({"envelope_of": "take", "envelope_state": "<PITCHENV"}, "is not of volume"),
    ],
)
def test_an_envelope_that_says_nothing_of_the_item_is_refused(
    place: Path, tmp_path: Path, scene: dict[str, Any], told: str
) -> None:
    scene = {"envelope": FALLING, "settings": {"intensity": "y"}} | scene
    after = act(place, tmp_path, "vary", **scene)
    assert told in after["message"]
    assert (after["line"], after["takes"]) == ("", "1")
