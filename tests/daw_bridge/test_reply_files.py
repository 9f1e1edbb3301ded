"""Replies as files, whatever a name is made of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daw_bridge.reply_files import MAX_FILES, ReplyFiles


def test_a_name_that_is_no_unicode_is_the_bytes_that_it_is(tmp_path: Path) -> None:
    ReplyFiles(tmp_path).write({"id": "a", "reply": "done", "path": "/clips/caf\udce9.wav"})
    assert b"/clips/caf\xe9.wav" in (tmp_path / "a.json").read_bytes()


def test_what_no_file_can_hold_is_logged_and_the_reply_before_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = ReplyFiles(tmp_path)
    files.write({"id": "a", "reply": "pong"})
    files.write({"id": "a", "reply": "done", "path": "\ud800"})
    assert "the reply to a cannot be written" in caplog.text
    assert json.loads((tmp_path / "a.json").read_text())["reply"] == "pong"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("name", ["../a", "a/b", ".a", "", "a.b", "a" * 65])
def test_an_id_that_is_no_name_goes_nowhere(tmp_path: Path, name: str) -> None:
    ReplyFiles(tmp_path / "replies").write({"id": name, "reply": "pong"})
    assert [path.name for path in tmp_path.rglob("*")] == ["replies"]


def test_of_files_that_nobody_fetches_the_newest_are_kept(tmp_path: Path) -> None:
    files = ReplyFiles(tmp_path)
    for number in range(MAX_FILES + 2):
        files.write({"id": f"a{number}", "reply": "accepted"})
        files.write({"id": "a0", "reply": "accepted"})
    left = {path.stem for path in tmp_path.iterdir()}
    assert left == {"a0", *(f"a{number}" for number in range(3, MAX_FILES + 2))}


def test_all_that_an_earlier_daemon_left_is_swept(tmp_path: Path) -> None:
    for name in ("a.json", ".a.json.0123abcd"):
        (tmp_path / name).touch()
    ReplyFiles(tmp_path).sweep()
    assert not list(tmp_path.iterdir())
