"""Audio devices for tests: a stream on a clock of its own, and a driver without a device."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import soundfile

from daw_bridge.audition.player import Player

RATE_HZ = 48_000
START_S = 1_700_000_000.0  # the system's clock when the device's own is at 50 s


class Device:
    """A stream whose clock only runs when blocks are asked for; `wake_s` is how late we are."""

    def __init__(self, player: Callable[[Callable[[], float]], Player], latency_s: float = 0.02):
        self.at_s, self.latency_s, self.late_s = 50.0, latency_s, 0.0
        self.player = player(lambda: START_S + self.at_s - 50.0 + self.late_s)
        self.heard: list[np.ndarray[Any, Any]] = []

    def run(self, blocks: int, frames: int = 256, late_s: float = 0.0) -> bool:
        more = True
        for number in range(blocks):
            block = np.full((frames, 2), np.nan, dtype=np.float32)
            self.late_s = late_s * (number % 3)
            clock = SimpleNamespace(
                currentTime=self.at_s, outputBufferDacTime=self.at_s + self.latency_s
            )
            more = self.player.fill(block, clock, False)
            self.heard.append(block)
            self.at_s += frames / RATE_HZ
            if not more:
                break
        return more

    @property
    def audio(self) -> np.ndarray[Any, Any]:
        return np.concatenate(self.heard)


def ramp(length: int) -> np.ndarray[Any, Any]:
    return np.repeat(np.arange(1, length + 1, dtype=np.float32)[:, None], 2, axis=1)


class FakePortAudio(ModuleType):
    """As much of sounddevice as is used; a stream plays at once and keeps what it played."""

    class PortAudioError(Exception):
        pass

    class CallbackStop(Exception):  # noqa: N818 - the library's name
        pass

    def __init__(self, rates_hz: tuple[int, ...], channels: int) -> None:
        super().__init__("sounddevice")
        self.rates_hz, self.channels = rates_hz, channels
        self.default = SimpleNamespace(device=(0, 0))
        self.played = np.zeros((0, channels), dtype=np.float32)
        self.rate_hz = 0
        self.in_real_time = False

    def query_devices(self) -> list[dict[str, Any]]:
        return [
            {"name": "Fake", "max_output_channels": self.channels,
             "default_samplerate": float(self.rates_hz[0])},
            {"name": "Microphone", "max_output_channels": 0, "default_samplerate": 44_100.0},
        ]  # fmt: skip

    def check_output_settings(self, *, samplerate: int, channels: int, **_: Any) -> None:
        if samplerate not in self.rates_hz or channels > self.channels:
            raise self.PortAudioError("Invalid sample rate")

    def OutputStream(self, **settings: Any) -> Any:  # noqa: N802 - the library's name
        self.check_output_settings(**settings)
        return _Stream(self, settings)


class _Stream:
    latency = 0.01

    def __init__(self, library: FakePortAudio, settings: dict[str, Any]) -> None:
        self.library, self.settings = library, settings

    def __enter__(self) -> None:
        self.library.rate_hz = self.settings["samplerate"]
        blocks, begun_s = [], time.monotonic()
        status = SimpleNamespace(output_underflow=False)
        for number in range(10_000):
            block = np.zeros((256, self.settings["channels"]), dtype=np.float32)
            at_s = begun_s + number * 256 / self.library.rate_hz
            if self.library.in_real_time:
                time.sleep(max(0.0, at_s - time.monotonic()))
            clock = SimpleNamespace(currentTime=at_s, outputBufferDacTime=at_s + self.latency)
            try:
                self.settings["callback"](block, 256, clock, status)
            except self.library.CallbackStop:
                blocks.append(block)
                break
            blocks.append(block)
        self.library.played = np.concatenate(blocks)
        self.settings["finished_callback"]()

    def __exit__(self, *_: object) -> None:
        return None


def clip(path: Path, rate: int, channels: int, seconds: float = 0.5) -> tuple[str, Any]:
    at = np.arange(round(seconds * rate)) / rate
    wave = 0.4 * np.sin(2 * np.pi * 440 * at)[:, None] * np.linspace(1.0, 0.5, channels)
    soundfile.write(path, wave, rate, subtype="FLOAT")
    return str(path), wave
