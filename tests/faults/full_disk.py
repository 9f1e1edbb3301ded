"""A disk without room, for the parts that run in this process."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from typing import Any

import pytest

_CHANGES = ("mkdir", "rename", "replace", "fsync")
_open = io.open


class FullDisk:
    """Counts what changes the disk, and refuses it from the `room`-th time on.

    Covers `io.open` for writing and every write through it, folders, renames and `fsync`.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.room: float = float("inf")
        self.changes = 0
        for name in _CHANGES:
            patch.setattr(os, name, self._counted(getattr(os, name)))
        patch.setattr(io, "open", self._open)

    def count(self) -> None:
        """One more change.

        Raises:
            OSError: there is no room for it.
        """
        self.changes += 1
        if self.changes > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fills_after(self, room: float) -> None:
        """Begin to count anew."""
        self.room, self.changes = room, 0

    def _counted(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **how: Any) -> Any:
            self.count()
            return change(*given, **how)

        return counted

    def _open(self, file: Any, mode: str = "r", *rest: Any, **how: Any) -> Any:
        if not set(mode) & set("wax+"):
            return _open(file, mode, *rest, **how)
        self.count()
        raw = _Raw(file, mode.replace("b", "").replace("t", ""))
        raw.disk = self
        if "b" in mode:
            return raw
        texts = {name: how[name] for name in ("encoding", "errors") if name in how}
        return io.TextIOWrapper(io.BufferedWriter(raw), **texts)


class _Raw(io.FileIO):
    disk: FullDisk

    def write(self, data: Any) -> int:
        self.disk.count()
        return super().write(data)
