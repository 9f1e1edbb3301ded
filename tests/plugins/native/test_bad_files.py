"""Files that are no takes, no `server.json` and no text: nothing waits for them, the host lives."""

from __future__ import annotations

import os
import resource
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from daw_bridge.app import App
from tests.plugins.native.clap_host import DAEMON, ClapHost, noise
from tests.plugins.native.conftest import OpenHost
from tests.plugins.native.scripted_daemon import ScriptedDaemon
from tests.plugins.native.test_in_time import expected, record

pytestmark = pytest.mark.daw

SONG = noise(6, 48_000, 240.0)
MIB = 1 << 20


def header(data_bytes: int, **changes: int) -> bytes:
    """A WAV header of 16-bit stereo at 48 kHz, with fields changed."""
    fields = {"code": 1, "channels": 2, "rate_hz": 48_000, "bits": 16, "format_bytes": 16} | changes
    form = struct.pack(
        "<HHIIHH",
        *(fields["code"], fields["channels"], fields["rate_hz"], fields["rate_hz"] * 4 % 2**32, 4),
        fields["bits"],
    )
    chunks = b"fmt " + struct.pack("<I", fields["format_bytes"]) + form
    chunks += b"data" + struct.pack("<I", data_bytes)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def open_project(host: ClapHost, take: Path, tmp_path: Path, place: str = "0 48000") -> None:
    """Load a project whose only take is this file."""
    saved = tmp_path / "project.state"
    host.activate(48_000)
    host.ask(f"save {saved}")
    line = f"1 1 {place} 0 t-1 {take}\n".encode()
    state = saved.read_bytes()
    assert state.count(b"takes\0\0") == 1
    saved.write_bytes(state.replace(b"takes\0\0", b"takes\0" + line + b"\0"))
    host.ask(f"load {saved}")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def wav(*bytes_: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(b"".join(bytes_))


NO_TAKES: dict[str, Callable[[Path], object]] = {
    "fifo": fifo,
    "folder": Path.mkdir,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "larger than 1 GiB": lambda path: (path.touch(), os.truncate(path, (1 << 30) + 1)),
    "empty": wav(b""),
    "header cut": wav(header(8)[:30]),
    "no RIFF": wav(b"RIFX", header(8)[4:], bytes(8)),
    "no data chunk": wav(header(8)[:36]),
    "no format before the data": wav(header(8)[:12], b"data", struct.pack("<I", 8), bytes(8)),
    "short format": wav(header(8, format_bytes=8), bytes(8)),
    "chunk beyond the end": wav(header(8)[:12], b"LIST\xff\xff\xff\xff"),
    "no channels": wav(header(8, channels=0), bytes(8)),
    "a rate of 0": wav(header(8, rate_hz=0), bytes(8)),
    "a rate of 4 GHz": wav(header(8, rate_hz=0xFFFFFFFF), bytes(8)),
    "no bits": wav(header(8, bits=0), bytes(8)),
    "65535 bits": wav(header(8, bits=0xFFFF), bytes(8)),
    "another code": wav(header(8, code=0x55), bytes(8)),
}


@pytest.mark.parametrize("kind", NO_TAKES)
def test_what_is_no_take_is_said_and_silent(
    open_host: OpenHost, data_dir: Path, tmp_path: Path, kind: str
) -> None:
    (data_dir / "logs").mkdir()
    take = tmp_path / "take.wav"
    NO_TAKES[kind](take)
    host = open_host()
    open_project(host, take, tmp_path)
    host.until_status("take missing")
    np.testing.assert_array_equal(host.play(SONG, 0, 20_000), SONG.samples[:20_000])
    host.end()
    log = (data_dir / "logs" / "plugin.log").read_text()
    assert log.count(str(take)) == 1, "said once, however often it is tried"


def test_a_take_that_says_to_be_longer_than_it_is_plays_as_far_as_it_goes(
    open_host: OpenHost, data_dir: Path, tmp_path: Path
) -> None:
    take = tmp_path / "take.wav"
    take.write_bytes(header(0xFFFFFFFF) + struct.pack("<hhhh", 16_384, -16_384, 8192, -8192) + b"x")
    host = open_host()
    open_project(host, take, tmp_path)
    host.until("playing_take", 1)
    samples = np.array([[0.5, -0.5], [0.25, -0.25]], np.float32)
    np.testing.assert_array_equal(host.play(SONG, 0, 5_000), expected(SONG, 0, 5_000, samples, 0))


def test_samples_of_no_number_are_not_heard(
    open_host: OpenHost, data_dir: Path, tmp_path: Path
) -> None:
    take = tmp_path / "take.wav"
    samples = SONG.samples[:4_000].copy()
    samples[10], samples[20], samples[30] = np.nan, np.inf, -np.inf
    soundfile.write(take, samples, 48_000, "FLOAT")
    host = open_host()
    open_project(host, take, tmp_path)
    host.until("playing_take", 1)
    samples[[10, 20, 30]] = 0
    np.testing.assert_array_equal(host.play(SONG, 0, 5_000), expected(SONG, 0, 5_000, samples, 0))


@pytest.mark.parametrize("place", ["0 1e-300", "0 1e300", f"{2**62} 48000", f"{-(2**62)} 48000"])
def test_a_take_at_no_place_of_a_song_is_left_out(
    open_host: OpenHost, data_dir: Path, tmp_path: Path, place: str
) -> None:
    take = tmp_path / "take.wav"
    soundfile.write(take, SONG.samples[:4_000], 48_000, "FLOAT")
    host = open_host()
    open_project(host, take, tmp_path, place)
    assert host.get("newest_take") == 0
    np.testing.assert_array_equal(host.play(SONG, 0, 20_000), SONG.samples[:20_000])


def test_a_take_that_does_not_fit_in_memory_is_said_and_loaded_once_it_fits(
    open_host: OpenHost, data_dir: Path, tmp_path: Path
) -> None:
    (data_dir / "logs").mkdir()
    take = tmp_path / "take.wav"
    take.write_bytes(header(700 * MIB))
    os.truncate(take, 700 * MIB)
    host = open_host()
    host.activate(48_000)
    status = Path(f"/proc/{host.pid}/statm")
    if not status.exists():
        pytest.skip("only Linux says how large a process is")
    used_bytes = int(status.read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(host.pid, resource.RLIMIT_AS, (used_bytes + 300 * MIB, resource.RLIM_INFINITY))
    open_project(host, take, tmp_path)
    host.until_status("no memory")
    np.testing.assert_array_equal(host.play(SONG, 0, 20_000), SONG.samples[:20_000])
    log = (data_dir / "logs" / "plugin.log").read_text()
    assert f"{take} needs more memory than there is" in log

    soundfile.write(tmp_path / "small.wav", SONG.samples[:4_000], 48_000, "FLOAT")
    host.ask("deactivate")
    open_project_again(host, tmp_path / "small.wav", take, tmp_path)
    host.until("playing_take", 1)
    host.until_status("idle")


def open_project_again(host: ClapHost, take: Path, before: Path, tmp_path: Path) -> None:
    """Load the saved project with another take in place of the one before."""
    saved = tmp_path / "project.state"
    saved.write_bytes(saved.read_bytes().replace(bytes(before), bytes(take)))
    host.activate(48_000)
    host.ask(f"load {saved}")


@pytest.mark.parametrize("name", ["server.json", "prompt.txt", "logs/plugin.log"])
def test_no_pipe_in_the_data_folder_is_waited_for(
    open_host: OpenHost, daemon: App, data_dir: Path, tmp_path: Path, name: str
) -> None:
    if name != "server.json":
        (data_dir / "logs").mkdir(exist_ok=True)
    kept = tmp_path / "kept"
    path = data_dir / name
    if path.exists():
        path.rename(kept)
    os.mkfifo(path)
    host = open_host()
    if name == "server.json":
        host.activate(48_000)
        host.play(SONG, 0, 48_000)
        host.press("send")
        host.until_status("no daemon")
        kept.replace(path)
    elif name == "logs/plugin.log":
        open_project(host, tmp_path / "nowhere.wav", tmp_path)
        host.until_status("take missing")
    else:
        host.activate(48_000)
    host.until_connected()
    record(host, SONG, 512)
    host.take()


@pytest.mark.parametrize(
    "text",
    [
        *["", "{", "[]", "null", '"', '{"pid":', '{"pid": "', "\0\0\0", "\xff\xfe"],
        *['{"url": 7, "token": [], "pid": {}, "osc_tcp_port": null}', "x" * 70_000],
    ],
    ids=lambda text: text[:12].encode().hex(),
)
def test_a_server_file_of_no_sense_is_no_daemon(
    open_host: OpenHost, data_dir: Path, text: str
) -> None:
    (data_dir / "server.json").write_text(text, encoding="latin-1")
    host = open_host()
    host.activate(48_000)
    host.press("send")
    host.until_status("no daemon")
    with ScriptedDaemon(data_dir) as daemon, daemon.accept() as plugin:
        plugin.welcome()
        host.until_connected()


@pytest.mark.parametrize(
    "lies",
    [
        *[{"pid": pid} for pid in (0, -1, 2**32, 2**64, "1e3", None)],
        *[{"osc_tcp_port": port} for port in (0, -1, "70000", "12x")],
        *[{"url": url} for url in ("", "ws://", "ws://[::1", "ws://192.0.2.1/", "ws://localhost/")],
    ],
    ids=str,
)
def test_a_server_file_that_lies_is_not_followed(
    open_host: OpenHost, data_dir: Path, lies: dict[str, object]
) -> None:
    with ScriptedDaemon(data_dir) as daemon:
        if "osc_tcp_port" in lies and lies["osc_tcp_port"] == "70000":
            lies = {"osc_tcp_port": daemon.about["osc_tcp_port"] + 65_536}  # the same in 16 bits
        daemon.announce(daemon.about | lies)
        host = open_host()
        host.activate(48_000)
        assert daemon.waits(1.2)
        assert DAEMON[int(host.get("daemon"))] == "absent"
        daemon.announce(daemon.about)
        with daemon.accept() as plugin:
            plugin.welcome()
            host.until_connected()


def test_a_recording_is_written_beside_what_a_crash_left(
    open_host: OpenHost, daemon: App, data_dir: Path
) -> None:
    host = open_host()
    host.activate(48_000)
    host.until_connected()
    record(host, SONG, 512)
    host.take()
    [recording] = (data_dir / "recordings").iterdir()
    assert recording.stat().st_mode & 0o777 == 0o600
    recording.unlink()
    left = recording.with_name(f"{recording.name}.{host.pid}")
    left.write_text("left by a host that crashed, whose number this one has now")
    assert host.take() == 2
    assert {path.name for path in left.parent.iterdir()} == {recording.name, left.name}
    assert recording.stat().st_mode & 0o777 == 0o600
