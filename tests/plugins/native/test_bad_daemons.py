"""Daemons that are silent, that die between two answers, or that answer nonsense."""

from __future__ import annotations

import math
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.plugins.native.clap_host import DAEMON, ClapHost
from tests.plugins.native.conftest import OpenHost
from tests.plugins.native.scripted_daemon import Conversation, ScriptedDaemon
from tests.plugins.native.test_bad_files import SONG
from tests.plugins.native.test_daemon_comes_and_goes import jobs_of, process, ready
from tests.plugins.native.test_in_time import expected

pytestmark = pytest.mark.daw


def asked(host: ClapHost, plugin: Conversation, job: str = "j-1") -> str:
    """Say hello, let the musician send, accept; the request's id."""
    plugin.welcome()
    host.until_connected()
    host.press("send")
    name, _ = plugin.hear("extend")
    plugin.say("accepted", name, job)
    host.until_status("queued")
    return name


def take_of(path: Path) -> np.ndarray:
    take = SONG.samples[::-1][:4_000]
    soundfile.write(path, take, 48_000, "FLOAT")
    return take


def heard(host: ClapHost, take: np.ndarray, at: int) -> None:
    np.testing.assert_array_equal(host.play(SONG, 0, 30_000), expected(SONG, 0, 30_000, take, at))


def test_a_daemon_that_says_no_hello_is_said_and_tried_again(
    open_host: OpenHost, data_dir: Path
) -> None:
    with ScriptedDaemon(data_dir) as daemon:
        host = open_host()
        ready(host)
        with daemon.accept() as plugin:
            plugin.hear("hello")
            assert plugin.ends(), "it gives up"
        host.until("daemon", DAEMON.index("silent"))
        host.press("send")
        host.until_status("no daemon")
        with daemon.accept() as plugin:
            plugin.welcome()
            host.until_connected()


def test_a_daemon_that_stands_still_and_goes_on_is_found_again(
    open_host: OpenHost, data_dir: Path
) -> None:
    with process(data_dir) as daemon:
        daemon.send_signal(signal.SIGSTOP)
        host = open_host()
        ready(host)
        host.until("daemon", DAEMON.index("silent"))
        daemon.send_signal(signal.SIGCONT)
        host.until_connected()
        assert host.take() == 1


def test_cancel_before_the_job_has_a_name_cancels_it(open_host: OpenHost, data_dir: Path) -> None:
    (data_dir / "prompt.txt").write_text("sleep=60")
    with process(data_dir) as daemon:
        host = open_host()
        ready(host)
        host.until_connected()
        daemon.send_signal(signal.SIGSTOP)
        host.press("send")
        host.until_status("sent")
        host.press("cancel")
        host.until_status("cancelling")
        daemon.send_signal(signal.SIGCONT)
        host.until_status("cancelled")
        (data_dir / "prompt.txt").unlink()
        assert host.take() == 1, "the next request is not cancelled"


def test_cancel_while_the_daemon_is_away_is_said_when_it_is_back(
    open_host: OpenHost, data_dir: Path
) -> None:
    with ScriptedDaemon(data_dir) as daemon:
        host = open_host()
        ready(host)
        with daemon.accept() as plugin:
            name = asked(host, plugin)
        host.until("daemon", DAEMON.index("absent"))
        host.press("cancel")
        host.until_status("cancelling")
        with daemon.accept() as plugin:
            plugin.welcome()
            assert plugin.hear("watch") == (name, {"job": "j-1"})
            assert plugin.hear("cancel")[1] == {"job": "j-1"}
            plugin.say("cancelled", name, "j-1", "asked")
            host.until_status("cancelled")


def test_a_daemon_that_dies_over_the_last_question_is_asked_again(
    open_host: OpenHost, data_dir: Path, tmp_path: Path
) -> None:
    take = take_of(tmp_path / "take.wav")
    with ScriptedDaemon(data_dir) as daemon:
        host = open_host()
        ready(host)
        with daemon.accept() as plugin:
            name = asked(host, plugin)
        for _ in range(2):
            with daemon.accept() as plugin:
                plugin.welcome()
                assert plugin.hear("watch") == (name, {"job": "j-1"})
        with daemon.accept() as plugin:
            plugin.welcome()
            assert plugin.hear("watch") == (name, {"job": "j-1"})
            plugin.say("done", name, "j-1", "t-1", str(tmp_path / "take.wav"), 0, 0, 0.0, 0.0)
            host.until("playing_take", 1)
        host.until("daemon", DAEMON.index("absent"))
        assert host.status == "take ready"
        heard(host, take, SONG.bar_line(1))


def test_a_daemon_killed_after_its_last_answer_leaves_the_take(
    open_host: OpenHost, data_dir: Path, tmp_path: Path
) -> None:
    host = open_host()
    with process(data_dir) as daemon:
        ready(host)
        host.until_connected()
        host.take()
        assert jobs_of(data_dir) == 1
        sounding = host.play(SONG, 0, 60_000)
        daemon.kill()
        host.until("daemon", DAEMON.index("absent"))
    np.testing.assert_array_equal(host.play(SONG, 0, 60_000), sounding)
    host.ask(f"save {tmp_path / 'project.state'}")
    host.end()
    again = open_host()
    again.activate(48_000)
    again.ask(f"load {tmp_path / 'project.state'}")
    again.until("playing_take", 1)
    np.testing.assert_array_equal(again.play(SONG, 0, 60_000), sounding)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30])
def test_numbers_of_no_sense_are_not_calculated_with(
    open_host: OpenHost, data_dir: Path, tmp_path: Path, value: float
) -> None:
    take = take_of(tmp_path / "take.wav")
    host = open_host()
    ready(host)
    with ScriptedDaemon(data_dir) as daemon, daemon.accept() as plugin:
        name = asked(host, plugin)
        plugin.say("progress", name, "j-1", "render", (value, "d"), 0.0, 0, 0)
        host.until_status("rendering")
        assert host.get("progress") == 0
        path, offset = str(tmp_path / "take.wav"), (value, "d")
        plugin.say("done", name, "j-1", "t-1", path, offset, 0, 0.0, 0.0)
        host.until("playing_take", 1)
        heard(host, take, SONG.bar_line(1))


@pytest.mark.parametrize(
    "reply",
    [("accepted",), ("progress",), ("done",), ("failed",), ("cancelled",), ("dance", "n1", 7)],
    ids=lambda reply: reply[0],
)
def test_replies_without_their_values_are_passed_over(
    open_host: OpenHost, data_dir: Path, tmp_path: Path, reply: tuple[Any, ...]
) -> None:
    take_of(tmp_path / "take.wav")
    host = open_host()
    ready(host)
    with ScriptedDaemon(data_dir) as daemon, daemon.accept() as plugin:
        name = asked(host, plugin)
        plugin.say(*reply)
        plugin.say("done", name, "j-1", "t-1", str(tmp_path / "take.wav"), 0, 0, 0.0, 0.0)
        host.until("playing_take", 1)
        assert host.get("newest_take") == 1
