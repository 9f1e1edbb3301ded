"""Names and side files against the request that a musician would type."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from daw_bridge.folders.recipes import FOLDER_RECIPE, is_candidate, request_of, take_apart
from engine.spec import BridgeError, RenderRequest


def drop(folder: Path, name: str, text: str = "RIFF") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("groove.extend-4bars-120bpm.wav", {"task": "extend", "bars": 4, "bpm": 120}),
        ("a.b.loop-2bars-97.5bpm.flac", {"task": "loop", "bars": 2, "bpm": 97.5}),
        (
            "x.inpaint-start=1.5-end=2-seed=7-balance=yes.WAV",
            {"task": "inpaint", "start": 1.5, "end": 2, "seed": 7, "balance": True},
        ),
        ("Grüße 你好.extend-8s-side=start.aif", {"task": "extend", "seconds": 8, "side": "start"}),
        ("x.accompany-roles=drums,bass.wav", {"task": "accompany", "roles": ["drums", "bass"]}),
        ("x.vary-key=A minor.wav", {"task": "vary", "key": "A minor"}),
        ("loop.extend.extend-1bar.wav", {"task": "extend", "bars": 1}),
    ],
)
def test_names(tmp_path: Path, name: str, expected: dict[str, Any]) -> None:
    path = drop(tmp_path, name)
    asked = {**expected, "source": str(path)}
    assert is_candidate(name)
    assert request_of(path) == RenderRequest.from_mapping(asked)


def test_a_melody_and_words(tmp_path: Path) -> None:
    tune = request_of(drop(tmp_path, "tune.melody-8bars.mid"))
    assert tune is not None
    assert (tune.melody, tune.bars) == (str(tmp_path / "tune.melody-8bars.mid"), 8)
    words = request_of(drop(tmp_path, "intro.generate-8s.txt", "warm slow house\n"))
    assert words is not None
    assert (words.prompt, words.seconds) == ("warm slow house", 8)


def test_side_files_and_folders(tmp_path: Path) -> None:
    """The name says more than the side file, and that more than the folder."""
    folder = {"task": "extend", "bars": 1, "bpm": 90, "seed": 1, "crossfade_ms": 10}
    drop(tmp_path, FOLDER_RECIPE, "\n".join(f"{k} = {json.dumps(v)}" for k, v in folder.items()))
    drop(tmp_path, "groove.json", '{"bars": 2, "seed": 2, "intensity_from": "lane.json"}')
    plain = request_of(drop(tmp_path, "plain.wav"))
    side = request_of(drop(tmp_path, "groove.wav"))
    named = drop(tmp_path, "groove.vary-seed=3.wav")
    assert plain is not None
    assert side is not None
    assert (plain.task, plain.bars, plain.bpm, plain.seed) == ("extend", 1, 90, 1)
    assert (side.bars, side.bpm, side.seed) == (2, 90, 2)
    assert side.intensity_from == str(tmp_path / "lane.json")
    with pytest.raises(BridgeError, match="vary has no field 'bars'"):
        request_of(named)
    other = request_of(drop(tmp_path, "other.vary-seed=3.wav"))
    assert other is not None
    assert (other.task, other.seed, other.bpm) == ("vary", 3, 90)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x.extend-4bras.wav", "the word '4bras'"),
        ("x.extend-4bars-8bars.wav", "gives bars twice"),
        ("x.extend.wav", "needs a length"),
        ("x.loop-2bars-900bpm.wav", "bpm is '900'"),
        ("x.inpaint-start=1.wav", "inpaint needs end"),
        ("x.generate-8s.wav", "generate takes no clip"),
        ("x.extend-4bars-colour=red.wav", "the word 'colour=red'"),
    ],
)
def test_what_is_no_recipe_is_told(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(BridgeError, match=words) as refused:
        request_of(drop(tmp_path, name))
    assert refused.value.code == "bad_request"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("x.json", "{", "x.json cannot be read"),
        ("x.json", "[1]", "no table of fields"),
        ("x.toml", "bars = ", "x.toml cannot be read"),
        ("x.toml", 'task = "sing"', "task is 'sing'"),
        ("x.toml", 'task = "extend"\ncolour = 1', "no field 'colour'"),
        (FOLDER_RECIPE, 'task = "extend"\ncolour = 1', "no field 'colour'"),
        ("x.json", "0" * 70_000, "over 65536 bytes"),
    ],
)
def test_bad_side_files_are_told(tmp_path: Path, name: str, text: str, words: str) -> None:
    drop(tmp_path, name, text)
    with pytest.raises(BridgeError, match=words):
        request_of(drop(tmp_path, "x.wav"))


def test_what_is_no_candidate() -> None:
    for name in (
        "groove.extend-4bars.take.wav",
        "groove.take-2.wav",
        "groove.take-drums.wav",
        "groove.take-2-drums.wav",
        "groove.extend-4bars.error.txt",
        ".groove.1234.wav",
        "notes.txt",
        "song.als",
        "groove.json",
        FOLDER_RECIPE,
    ):
        assert not is_candidate(name), name
    assert take_apart("take.wav").name == "take"
    assert is_candidate("take.wav")


def test_without_a_recipe_nothing_is_asked(tmp_path: Path) -> None:
    assert request_of(drop(tmp_path, "groove.wav")) is None
    assert request_of(drop(tmp_path, "the loop I like.wav")) is None


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("../lane.json", "is not in the watched folder"),
        ("/etc/hostname", "is not in the watched folder"),
        ("~/lane.json", "is not in the watched folder"),
        ("a link.json", "is not in the watched folder"),
        ("a folder/lane.json", "is not in the watched folder"),
        ("~nobody-of-that-name/lane.json", "intensity_from is '~nobody"),
        ("la\0ne.json", "intensity_from is"),
    ],
)
def test_a_file_elsewhere_is_refused(tmp_path: Path, named: str, words: str) -> None:
    """By the side file, by the folder's, and by the name where it can say it."""
    folder = tmp_path / "drop"
    folder.mkdir()
    drop(tmp_path, "lane.json", "[[0, 0], [1, -6]]")
    (folder / "a link.json").symlink_to(tmp_path / "lane.json")
    (folder / "a folder").symlink_to(tmp_path)
    clip = drop(folder, "x.extend-1s.wav")
    for recipe in ("x.json", FOLDER_RECIPE):
        drop(folder, recipe, json.dumps({"intensity_from": named}))
        if recipe == FOLDER_RECIPE:
            drop(folder, recipe, f"intensity_from = {json.dumps(named)}")
        with pytest.raises(BridgeError, match=re.escape(words)) as refused:
            request_of(clip)
        assert refused.value.code in ("forbidden", "bad_request")
        (folder / recipe).unlink()
    if "/" not in named and "\0" not in named:
        with pytest.raises(BridgeError, match=re.escape(words)):
            request_of(drop(folder, f"y.extend-1s-intensity_from={named}.wav"))


def test_a_file_in_the_folder_is_named_in_every_way(tmp_path: Path) -> None:
    """From where the watcher was started makes no difference; a link within leads to its file."""
    lane = drop(tmp_path, "lane.json", "[[0, 0], [1, -6]]")
    (tmp_path / "link.json").symlink_to(lane)
    clip = drop(tmp_path, "x.extend-1s.wav")
    for named in ("lane.json", str(lane), "./lane.json", "link.json"):
        drop(tmp_path, "x.json", json.dumps({"intensity_from": named}))
        request = request_of(clip)
        assert request is not None
        assert request.intensity_from == str(lane)
    by_name = request_of(drop(tmp_path, "y.extend-1s-intensity_from=lane.json.wav"))
    assert by_name is not None
    assert by_name.intensity_from == str(lane)


@pytest.mark.parametrize("recipe", ["x.json", "x.toml", FOLDER_RECIPE])
def test_a_recipe_that_is_a_link_is_refused(tmp_path: Path, recipe: str) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    (folder / recipe).symlink_to(drop(tmp_path, recipe, "{}" if "json" in recipe else ""))
    with pytest.raises(BridgeError, match=f"{recipe} is a link") as refused:
        request_of(drop(folder, "x.extend-1s.wav"))
    assert refused.value.code == "forbidden"
