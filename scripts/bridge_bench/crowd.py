"""The clients of the load test: some only listen, some ask, some play a stream in real time."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection, connect

from daw_bridge.protocol.binary import BinaryFrame, decode_binary
from daw_bridge.registration import ServerInfo

AHEAD_S = 0.25  # a player wants the next frame so long before it has nothing left
ASK_EVERY_S = 0.2
_QUESTIONS = ("ping", "status", "jobs", "takes", "ping")


@asynccontextmanager
async def connected(info: ServerInfo) -> AsyncIterator[ClientConnection]:
    """A bare client that holds one message at most and leaves the rest to the daemon."""
    async with connect(
        info.url, max_size=None, max_queue=1, compression=None, proxy=None, ping_timeout=None
    ) as socket:
        await socket.send(json.dumps({"id": "0", "command": "hello", "token": info.token}))
        await socket.recv()
        yield socket


async def idle(info: ServerInfo, over: asyncio.Event) -> None:
    """Connect and say nothing more."""
    async with connected(info):
        await over.wait()


async def ask(info: ServerInfo, over: asyncio.Event, taken_ms: list[float]) -> None:
    """Ask five times a second, and note how long the answer took."""
    async with connected(info) as socket:
        for number in itertools.count():
            if over.is_set():
                return
            begun_s = time.perf_counter()
            command = _QUESTIONS[number % len(_QUESTIONS)]
            await socket.send(json.dumps({"id": str(number), "command": command}))
            await socket.recv()
            taken_ms.append(1e3 * (time.perf_counter() - begun_s))
            await asyncio.sleep(max(0.0, ASK_EVERY_S - (time.perf_counter() - begun_s)))


@dataclass(slots=True)
class Playing:
    """How a stream was played.

    Attributes:
        underruns: how often nothing was left to play.
        least_ahead_s: the shortest time that was left to play when a frame came.
    """

    underruns: int = 0
    least_ahead_s: float = field(default=float("inf"))
    samples: int = 0


async def play(info: ServerInfo, take: str) -> Playing:
    """Play a take in real time: it begins with the first frame and goes on without a pause."""
    playing = Playing()
    async with connected(info) as socket:
        await socket.send(json.dumps({"id": "1", "command": "stream", "take": take}))
        runs_dry_s = None
        while True:
            frame = await _next_frame(socket)
            now_s = time.perf_counter()
            if runs_dry_s is None:
                runs_dry_s = now_s
            else:
                playing.least_ahead_s = min(playing.least_ahead_s, runs_dry_s - now_s)
                if runs_dry_s < now_s:
                    playing.underruns += 1
                    runs_dry_s = now_s
            samples = len(frame.data) // (4 * frame.channels)
            playing.samples += samples
            runs_dry_s += samples / frame.sample_rate_hz
            if frame.last:
                return playing
            await asyncio.sleep(max(0.0, runs_dry_s - AHEAD_S - time.perf_counter()))


async def _next_frame(socket: ClientConnection) -> BinaryFrame:
    while True:
        message = await socket.recv()
        if isinstance(message, bytes):
            return decode_binary(message)
        told = json.loads(message)
        if told.get("reply") == "failed":
            raise RuntimeError(told["message"])
