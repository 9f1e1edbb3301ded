"""A small file that several processes read, change and write again: no change of any is lost."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

_PATIENCE_S = 30.0  # what is done alone takes moments


@contextmanager
def alone_with(file: Path) -> Iterator[None]:
    """Hold a file for yourself, against other processes and other threads.

    The lock is that of an empty SQLite database beside the file: the same on every system, and let
    go by a process that dies. Nothing is ever written to it.

    Raises:
        OSError: its folder cannot be written to, or another has held it for half a minute.
    """
    try:
        place = file.with_name(f".{file.name}.lock")
        connection = sqlite3.connect(place, timeout=_PATIENCE_S, isolation_level=None)
    except sqlite3.Error as error:
        raise OSError(str(error)) from None
    with closing(connection):
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise OSError(str(error)) from None
        yield


def write_whole(file: Path, content: str) -> None:
    """All or nothing: whoever reads finds the old content or the new one.

    Raises:
        OSError: it cannot be written; the old content is there.
    """
    partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with partial.open("w", encoding="utf-8") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        partial.replace(file)
        _flush_to_disk(file.parent)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def _flush_to_disk(folder: Path) -> None:
    if os.name == "nt":
        return  # it opens no folders
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
