"""Tempo and metre that change, on bar lines and between, while blocks end anywhere.

The truth is a closed form: where the song's bar lines lie in samples, rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from daw_bridge.app import App
from engine.musical_time import TempoMap
from tests.plugins.native.clap_host import ClapHost, Song
from tests.plugins.native.conftest import OpenHost
from tests.plugins.native.test_in_time import newest_recipe

pytestmark = pytest.mark.daw

RATE_HZ = 48_000
BLOCKS = (64, 509, 1_000, 4_093)
NEAR_SAMPLES = 2
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Stretch:
    """Bars of one metre, with a tempo that is steady or moves on a straight line over time.

    The quarters after t seconds of a tempo v0 that moves to v1 within T are the integral of it,
    q(t) = (v0 t + (v1 - v0) t^2 / 2T) / 60; so T = 120 q(T) / (v0 + v1).

    Attributes:
        bars: a fraction where the next stretch cuts the last bar short.
    """

    bars: float
    bpm: float
    metre: tuple[int, int] = (4, 4)
    to_bpm: float | None = None

    @property
    def bar_quarters(self) -> float:
        beats, unit = self.metre
        return beats * 4 / unit

    @property
    def quarters(self) -> float:
        return self.bars * self.bar_quarters

    @property
    def seconds(self) -> float:
        return 120 * self.quarters / (self.bpm + self._last_bpm)

    @property
    def rise_bpm_per_s(self) -> float:
        return (self._last_bpm - self.bpm) / self.seconds

    def quarters_at(self, seconds: float) -> float:
        return (self.bpm * seconds + self.rise_bpm_per_s * seconds**2 / 2) / 60

    def seconds_at(self, quarters: float) -> float:
        root = math.sqrt(self.bpm**2 + 120 * self.rise_bpm_per_s * quarters)
        return 120 * quarters / (self.bpm + root)

    @property
    def _last_bpm(self) -> float:
        return self.bpm if self.to_bpm is None else self.to_bpm


@dataclass(frozen=True)
class Journey:
    """A song of stretches, one after the other; the last one goes on."""

    stretches: Sequence[Stretch]

    def placed(self) -> Iterator[tuple[float, float, Stretch]]:
        """Second and quarter where each stretch begins."""
        seconds = quarters = 0.0
        for stretch in self.stretches:
            yield seconds, quarters, stretch
            seconds += stretch.seconds
            quarters += stretch.quarters

    def bar_lines(self) -> Iterator[tuple[float, float]]:
        """Quarter and sample of every bar line, that after the last bar, too."""
        for seconds, quarters, stretch in self.placed():
            for bar in range(math.ceil(stretch.bars)):
                own = bar * stretch.bar_quarters
                yield quarters + own, (seconds + stretch.seconds_at(own)) * RATE_HZ
        yield quarters + stretch.quarters, (seconds + stretch.seconds) * RATE_HZ

    def row(self, frame: int) -> str:
        """What a block that begins here tells, as host.cpp reads it."""
        at = frame / RATE_HZ
        begun = [placed for placed in self.placed() if placed[0] <= at + _ROUNDING]
        seconds, quarters, stretch = begun[-1]
        own = stretch.quarters_at(max(at - seconds, 0.0))
        bar_start = math.floor(own / stretch.bar_quarters + _ROUNDING) * stretch.bar_quarters
        bpm = stretch.bpm + stretch.rise_bpm_per_s * (at - seconds)
        beats, unit = stretch.metre
        return f"{frame} {quarters + own!r} {quarters + bar_start!r} {bpm!r} {beats} {unit}"


def play(host: ClapHost, journey: Journey, folder: Path, start: int, block: int) -> Song:
    """Play the song from a frame on to some samples after its last bar; the song."""
    *_, (_, last) = journey.bar_lines()
    end = math.ceil(last) + 777
    rows = folder / "places.txt"
    rows.write_text("\n".join(journey.row(frame) for frame in range(start, end, block)))
    host.ask(f"follow {rows}")
    samples = np.random.default_rng(end).uniform(-0.9, 0.9, (end, 2)).astype(np.float32)
    song = Song(samples, RATE_HZ, journey.stretches[0].bpm)
    host.play(song, start, end, block)
    return song


def connected(open_host: OpenHost, block: int) -> ClapHost:
    host = open_host()
    host.activate(RATE_HZ, max(block, 4096))
    host.until_connected()
    return host


def send(host: ClapHost, bars: int, data_dir: Path) -> tuple[dict[str, Any], np.ndarray]:
    """Take the newest bars; the request and its clip."""
    host.set(bars=bars)
    host.take()
    request = newest_recipe(data_dir)
    clip, _ = soundfile.read(str(request["source"]), dtype="float32")
    return request, clip


def check_lengths(
    request: dict[str, Any],
    clip: np.ndarray,
    song: Song,
    lines: Sequence[tuple[float, float]],
    beside_samples: float = 0,
) -> None:
    """The clip is what lies between its bar lines, and the tempo map leads to each of them.

    `beside_samples` is how far a block's one tempo leads away from a line within a ramp.
    """
    (first_quarter, first), *_, (_, last) = lines
    at, end = (math.floor(sample + 0.5) for sample in (first, last))
    np.testing.assert_array_equal(clip, song.samples[at:end])
    assert request["position_beats"] == 0
    tempo = TempoMap.parse(request.get("tempo_map") or f"0:{request['bpm']}")
    assert (request.get("tempo_map") is None) == tempo.is_constant
    for quarter, sample in lines:
        led_to = float(tempo.seconds_at(Fraction(quarter - first_quarter))) * RATE_HZ
        assert abs(led_to - (sample - first)) <= NEAR_SAMPLES + beside_samples
    whole = float(tempo.seconds_at(Fraction(lines[-1][0] - first_quarter))) * RATE_HZ
    assert abs(whole - len(clip)) <= NEAR_SAMPLES


@pytest.mark.parametrize("block", BLOCKS)
def test_changes_on_bar_lines_are_told_where_they_are(
    open_host: OpenHost, daemon: App, data_dir: Path, tmp_path: Path, block: int
) -> None:
    journey = Journey(
        [
            *[Stretch(3, 120.0), Stretch(3, 140.0, (3, 4)), Stretch(3, 97.3, (7, 8))],
            *[Stretch(1, 97.3, (2, 4)), Stretch(2, 240.0)],
        ]
    )
    host = connected(open_host, block)
    song = play(host, journey, tmp_path, 1_234, block)
    lines = list(journey.bar_lines())[1:]
    assert host.get("bars_ready") == len(lines) - 1
    request, clip = send(host, len(lines) - 1, data_dir)
    assert request["tempo_map"] == "0:120,8:140,17:97.3,29.5:240"
    assert request["metre"] == "0:4/4,8:3/4,17:7/8,27.5:2/4,29.5:4/4"
    check_lengths(request, clip, song, lines)


@pytest.mark.parametrize("block", [480, *BLOCKS])
def test_a_bar_after_a_short_one_is_whole(
    open_host: OpenHost, daemon: App, data_dir: Path, tmp_path: Path, block: int
) -> None:
    journey = Journey([Stretch(1, 120.0), Stretch(1, 120.0, (2, 4)), Stretch(2, 120.0)])
    host = connected(open_host, block)
    song = play(host, journey, tmp_path, 0, block)  # 480 samples end on every line
    assert host.get("bars_ready") == 4
    request, clip = send(host, 4, data_dir)
    assert request["metre"] == "0:4/4,4:2/4,6:4/4"
    assert request["bpm"] == 120
    check_lengths(request, clip, song, list(journey.bar_lines()))


@pytest.mark.parametrize("block", BLOCKS[:3])
def test_a_ramp_is_told_bar_by_bar_and_ends_where_the_recording_ends(
    open_host: OpenHost, daemon: App, data_dir: Path, tmp_path: Path, block: int
) -> None:
    ramp = Stretch(4, 120.0, to_bpm=140.0)
    journey = Journey([Stretch(2, 120.0), ramp, Stretch(2, 140.0, (3, 4))])
    host = connected(open_host, block)
    song = play(host, journey, tmp_path, 1_234, block)
    lines = list(journey.bar_lines())[1:]
    request, clip = send(host, len(lines) - 1, data_dir)
    # A place that is carried on at the tempo of the block's start errs by the rise within it.
    block_s = block / RATE_HZ
    beside_samples = ramp.rise_bpm_per_s * block_s**2 / (2 * ramp.bpm) * RATE_HZ
    check_lengths(request, clip, song, lines, beside_samples)
    assert request["metre"] == "0:4/4,20:3/4"
    tempo = TempoMap.parse(request["tempo_map"])
    assert str(tempo).startswith("0:120,4:")
    assert str(tempo).endswith(",20:140")
    assert [beat for beat, _ in tempo.changes] == [0, 4, 8, 12, 16, 20]
    bpms = [bpm for _, bpm in tempo.changes]
    assert bpms == sorted(bpms)


@pytest.mark.parametrize(("bpm", "to_bpm"), [(60.0, 240.0), (240.0, 60.0)])
@pytest.mark.parametrize("block", [*BLOCKS, 8_191])
def test_no_bar_line_is_lost_on_a_steep_ramp(
    open_host: OpenHost,
    daemon: App,
    data_dir: Path,
    tmp_path: Path,
    block: int,
    bpm: float,
    to_bpm: float,
) -> None:
    journey = Journey([Stretch(2, bpm), Stretch(2, bpm, to_bpm=to_bpm), Stretch(3, to_bpm)])
    within = math.ceil(list(journey.bar_lines())[3][1])
    host = connected(open_host, block)
    # Last, a block begins right after the line: the one before it expected that line in this one.
    for start in (0, block // 3, (within + 2) % block):
        play(host, journey, tmp_path, start, block)
        bars = 7 if start == 0 else 6
        assert host.get("bars_ready") == bars
        request, clip = send(host, bars, data_dir)
        tempo = TempoMap.parse(request["tempo_map"])
        whole = float(tempo.seconds_at(4 * bars)) * RATE_HZ
        assert abs(whole - len(clip)) <= NEAR_SAMPLES
        assert request["metre"] == "4/4"


@pytest.mark.parametrize("block", BLOCKS)
def test_a_bar_that_a_change_of_metre_cuts_short_parts_the_bars(
    open_host: OpenHost, daemon: App, data_dir: Path, tmp_path: Path, block: int
) -> None:
    journey = Journey([Stretch(2, 120.0), Stretch(0.5, 120.0), Stretch(3, 120.0, (3, 4))])
    host = connected(open_host, block)
    song = play(host, journey, tmp_path, 0, block)
    assert host.get("bars_ready") == 3
    request, clip = send(host, 3, data_dir)
    assert request["metre"] == "3/4"
    assert request["bpm"] == 120
    check_lengths(request, clip, song, list(journey.bar_lines())[3:])
    host.set(bars=4)
    host.press("send")
    host.until_status("too few bars")


def test_bars_before_and_after_a_silence_of_the_host_are_not_joined(
    open_host: OpenHost,
) -> None:
    host = open_host()
    host.activate(RATE_HZ)
    song = Song(np.zeros((5 * RATE_HZ, 2), np.float32), RATE_HZ, 240.0)
    host.play(song, 0, RATE_HZ + 777, 777)
    host.ask("lie beats 0")  # the transport rolls on and tells no bars
    host.play(song, RATE_HZ + 777, 2 * RATE_HZ + 777, 777)
    host.ask("lie beats 4")
    host.play(song, 2 * RATE_HZ + 777, 4 * RATE_HZ + 777, 777)
    assert host.get("bars_ready") == 1
