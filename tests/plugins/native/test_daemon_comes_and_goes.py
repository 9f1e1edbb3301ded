"""A daemon that is missing, restarted or failing, and what a project keeps."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from daw_bridge.app import App
from daw_bridge.client import Client
from daw_bridge.config import default_data_dir
from daw_bridge.registration import find_server
from tests.daw_bridge.served import start_daemon
from tests.plugins.native.clap_host import DAEMON, ClapHost, Song, noise
from tests.plugins.native.conftest import FACTORY, OpenHost, echo_daemon
from tests.plugins.native.echo_engine import echo
from tests.plugins.native.test_in_time import expected, record

pytestmark = pytest.mark.daw


@contextmanager
def process(data_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon that can be killed."""
    daemon = start_daemon(data_dir, engine_factory=FACTORY, restart_delay_s=0.02)
    try:
        yield daemon
    finally:
        daemon.kill()
        daemon.wait()
        assert daemon.stdout is not None
        daemon.stdout.close()


def jobs_of(data_dir: Path) -> int:
    """How many jobs the daemon has ever accepted."""
    server = find_server(data_dir)
    assert server is not None

    async def count() -> int:
        async with Client(server.url, server.token) as client:
            return len((await client.request("jobs"))["jobs"])

    return asyncio.run(count())


def ready(host: ClapHost, bars: int = 1) -> tuple[Song, np.ndarray]:
    """A host that has recorded; the song and the newest bars."""
    song = noise(6, 48_000, 240.0)
    host.activate(48_000)
    return song, record(host, song, 512, bars)


def save_with_a_take(host: ClapHost, data_dir: Path, saved: Path) -> tuple[Song, np.ndarray]:
    """Make a take, save the project and end the host; the song and the clip that was sent."""
    song, clip = ready(host)
    with echo_daemon(data_dir):
        host.until_connected()
        host.take()
    host.ask(f"save {saved}")
    host.end()
    return song, clip


def test_no_daemon_is_said_and_nothing_is_sent_later(open_host: OpenHost, data_dir: Path) -> None:
    host = open_host()
    song, clip = ready(host)
    host.press("send")
    host.until_status("no daemon")
    assert DAEMON[int(host.get("daemon"))] == "absent"
    with echo_daemon(data_dir):
        host.until_connected()
        assert host.take() == 1
        end = len(song.samples)
        np.testing.assert_array_equal(
            host.play(song, 0, end), expected(song, 0, end, echo(clip, "extend"), song.bar_line(1))
        )
        assert jobs_of(data_dir) == 1
    host.until("daemon", DAEMON.index("absent"))


def test_a_server_file_left_by_a_killed_daemon_is_not_believed(
    open_host: OpenHost, data_dir: Path
) -> None:
    with process(data_dir) as daemon:
        daemon.kill()
        daemon.wait()
        assert (data_dir / "server.json").exists()
        host = open_host()
        ready(host)
        host.press("send")
        host.until_status("no daemon")


def test_a_job_outlives_its_daemon_and_is_not_asked_for_twice(
    open_host: OpenHost, data_dir: Path
) -> None:
    (data_dir / "prompt.txt").write_text("sleep=1")
    host = open_host()
    with process(data_dir):
        song, clip = ready(host)
        host.until_connected()
        host.press("send")
        host.until_status("rendering")
    host.until("daemon", DAEMON.index("absent"))
    with process(data_dir):
        host.until("playing_take", 1)
        assert host.status == "take ready"
        assert jobs_of(data_dir) == 1
        end = len(song.samples)
        np.testing.assert_array_equal(
            host.play(song, 0, end), expected(song, 0, end, echo(clip, "extend"), song.bar_line(1))
        )


def test_a_request_that_nobody_answered_is_given_up(open_host: OpenHost, data_dir: Path) -> None:
    host = open_host()
    with process(data_dir) as daemon:
        ready(host)
        host.until_connected()
        daemon.send_signal(signal.SIGSTOP)  # the system takes the bytes, nobody reads them
        host.press("send")
        host.until_status("sent")
        daemon.kill()
        host.until_status("lost")
    with process(data_dir):
        host.until_connected()
        assert host.take() == 1
        assert jobs_of(data_dir) == 1


@pytest.mark.parametrize(
    ("orders", "log"),
    [
        ("refuse", "bad_audio: the clip is empty; choose another"),
        ("raise", "engine_failed"),
        ("exit", "engine_crashed"),
    ],
)
def test_a_failing_engine_is_told_and_the_next_request_works(
    open_host: OpenHost, daemon: App, data_dir: Path, orders: str, log: str
) -> None:
    (data_dir / "prompt.txt").write_text(orders)
    host = open_host()
    ready(host)
    host.until_connected()
    host.press("send")
    host.until_status("failed")
    assert log in (data_dir / "logs" / "plugin.log").read_text()
    (data_dir / "prompt.txt").unlink()
    assert host.take() == 1


def test_cancel_and_a_newer_request(open_host: OpenHost, daemon: App, data_dir: Path) -> None:
    (data_dir / "prompt.txt").write_text("sleep=60")
    host = open_host()
    ready(host)
    host.until_connected()
    host.press("send")
    host.until_status("rendering")
    host.press("cancel")
    host.until_status("cancelled")
    host.press("send")
    host.until_status("rendering")
    (data_dir / "prompt.txt").unlink()
    assert host.take() == 1, "it takes the place of the one that renders"
    assert jobs_of(data_dir) == 3


def test_a_wrong_token_is_said(open_host: OpenHost, daemon: App, data_dir: Path) -> None:
    server = data_dir / "server.json"
    server.write_text(server.read_text().replace(daemon.token, "another-token"))
    host = open_host()
    ready(host)
    host.until("daemon", DAEMON.index("refused"))
    host.press("send")
    host.until_status("no daemon")


def test_a_full_disk_or_a_missing_folder_is_said(
    open_host: OpenHost, daemon: App, data_dir: Path
) -> None:
    (data_dir / "recordings").write_text("in the way")
    host = open_host()
    ready(host)
    host.until_connected()
    host.press("send")
    host.until_status("disk")


def test_a_project_keeps_takes_and_settings(
    open_host: OpenHost, daemon: App, data_dir: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "project.state"
    host = open_host()
    song, clip = ready(host)
    host.until_connected()
    host.set(variation=0.25, new_bars=7)
    host.take()
    host.set(task=3)
    host.take()
    host.set(take=1)
    host.press("send")  # a button that is pressed is not saved as pressed
    host.until("newest_take", 3)
    host.ask(f"save {saved}")
    host.end()

    jobs = jobs_of(data_dir)
    again = open_host()
    again.activate(48_000)
    again.ask(f"load {saved}")
    again.until("playing_take", 1)
    assert again.get("variation") == 0.25
    assert again.get("new_bars") == 7
    assert again.get("task") == 3
    assert again.get("newest_take") == 3
    end = len(song.samples)
    again.play(song, 0, 64, rolls=False)
    np.testing.assert_array_equal(
        again.play(song, 0, end), expected(song, 0, end, echo(clip, "extend"), song.bar_line(1))
    )
    again.until_connected()
    assert jobs_of(data_dir) == jobs, "opening a project sends nothing"


def test_a_project_closed_during_a_render_gets_its_take(
    open_host: OpenHost, daemon: App, data_dir: Path, tmp_path: Path
) -> None:
    (data_dir / "prompt.txt").write_text("sleep=1")
    saved = tmp_path / "project.state"
    host = open_host()
    song, clip = ready(host)
    host.until_connected()
    host.press("send")
    host.until_status("rendering")
    host.ask(f"save {saved}")
    host.end()
    again = open_host()
    again.activate(48_000)
    again.ask(f"load {saved}")
    again.until("playing_take", 1)
    end = len(song.samples)
    np.testing.assert_array_equal(
        again.play(song, 0, end), expected(song, 0, end, echo(clip, "extend"), song.bar_line(1))
    )
    assert jobs_of(data_dir) == 1
    again.ask(f"save {saved}")
    assert b"pending" not in saved.read_bytes()


def test_a_project_saved_before_it_plays_still_waits_for_its_take(
    open_host: OpenHost, daemon: App, data_dir: Path, tmp_path: Path
) -> None:
    (data_dir / "prompt.txt").write_text("sleep=1")
    saved = tmp_path / "project.state"
    host = open_host()
    ready(host)
    host.until_connected()
    host.press("send")
    host.until_status("rendering")
    host.ask(f"save {saved}")
    host.end()
    passing = open_host()  # opened and saved, never activated
    passing.ask(f"load {saved}")
    passing.ask(f"save {saved}")
    passing.end()
    again = open_host()
    again.ask(f"load {saved}")
    again.activate(48_000)
    again.until("playing_take", 1)
    assert jobs_of(data_dir) == 1
    again.ask(f"save {saved}")
    assert b"pending" not in saved.read_bytes()


def test_a_take_sounds_from_the_first_block_of_a_project_just_opened(
    open_host: OpenHost, data_dir: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "project.state"
    song, clip = save_with_a_take(open_host(), data_dir, saved)
    at, end = song.bar_line(1), len(song.samples)
    ideal = expected(song, at, end, echo(clip, "extend"), at)
    again = open_host()
    again.ask(f"load {saved}")
    for rate_hz in (48_000, 44_100, 48_000):
        again.activate(rate_hz)
        if rate_hz == song.rate_hz:  # a bounce: no block has passed before
            np.testing.assert_array_equal(again.play(song, at, end), ideal)
        again.ask("deactivate")


def test_a_take_that_cannot_be_loaded_holds_nothing_up(
    open_host: OpenHost, data_dir: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "project.state"
    song, _ = save_with_a_take(open_host(), data_dir, saved)
    (data_dir / "takes").rename(data_dir / "elsewhere")
    again = open_host()
    again.ask(f"load {saved}")
    for _ in range(2):
        start_s = time.monotonic()
        again.activate(48_000)
        assert time.monotonic() - start_s < 4
        assert again.status == "take missing"
        np.testing.assert_array_equal(again.play(song, 0, 20_000), song.samples[:20_000])
        again.ask("deactivate")


def test_a_prompt_is_saved_and_comes_before_the_folder_s(
    open_host: OpenHost, daemon: App, data_dir: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "project.state"
    host = open_host()
    ready(host)
    host.ask(f"save {saved}")
    saved.write_bytes(saved.read_bytes().replace(b"prompt\0\0", b"prompt\0offset=-77\0"))
    host.ask(f"load {saved}")
    (data_dir / "prompt.txt").write_text("refuse")
    host.until_connected()
    host.take()
    host.ask(f"save {saved}")
    assert b"offset=-77" in saved.read_bytes()


def test_a_take_whose_file_is_gone_is_said_and_found_again(
    open_host: OpenHost, daemon: App, data_dir: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "project.state"
    host = open_host()
    song, _ = ready(host)
    host.until_connected()
    host.take()
    host.ask(f"save {saved}")
    host.end()
    takes = data_dir / "takes"
    takes.rename(data_dir / "elsewhere")
    again = open_host()
    again.activate(48_000)
    again.ask(f"load {saved}")
    again.until_status("take missing")
    silent = again.play(song, 0, 20_000)
    np.testing.assert_array_equal(silent, song.samples[:20_000])
    (data_dir / "elsewhere").rename(takes)
    again.until("playing_take", 1)
    again.until_status("idle")


def test_a_button_held_before_the_first_block_sends_nothing(
    open_host: OpenHost, daemon: App, data_dir: Path
) -> None:
    host = open_host()
    host.activate(48_000)
    host.until_connected()
    host.set(send=1)  # as a host does that restores its own values
    host.ask("play - - 64 64 0 0 120 4 4")
    song = noise(6, 48_000, 240.0)
    record(host, song, 512, bars=1)
    for _ in range(5):  # and one that says the same value again and again
        host.set(send=1)
        host.ask("play - - 64 64 0 0 120 4 4")
    host.until("newest_take", 1)
    assert jobs_of(data_dir) == 1


@pytest.mark.parametrize("how", ["allocation", "new", "release", "lock", "call"])
def test_the_watch_sees_what_a_callback_must_not_do(open_host: OpenHost, how: str) -> None:
    host = open_host()
    host.activate(48_000)
    before = host.watched()
    assert before == {"allocations": 0, "releases": 0, "locks": 0, "calls": 0}
    host.ask(f"misbehave {how}")
    after = host.watched()
    if how == "call" and after["calls"] < 0:
        host.kill()
        pytest.skip("this kernel has no syscall user dispatch (Linux 5.11)")
    rule = {"new": "allocations", "lock": "locks"}.get(how, how + "s")
    assert after == before | {rule: 1}
    host.kill()  # else the fixture would rightly complain


@pytest.mark.parametrize("variable", ["XDG_DATA_HOME", "HOME"])
def test_the_data_folder_is_found_as_the_daemon_finds_it(
    open_host: OpenHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("DAW_BRIDGE_DATA_DIR", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    folder = default_data_dir()
    assert folder.is_relative_to(tmp_path)
    with echo_daemon(folder):
        host = open_host()
        ready(host)
        host.until_connected()
        assert host.take() == 1
    assert list((folder / "recordings").iterdir())
