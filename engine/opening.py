"""Opening a file that a client names: only under the allowed folders, whatever lies there by now.

The daemon checks a path before it accepts a job; the engine opens it later, perhaps much later. In
between a folder may have become a link that leads elsewhere. So the engine process is told the
allowed folders when it starts, and asks the system where the file that it did open really is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from io import BufferedReader
from pathlib import Path

from engine.errors import BridgeError

# No waiting for whoever writes to a named pipe, no terminal that becomes ours.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_MAC_PATH_BYTES = 1024

# Of the process, like its user: set once, before the first request.
_allowed: tuple[Path, ...] | None = None


def confine(roots: Iterable[Path] | None) -> None:
    """From now on open only what lies under these folders; None lifts it.

    A folder that does not exist allows nothing.
    """
    global _allowed
    _allowed = None if roots is None else tuple(_real_folder(root) for root in roots)


def open_named(path: str | Path) -> BufferedReader:
    """Open a file for reading; one that is no regular file is opened, too, but never waited for.

    Raises:
        BridgeError: `forbidden` when what was opened lies outside the allowed folders.
        OSError: as the system refuses.
    """
    descriptor = os.open(path, _FLAGS)
    try:
        if _allowed is not None:
            real = _path_of(descriptor, Path(path))
            if not any(real.is_relative_to(root) for root in _allowed):
                raise BridgeError(
                    "forbidden",
                    f"{str(path)[:200]!r} leads out of the allowed folders",
                    "a folder or link has changed since the job was accepted",
                )
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def enter_folder(path: str | Path) -> None:
    """Make a folder the current one, to write new files there by their names alone.

    A folder that becomes a link after it was checked would lead elsewhere by its path; the current
    folder stays the one that was entered.

    Raises:
        BridgeError: `forbidden` when it lies outside the allowed folders.
        OSError: as the system refuses.
    """
    os.chdir(path)
    real = Path(os.path.realpath(os.getcwd()))
    if _allowed is not None and not any(real.is_relative_to(root) for root in _allowed):
        raise BridgeError(
            "forbidden",
            f"{str(path)[:200]!r} leads out of the allowed folders",
            "a folder or link has changed since the request was accepted",
        )


def _real_folder(root: Path) -> Path:
    """The folder by the name that `_path_of` will give its files."""
    try:
        descriptor = os.open(root, os.O_RDONLY)
    except OSError:  # not there, not readable, or a system that opens no folders
        return Path(os.path.realpath(root))
    try:
        return _path_of(descriptor, root)
    finally:
        os.close(descriptor)


def _path_of(descriptor: int, path: Path) -> Path:
    """Where an open file is, as the system knows it."""
    if sys.platform == "linux":
        return Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    if sys.platform == "darwin":
        import fcntl

        found = fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(_MAC_PATH_BYTES))
        return Path(os.fsdecode(found.rstrip(b"\0")))
    real = Path(os.path.realpath(path))
    if not os.path.samestat(os.stat(real), os.fstat(descriptor)):
        raise BridgeError("forbidden", f"{str(path)[:200]!r} changes while it is opened")
    return real
