"""What a host says is brought into its range, and what is no number changes nothing."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from daw_bridge.app import App
from tests.plugins.native.clap_host import ClapHost, noise
from tests.plugins.native.conftest import OpenHost
from tests.plugins.native.echo_engine import echo
from tests.plugins.native.test_in_time import expected, newest_recipe, record

pytestmark = pytest.mark.daw

RANGES = {
    "task": (0, 4),
    "bars": (1, 32),
    "new_bars": (1, 64),
    "from_bar": (1, 32),
    "variation": (0, 1),
    "refine": (0, 200),
    "take": (0, 8),
    "mix": (0, 1),
    "repeat": (0, 1),
}
OUTPUTS = ("daemon", "status", "progress", "bars_ready", "newest_take", "playing_take")


def one_block(host: ClapHost) -> None:
    """Let the host tell what was set, with the transport standing still."""
    host.ask("play - - 64 64 0 0 120 4 4")


def test_parameters_stay_in_their_ranges(open_host: OpenHost) -> None:
    host = open_host()
    host.activate(48_000)
    for name, (least, most) in RANGES.items():
        told = {1e30: most, -1e30: least, math.inf: most, -math.inf: least, math.nan: least}
        for value, kept in told.items():
            host.set(**{name: value})
            one_block(host)
            assert host.get(name) == kept, (name, value)


def test_a_host_cannot_set_what_the_plugin_tells(open_host: OpenHost) -> None:
    host = open_host()
    host.activate(48_000)
    before = {name: host.get(name) for name in OUTPUTS}
    for name in OUTPUTS:
        host.set(**{name: 2})
    one_block(host)
    assert {name: host.get(name) for name in OUTPUTS} == before


def test_a_button_of_no_number_is_not_pressed(open_host: OpenHost) -> None:
    host = open_host()
    host.activate(48_000)
    one_block(host)
    host.set(send=math.nan)
    one_block(host)
    assert host.status == "idle"
    host.press("send")
    host.until_status("no daemon")


def test_a_mix_of_no_number_is_not_heard(open_host: OpenHost, daemon: App, data_dir: Path) -> None:
    song = noise(6, 48_000, 240.0)
    host = open_host()
    host.activate(48_000)
    host.until_connected()
    clip = record(host, song, 512)
    host.take()
    host.set(mix=math.nan)
    at, end = song.bar_line(1), len(song.samples)
    np.testing.assert_array_equal(
        host.play(song, 0, end), expected(song, 0, end, echo(clip, "extend"), at)
    )


@pytest.mark.parametrize(
    "lies",
    [
        *[{"bpm": value} for value in (0, -120, 1e-300, 1e12, math.inf, -math.inf, math.nan)],
        *[{"beats": 0}, {"unit": 0}, {"beats": 65_535}, {"unit": 65_535}],
    ],
    ids=str,
)
def test_bars_of_no_music_are_not_counted_and_the_track_sounds(
    open_host: OpenHost, daemon: App, data_dir: Path, lies: dict[str, float]
) -> None:
    song = noise(6, 48_000, 240.0)
    host = open_host()
    host.activate(48_000)
    for field, value in lies.items():
        host.ask(f"lie {field} {value}")
    np.testing.assert_array_equal(host.play(song, 0, len(song.samples), 512), song.samples)
    assert host.get("bars_ready") == 0
    host.until_connected()
    host.press("send")
    host.until_status("too few bars")
    for field, value in {"bpm": 240, "beats": 4, "unit": 4}.items():
        host.ask(f"lie {field} {value}")
    record(host, song, 512)
    host.take()
    assert newest_recipe(data_dir)["bpm"] == 240


@pytest.mark.parametrize("quarters", [-4e9, 4e9])
def test_a_place_of_no_song_ends_nothing(open_host: OpenHost, quarters: float) -> None:
    song = noise(2, 48_000, 240.0)
    host = open_host()
    host.activate(48_000)
    host.ask(f"lie quarters {quarters}")
    host.ask(f"lie seconds {quarters}")
    np.testing.assert_array_equal(host.play(song, 0, 40_000, 512), song.samples[:40_000])


@pytest.mark.parametrize("rate_hz", [math.nan, math.inf, 0, -48_000, 1e12])
def test_at_a_rate_of_no_audio_the_track_just_passes(
    open_host: OpenHost, daemon: App, data_dir: Path, rate_hz: float
) -> None:
    song = noise(6, 48_000, 240.0)
    host = open_host()
    host.activate(rate_hz)
    np.testing.assert_array_equal(host.play(song, 0, 40_000, 512), song.samples[:40_000])
    host.ask("deactivate")
    host.activate(48_000)
    host.until_connected()
    record(host, song, 512)
    assert host.take() == 1
