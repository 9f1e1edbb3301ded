"""The plugin in the hosts that come as Python wheels, each in a process of its own.

A plugin of theirs that outlives a failed test, in its traceback, is deleted by whatever thread
collects the garbage, and then waits for ever for the thread it was made in, with the interpreter
lock held. A process can be ended.
"""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daw_bridge.client import Client
from tests.plugins.native.clap_host import PATIENCE_S, noise

RATE_HZ = 48_000
SONG = noise(8, RATE_HZ, 187.3)


def run_apart(test: str, wheel: str, *arguments: str | Path) -> None:
    """Run a function of this file in its own process; skip where the wheel is not installed.

    Raises:
        AssertionError: it failed; with what it wrote.
    """
    if importlib.util.find_spec(wheel) is None:
        pytest.skip(f"{wheel} is not installed")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", __name__, test, *arguments],
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def until_clients(url: str, token: str, count: int) -> None:
    """Wait until so many clients, one of them the one that asks, are connected to the daemon."""

    async def ask() -> int:
        async with Client(url, token) as client:
            return int((await client.request("status"))["clients"])

    end_s = time.monotonic() + PATIENCE_S
    while asyncio.run(ask()) != count:
        assert time.monotonic() < end_s
        time.sleep(0.01)


def in_pedalboard(vst3: str, url: str, token: str) -> None:
    """Load the plugin, pass audio, press Send without bars, save and restore its state."""
    import pedalboard

    plugin = pedalboard.load_plugin(vst3)
    assert set(plugin.parameters) >= {"task", "variation", "dry_wet", "send", "status"}
    track = noise(2, RATE_HZ, 120.0).samples.T
    for block in (64, 333, 4096):
        heard = plugin.process(track, float(RATE_HZ), buffer_size=block)
        np.testing.assert_array_equal(heard, track)
    until_clients(url, token, 2)
    plugin.task = "Accompany"
    plugin.variation = 0.25
    plugin.send = True
    plugin.process(track, float(RATE_HZ))
    other = pedalboard.load_plugin(vst3)
    other.raw_state = plugin.raw_state
    assert other.task == "Accompany"
    assert abs(float(other.variation) - 0.25) < 1e-3
    assert other.parameters["send"].raw_value == 0


class _Dawdreamer:
    """The plugin after a clip in dawdreamer, whose song begins anew with every render."""

    def __init__(self, vst3: str, track: np.ndarray, bpm: float) -> None:
        import dawdreamer

        self._engine = dawdreamer.RenderEngine(RATE_HZ, 512)
        self._engine.set_bpm(bpm)
        player = self._engine.make_playback_processor("track", track)
        self._plugin: Any = self._engine.make_plugin_processor("plugin", vst3)
        self._engine.load_graph([(player, []), (self._plugin, ["track"])])
        rows = self._plugin.get_parameters_description()
        self._index = {row["name"]: row["index"] for row in rows}

    def render(self, seconds: float) -> np.ndarray:
        self._engine.render(seconds)
        return np.asarray(self._engine.get_audio())

    def set(self, name: str, value: float) -> None:
        self._plugin.set_parameter(self._index[name], value)

    def text(self, name: str) -> str:
        return str(self._plugin.get_parameter_text(self._index[name]))

    def until(self, name: str, text: str) -> None:
        """Play the song's beginning until a parameter says so.

        No faster than in real time: the plugin keeps a minute of the track, and a render that runs
        ahead of it has overwritten the bars before they are sent.
        """
        end_s = time.monotonic() + PATIENCE_S
        while self.text(name) != text:
            self.render(0.1)
            time.sleep(0.1)
            assert time.monotonic() < end_s, f"{name}: {self.text(name)}, {self.text('Status')}"


def in_dawdreamer(vst3: str, heard: str) -> None:
    """Record three bars of the song, send two, and write what is heard with the take in place."""
    host = _Dawdreamer(vst3, SONG.samples.T, SONG.bpm)
    host.set("Bars", 1 / 31)  # 2 of 1 to 32
    host.until("Daemon", "Connected")
    host.render(3.9)
    assert float(host.text("Bars ready")) == 3
    host.set("Send", 1)
    host.until("Playing take", "1")
    np.save(heard, host.render(7.0).T)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
