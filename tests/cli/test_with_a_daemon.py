"""Commands with a daemon that runs, and without the one they need."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from daw_bridge.app import App
from daw_bridge.cli import main
from tests.cli.conftest import Run, daemon, no_engine


def test_models_and_takes_without_a_daemon(run: Run, clip: Path) -> None:
    assert run("models", "--json").json["models"] == [{"name": "house", "digest": "abc"}]
    assert run("takes").out == "no takes yet\n"
    run("extend", clip, "--seconds", "0.1")
    run("extend", clip, "--seconds", "0.1")
    assert len(run("takes", "--limit", "1", "--json").json["takes"]) == 1
    (take,) = run("takes", "--take", "t-0001", "--json").json["takes"]
    assert take["recipe"]["request"]["task"] == "extend"


@pytest.mark.parametrize("arguments", [("jobs",), ("cancel", "j-0001")])
def test_jobs_need_a_daemon(run: Run, arguments: tuple[str, ...]) -> None:
    ran = run(*arguments)
    assert ran.status == 1
    assert "no daemon is running" in ran.err


def test_named_daemon_that_is_not_there(run: Run) -> None:
    ran = run("takes", "--server", "ws://127.0.0.1:9", "--token", "any-token", "--json")
    assert ran.status == 1
    assert ran.json["error"]["code"] == "unavailable"
    assert "give --token" in run("takes", "--server", "ws://127.0.0.1:9").err


def test_a_running_daemon_is_found_and_used(
    run: Run, served: App, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.wav"
    ran = run("extend", clip, "--seconds", "0.1", "--out", out, "--json", engine=no_engine)
    assert ran.status == 0, ran.err
    assert out.read_bytes() == Path(ran.json["path"]).read_bytes()
    (job,) = run("jobs", "--json", engine=no_engine).json["jobs"]
    assert (job["state"], job["take"]) == ("done", ran.json["take"])
    assert run("takes", "--json").json["takes"][0]["take"] == ran.json["take"]
    assert run("models", "--json", engine=no_engine).json["models"][0]["name"] == "house"


def test_local_and_remote_say_the_same(run: Run, clip: Path, data_dir: Path) -> None:
    local = run("extend", clip, "--seconds", "0.1", "--json").json
    with daemon(data_dir, [clip.parent]):
        remote = run("extend", clip, "--seconds", "0.1", "--json", engine=no_engine).json
    assert set(local) == set(remote)
    assert local["report"] == remote["report"]
    assert local["recipe"] == remote["recipe"]
    assert Path(local["path"]).read_bytes() == Path(remote["path"]).read_bytes()


def test_a_clip_outside_the_allowed_folders_is_uploaded(
    run: Run, served: App, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.wav"
    elsewhere.write_bytes(b"RIFF")
    ran = run("extend", elsewhere, "--seconds", "0.1", "--json", engine=no_engine)
    assert ran.status == 0, ran.err
    assert "elsewhere" in Path(ran.json["path"]).name


def test_context_outside_the_allowed_folders_is_uploaded(
    run: Run, served: App, clip: Path, tmp_path: Path
) -> None:
    context = tmp_path / "song.wav"
    context.write_bytes(os.urandom(5000))
    typed = ("melody", clip, "--seconds", "0.1", "--stems", "--context", context)
    ran = run(*typed, "--out", tmp_path / "out.wav", "--json", engine=no_engine)
    assert ran.status == 0, ran.err
    asked = ran.json["recipe"]["request"]
    assert Path(asked["context"]).read_bytes() == context.read_bytes()
    assert set(ran.json["written"]["stems"]) == {"drums", "bass", "chords", "lead"}
    again = run("rerender", ran.json["take"], "--json", engine=no_engine)
    assert len(again.json["files"]) == 5


def test_rerender_with_the_daemon(run: Run, served: App, clip: Path) -> None:
    first = run("extend", clip, "--seconds", "0.1", "--json").json
    again = run("rerender", first["take"], "--seed", "5", "--json", engine=no_engine)
    assert again.json["recipe"]["request"]["seed"] == 5
    bad = run("rerender", first["take"], "--seed", "many", engine=no_engine)
    assert (bad.status, "it must be a number" in bad.err) == (2, True)


def test_failure_of_a_job_is_told(run: Run, served: App, clip: Path) -> None:
    ran = run("extend", clip, "--seconds", "0.1", "--prompt", "refuse", engine=no_engine)
    assert (ran.status, "the clip is empty (choose another)" in ran.err) == (2, True)


def test_wrong_token_is_refused(run: Run, served: App, clip: Path) -> None:
    ran = run("takes", "--server", served.url, "--token", "wrong-token", "--json")
    assert ran.status == 2
    assert ran.json["error"]["code"] == "forbidden"


def test_cancel_stops_a_job(run: Run, served: App, clip: Path) -> None:
    statuses: list[int] = []
    typed = ["extend", str(clip), "--seconds", "0.1", "--prompt", "sleep=30"]
    typed += ["--data-dir", str(served.config.data_dir), "--json"]
    worker = threading.Thread(target=lambda: statuses.append(main(typed)))
    worker.start()
    deadline_s = time.monotonic() + 10
    jobs: list[dict[str, Any]] = []
    while not (jobs and jobs[0]["state"] == "running") and time.monotonic() < deadline_s:
        jobs = json.loads(run("jobs", "--json").out.splitlines()[0])["jobs"]
    assert run("cancel", jobs[0]["job"]).status == 0
    worker.join(10)
    assert statuses == [1]
