"""The real process: serving, signals, folders that cannot be used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daw_bridge.app import App
from daw_bridge.cli import main
from daw_bridge.registration import find_server
from tests.cli.conftest import FACTORY, ROOT, Run
from tests.daw_bridge.fake_engine import create_engine


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def heeding_interrupts() -> None:
    """A shell that runs the tests in the background ignores them, and so do all it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_serve_says_where_and_stops_on_sigterm(data_dir: Path) -> None:
    command = [sys.executable, "-m", "daw_bridge", "serve", "--port", "0", "--osc-port", "0"]
    command += ["--data-dir", str(data_dir), "--engine-factory", FACTORY, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        running = find_server(data_dir)
        assert running is not None
        assert (told["url"], told["osc_port"]) == (running.url, running.osc_port)
        process.terminate()
        assert process.wait(10) == 0
    assert find_server(data_dir) is None


def test_interrupt_cancels_the_job_of_the_daemon(run: Run, served: App, clip: Path) -> None:
    command = [sys.executable, "-m", "daw_bridge", "extend", str(clip), "--seconds", "0.1"]
    command += ["--prompt", "sleep=30", "--data-dir", str(served.config.data_dir)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, env=environment(), preexec_fn=heeding_interrupts
    ) as process:
        deadline_s = time.monotonic() + 10
        states: list[str] = []
        while states != ["running"] and time.monotonic() < deadline_s:
            states = [job["state"] for job in run("jobs", "--json").json["jobs"]]
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)
    assert (process.returncode, said) == (1, b"daw-bridge: j-0001 was cancelled\n")
    deadline_s = time.monotonic() + 10
    while states != ["cancelled"] and time.monotonic() < deadline_s:
        states = [job["state"] for job in run("jobs", "--json").json["jobs"]]
    assert states == ["cancelled"]


def test_a_reader_that_goes_away_is_no_fault_of_ours(data_dir: Path) -> None:
    command = f"{sys.executable} -m daw_bridge takes --data-dir '{data_dir}' | true; sleep 0.1"
    ran = subprocess.run(command, shell=True, capture_output=True, env=environment(), check=True)
    assert b"Traceback" not in ran.stderr


def test_serve_refuses_a_bad_setting(run: Run) -> None:
    ran = run("serve", "--port", "70000")
    assert ran.status == 2
    assert "port is '70000'" in ran.err


@pytest.mark.parametrize(
    "typed", [("serve",), ("extend", "{clip}", "--seconds", "1"), ("rerender", "t-0001")]
)
def test_data_folder_that_cannot_be_is_one_clear_line(
    clip: Path, capsys: pytest.CaptureFixture[str], typed: tuple[str, ...]
) -> None:
    arguments = [word.format(clip=clip) for word in typed]
    assert main([*arguments, "--data-dir", str(clip / "data")], create_engine) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "cannot be used: Not a directory (choose another: --data-dir)" in said
    assert main(["doctor", "--json", "--data-dir", str(clip / "data")]) == 1
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert [check["state"] for check in checks if check["name"] == "folder"] == ["problem"]


def test_serve_refuses_a_folder_in_use(run: Run, served: App) -> None:
    ran = run("serve", "--port", "0", "--osc-port", "0")
    assert ran.status == 1
    assert ran.err.count("\n") == 1
