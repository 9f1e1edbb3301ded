"""Recording and playing to the sample, in a CLAP host that does all that a transport can."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from daw_bridge.app import App
from tests.plugins.native.clap_host import ClapHost, Song, noise
from tests.plugins.native.conftest import OpenHost, echo_daemon
from tests.plugins.native.echo_engine import echo

pytestmark = pytest.mark.daw

RATES_HZ = (44_100, 48_000, 88_200, 96_000)
BLOCKS = (32, 64, 333, 1024, 4096)


def newest_recipe(data_dir: Path) -> dict[str, object]:
    """The request of the newest take."""
    newest = max((data_dir / "takes").glob("t-*"))
    request: dict[str, object] = json.loads((newest / "recipe.json").read_text())["request"]
    return request


def expected(song: Song, start: int, end: int, take: np.ndarray, at: int) -> np.ndarray:
    """The track from `start` to `end` with the take in place of it."""
    whole = song.samples.copy()
    first, last = max(at, 0), min(at + len(take), len(whole))
    whole[first:last] = take[first - at : last - at]
    return whole[start:end]


def record(host: ClapHost, song: Song, block: int, bars: int = 2) -> np.ndarray:
    """Play bars from a place inside bar 0 on, take the newest; where they are in the song."""
    host.set(bars=bars)
    host.play(song, 1_234, song.bar_line(bars + 1) + 777, block)
    return song.samples[song.bar_line(1) : song.bar_line(bars + 1)]


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_bars_go_out_and_takes_play_at_their_sample(
    open_host: OpenHost, daemon: App, data_dir: Path, rate_hz: int
) -> None:
    song = noise(6, rate_hz, 211.7)
    host = open_host()
    for number, block in enumerate(BLOCKS):
        host.activate(rate_hz, block)
        host.until_connected()
        clip = record(host, song, block)
        assert host.get("bars_ready") == 2
        host.take()
        request = newest_recipe(data_dir)
        sent, sent_rate_hz = soundfile.read(request["source"], dtype="float32")
        assert sent_rate_hz == rate_hz
        np.testing.assert_array_equal(sent, clip)
        assert request["bpm"] == pytest.approx(211.7, abs=1e-9)
        assert request["position_beats"] == 0, "the clip begins on a bar line"

        take, at = echo(clip, "extend"), song.bar_line(1)
        end = len(song.samples)
        for start in (0, at - 1, at, at + 4_321 + number):  # starts and seeks
            np.testing.assert_array_equal(
                host.play(song, start, end, block), expected(song, start, end, take, at)
            )
        stopped = host.play(song, at + 100, at + 9_000, block, rolls=False)
        np.testing.assert_array_equal(stopped, song.samples[at + 100 : at + 9_000])
        for _ in range(2):  # the transport loops over the take's beginning
            looped = host.play(song, at - 500, at + 5_000, block)
            np.testing.assert_array_equal(looped, expected(song, at - 500, at + 5_000, take, at))
        host.ask("deactivate")


def test_bars_of_a_loop_are_whole_and_its_jumps_part_them(
    open_host: OpenHost, daemon: App, data_dir: Path
) -> None:
    song = noise(6, 48_000, 187.3)
    host = open_host()
    host.activate(48_000)
    host.until_connected()
    host.set(bars=2)
    for _ in range(3):
        host.play(song, song.bar_line(2), song.bar_line(4), 1000)
    host.play(song, song.bar_line(2), song.bar_line(2) + 700, 512)
    host.take()
    sent, _ = soundfile.read(newest_recipe(data_dir)["source"], dtype="float32")
    np.testing.assert_array_equal(sent, song.samples[song.bar_line(2) : song.bar_line(4)])
    host.set(bars=3)
    host.press("send")
    host.until_status("too few bars")


@pytest.mark.parametrize("metre", [(7, 8), (3, 4), (12, 8)])
def test_bars_of_other_metres(
    open_host: OpenHost, daemon: App, data_dir: Path, metre: tuple[int, int]
) -> None:
    song = noise(6, 44_100, 143.21, metre)
    host = open_host()
    host.activate(44_100)
    host.until_connected()
    clip = record(host, song, 700, bars=3)
    host.take()
    request = newest_recipe(data_dir)
    sent, _ = soundfile.read(request["source"], dtype="float32")
    np.testing.assert_array_equal(sent, clip)
    assert request["metre"] == f"{metre[0]}/{metre[1]}"


def test_tempo_and_metre_that_change_are_told(
    open_host: OpenHost, daemon: App, data_dir: Path
) -> None:
    slow = noise(2, 48_000, 120.0)
    host = open_host()
    host.activate(48_000)
    host.until_connected()
    host.play(slow, 0, slow.bar_line(1), 480)
    # One bar of 120 is two bars of 240; a host goes on in the new tempo at the same frame.
    fast = noise(8, 48_000, 240.0)
    host.play(fast, fast.bar_line(2), fast.bar_line(4) + 480, 480)
    host.set(bars=3)
    host.take()
    request = newest_recipe(data_dir)
    assert request["tempo_map"] == "0:120,4:240"
    assert request["position_beats"] == 0
    assert request["metre"] == "4/4"
    clip, _ = soundfile.read(request["source"], dtype="float32")
    heard = np.concatenate(
        [slow.samples[: slow.bar_line(1)], fast.samples[fast.bar_line(2) : fast.bar_line(4)]]
    )
    np.testing.assert_array_equal(clip, heard)


def test_metre_that_changes_is_told(open_host: OpenHost, daemon: App, data_dir: Path) -> None:
    common, waltz = noise(6, 48_000, 240.0), noise(8, 48_000, 240.0, (3, 4))
    host = open_host()
    host.activate(48_000)
    host.until_connected()
    host.play(common, common.bar_line(2), common.bar_line(3), 999)
    host.play(waltz, waltz.bar_line(4), waltz.bar_line(6), 999)  # twelve quarters as well
    host.set(bars=3)
    host.take()
    request = newest_recipe(data_dir)
    assert request["metre"] == "0:4/4,4:3/4"
    clip, _ = soundfile.read(request["source"], dtype="float32")
    assert len(clip) == 12_000 * (4 + 3 + 3)


def test_more_bars_than_are_kept_are_refused(open_host: OpenHost, daemon: App) -> None:
    song = noise(18, 44_100, 60.0)  # bars of 4 s; 60 s are kept
    host = open_host()
    host.activate(44_100)
    host.until_connected()
    host.play(song, 0, len(song.samples), 4096)
    assert host.get("bars_ready") == 14
    host.set(bars=16)
    host.press("send")
    host.until_status("too long")
    host.set(bars=14)
    host.take()


def test_mix_repeat_and_choice(open_host: OpenHost, daemon: App, data_dir: Path) -> None:
    song = noise(6, 48_000, 240.0)
    host = open_host()
    host.activate(48_000)
    host.until_connected()
    clip = record(host, song, 512, bars=1)
    at, end = song.bar_line(1), len(song.samples)
    assert host.take() == 1
    host.set(task=3)  # accompany: beside the track
    assert host.take() == 2
    beside = echo(clip, "accompany")
    both = song.samples.copy()
    both[at : at + len(beside)] += beside
    np.testing.assert_array_equal(host.play(song, 0, end), both)

    host.set(take=1)
    host.play(song, 0, 64, rolls=False)
    host.until("playing_take", 1)
    extension = echo(clip, "extend")
    host.play(song, 0, 64, rolls=False)
    np.testing.assert_array_equal(host.play(song, 0, end), expected(song, 0, end, extension, at))
    host.set(mix=0.25)
    host.play(song, 0, 64, rolls=False)
    quiet = host.play(song, at, at + 5_000)
    np.testing.assert_allclose(
        quiet, 0.75 * song.samples[at : at + 5_000] + 0.25 * extension[:5_000], atol=1e-6
    )
    host.set(mix=1, repeat=1)
    host.play(song, 0, 64, rolls=False)
    again = np.concatenate([song.samples[:at], extension, extension, extension])[:end]
    np.testing.assert_array_equal(host.play(song, 0, end), again)


def test_a_take_before_its_clip_and_24_bits(
    open_host: OpenHost, daemon: App, data_dir: Path
) -> None:
    (data_dir / "prompt.txt").write_text("offset=-5000\nbits=24\n")
    song = noise(6, 48_000, 240.0)
    host = open_host()
    host.activate(48_000)
    host.until_connected()
    clip = record(host, song, 512, bars=1)
    host.take()
    assert newest_recipe(data_dir)["prompt"] == "offset=-5000 bits=24"
    at, end = song.bar_line(1) - 5_000, len(song.samples)
    heard = host.play(song, 0, end)
    ideal = expected(song, 0, end, echo(clip, "extend"), at)
    np.testing.assert_allclose(heard, ideal, atol=2**-23)
    np.testing.assert_array_equal(heard[:at], song.samples[:at])


def test_every_task_tells_what_it_needs(open_host: OpenHost, daemon: App, data_dir: Path) -> None:
    song = noise(6, 48_000, 240.0)
    host = open_host()
    host.activate(48_000)
    host.until_connected()
    host.set(new_bars=2, from_bar=2, variation=0.7, refine=3)
    record(host, song, 512, bars=4)
    tasks = ("extend", "loop", "vary", "accompany", "inpaint")
    told = {}
    for number, task in enumerate(tasks):
        host.set(task=number)
        host.take()
        told[task] = newest_recipe(data_dir)
        assert told[task]["task"] == task
        assert told[task]["variation"] == pytest.approx(0.7)
        assert told[task]["refine"] == 3
    assert told["extend"]["bars"] == told["loop"]["bars"] == 2
    assert told["inpaint"]["start"] == pytest.approx(1.0)
    assert told["inpaint"]["end"] == pytest.approx(3.0)
    recordings = list((data_dir / "recordings").iterdir())
    assert len(recordings) == 1, "the same bars are one file"


@pytest.mark.parametrize(("from_hz", "to_hz"), [(48_000, 44_100), (44_100, 96_000)])
def test_a_take_at_another_rate_is_brought_to_the_host_s(
    open_host: OpenHost, daemon: App, from_hz: int, to_hz: int
) -> None:
    def tones(rate_hz: int) -> Song:
        length = noise(6, rate_hz, 240.0).bar_line(6)
        time_s = np.arange(length) / rate_hz
        waves = [np.sin(2 * np.pi * hz * time_s + hz) for hz in (55.0, 997.0, 6_011.0, 15_013.0)]
        left, right = sum(waves) / 5, sum(waves[:2]) / 3
        return Song(np.stack([left, right], 1).astype(np.float32), rate_hz, 240.0)

    host = open_host()
    host.activate(from_hz)
    host.until_connected()
    record(host, tones(from_hz), 512, bars=2)
    host.take()
    host.ask("deactivate")
    host.activate(to_hz)
    song = tones(to_hz)
    silent = Song(np.zeros_like(song.samples), to_hz, 240.0)
    # The first half of the take is the clip itself: what those tones are at the new rate.
    at, half = song.bar_line(1), song.bar_line(3) - song.bar_line(1)
    host.until("playing_take", 1)
    host.play(silent, 0, 64, rolls=False)  # the old take is handed back first
    host.play(silent, 0, 64, rolls=False)
    heard = host.play(silent, 0, at + half)
    assert not heard[:at].any()
    margin = to_hz // 20
    error = heard[at + margin : at + half - margin] - song.samples[at + margin : at + half - margin]
    assert np.abs(error).max() < 1e-4


@pytest.mark.slow
def test_the_real_engine_extends_what_was_recorded(open_host: OpenHost, data_dir: Path) -> None:
    rate_hz, bpm = 48_000, 120.0
    empty = Song(np.zeros((0, 2), np.float32), rate_hz, bpm)
    time_s = np.arange(empty.bar_line(6)) / rate_hz
    beat_s = time_s % 0.5
    pulse = 0.5 * np.exp(-12 * beat_s) * np.sin(2 * np.pi * 110 * time_s)
    song = Song(np.stack([pulse, pulse], 1).astype(np.float32), rate_hz, bpm)
    with echo_daemon(data_dir, engine_factory="engine.pipeline:create_engine"):
        host = open_host()
        host.activate(rate_hz)
        host.until_connected()
        host.set(new_bars=1)
        clip = record(host, song, 1024, bars=2)
        host.take(patience_s=300.0)
        heard = host.play(song, 0, len(song.samples))
    at, end, bar = song.bar_line(1), song.bar_line(3), song.bar_line(1)
    # The clip is in the take as it was, up to the crossfade of 30 ms, and a bar follows.
    np.testing.assert_array_equal(heard[: end - 1_500], song.samples[: end - 1_500])
    assert len(clip) == end - at
    new = heard[end : end + bar]
    assert np.sqrt(np.mean(new**2)) > 1e-3
    assert np.any(new != song.samples[end : end + bar])
    after = slice(end + bar, len(song.samples))
    np.testing.assert_array_equal(heard[after], song.samples[after])
