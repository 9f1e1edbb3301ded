"""How the daemon's own process is set, once, at its start."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

_SWITCH_INTERVAL_S = 0.0005  # of CPython: 0.005
_THREADS = 4  # for disk and sound: more would be no faster, and each takes memory of its own
_M_ARENA_MAX = -8  # <malloc.h>


def settle(loop: asyncio.AbstractEventLoop) -> None:
    """Make the process answer soon beside threads that compute, and stay small for months."""
    # Threads read and convert audio; one that computes keeps the event loop waiting for so long.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, "daw-bridge"))
    # The GNU library gives each thread a heap of its own, and what one has freed is of no use to
    # the others: the process grew with every job. Other libraries need no telling.
    with contextlib.suppress(AttributeError, TypeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def stop_signals() -> list[signal.Signals]:
    """What asks the daemon to stop; a terminal that closes does, unless somebody said otherwise."""
    asks = [signal.SIGINT, signal.SIGTERM]
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        asks.append(signal.SIGHUP)
    return asks
