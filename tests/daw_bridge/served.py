"""A daemon in a thread of its own, for tests that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from daw_bridge.app import App
from daw_bridge.config import Config

_PATIENCE_S = 10.0


@contextmanager
def served(config: Config) -> Iterator[App]:
    """A daemon that runs until the block ends."""
    ready = threading.Event()
    running: list[tuple[App, asyncio.AbstractEventLoop]] = []

    async def serve() -> None:
        async with App(config) as app:
            running.append((app, asyncio.get_running_loop()))
            ready.set()
            await app.stopped()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(_PATIENCE_S)
    app, loop = running[0]
    try:
        yield app
    finally:
        loop.call_soon_threadsafe(app.request_stop)
        thread.join(_PATIENCE_S)
