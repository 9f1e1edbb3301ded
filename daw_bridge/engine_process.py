"""The engine's processes as the daemon starts them: command line, environment and log."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import engine

_engine_log = logging.getLogger("daw_bridge.engine")

KILLED = -9  # exit status of a process that got a SIGKILL, as from a system short of memory
READ_BYTES = 2**18  # at a time, from the engine's pipes
_TAIL_CHARACTERS = 400
# Torch frees and takes hundreds of megabytes a second. glibc would hand each large block back to
# the kernel, and the page faults slow a refinement down. Its stores of small blocks keep what is
# left over beside an aligned tensor, which then is a little too small to be used again: without
# them the heap of a refinement is a fifth smaller. Other systems ignore all this.
ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0",
    # Threads that have nothing to do sleep soon: by default each spins for milliseconds, and beside
    # a busy DAW the one it waits for does not get the core.
    "GOMP_SPINCOUNT": "3000",
}


class EngineState(StrEnum):
    """What the engine process is doing."""

    STARTING = "starting"
    READY = "ready"
    BROKEN = "broken"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Timing:
    """How patient the supervisor is; all in seconds."""

    ready_timeout_s: float
    heartbeat_interval_s: float
    heartbeat_timeout_s: float
    cancel_grace_s: float
    restart_delay_s: float
    stall_timeout_s: float = 600.0


def worker_command(
    factory: str,
    cache_dir: Path,
    models_file: Path,
    roots: Sequence[Path],
    idle_unload_s: float = 0.0,
) -> list[str]:
    """Command line of an engine process that may read under `roots` only.

    Args:
        models_file: the registry of installed models.
        idle_unload_s: it unloads its models after so long without work; 0 for never.
    """
    # -P keeps the current folder, which may hold anything, out of the search for modules.
    return [
        *(sys.executable, "-P", "-X", "faulthandler", "-m", "engine.worker"),
        *("--factory", factory, "--cache-dir", str(cache_dir)),
        *("--models-file", str(models_file)),
        *("--idle-unload-s", str(idle_unload_s)),
        *(part for root in roots for part in ("--root", str(root))),
    ]


def export_command(roots: Sequence[Path]) -> list[str]:
    """Command line of a process that exports one take, and reads and writes under `roots` only."""
    return [
        *(sys.executable, "-P", "-X", "faulthandler", "-m", "engine.exporting"),
        *(part for root in roots for part in ("--root", str(root))),
    ]


async def spawn(command: Sequence[str]) -> asyncio.subprocess.Process:
    """Start a process of the engine package that is spoken to through its standard streams.

    Raises:
        OSError: it cannot be started.
    """
    # The engine must be found as this process found it, installed or not.
    package_root = str(Path(engine.__file__).parent.parent)
    path = os.pathsep.join(filter(None, (package_root, os.environ.get("PYTHONPATH"))))
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=READ_BYTES,
        env={**ENVIRONMENT, **os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
    )


class EngineLog:
    """What engines print, line by line into the daemon's log."""

    def __init__(self) -> None:
        self.tail = ""

    async def follow(self, process: asyncio.subprocess.Process) -> None:
        """Read until the process ends; `tail` is the end of the last line so far."""
        assert process.stderr is not None
        rest = ""
        while data := await process.stderr.read(READ_BYTES):
            *lines, rest = (rest + data.decode(errors="replace")).replace("\r", "\n").split("\n")
            for line in filter(None, lines):
                self._take(line)
            rest = rest[-READ_BYTES:]
        if rest:
            self._take(rest)

    def _take(self, line: str) -> None:
        _engine_log.info("%s", line)
        self.tail = line[-_TAIL_CHARACTERS:]


def describe_status(status: int | None) -> str:
    """An exit status in words."""
    return f"signal {-status}" if status is not None and status < 0 else f"status {status}"
