"""The script for a saved session, run by Ardour's own Lua without a screen."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from daw_bridge.config import Config
from tests.daw_bridge.served import ROOT, served
from tests.plugins.ardour.ardour import MISSING, PLUGIN, Region, lua, read_region
from tests.plugins.ardour.echo_engine import echo
from tests.plugins.ardour.session import (
    CHANGED_BPM,
    CHANGED_METRE,
    CLIP_AT,
    CLIP_STARTS,
    RATE_HZ,
    make_session,
)

pytestmark = [
    pytest.mark.daw,
    pytest.mark.skipif("ardour7-lua" in MISSING, reason="ardour7-lua is not installed"),
]

_SCRIPT = PLUGIN / "daw_bridge_session.lua"
_FULL = Path("/dev/full")
_needs_full_disk = pytest.mark.skipif(not _FULL.exists(), reason="there is no disk that is full")
# Names with every character that a session file writes otherwise, and one that it does not.
_TRACK = 'Drums & <Bass> "1" & \'em'
_TELLING = "sh -c 'echo \"$@\"; exit 1' --"  # a command that tells its arguments
_CLIP = 'verse <a> & "b"'


@dataclass(frozen=True)
class Saved:
    """A saved session, a daemon and the variables that name both."""

    folder: Path
    variables: dict[str, str]
    sent: np.ndarray

    @property
    def text(self) -> str:
        """The session file."""
        return (self.folder / "song.ardour").read_text()

    def run(self, task: str, fields: str, region: str = _CLIP) -> str:
        """What our script prints."""
        return lua(_SCRIPT, self.variables | {"REGION": region, "TASK": task, "FIELDS": fields})

    def regions(self) -> list[Region]:
        """The regions that Ardour finds in the session."""
        listed = lua(Path(__file__).parent / "list.lua", self.variables)
        head = "REGION\t"
        return [
            read_region(line.removeprefix(head))
            for line in listed.splitlines()
            if line.startswith(head)
        ]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Saved]:
    work = tmp_path_factory.mktemp("saved")
    clip = np.random.default_rng(3).normal(0, 0.1, (RATE_HZ, 2)).astype("float32")
    soundfile.write(work / "clip.wav", clip, RATE_HZ, "FLOAT")
    home, folder = work / "home", work / "song"
    home.mkdir()
    make_session(folder, work / "clip.wav", home, track=_TRACK, region=_CLIP)
    config = Config.load(
        {
            "port": 0,
            "osc_port": 0,
            "data_dir": work / "data",
            "roots": [work],
            "engine_factory": "tests.plugins.ardour.echo_engine:create_engine",
        },
        environment={},
    )
    variables = {
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "DAW_BRIDGE": shlex.join([sys.executable, "-m", "daw_bridge"]),
        "DAW_BRIDGE_DATA_DIR": str(config.data_dir),
        "SESSION_DIR": str(folder),
        "SESSION": "song",
    }
    with served(config):
        yield Saved(folder, variables, clip[CLIP_STARTS:])


def test_takes_are_written_into_a_saved_session(saved: Saved) -> None:
    landed: dict[str, tuple[str, int, int]] = {}
    for task, fields, offset, cut in (
        ("extend", f"seconds=1 prompt=offset={-CLIP_AT - 1000}", -CLIP_AT - 1000, 1000),
        ("extend", "seconds=1 prompt=offset=-100", -100, 0),
        ("loop", "bars=1 prompt=offset=4410", 4410, 0),
        ("inpaint", "start=0.2 end=0.5", 0, 0),
    ):
        text = saved.text
        told = saved.run(task, fields)
        assert (saved.folder / "song.ardour.before").read_text() == text
        assert f"sample {CLIP_AT + offset + cut}" in told
        assert (f"without its first {cut}" in told) == (cut > 0)
        [path] = {str(each) for each in saved.folder.glob(f"{task}-*[0-9].wav")} - landed.keys()
        landed[path] = (task, CLIP_AT + offset + cut, cut)
    # One Ardour for all of them: opening a session takes it a second.
    regions = {region.paths[0]: region for region in saved.regions() if region.paths}
    for path, (task, position, start) in landed.items():
        region, take = regions[path], echo(saved.sent, task)
        assert (region.track, region.name) == (_TRACK, f"{_CLIP} {task}")
        assert (region.position, region.start) == (position, start)
        assert region.length == len(take) - start
        played, _ = soundfile.read(path, dtype="float32", always_2d=True)
        assert np.array_equal(played, take)


@pytest.mark.parametrize(
    ("task", "fields", "region", "says"),
    [
        ("extend2", "seconds=1", _CLIP, "TASK is extend, loop or inpaint, not extend2"),
        ("extend", "seconds=1", "nothing", "no audio region nothing in the session"),
        ("extend", "seconds=1", "melody", "no audio region melody in the session"),
        ("extend", "seconds=1 prompt=refuse", _CLIP, "the render failed.*the clip is empty"),
        ("extend", "seconds=1 prompt=rate=48000", _CLIP, "48000 Hz and the session 44100 Hz"),
        ("loop", "bars=1 prompt=offset=-999999", _CLIP, "whole take lies before"),
    ],
)
def test_a_refusal_leaves_the_session_as_it_is(
    saved: Saved, task: str, fields: str, region: str, says: str
) -> None:
    text = saved.text
    with pytest.raises(AssertionError, match=f"(?s){says}"):
        saved.run(task, fields, region)
    assert saved.text == text


def test_a_region_on_a_change_has_the_tempo_behind_it(saved: Saved) -> None:
    telling = replace(saved, variables=saved.variables | {"DAW_BRIDGE": _TELLING})
    wanted = f"--bpm {CHANGED_BPM} --metre {CHANGED_METRE} "
    with pytest.raises(AssertionError, match=f"the render failed: loop .* {wanted}"):
        telling.run("loop", "bars=1", "late clip")


def _kept(saved: Saved, folder: Path) -> list[str]:
    """What the action tells of each clip that it keeps in a folder: the path or what went wrong."""
    action = str(PLUGIN / "daw_bridge_action.lua")
    given = {"ACTION": action, "TARGETS": str(folder), "REGION": _CLIP}
    told = lua(Path(__file__).parent / "keep.lua", saved.variables | given)
    head = "KEPT\t"
    return [line.removeprefix(head) for line in told.splitlines() if line.startswith(head)]


@_needs_full_disk
def test_a_clip_that_a_full_disk_cuts_off_is_said_and_removed(saved: Saved, tmp_path: Path) -> None:
    targets = {name: tmp_path / f"{name}.wav" for name in ("long", "short")}
    for target in targets.values():
        target.symlink_to(_FULL)
    action = str(PLUGIN / "daw_bridge_action.lua")
    told = lua(
        Path(__file__).parent / "write.lua",
        saved.variables | {"ACTION": action, "TARGETS": str(tmp_path)},
    )
    wrote = sorted(line for line in told.splitlines() if line.startswith("WROTE"))
    assert wrote == [f"WROTE\t{name}\tNo space left on device" for name in targets]
    assert [target for target in targets.values() if target.is_symlink()] == []


def test_a_clip_that_is_sent_again_is_one_file(saved: Saved, tmp_path: Path) -> None:
    told = _kept(saved, tmp_path)
    first, again, elsewhere, other, whole_again = told
    assert first == again == elsewhere == whole_again
    assert other != first
    assert sorted(str(path) for path in tmp_path.iterdir()) == sorted({first, other})
    samples = [soundfile.read(path, dtype="float32")[0] for path in (first, other)]
    assert np.array_equal(samples[0], saved.sent)
    [differing] = np.argwhere(samples[1] != saved.sent)
    assert (tuple(differing), samples[1][-1, 1]) == ((len(saved.sent) - 1, 1), 0.25)


@_needs_full_disk
def test_a_clip_that_cannot_be_kept_leaves_nothing(saved: Saved, tmp_path: Path) -> None:
    for name in ("one", "two", "three", "four", "five"):
        (tmp_path / f"{name}.part").symlink_to(_FULL)
    assert _kept(saved, tmp_path) == ["No space left on device"] * 5
    assert list(tmp_path.iterdir()) == []


@_needs_full_disk
def test_a_full_disk_leaves_the_session_as_it_is(saved: Saved) -> None:
    folder = saved.folder.with_name("full")  # beside the other, where the daemon may read
    shutil.copytree(saved.folder, folder)
    full = replace(saved, folder=folder, variables=saved.variables | {"SESSION_DIR": str(folder)})
    text, new = full.text, folder / "song.ardour.new"
    new.symlink_to(_FULL)
    with pytest.raises(AssertionError, match=r"song\.ardour\.new cannot be written"):
        full.run("extend", "seconds=1")
    assert not new.is_symlink()
    assert full.text == text


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="set SESSION_DIR"):
        lua(_SCRIPT, {"HOME": str(tmp_path), "SESSION_DIR": ""})
