"""A daemon in a thread of its own, for tests that block, and one in a process of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from daw_bridge.app import App
from daw_bridge.config import Config
from daw_bridge.sources import environment_name
from tests.daw_bridge.conftest import FACTORY

ROOT = Path(__file__).resolve().parents[2]
_SERVE = """
import asyncio, sys
from daw_bridge.app import serve
from daw_bridge.config import Config
heavy = {"torch", "numpy", "scipy", "librosa", "soundfile"}
def on_ready(app):
    assert not heavy & set(sys.modules), heavy & set(sys.modules)
    print("ready", flush=True)
asyncio.run(serve(Config.load(), on_ready))
"""
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
        with suppress(RuntimeError):  # its loop is closed: a client said `shutdown`
            loop.call_soon_threadsafe(app.request_stop)
        thread.join(_PATIENCE_S)
        assert not thread.is_alive()


def spawn_daemon(data_dir: Path, **settings: object) -> subprocess.Popen[bytes]:
    """A daemon with the fake engine as a process, which says `ready` once clients can connect."""
    given = {
        "port": 0,
        "osc_port": 0,
        "data_dir": data_dir,
        "engine_factory": f"{FACTORY}:create_engine",
        **settings,
    }
    variables = {environment_name(name): str(value) for name, value in given.items()}
    environment = {**os.environ, **variables, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", _SERVE], env=environment, stdout=subprocess.PIPE)


def start_daemon(data_dir: Path, **settings: object) -> subprocess.Popen[bytes]:
    """As `spawn_daemon`, once it is ready."""
    process = spawn_daemon(data_dir, **settings)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process
