"""What the bridge adds: one stream beside a bare echo, and the age of a preview on arrival."""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from _daemon import Daemon, running_daemon
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from bridge_bench.stamping import age_ms
from daw_bridge.client import Client
from daw_bridge.protocol.binary import CHUNK_BYTES

_ENGINE = "bridge_bench.stamping:create_engine"
_TAKE_S = 60.0
_ECHOED = 96
_RUNS = 5


def throughput() -> dict[str, Any]:
    """Megabytes a second of a stream and of an echo in turn, and ages of previews."""
    with (
        tempfile.TemporaryDirectory(prefix="daw-bridge-stream-") as scratch,
        running_daemon(Path(scratch), "--engine-factory", _ENGINE, "--roots", scratch) as daemon,
        _echo_server() as port,
    ):
        return asyncio.run(_throughput(daemon, port))


async def _throughput(daemon: Daemon, port: int) -> dict[str, Any]:
    streamed, echoed = [], []
    async with Client(daemon.info.url, daemon.info.token, name="bench") as client:
        ages_ms = await _preview_ages_ms(client)
        asked = {"task": "generate", "seconds": _TAKE_S}
        take = (await client.result(await client.submit(asked)))["take"]
        for _ in range(_RUNS):
            begun_s = time.perf_counter()
            size_bytes = len(await client.stream(take))
            streamed.append(size_bytes / 1e6 / (time.perf_counter() - begun_s))
            echoed.append(await _echo(port))
    return {"streamed_mb_s": streamed, "echoed_mb_s": echoed, "preview_ages_ms": ages_ms}


async def _preview_ages_ms(client: Client) -> list[float]:
    job = await client.submit({"task": "generate", "seconds": 0.1, "prompt": "stamps"})
    return [
        age_ms(event["pcm"]) async for event in client.events(job) if event["event"] == "preview"
    ]


async def _echo(port: int) -> float:
    """Megabytes a second that come back, with as many on their way as the sockets take."""
    message = bytes(CHUNK_BYTES)
    async with connect(
        f"ws://127.0.0.1:{port}", max_size=None, compression=None, proxy=None
    ) as socket:
        begun_s = time.perf_counter()

        async def send() -> None:
            for _ in range(_ECHOED):
                await socket.send(message)

        sending = asyncio.create_task(send())
        for _ in range(_ECHOED):
            await socket.recv()
        await sending
        return _ECHOED * CHUNK_BYTES / 1e6 / (time.perf_counter() - begun_s)


@contextmanager
def _echo_server() -> Iterator[int]:
    """The `websockets` library's own echo, in a process of its own; its port."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve_echo, args=(theirs,))
    server.start()
    try:
        yield int(ours.recv())
    finally:
        server.kill()
        server.join()


def _serve_echo(told: Connection) -> None:
    async def echo(socket: ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async def run() -> None:
        async with serve(echo, "127.0.0.1", 0, max_size=None, compression=None) as server:
            told.send(next(iter(server.sockets)).getsockname()[1])
            await server.serve_forever()

    asyncio.run(run())
