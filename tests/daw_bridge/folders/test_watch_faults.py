"""What goes wrong around `daw-bridge watch`: it says so, loses nothing and goes on."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daw_bridge.takes.store import TakeStore
from engine.spec import BridgeError, Event
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.folders.watchers import (
    CLIP,
    CountingEngine,
    Once,
    Watching,
    takes_of,
    wait_for,
    watching,
)
from tests.daw_bridge.served import served


class Disk:
    """Has no room for as many copies as is said."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.refusals = 0
        self.copies = 0
        self._copyfile = shutil.copyfile
        patch.setattr(shutil, "copyfile", self._copy)

    def _copy(self, origin: Path, target: Path) -> None:
        self.copies += 1
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        self._copyfile(origin, target)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_a_copy_that_fails_is_all_that_is_done_again(
    folder: Path, make_config: MakeConfig, engine: CountingEngine, disk: Disk
) -> None:
    """One render; the copy is tried ever more rarely, and other files get their turn."""
    config = make_config()
    watcher = Watching(folder, config, engine)
    (folder / "x.extend-0.1s.wav").write_bytes(CLIP)
    disk.refusals = 6
    for copies, wait_s in enumerate((5, 10, 20, 40, 60, 60), start=1):
        (*_, told) = watcher.look()
        assert "cannot be copied into" in told
        assert "No space left on device" in told
        assert f"tried again in {wait_s} s" in told
        watcher.now_s += wait_s - 0.1
        assert watcher.look() == []
        assert disk.copies == copies
        watcher.now_s += 0.1
    (folder / "y.extend-0.1s.wav").write_bytes(CLIP)
    told = watcher.look()[-1]
    assert told == "x.extend-0.1s.wav: x.extend-0.1s.take.wav"
    assert sorted(path.name for path in folder.glob("*take*")) == [
        "x.extend-0.1s.take.wav",
        "y.extend-0.1s.take.wav",
    ]
    assert (engine.renders, len(takes_of(config))) == (2, 2)
    assert watcher.look() == []


def test_a_take_that_was_removed_while_it_waited_is_rendered_again(
    folder: Path, make_config: MakeConfig, engine: CountingEngine, disk: Disk
) -> None:
    config = make_config()
    watcher = Watching(folder, config, engine)
    (folder / "x.extend-0.1s.wav").write_bytes(CLIP)
    disk.refusals = 1
    watcher.look()
    (take,) = takes_of(config)
    TakeStore(config.data_dir / "takes").remove(take.id)
    watcher.now_s += 5
    assert watcher.look()[-1].endswith(".take.wav")
    assert engine.renders == 2


def test_what_could_not_be_copied_once_is_copied_the_next_time(
    folder: Path, once: Once, engine: CountingEngine, disk: Disk
) -> None:
    (folder / "x.extend-0.1s.wav").write_bytes(CLIP)
    disk.refusals = 1
    (result,) = once()
    assert "No space left on device" in result["error"]
    assert list(folder.glob("*take*")) == []
    assert "take" in once()[0]
    assert engine.renders == 1


def test_a_full_disk_under_a_watcher_of_a_daemon(folder: Path, make_config: MakeConfig) -> None:
    """The system itself refuses the copy; the next watcher makes it, of the same take."""
    config = make_config()
    with served(config):
        with watching(folder, config.data_dir) as watcher:
            assert watcher.stderr is not None
            _, hard = resource.prlimit(watcher.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(watcher.pid, resource.RLIMIT_FSIZE, (8192, hard))
            (folder / "x.extend-0.1s.wav").write_bytes(CLIP)
            assert "extend" in watcher.stderr.readline()
            told = watcher.stderr.readline()
            assert "cannot be copied" in told
            assert os.strerror(errno.EFBIG) in told
            assert [path.name for path in folder.iterdir()] == ["x.extend-0.1s.wav"]
        with watching(folder, config.data_dir):
            wait_for((folder / "x.extend-0.1s.take.wav").exists, "no take")
        assert len(takes_of(config)) == 1


def test_a_refusal_that_cannot_be_written_is_told_and_the_watcher_goes_on(
    folder: Path, make_config: MakeConfig
) -> None:
    """Neither the refusal nor the ledger can be written: it is said once, and noted later."""
    config = make_config()
    with served(config), watching(folder, config.data_dir) as watcher:
        assert watcher.stderr is not None
        _, hard = resource.prlimit(watcher.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(watcher.pid, resource.RLIMIT_FSIZE, (0, hard))
        (folder / "x.extend-4bras.wav").write_bytes(CLIP)
        reason = os.strerror(errno.EFBIG)
        assert "what was done cannot be noted" in watcher.stderr.readline()
        told = watcher.stderr.readline()
        assert "the word '4bras'" in told
        assert f"x.extend-4bras.error.txt cannot be written: {reason}" in told
        resource.prlimit(watcher.pid, resource.RLIMIT_FSIZE, (hard, hard))
        (folder / "y.extend-0.1s.wav").write_bytes(CLIP)
        assert watcher.stderr.readline() == "y.extend-0.1s.wav: extend\n"
        # Said once it is noted: the take is there a moment before.
        assert watcher.stderr.readline() == "y.extend-0.1s.wav: y.extend-0.1s.take.wav\n"
    with watching(folder, config.data_dir) as watcher:
        assert watcher.stderr is not None
        (folder / "z.extend-0.1s.wav").write_bytes(CLIP)
        assert watcher.stderr.readline() == "z.extend-0.1s.wav: extend\n"  # x is over


def _a_folder(path: Path) -> None:
    path.mkdir()


def _a_pipe(path: Path) -> None:
    os.mkfifo(path)


def _a_link_to_a_refusal(path: Path) -> None:
    other = path.with_name("notes.txt")
    other.write_text("daw-bridge could not do this:\n")
    path.symlink_to(other)


@pytest.mark.parametrize("make", [_a_folder, _a_pipe, _a_link_to_a_refusal])
def test_what_stands_in_the_place_of_a_refusal_stays(
    folder: Path,
    once: Once,
    make: Callable[[Path], None],
) -> None:
    (folder / "x.extend-4bras.wav").write_bytes(CLIP)
    place = folder / "x.extend-4bras.error.txt"
    make(place)
    before = place.lstat()
    (result,) = once()
    assert "the word '4bras'" in result["error"]
    after = place.lstat()
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)
    (folder / "x.json").write_text("{}")
    assert len(once()) == 1


def test_a_file_that_goes_away_while_it_is_rendered_is_not_refused(
    folder: Path, make_config: MakeConfig
) -> None:
    """As when a network drive is lost: with the drive the file comes back, and its take."""
    away = folder.with_name("away")

    class Losing(CountingEngine):
        def render(self, *given: Any, **how: Any) -> Iterator[Event]:
            events = super().render(*given, **how)
            if self.renders == 1:
                folder.rename(away)
                raise BridgeError("not_found", "there is no such clip")
            yield from events

    engine = Losing()
    (folder / "x.extend-0.1s.wav").write_bytes(CLIP)
    watcher = Watching(folder, make_config(), engine)
    assert "there is no such clip; tried again" in watcher.look()[-1]
    assert "waiting for it" in watcher.look()[-1]
    away.rename(folder)
    assert watcher.look() == [f"{folder} is back"]
    watcher.now_s += 5
    assert watcher.look()[-1].endswith(".take.wav")
    assert list(folder.glob("*.error.txt")) == []


def test_the_ledger_forgets_files_that_are_gone(
    folder: Path, make_config: MakeConfig, engine: CountingEngine
) -> None:
    """Put back as it was, a file is dropped anew, unless the whole folder was away."""
    config = make_config()

    def noted() -> set[str]:
        (ledger,) = (config.data_dir / "watch").glob("*.json")
        return set(json.loads(ledger.read_text())["files"])

    names = {f"{letter}.extend-0.1s.wav" for letter in "xyz"}
    for name in names:
        (folder / name).write_bytes(CLIP)
    watcher = Watching(folder, config, engine)
    watcher.look()
    assert (noted(), engine.renders) == (names, 3)
    away = folder.parent / "away"
    away.mkdir()
    (folder / "x.extend-0.1s.wav").rename(away / "x.extend-0.1s.wav")
    assert watcher.look() == []
    assert noted() == names - {"x.extend-0.1s.wav"}
    (away / "x.extend-0.1s.wav").rename(folder / "x.extend-0.1s.wav")
    assert watcher.look()[-1] == "x.extend-0.1s.wav: x.extend-0.1s.take.wav"
    assert (noted(), engine.renders) == (names, 4)
    drive = folder.rename(folder.parent / "a drive")
    folder.mkdir()  # the place where it is mounted
    for each in (watcher, Watching(folder, config, engine)):
        assert each.look() == []
    folder.rmdir()
    drive.rename(folder)
    for each in (watcher, Watching(folder, config, engine)):
        assert each.look() == []
    assert (noted(), engine.renders) == (names, 4)
