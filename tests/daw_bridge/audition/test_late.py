"""A beginning whose moment has passed: the audio is joined on the grid, or it is over."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest

from daw_bridge.audition.player import Player
from daw_bridge.cli import main
from daw_bridge.commands import play
from tests.daw_bridge.audition.fakes import RATE_HZ, START_S, Device, FakePortAudio, clip, ramp
from tests.daw_bridge.midi import memory_backend

FADE_FRAMES = 480


def faded_in(audio: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    gain = np.minimum(1.0, np.arange(1, len(audio) + 1) / FADE_FRAMES)
    return audio * gain[:, None].astype(np.float32)


@pytest.mark.parametrize("frames", [64, 256, 1024])
@pytest.mark.parametrize("late_frames", [241, 700, 2999])
def test_a_moment_that_has_passed_is_joined_where_it_would_be_by_now(
    frames: int, late_frames: int
) -> None:
    """The audio stays on the grid, and fades in so that it does not click."""
    heard_s = START_S + 0.02 + 4 * frames / RATE_HZ
    known: list[float | None] = [None]
    device = Device(lambda now: Player(ramp(3000), RATE_HZ, starts_at=lambda: known[0], now=now))
    device.run(4, frames)
    known[0] = heard_s - late_frames / RATE_HZ
    assert not device.run(60, frames)
    left = 3000 - late_frames
    heard = device.audio[4 * frames :]
    assert not device.audio[: 4 * frames].any()
    np.testing.assert_allclose(heard[:left], faded_in(ramp(3000)[late_frames:]), rtol=1e-6)
    assert not heard[left:].any()
    player = device.player
    assert (player.skipped_frames, player.played_frames) == (late_frames, left)
    assert player.heard_from_s == pytest.approx(heard_s, abs=1 / RATE_HZ)


@pytest.mark.parametrize("late_frames", [1, 239])
def test_a_moment_that_has_just_passed_costs_no_frame(late_frames: int) -> None:
    start_s = START_S + 0.02 - late_frames / RATE_HZ
    device = Device(lambda now: Player(ramp(1000), RATE_HZ, starts_at=lambda: start_s, now=now))
    device.run(20)
    np.testing.assert_array_equal(device.audio[:1000], ramp(1000))
    assert device.player.skipped_frames == 0


@pytest.mark.parametrize("rounds", [None, 4])
def test_a_loop_is_joined_in_a_later_round(rounds: int | None) -> None:
    start_s = START_S + 0.02 - 2300 / RATE_HZ
    device = Device(
        lambda now: Player(ramp(1000), RATE_HZ, rounds=rounds, starts_at=lambda: start_s, now=now)
    )
    assert device.run(40) is (rounds is None)
    wanted = np.resize(np.roll(ramp(1000), -300, axis=0), (1700, 2))
    np.testing.assert_allclose(device.audio[:1700], faded_in(wanted), rtol=1e-6)
    assert device.audio[1700:1800].any() == (rounds is None)
    assert device.player.skipped_frames == 2300


@pytest.mark.parametrize(("late_frames", "is_over"), [(1999, False), (2000, True), (10**6, True)])
def test_nothing_is_played_once_all_rounds_have_passed(late_frames: int, is_over: bool) -> None:
    start_s = START_S + 0.02 - late_frames / RATE_HZ
    device = Device(
        lambda now: Player(ramp(1000), RATE_HZ, rounds=2, starts_at=lambda: start_s, now=now)
    )
    assert not device.run(20)
    assert device.player.is_over == is_over
    assert device.player.played_frames == (0 if is_over else 1)
    if is_over:
        assert not device.audio.any()
        assert device.player.heard_from_s is None


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second goes by until the audio is ready, as in a process that has just begun."""
    prepared = play._prepared

    def prepare(*given: Any, **how: Any) -> Any:
        time.sleep(0.5)
        return prepared(*given, **how)

    monkeypatch.setattr(play, "_prepared", prepare)


@pytest.mark.usefixtures("slowly")
def test_the_bar_is_chosen_when_the_audio_is_ready(
    tmp_path: Path, fake: Callable[..., FakePortAudio], capsys: pytest.CaptureFixture[str]
) -> None:
    """The bar line that comes meanwhile is no longer to be had."""
    fake().in_real_time = True
    path, _ = clip(tmp_path / "clip.wav", 48_000, 2)
    since_s = time.time() + 0.4 - 10 * 0.6
    assert main(["play", path, "--bpm", "400", "--since", repr(since_s), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    begun_s = told["heard_from_s"] - told["skipped_samples"] / 48_000  # none, but on a busy machine
    bars = (begun_s - since_s) / 0.6
    assert abs(bars - round(bars)) * 0.6 < 0.001
    assert round(bars) >= 11
    assert told["skipped_samples"] + told["played_samples"] == 24_000


@pytest.mark.usefixtures("slowly")
def test_a_moment_that_passes_until_the_audio_is_ready(
    tmp_path: Path, fake: Callable[..., FakePortAudio], capsys: pytest.CaptureFixture[str]
) -> None:
    fake().in_real_time = True
    path, _ = clip(tmp_path / "clip.wav", 48_000, 2, 3.0)
    start_s = time.time() + 0.2
    assert main(["play", path, "--start-at", repr(start_s), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    skipped = told["skipped_samples"]
    assert skipped >= 0.25 * 48_000
    assert told["heard_from_s"] - start_s == pytest.approx(skipped / 48_000, abs=0.001)
    assert skipped + told["played_samples"] == 3 * 48_000


@pytest.mark.usefixtures("slowly")
def test_a_take_that_is_over_by_then_is_told(
    tmp_path: Path, fake: Callable[..., FakePortAudio], capsys: pytest.CaptureFixture[str]
) -> None:
    library = fake()
    library.in_real_time = True
    path, _ = clip(tmp_path / "clip.wav", 48_000, 2, 0.1)
    assert main(["play", path, "--start-at", repr(time.time() + 0.2), "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "unavailable"
    assert "so long ago that the take is over" in error["message"]
    assert "--loop" in error["hint"]
    assert not library.played.any()


def host(port: str, bpm: float, begins_s: list[float]) -> threading.Thread:
    """A host that is started as soon as the port is listened to; tells the clock's second then."""

    def run() -> None:
        output = memory_backend.Output(port)
        deadline_s = time.monotonic() + 10
        while not memory_backend.listened_to(port) and time.monotonic() < deadline_s:
            time.sleep(0.001)
        begun_s = time.monotonic()
        begins_s.append(time.time())
        output.send(mido.Message("start"))
        number = 0
        while memory_backend.listened_to(port):
            time.sleep(max(0.0, begun_s + number * 60 / bpm / 24 - time.monotonic()))
            output.send(mido.Message("clock"))
            number += 1

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize(("seconds", "status"), [(2.0, 0), (0.1, 1)])
def test_the_first_beat_of_a_host_whose_tempo_is_known_half_a_beat_later(
    tmp_path: Path, fake: Callable[..., FakePortAudio], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, seconds: float, status: int,
) -> None:  # fmt: skip
    monkeypatch.setenv("MIDO_BACKEND", "tests.daw_bridge.midi.memory_backend")
    fake().in_real_time = True
    path, _ = clip(tmp_path / "clip.wav", 48_000, 2, seconds)
    begins_s: list[float] = []
    daw = host("DAW clock", 120.0, begins_s)
    flags = ["--at-beat", "0", "--port", "DAW", "--json"]
    assert main(["play", path, *flags]) == status
    daw.join()
    told = json.loads(capsys.readouterr().out)
    if status:
        assert told["error"]["message"].startswith("the beat to begin at passed so long ago")
        assert "--at-beat" in told["error"]["hint"]
    else:
        late_s = told["skipped_samples"] / 48_000
        assert late_s > 0.2
        # As near as the two threads begin to each other.
        assert told["heard_from_s"] - begins_s[0] == pytest.approx(late_s, abs=0.05)
