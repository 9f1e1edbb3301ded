"""`--result-file`: the answer of a command for hosts that start it and poll for a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from daw_bridge.cli import main
from engine.files.audio import write_audio
from tests.daw_bridge.fake_engine import create_engine


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "my groove.wav"
    write_audio(path, np.zeros((4800, 2), np.float32), 48_000, "PCM_16")
    return path


def run(*typed: object) -> int:
    return main([str(word) for word in typed], create_engine)


def test_the_answer_is_the_object_of_json(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = tmp_path / "answer.json"
    status = run(
        "extend", clip, "--seconds", "0.1", "--data-dir", tmp_path / "d", "--result-file", answer
    )
    assert status == 0
    assert json.loads(answer.read_text()) == json.loads(capsys.readouterr().out)
    assert not list(tmp_path.glob(".answer*"))


@pytest.mark.parametrize(
    "wrong", [("--bars", "many"), ("--no-such-flag",), ("--data-dir", "", "--nonsense=1")]
)
def test_errors_are_answers_too(tmp_path: Path, clip: Path, wrong: tuple[str, ...]) -> None:
    answer = tmp_path / "answer.json"
    assert run("extend", clip, f"--result-file={answer}", *wrong) == 2
    error = json.loads(answer.read_text())["error"]
    assert error["code"] == "bad_request"
    assert error["message"]


def test_a_file_that_cannot_be_written_is_told(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = tmp_path / "no such folder" / "answer.json"
    status = run(
        "extend", clip, "--seconds", "0.1", "--data-dir", tmp_path / "d", "--result-file", answer
    )
    assert status == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--result-file={}", "--result-file {}"])
@pytest.mark.parametrize(
    "name", ["my groove.wav", "lane.json", "link.json", "answer.txt", "answer"]
)
def test_what_the_musician_has_stays(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str], name: str, flag: str
) -> None:
    (tmp_path / "lane.json").write_text("[[0, -20]]")
    (tmp_path / "link.json").symlink_to(tmp_path / "nowhere")
    before = {path.name: path.lstat().st_mtime_ns for path in tmp_path.iterdir()}
    typed = [part.format(tmp_path / name) for part in flag.split(" ")]
    asked = ("extend", clip, "--seconds", "1", "--data-dir", tmp_path / "d", *typed)
    assert run(*asked) == 2
    assert "--result-file" in capsys.readouterr().err
    assert run(*asked, "--no-such-flag") == 2
    assert {path.name: path.lstat().st_mtime_ns for path in tmp_path.iterdir()} == before
