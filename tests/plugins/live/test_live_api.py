"""The script against what Live's Python has: names, types, and the language of Python 3.7."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.plugins.live.fake_live import PLUGIN
from tests.plugins.live.fake_objects import DeviceParameter
from tests.plugins.live.fake_song import Song, put_audio
from tests.plugins.live.live_api import API, CALL, READ, VERSIONS, WRITE, has

SOURCES = sorted([*(PLUGIN / "DawBridge").glob("*.py"), PLUGIN / "make_device.py"])
_STUBS = "ableton-live-stubs"
_VERMIN = "from vermin import main; main()"
needs_stubs = pytest.mark.skipif(
    not any(d.metadata["Name"] == _STUBS for d in importlib.metadata.distributions()),
    reason=f"{_STUBS} is not installed",
)
# What Live 11.0 runs: nothing newer is in its library.
_SINCE_37 = {"graphlib", "tomllib", "zoneinfo"}
_NEW_METHODS = {"removeprefix", "removesuffix", "pairwise", "is_relative_to", "bit_count", "cache"}


def stub_of(class_name: str) -> ast.ClassDef:
    """A class of the stubs."""
    spec = importlib.metadata.distribution(_STUBS)
    module, *inner = class_name.split(".")
    file = {"MidiNote": "Clip", "WarpMarker": "Clip"}.get(module, module)
    text = Path(str(spec.locate_file(f"Live-stubs/{file}.pyi"))).read_text(encoding="utf-8")
    body: list[ast.stmt] = ast.parse(text).body
    for name in (module, *inner):
        found = next(node for node in body if isinstance(node, ast.ClassDef) and node.name == name)
        body = found.body
    return found


def kind_in_stub(class_name: str, name: str) -> str | None:
    defined = [
        [ast.unparse(mark) for mark in node.decorator_list]
        for node in stub_of(class_name).body
        if isinstance(node, ast.FunctionDef) and node.name == name
    ]
    if not defined:
        return None
    if [f"{name}.setter"] in defined:
        return WRITE
    return READ if ["property"] in defined else CALL


@needs_stubs
@pytest.mark.parametrize("class_name", list(API))
def test_newest_live_has_what_the_table_says(class_name: str) -> None:
    inherited = {"canonical_parent", "devices", "name"}
    for name, (kind, _) in API[class_name].items():
        found = kind_in_stub(class_name, name)
        assert found in (kind, WRITE) or (found is None and name in inherited), (class_name, name)


def mypy(path: Path, cache: Path) -> str:
    """What it says of a file or folder, with the stubs of Live and none of the project's rules."""
    arguments = ("--strict", "--config-file", "", "--cache-dir", str(cache), str(path))
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *arguments],
        capture_output=True,
        text=True,
        cwd=PLUGIN,
        check=False,
    )
    assert not checked.stderr, checked.stderr
    return checked.stdout


@needs_stubs
def test_script_has_the_types_of_live(tmp_path: Path) -> None:
    assert "Success" in mypy(PLUGIN / "DawBridge", tmp_path)
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from Live.Clip import Clip\ndef f(clip: Clip) -> str:\n    return clip.path\n"
    )
    assert '"Clip" has no attribute "path"' in mypy(wrong, tmp_path)


def test_newer_names_are_asked_for_before_they_are_used() -> None:
    sometimes = {
        name for rows in API.values() for name, row in rows.items() if len(row[1]) < len(VERSIONS)
    }
    text = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    asked = {name for name in sometimes if f'"{name}"' in text}
    # Whatever creates clips writes warp markers: where there is one, there is the other.
    assert sometimes - asked == {
        *("add_warp_marker", "move_warp_marker", "remove_warp_marker"),
        "canonical_parent",  # of take lanes, which other Lives have not
    }
    for version in VERSIONS:
        if has("ClipSlot", "create_audio_clip", version):
            assert has("Clip", "add_warp_marker", version)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_live_11_can_read_it(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 7))
    for node in ast.walk(tree):
        assert not isinstance(node, ast.NamedExpr | ast.Match), node.lineno
        if isinstance(node, ast.Attribute):
            assert node.attr not in _NEW_METHODS, (node.lineno, node.attr)
        if isinstance(node, ast.arguments):
            assert not node.posonlyargs
    tops = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    }
    assert tops <= (sys.stdlib_module_names - _SINCE_37) | {"Live", "DawBridge"}
    assert any(
        isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body
    )


@pytest.mark.skipif(not importlib.util.find_spec("vermin"), reason="vermin is not installed")
def test_an_independent_reader_says_the_same() -> None:
    told = subprocess.run(
        [sys.executable, "-c", _VERMIN, "-t=3.7-", "--no-tips", *map(str, SOURCES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout


def test_the_fake_is_as_strict_as_live(tmp_path: Path) -> None:
    song = Song((12, 0, 0))
    track = song.f_add_track("Drums")
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((48_000, 2)), 48_000)
    clip = put_audio(song, track, 0, str(path))
    with pytest.raises(AttributeError, match=r"Live 12\.0\.0 has no Clip\.filepath"):
        _ = clip.filepath
    assert not hasattr(song, "scale_mode")
    assert not hasattr(track.clip_slots[1], "create_audio_clip")
    with pytest.raises(AttributeError, match="can't set"):
        clip.file_path = "/elsewhere"
    clip.warping = False
    with pytest.raises(RuntimeError, match="Only warped clips"):
        clip.looping = True
    with pytest.raises(RuntimeError, match="end marker"):
        clip.end_marker = 0.0
    knob = DeviceParameter(song.f_rules, "Bars", 0.0, 1.0, 0.0)

    def change() -> None:
        clip.name = "other"

    knob.add_value_listener(change)
    with pytest.raises(RuntimeError, match="cannot be triggered by notifications"):
        knob.value = 1.0
    with ThreadPoolExecutor() as threads, pytest.raises(RuntimeError, match="main thread"):
        threads.submit(lambda: song.tempo).result()
