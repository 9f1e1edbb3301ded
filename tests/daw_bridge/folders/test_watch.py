"""`daw-bridge watch` as a musician meets it: files arrive in every way, and come back once."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

from daw_bridge.cli import main
from daw_bridge.folders.arrivals import Arrivals, is_whole
from daw_bridge.takes.store import TakeStore
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.folders.watchers import CLIP, Once, takes_of, wait_for, watching
from tests.daw_bridge.served import served


@pytest.mark.parametrize("with_daemon", [True, False])
def test_a_file_comes_back_once(
    folder: Path, make_config: MakeConfig, once: Once, with_daemon: bool
) -> None:
    source = folder / "Grüße 你好.extend-0.1s-seed=3.wav"
    source.write_bytes(CLIP)
    (folder / "plain.wav").write_bytes(CLIP)
    config = make_config()

    def drop() -> None:
        (result,) = once()
        take = Path(result["take"])
        assert take == folder / "Grüße 你好.extend-0.1s-seed=3.take.wav"
        (kept,) = takes_of(config)
        assert take.read_bytes() == Path(kept.main.path).read_bytes()
        request = TakeStore(config.data_dir / "takes").recipe(kept.id)["request"]
        assert (request["task"], request["seconds"], request["seed"]) == ("extend", 0.1, 3)
        assert source.read_bytes() == CLIP
        assert once() == []  # and not again by another watcher
        take.rename(folder.parent / "taken away.wav")
        assert once() == []
        (folder / source.with_suffix(".take.wav").name).write_bytes(b"mine")
        source.write_bytes(CLIP + b"\0\0")  # another clip by the same name
        assert once()[0]["take"].endswith(".take-2.wav")
        (folder / source.with_suffix(".take.wav").name).unlink()

    if with_daemon:
        with served(config):
            drop()
    else:
        drop()
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["Grüße 你好.extend-0.1s-seed=3.take-2.wav", source.name, "plain.wav"]


def test_many_files_stems_and_results_beside_older_ones(
    folder: Path, make_config: MakeConfig, once: Once
) -> None:
    (folder / "daw-bridge.toml").write_text('task = "extend"\nseconds = 0.1\n')
    for number in range(12):
        (folder / f"clip {number}.wav").write_bytes(CLIP)
    (folder / "clip 3.take.wav").write_bytes(b"mine")
    (folder / "song.generate-0.1s-stems=yes-roles=drums,bass.txt").write_text("house")
    with served(make_config()):
        results = once()
        assert once() == []
    assert len(results) == 13
    assert (folder / "clip 3.take.wav").read_bytes() == b"mine"
    assert (folder / "clip 3.take-2.wav").is_file()
    stem = "song.generate-0.1s-stems=yes-roles=drums,bass.take"
    assert {path.name for path in folder.glob("song*wav")} == {
        f"{stem}{part}.wav" for part in ("", "-drums", "-bass")
    }


def test_refusals_are_beside_their_file_and_go_away(
    folder: Path, make_config: MakeConfig, once: Once
) -> None:
    source = folder / "x.extend-0.1s-prompt=refuse.wav"
    source.write_bytes(CLIP)
    (folder / "y.extend-4bras.wav").write_bytes(CLIP)
    (folder / "z.extend.wav").write_bytes(CLIP)
    (folder / "z.extend.error.txt").write_text("my own notes")
    with served(make_config()):
        assert len(once()) == 3
        assert once() == []
        told = (folder / "x.extend-0.1s-prompt=refuse.error.txt").read_text()
        assert "the clip is empty\nchoose another\n" in told
        assert "the word '4bras'" in (folder / "y.extend-4bras.error.txt").read_text()
        assert (folder / "z.extend.error.txt").read_text() == "my own notes"
        side = folder / "y.json"
        side.write_text("{}")
        assert "error" in once()[0]  # it was changed, and is still wrong
        (folder / "x.toml").write_text('prompt = "fine"')
        source.write_bytes(CLIP)
        assert list(folder.glob("x*take*")) == []
        source.rename(folder / "x.extend-0.1s.wav")
        assert "take" in once()[0]


def test_a_slow_copy_is_waited_for(folder: Path) -> None:
    """Neither a file that grows nor one whose header promises more is taken."""
    now_s = 0.0
    arrivals = Arrivals(folder, 2.0, lambda: now_s)
    path = folder / "x.extend-1s.wav"
    for size in (4, 100, len(CLIP) - 2):
        path.write_bytes(CLIP[:size])
        now_s += 1.5
        assert arrivals.settled() == []
    now_s += 10.0
    assert arrivals.settled() == []  # it stands still, and two bytes are missing
    assert arrivals.is_expecting
    path.write_bytes(CLIP)
    assert arrivals.settled() == []
    now_s += 2.0
    assert [arrival.path for arrival in arrivals.settled()] == [path]
    path.write_bytes(CLIP[:-2])
    arrivals.settled()
    now_s += 61.0
    assert len(arrivals.settled()) == 1  # it will never be whole: the engine says what it thinks


def test_a_rename_into_place_and_a_side_file_that_comes_later(folder: Path) -> None:
    now_s = 0.0
    arrivals = Arrivals(folder, 1.0, lambda: now_s)
    partial = folder / "x.part"
    partial.write_bytes(CLIP)
    assert arrivals.settled() == []
    partial.rename(folder / "x.extend-1s.wav")
    arrivals.settled()
    now_s = 1.0
    (first,) = arrivals.settled()
    (folder / "x.json").write_text('{"seed": 1}')
    assert arrivals.settled() == []
    now_s = 2.0
    (second,) = arrivals.settled()
    assert [name for name, _, _ in second.signature] == ["x.extend-1s.wav", "x.json"]
    assert first.signature != second.signature


def test_headers_that_know_no_length(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    for head, whole in (
        (b"", False),
        (b"RI", True),
        (b"RIFF" + struct.pack("<I", 0), True),
        (b"RIFF" + struct.pack("<I", 0xFFFFFFFF), True),
        (b"RIFF" + struct.pack("<I", 4), False),
        (b"FORM" + struct.pack(">I", 4) + b"AIFF", True),
        (b"fLaC" + bytes(4), True),
    ):
        path.write_bytes(head)
        assert is_whole(path) is whole, head
    assert not is_whole(tmp_path / "none.wav")


def test_a_watcher_that_is_killed_goes_on_with_what_it_began(
    folder: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    """One job and one take, though the watcher died between them."""
    config = make_config()
    gate = "sleep=2"
    source = folder / f"x.extend-0.1s-prompt={gate}.wav"
    with served(config):
        with watching(folder, config.data_dir):
            source.write_bytes(CLIP)
            ledger = config.data_dir / "watch"
            wait_for(lambda: "j-0001" in "".join(p.read_text() for p in ledger.glob("*.json")), "")
        take = folder / f"x.extend-0.1s-prompt={gate}.take.wav"
        assert not take.exists()
        with watching(folder, config.data_dir):
            wait_for(take.exists, "no take")
        assert len(takes_of(config)) == 1


def test_a_job_that_was_cancelled_is_not_begun_again(
    folder: Path, make_config: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_config()
    told = folder / "x.extend-0.1s-prompt=sleep=60.error.txt"
    with served(config), watching(folder, config.data_dir):
        (folder / "x.extend-0.1s-prompt=sleep=60.wav").write_bytes(CLIP)
        wait_for(lambda: _cancelled(config), "no job")
        wait_for(told.exists, "no word of it")
        assert "j-0001 was cancelled" in told.read_text()
        assert main(["jobs", "--json", "--data-dir", str(config.data_dir)]) == 0
        jobs = json.loads(capsys.readouterr().out.splitlines()[-1])["jobs"]
    assert [job["state"] for job in jobs] == ["cancelled"]


def _cancelled(config: Any) -> bool:
    return main(["cancel", "j-0001", "--data-dir", str(config.data_dir)]) == 0


def test_a_folder_that_vanishes_and_comes_back(folder: Path, make_config: MakeConfig) -> None:
    config = make_config()
    with served(config), watching(folder, config.data_dir) as watcher:
        assert watcher.stderr is not None
        shutil.rmtree(folder)
        assert "waiting for it" in watcher.stderr.readline()
        folder.mkdir()
        assert "is back" in watcher.stderr.readline()
        (folder / "x.extend-0.1s.wav").write_bytes(CLIP)
        wait_for((folder / "x.extend-0.1s.take.wav").exists, "no take")


def test_a_folder_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir = str(tmp_path / "data")
    assert main(["watch", str(tmp_path / "none"), "--data-dir", data_dir]) == 2
    assert "there is no folder" in capsys.readouterr().err
