"""Watchers for tests: one whose clock the test moves, one in a process, and what they leave."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daw_bridge.commands.arguments import build_parser
from daw_bridge.commands.console import Console
from daw_bridge.commands.remote import ask, find_daemon
from daw_bridge.commands.watch import Watch
from daw_bridge.takes.store import TakeStore
from engine.spec import Event
from tests.daw_bridge.fake_engine import FakeEngine, wav_bytes
from tests.daw_bridge.served import ROOT

PATIENCE_S = 30.0
CLIP = wav_bytes(480, 1, "16")
Once = Callable[[], list[dict[str, str]]]


class CountingEngine(FakeEngine):
    """Counts what it renders."""

    def __init__(self) -> None:
        self.renders = 0

    def render(self, *given: Any, **how: Any) -> Iterator[Event]:
        self.renders += 1
        return super().render(*given, **how)


class Watching:
    """A watcher whose clock the test moves, and all that it said."""

    def __init__(self, folder: Path, config: Any, engine: FakeEngine) -> None:
        self.now_s = 0.0
        self._said = io.StringIO()
        options = build_parser().parse_args(["watch", str(folder)])
        console = Console(False, err=self._said)
        config.data_dir.mkdir(exist_ok=True)
        self._watch = Watch(
            folder, 0.0, options, config, console, lambda *_: engine, lambda: self.now_s
        )

    def look(self) -> list[str]:
        """Look once; the lines it said then."""
        self._said.seek(0)
        self._said.truncate()
        self._watch.look()
        return self._said.getvalue().splitlines()


@contextmanager
def watching(folder: Path, data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "daw_bridge", "watch", str(folder), "--settle", "0.2"]
    process = subprocess.Popen(
        [*command, "--data-dir", str(data_dir)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        assert "watching" in process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s, what
        time.sleep(0.02)


def jobs_of(config: Any) -> list[dict[str, Any]]:
    """The jobs that the daemon has had, newest first."""
    client = find_daemon(build_parser().parse_args(["jobs"]), config)
    assert client is not None
    jobs: list[dict[str, Any]] = ask(client, "jobs")["jobs"]
    return jobs


def takes_of(config: Any) -> list[Any]:
    return TakeStore(config.data_dir / "takes").list(99)
