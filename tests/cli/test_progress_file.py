"""`--progress-file`: how far a render is, for hosts that start the command and look at a file."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daw_bridge.app import App
from daw_bridge.cli import main
from daw_bridge.config import Config
from engine.files.audio import write_audio
from tests.daw_bridge.conftest import FACTORY
from tests.daw_bridge.fake_engine import create_engine
from tests.daw_bridge.served import served

_PATIENCE_S = 60.0


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "groove.wav"
    write_audio(path, np.zeros((4800, 2), np.float32), 48_000, "PCM_16")
    return path


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[App]:
    settings = {"port": 0, "osc_port": 0, "data_dir": str(tmp_path / "d"), "roots": str(tmp_path)}
    with served(Config.load({**settings, "engine_factory": f"{FACTORY}:create_engine"})) as app:
        yield app


def run(*typed: object) -> int:
    return main([str(word) for word in typed], create_engine)


def told_until(path: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """What the file says once it says what is wanted. It may never be half a line."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline_s:
        if path.exists():
            line = path.read_text()
            assert line.endswith("}\n")
            told: dict[str, Any] = json.loads(line)
            if wanted.items() <= told.items():
                return told
        time.sleep(0.01)
    raise AssertionError(f"{wanted} was never told")


def test_the_job_can_be_followed_and_cancelled(tmp_path: Path, clip: Path, daemon: App) -> None:
    progress, answer, data_dir = tmp_path / "p.json", tmp_path / "a.json", tmp_path / "d"
    typed = ["extend", clip, "--seconds", "0.1", "--prompt", "sleep=60 eta=12", "--data-dir"]
    typed += [data_dir, "--progress-file", progress, f"--result-file={answer}"]
    thread = threading.Thread(target=run, args=typed)
    thread.start()
    told = told_until(progress, {"stage": "draft", "fraction": 0.25})
    assert {"step": 1, "steps": 4, "eta_s": 12.0}.items() <= told.items()
    assert run("cancel", told["job"], "--data-dir", data_dir) == 0
    thread.join(_PATIENCE_S)
    assert not thread.is_alive()
    assert f"{told['job']} was cancelled" in json.loads(answer.read_text())["error"]["message"]


def test_the_last_line_stays(tmp_path: Path, clip: Path, daemon: App) -> None:
    progress = tmp_path / "p.json"
    typed = ["extend", clip, "--seconds", "0.1", "--data-dir", tmp_path / "d"]
    assert run(*typed, "--progress-file", progress) == 0
    assert json.loads(progress.read_text())["job"].startswith("j-")
    assert not list(tmp_path.glob(".p.json*"))


def test_without_a_daemon_there_is_no_job(tmp_path: Path, clip: Path) -> None:
    progress = tmp_path / "p.json"
    typed = ["extend", clip, "--seconds", "0.1", "--data-dir", tmp_path / "d"]
    assert run(*typed, "--progress-file", progress) == 0
    told = json.loads(progress.read_text())
    assert (told["job"], told["stage"], told["fraction"]) == (None, "refine", 0.75)


@pytest.mark.parametrize("name", ["groove.wav", "lane.json", "progress.txt"])
def test_what_the_musician_has_stays(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "lane.json").write_text("[[0, -20]]")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    typed = ["extend", clip, "--seconds", "1", "--data-dir", tmp_path / "d"]
    assert run(*typed, "--progress-file", tmp_path / name) == 2
    assert "--progress-file" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_that_cannot_be_written_is_told_before_the_render(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = ["extend", clip, "--seconds", "1", "--data-dir", tmp_path / "d"]
    assert run(*typed, "--progress-file", tmp_path / "no such folder" / "p.json") == 2
    assert "--progress-file" in capsys.readouterr().err
    assert not list((tmp_path / "d").rglob("recipe.json"))
