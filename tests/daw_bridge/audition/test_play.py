"""Playing through a device of our own: which sample is heard when, loops, rates, channels."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import mido
import numpy as np
import pytest

from daw_bridge.audition.devices import Output, choose
from daw_bridge.audition.player import Player
from daw_bridge.cli import main
from daw_bridge.commands.play import next_bar_s
from daw_bridge.midi.session import Follower
from engine.spec import BridgeError
from tests.daw_bridge.audition.fakes import RATE_HZ, START_S, Device, FakePortAudio, clip, ramp


def test_a_take_is_played_whole_and_once() -> None:
    device = Device(lambda now: Player(ramp(1000), RATE_HZ, now=now))
    assert not device.run(20)
    np.testing.assert_array_equal(device.audio[:1000], ramp(1000))
    assert not device.audio[1000:].any()
    assert device.player.played_frames == 1000


@pytest.mark.parametrize("length", [1, 100, 256, 1000])
def test_a_loop_has_no_gap(length: int) -> None:
    device = Device(lambda now: Player(ramp(length), RATE_HZ, rounds=None, now=now))
    assert device.run(30)
    np.testing.assert_array_equal(device.audio, np.resize(ramp(length), (30 * 256, 2)))
    device.player.stop()
    assert not device.run(1)
    last = device.audio[-256:]
    assert last[-1].tolist() == [0.0, 0.0]


def test_rounds_end_after_the_last_one() -> None:
    device = Device(lambda now: Player(ramp(300), RATE_HZ, rounds=3, now=now))
    assert not device.run(20)
    np.testing.assert_array_equal(device.audio[:900], np.tile(ramp(300), (3, 1)))
    assert not device.audio[900:].any()


@pytest.mark.parametrize("frames", [64, 256, 1024])
@pytest.mark.parametrize("late_s", [0.0, 0.003])
def test_the_first_sample_is_heard_at_the_moment_asked_for(frames: int, late_s: float) -> None:
    """Whatever the blocks are, and however late the callback wakes up now and then."""
    start_s = START_S + 0.25
    device = Device(lambda now: Player(ramp(500), RATE_HZ, starts_at=lambda: start_s, now=now))
    device.run(40_000 // frames, frames, late_s)
    first = int(np.argmax(device.audio[:, 0] > 0))
    # Frame 0 of the stream is heard 20 ms after the device's clock began.
    assert first == round((0.25 - 0.02) * RATE_HZ)
    np.testing.assert_array_equal(device.audio[first : first + 500], ramp(500))
    assert device.player.heard_from_s == pytest.approx(start_s, abs=1 / RATE_HZ)


def test_a_device_without_a_clock_starts_by_ours() -> None:
    now_s = [START_S]
    player = Player(
        ramp(10), RATE_HZ, starts_at=lambda: START_S + 0.1, latency_s=0.03, now=lambda: now_s[0]
    )
    heard = []
    for _ in range(60):
        block = np.zeros((100, 2), dtype=np.float32)
        player.fill(block, SimpleNamespace(currentTime=0.0, outputBufferDacTime=0.0), False)
        heard.append(block)
        now_s[0] += 100 / RATE_HZ
    first = int(np.argmax(np.concatenate(heard)[:, 0] > 0))
    assert first == pytest.approx((0.1 - 0.03) * RATE_HZ, abs=2)


def test_it_is_silent_until_the_moment_is_known() -> None:
    known: list[float | None] = [None]
    device = Device(lambda now: Player(ramp(50), RATE_HZ, starts_at=lambda: known[0], now=now))
    assert device.run(10)
    assert not device.audio.any()
    known[0] = START_S + 0.2
    device.run(40)
    assert int(np.argmax(device.audio[:, 0] > 0)) == round(0.18 * RATE_HZ)


def test_a_beat_of_a_hosts_clock() -> None:
    """Started at 3 s with song position beat 8, 150 bpm: beat 16 comes 3.2 s later."""
    host = Follower()
    assert host.reaches_at(16.0) is None
    host.handle(mido.Message("songpos", pos=32), 2.9)
    host.handle(mido.Message("continue"), 3.0)
    for number in range(48):
        host.handle(mido.Message("clock"), 3.0 + number * 60 / 150 / 24)
    assert host.reaches_at(16.0) == pytest.approx(6.2, abs=1e-6)
    host.handle(mido.Message("stop"), 4.0)
    assert host.reaches_at(16.0) is None


@pytest.mark.parametrize(
    ("from_s", "starts_s"), [(100.0, 100.0), (100.1, 102.0), (107.9, 108.0), (95.0, 96.0)]
)
def test_the_next_bar_of_a_tempo(from_s: float, starts_s: float) -> None:
    options = argparse.Namespace(bpm="120", metre="4/4", since="100")
    assert next_bar_s(options, from_s) == pytest.approx(starts_s)
    seven = argparse.Namespace(bpm="120", metre="7/8", since="100")
    assert next_bar_s(seven, 101.0) == pytest.approx(101.75)


OUTPUTS = [Output(0, "HDMI", 8, 48_000), Output(3, "Interface", 2, 44_100, is_default=True)]


@pytest.mark.parametrize(("wanted", "number"), [(None, 3), ("0", 0), ("inter", 3), ("HDMI", 0)])
def test_an_output_is_found(wanted: str | None, number: int) -> None:
    assert choose(OUTPUTS, wanted).number == number


@pytest.mark.parametrize(
    ("found", "wanted", "code"),
    [([], None, "not_found"), (OUTPUTS, "USB", "not_found"), (OUTPUTS, "i", "bad_request")],
)
def test_an_output_that_is_not_there_or_not_clear(
    found: list[Output], wanted: str | None, code: str
) -> None:
    with pytest.raises(BridgeError) as caught:
        choose(found, wanted)
    assert (caught.value.code, bool(caught.value.hint)) == (code, True)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_a_file_is_played_as_it_is(
    tmp_path: Path,
    fake: Callable[..., FakePortAudio],
    capsys: pytest.CaptureFixture[str],
    rate: int,
) -> None:
    library = fake()
    path, wave = clip(tmp_path / "clip.wav", rate, 2)
    assert main(["play", path, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["device"], told["sample_rate_hz"], told["underruns"]) == ("Fake", rate, 0)
    np.testing.assert_allclose(library.played[: len(wave)], wave, atol=1e-7)


def test_a_rate_that_the_device_lacks_is_converted(
    tmp_path: Path, fake: Callable[..., FakePortAudio], capsys: pytest.CaptureFixture[str]
) -> None:
    library = fake(rates_hz=(48_000,))
    path, _ = clip(tmp_path / "clip.wav", 96_000, 2)
    assert main(["play", path, "--rounds", "2", "--gain-db", "-6.0206", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sample_rate_hz"] == library.rate_hz == 48_000
    at = np.arange(24_000) / 48_000
    wanted = 0.2 * np.sin(2 * np.pi * 440 * at)  # 220 whole periods: both rounds are one tone
    np.testing.assert_allclose(library.played[:48_000, 0], np.tile(wanted, 2), atol=1e-4)


@pytest.mark.parametrize(
    ("channels", "device", "given"), [(1, 2, 2), (1, 1, 1), (2, 1, 1), (6, 2, 2), (6, 8, 6)]
)
def test_channels_that_the_device_lacks_are_mixed(
    tmp_path: Path, fake: Callable[..., FakePortAudio], channels: int, device: int, given: int
) -> None:
    library = fake(channels=device)
    path, wave = clip(tmp_path / "clip.wav", 48_000, channels)
    assert main(["play", path]) == 0
    sides = (
        wave
        if channels < 3 or device >= channels
        else np.stack([wave[:, 0::2].mean(axis=1), wave[:, 1::2].mean(axis=1)], axis=1)
    )
    if given == 1:
        sides = sides.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(
        library.played[: len(wave)], np.broadcast_to(sides, (len(wave), given)), atol=1e-6
    )


def test_it_begins_on_the_next_bar(
    tmp_path: Path, fake: Callable[..., FakePortAudio], capsys: pytest.CaptureFixture[str]
) -> None:
    fake().in_real_time = True
    path, _ = clip(tmp_path / "clip.wav", 48_000, 2)
    since_s = time.time() - 10.3
    flags = ["--bpm", "150", "--metre", "3/4", "--since", repr(since_s)]
    assert main(["play", path, *flags, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    begun_s = told["heard_from_s"] - told["skipped_samples"] / 48_000  # none, but on a busy machine
    bars = (begun_s - since_s) / 1.2
    assert abs(bars - round(bars)) * 1.2 < 0.001
    assert round(bars) >= 9


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--device", "USB"], "no audio output 'USB'"),
        (["--rounds", "0"], "rounds is '0'"),
        (["--gain-db", "99"], "gain-db is '99'"),
        (["--bpm", "120"], "without a bar to count from"),
        (["--bpm", "3159345", "--since", "1"], "bpm is '3159345'"),
        (["--start-at", "1000"], "ago"),
        (["--start-at", "1e10"], "too far away"),
        (["--start-at", "1e10", "--at-beat", "4"], "both start_at and at_beat"),
    ],
)
def test_mistakes_are_told(
    tmp_path: Path, fake: Callable[..., FakePortAudio], capsys: pytest.CaptureFixture[str],
    flags: list[str], says: str,
) -> None:  # fmt: skip
    fake()
    path, _ = clip(tmp_path / "clip.wav", 48_000, 2)
    assert main(["play", path, *flags]) == 2
    assert says in capsys.readouterr().err


def test_what_cannot_be_played_is_told(
    tmp_path: Path, fake: Callable[..., FakePortAudio], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    data = ["--data-dir", str(tmp_path / "data")]
    fake(channels=0)
    path, _ = clip(tmp_path / "clip.wav", 48_000, 2)
    assert main(["play", path, *data]) == 2
    assert "there is no audio output" in capsys.readouterr().err
    assert main(["play", "t-0001", *data]) == 2
    assert "no take 't-0001'" in capsys.readouterr().err
    assert main(["play", *data]) == 2
    assert "name a take" in capsys.readouterr().err
    assert main(["play", "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"outputs": []}
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert main(["play", path]) == 1
    assert "pip install 'daw-bridge[audio]'" in capsys.readouterr().err


def test_portaudio_itself_is_asked_where_it_is_installed() -> None:
    pytest.importorskip("sounddevice", exc_type=(ImportError, OSError))
    from daw_bridge.audition.devices import outputs

    assert all(output.channels > 0 for output in outputs())


def test_silence_follows_for_as_long_as_the_device_holds_audio_back() -> None:
    device = Device(lambda now: Player(ramp(1000), RATE_HZ, latency_s=0.05, now=now))
    assert not device.run(60)
    np.testing.assert_array_equal(device.audio[:1000], ramp(1000))
    assert 2400 - 256 <= len(device.audio) - 1000 <= 2400 + 256
