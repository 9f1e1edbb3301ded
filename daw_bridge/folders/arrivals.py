"""Which files of a folder are whole. Folders are looked through again and again.

A notification of the system would come sooner by a second, and on network drives not at all.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from daw_bridge.folders.recipes import is_candidate, recipe_files

LONGEST_WAIT_S = 60.0
Signature = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that has not changed for a while.

    Attributes:
        signature: name, size in bytes and time of change in ns, of it and of its recipe files.
    """

    path: Path
    signature: Signature


class Arrivals:
    """Looks through a folder.

    Args:
        settle_s: how long a file has to stay as it is.
        now_s: a clock that never goes back.
    """

    def __init__(self, folder: Path, settle_s: float, now_s: Callable[[], float]) -> None:
        self._folder = folder
        self._settle_s = settle_s
        self._now_s = now_s
        self._seen: dict[Path, tuple[Signature, float]] = {}

    def settled(self) -> list[Arrival]:
        """The files that are whole, oldest first.

        Raises:
            OSError: the folder cannot be read now.
        """
        seen: dict[Path, tuple[Signature, float]] = {}
        now_s = self._now_s()
        whole = []
        for path in self._candidates():
            try:
                signature = _signature(path)
            except OSError:  # it has just been renamed or removed
                continue
            before = self._seen.get(path)
            since_s = before[1] if before and before[0] == signature else now_s
            seen[path] = (signature, since_s)
            still_s = now_s - since_s
            if still_s >= self._settle_s and (still_s >= LONGEST_WAIT_S or is_whole(path)):
                whole.append(Arrival(path, signature))
        self._seen = seen
        return sorted(whole, key=lambda arrival: (arrival.signature[0][2], arrival.path.name))

    @property
    def names(self) -> frozenset[str]:
        """The files that were seen at the last look, whole or not."""
        return frozenset(path.name for path in self._seen)

    @property
    def is_expecting(self) -> bool:
        """Whether a file was seen at the last look that was not whole then."""
        now_s = self._now_s()
        return any(
            now_s - since_s < self._settle_s
            or (now_s - since_s < LONGEST_WAIT_S and not is_whole(path))
            for path, (_, since_s) in self._seen.items()
        )

    def _candidates(self) -> Iterator[Path]:
        with os.scandir(self._folder) as entries:
            for entry in entries:
                # A link is taken as what it is, and refused: it may lead anywhere.
                is_one = entry.is_symlink() or entry.is_file(follow_symlinks=False)
                if is_one and is_candidate(entry.name):
                    yield self._folder / entry.name


def _signature(path: Path) -> Signature:
    return tuple(
        (item.name, status.st_size, status.st_mtime_ns)
        for item in (path, *recipe_files(path))
        for status in (item.lstat(),)
    )


def is_whole(path: Path) -> bool:
    """Whether a file has all the bytes that its header promises; a copy writes the header first.

    A link is whole as it is, and not opened.
    """
    if path.is_symlink():
        return True
    try:
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(8)
    except OSError:
        return False
    if not head:
        return False
    orders = {b"RIFF": "<I", b"FORM": ">I"}
    order = orders.get(head[:4])
    if order is None or len(head) < 8:
        return True
    (promised_bytes,) = struct.unpack(order, head[4:])
    # 0 and the largest number: written as a stream, whose length nobody knew.
    return promised_bytes in (0, 0xFFFFFFFF) or promised_bytes + 8 <= size_bytes
