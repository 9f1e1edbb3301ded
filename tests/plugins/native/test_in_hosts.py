"""The plugin in hosts of others: pedalboard and dawdreamer (VST3), Ardour and jalv (LV2)."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from daw_bridge.app import App
from tests.plugins.native.ardour_session import lua, make_session
from tests.plugins.native.clap_host import PATIENCE_S, noise
from tests.plugins.native.conftest import HERE
from tests.plugins.native.echo_engine import echo
from tests.plugins.native.test_in_time import expected, newest_recipe
from tests.plugins.native.wheel_hosts import RATE_HZ, SONG, run_apart

pytestmark = pytest.mark.daw

VST3 = "daw-bridge.vst3"


@pytest.fixture
def lv2_path(plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with nothing but the LV2 bundle, and a home folder that nobody else uses."""
    folder, home = tmp_path / "lv2", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    shutil.copytree(plugins / "daw-bridge.lv2", folder / "daw-bridge.lv2")
    monkeypatch.setenv("LV2_PATH", str(folder))
    monkeypatch.setenv("HOME", str(home))
    return folder


def test_pedalboard_loads_it_and_keeps_its_state(
    plugins: Path, daemon: App, data_dir: Path
) -> None:
    """It has no transport and shows no outputs: what can be seen is the rest."""
    run_apart("in_pedalboard", "pedalboard", plugins / VST3, daemon.url, daemon.token)
    assert not list((data_dir / "takes").glob("t-*")), "without bars nothing is sent"


def test_dawdreamer_records_sends_and_plays_to_the_sample(
    plugins: Path, daemon: App, data_dir: Path, tmp_path: Path
) -> None:
    run_apart("in_dawdreamer", "dawdreamer", plugins / VST3, tmp_path / "heard.npy")
    clip, rate_hz = soundfile.read(newest_recipe(data_dir)["source"], dtype="float32")
    assert rate_hz == RATE_HZ
    at = SONG.bar_line(1)
    np.testing.assert_array_equal(clip, SONG.samples[at : SONG.bar_line(3)])
    heard = np.load(tmp_path / "heard.npy")
    take = echo(clip, "extend")
    np.testing.assert_array_equal(heard, expected(SONG, 0, len(heard), take, at))


def test_ardour_records_sends_and_plays_to_the_sample(
    lv2_path: Path, daemon: App, data_dir: Path, tmp_path: Path
) -> None:
    if shutil.which("ardour7-lua") is None:
        pytest.skip("Ardour 7 is not installed")
    # A tempo whose bar lines lie between the ticks that Ardour counts in.
    song = noise(8, RATE_HZ, 251.7)
    wav = tmp_path / "song.wav"
    soundfile.write(wav, song.samples, RATE_HZ, "FLOAT")
    session = tmp_path / "session"
    make_session(session, song, wav)
    printed = lua(
        HERE / "ardour_roundtrip.lua",
        SESSION=str(session),
        STOP_AT_SAMPLES=str(song.bar_line(3) + 2_000),
        LENGTH_SAMPLES=str(len(song.samples)),
    )
    assert "take 1" in printed
    request = newest_recipe(data_dir)
    assert request["bpm"] == 251.7
    clip, _ = soundfile.read(request["source"], dtype="float32")
    # The transport stops some blocks later than it is told, so bars may have passed meanwhile.
    starts = [bar for bar in range(1, 7) if _is_at(song.samples, song.bar_line(bar), clip)]
    assert len(starts) == 1
    at = song.bar_line(starts[0])
    assert len(clip) == song.bar_line(starts[0] + 2) - at
    folder = session / "interchange" / "session" / "audiofiles"
    folder = folder if folder.is_dir() else next((session / "interchange").glob("*/audiofiles"))
    heard = expected(song, 0, len(song.samples), echo(clip, "extend"), at)
    for name in ("bounced", "again"):
        sides = [folder / f"{name}%{side}.wav" for side in "LR"]
        bounced = np.stack([soundfile.read(side, dtype="float32")[0] for side in sides], 1)
        np.testing.assert_array_equal(bounced, heard[: len(bounced)])
        assert len(bounced) == len(heard)
    assert len(list((data_dir / "takes").glob("t-*"))) == 1


def _is_at(samples: np.ndarray, frame: int, clip: np.ndarray) -> bool:
    return np.array_equal(samples[frame : frame + len(clip)], clip)


def test_lv2_bundle_is_valid(lv2_path: Path) -> None:
    if shutil.which("lv2info") is None:
        pytest.skip("lilv-utils is not installed")
    told = subprocess.run(
        ["lv2info", "urn:daw-bridge:native"], capture_output=True, text=True, check=True
    )
    assert told.stderr == ""
    assert "lv2core#hardRTCapable" in told.stdout
    for symbol in ("task", "bars", "send", "status", "playing_take"):
        assert f"Symbol:      {symbol}\n" in told.stdout


@contextmanager
def dummy_jack(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A JACK server without a sound card, under a name of its own."""
    name = f"native{os.getpid()}"
    monkeypatch.setenv("JACK_DEFAULT_SERVER", name)
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    command = ["jackd", "--no-realtime", "-n", name, "-d", "dummy", "-r", "48000", "-p", "1024"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet) as jack:
        try:
            subprocess.run(["jack_wait", "-w", "-t", "20"], check=True, stdout=quiet)
            yield
        finally:
            jack.terminate()


def test_jalv_runs_it_over_jack(
    lv2_path: Path, daemon: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tool in ("jalv", "jackd", "jack_wait"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    pipe = subprocess.PIPE
    command = ["stdbuf", "-oL", "jalv", "-c", "bars=2", "urn:daw-bridge:native"]
    with dummy_jack(monkeypatch):
        jalv = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        assert jalv.stdin is not None
        assert jalv.stdout is not None
        try:
            told = ""
            end_s = time.monotonic() + PATIENCE_S
            while "daemon = 1.0" not in told:
                jalv.stdin.write("monitors\n")
                jalv.stdin.flush()
                while not (line := jalv.stdout.readline()).startswith("playing_take"):
                    assert line, jalv.communicate()
                    told += line
                assert time.monotonic() < end_s, told
            jalv.communicate(timeout=PATIENCE_S)
        finally:
            jalv.kill()
    assert jalv.returncode == 0
    assert "bars = 2.0" in told
