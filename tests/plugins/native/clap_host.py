"""The CLAP host of host.cpp as an object, and a song to play in it."""

from __future__ import annotations

import os
import select
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PATIENCE_S = 30.0
HANG_S = 60.0
STATUS = (
    *("idle", "asked", "sent", "queued", "rendering", "take ready"),
    *("too few bars", "too long", "no daemon", "lost", "cancelled", "failed", "busy"),
    *("take missing", "disk", "no memory", "cancelling"),
)
DAEMON = ("absent", "connected", "refused", "silent")


@dataclass(frozen=True)
class Song:
    """Audio by song position, in a steady tempo.

    Attributes:
        samples: [frames, 2], float32.
    """

    samples: np.ndarray
    rate_hz: int
    bpm: float
    metre: tuple[int, int] = (4, 4)

    def bar_line(self, bar: int) -> int:
        """Frame of a bar line, counted from 0."""
        beats, unit = self.metre
        return int(np.floor(bar * beats * 4 / unit * 60 / self.bpm * self.rate_hz + 0.5))


def noise(bars: int, rate_hz: int, bpm: float, metre: tuple[int, int] = (4, 4)) -> Song:
    """A song in which no two frames are alike."""
    empty = Song(np.zeros((0, 2), np.float32), rate_hz, bpm, metre)
    rng = np.random.default_rng(rate_hz)
    samples = rng.uniform(-0.9, 0.9, (empty.bar_line(bars), 2)).astype(np.float32)
    return Song(samples, rate_hz, bpm, metre)


class ClapHost:
    """One host process with one plugin."""

    def __init__(self, tools: Path, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [tools / "host"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "LD_PRELOAD": str(tools / "watch.so")},
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, line: str) -> str:
        """Say a line of host.cpp; the answer without its `ok`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        heard, _, _ = select.select([self._process.stdout], [], [], HANG_S)
        if not heard:
            self._process.kill()
            raise AssertionError(f"{line}: the host hangs")
        verdict, _, text = self._process.stdout.readline().rstrip("\n").partition(" ")
        assert verdict == "ok", f"{line}: {verdict} {text}"
        return text

    def activate(self, rate_hz: float, block: int = 4096) -> None:
        self.ask(f"activate {rate_hz} {block}")

    def set(self, **values: float) -> None:
        """Set parameters with the next block; `new_bars` is `New bars`."""
        for name, value in values.items():
            self.ask(f"set {value} {_name(name)}")

    def get(self, name: str) -> float:
        return float(self.ask(f"get {_name(name)}"))

    @property
    def status(self) -> str:
        return STATUS[int(self.get("status"))]

    def play(
        self, song: Song, start: int, end: int, block: int = 1024, rolls: bool = True
    ) -> np.ndarray:
        """What comes out while the transport goes from one frame to another."""
        source, result = self._folder / "in.raw", self._folder / "out.raw"
        song.samples[start:end].tofile(source)
        result.unlink(missing_ok=True)
        beats, unit = song.metre
        self.ask(
            f"play {source} {result} {end - start} {block} {start} {int(rolls)} "
            f"{song.bpm} {beats} {unit}"
        )
        return np.fromfile(result, np.float32).reshape(-1, 2)

    def press(self, button: str) -> None:
        """Press a button while the transport stands still, half a second after what was before."""
        self.ask("play - - 48000 4096 0 0 120 4 4")
        self.set(**{button: 1})
        self.ask("play - - 64 64 0 0 120 4 4")

    def until(self, name: str, value: float) -> None:
        """Wait until a parameter has this value."""
        end_s = time.monotonic() + PATIENCE_S
        while self.get(name) != value:
            assert time.monotonic() < end_s, f"{name} is {self.get(name)}, status {self.status}"
            time.sleep(0.005)

    def until_status(self, status: str) -> None:
        self.until("status", STATUS.index(status))

    def until_connected(self) -> None:
        self.until("daemon", DAEMON.index("connected"))

    def take(self, patience_s: float = PATIENCE_S) -> int:
        """Press Send and wait for the take; its number."""
        before = self.get("newest_take")
        self.press("send")
        end_s = time.monotonic() + patience_s
        while (number := self.get("newest_take")) == before or self.get("playing_take") != number:
            assert time.monotonic() < end_s, self.status
            assert self.status in STATUS[1:6], self.status
            time.sleep(0.005)
        return int(number)

    def watched(self) -> dict[str, int]:
        """How often a callback broke a rule, by rule; -1 where nobody can tell."""
        counts = self.ask("watched").split()
        rules = ("allocations", "releases", "locks", "calls")
        return dict(zip(rules, map(int, counts), strict=True))

    def end(self) -> None:
        """Close the plugin and the host."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        was_alive = self.is_alive
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            code = self._process.wait(PATIENCE_S)
        finally:
            self._process.kill()
        assert code == 0 or not was_alive

    def kill(self) -> None:
        """End the host without a word to the plugin."""
        self._process.kill()
        self._process.wait()


def _name(name: str) -> str:
    return {"mix": "Dry/Wet"}.get(name, name.replace("_", " ").capitalize())
