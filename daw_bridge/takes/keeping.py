"""How much room takes may have, and what goes when they have more.

What only the musician can judge is never deleted. In this order:

1. What has been in the trash for `trash_days` goes.
2. Where takes and trash together have more than `max_takes_bytes`, the trash is emptied, longest
   there first, as far as is needed. What was removed within the last hour stays even then: a
   mistake can be taken back.
3. Where the takes alone still have more, those that were rated `discard` and not given 3 stars or
   more are moved to the trash, oldest first. They can be restored, for an hour at the least.
4. Where that is not enough, nothing else is touched: a warning says so until there is room.

So a take that nobody rated, one rated `keep` and one with 3 to 5 stars stay until the musician
removes them, and new takes are kept though the limit is passed.
"""

from __future__ import annotations

import logging
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from daw_bridge.takes.ratings import Rating, read_rating
from daw_bridge.takes.sizes import Sizes
from daw_bridge.takes.store import TakeStore
from daw_bridge.takes.trash import Trashed
from engine.spec import BridgeError

_log = logging.getLogger(__name__)

DAY_S = 86_400.0
GRACE_S = 3600.0  # the trash keeps what it got so lately, whatever the limit says
_GOOD_STARS = 3
_WARN_AT = 0.9  # of the limit


@dataclass(frozen=True, slots=True)
class Usage:
    """How much room is taken.

    Attributes:
        warning: what the musician should know, empty where all is well.
    """

    takes_bytes: int = 0
    trash_bytes: int = 0
    warning: str = ""


class Keeper:
    """Keeps the takes within their limit.

    Args:
        max_takes_bytes: of takes and trash together; 0 for no limit.
        trash_days: how long the trash keeps a take; 0 for ever.
        now_s: Unix time.
    """

    def __init__(
        self,
        store: TakeStore,
        max_takes_bytes: int,
        trash_days: float,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._max_bytes = max_takes_bytes
        self._trash_s = trash_days * DAY_S
        self._now_s = now_s
        # By number of the take: what is written once is measured once. A rating is too small to
        # matter, and a take in the trash is the one that was removed.
        self._sizes = Sizes()
        self._lock = threading.RLock()

    def tidy(self) -> Usage:
        """Do what the limit and the days ask for; what is taken afterwards. Blocks on the disk."""
        with self._lock:
            self._store.trash.sweep()
            try:
                self._expire()
                if self._max_bytes:
                    self._empty_trash()
                    self._discard()
            except (OSError, BridgeError) as error:
                _log.warning("the trash of takes cannot be tidied: %s", error)
            usage = self.usage()
        if usage.warning:
            _log.warning("%s", usage.warning)
        return usage

    def usage(self) -> Usage:
        """What is taken now; changes nothing."""
        with self._lock:
            takes_bytes, takes = self._add_up(self._takes())
            trash_bytes, trash = self._add_up(self._trash())
            if len(self._sizes) > takes + trash:  # some are gone
                self._sizes.forget_all_but(
                    {number for each in (self._takes(), self._trash()) for number, _ in each}
                )
        return Usage(takes_bytes, trash_bytes, self._warning(takes_bytes, trash_bytes))

    def _takes(self) -> Iterator[tuple[int, Path]]:
        return ((number, self._store.folder_of(number)) for number in self._store.numbers())

    def _trash(self) -> Iterator[tuple[int, Path]]:
        return ((entry.number, entry.folder) for entry in self._store.trash.entries())

    def _add_up(self, folders: Iterable[tuple[int, Path]]) -> tuple[int, int]:
        """Size of all and how many they are."""
        total_bytes = count = 0
        for number, folder in folders:
            total_bytes += self._size_bytes(number, folder)
            count += 1
        return total_bytes, count

    def _size_bytes(self, number: int, folder: Path) -> int:
        size_bytes = self._sizes.get(number)
        if size_bytes is None:
            size_bytes = folder_bytes(folder)
            if size_bytes:  # it has not just gone
                self._sizes.note(number, size_bytes)
        return size_bytes

    def _warning(self, takes_bytes: int, trash_bytes: int) -> str:
        used_bytes = takes_bytes + trash_bytes
        if not self._max_bytes or used_bytes <= _WARN_AT * self._max_bytes:
            return ""
        state = "over" if used_bytes > self._max_bytes else "near"
        return (
            f"the takes are {state} max_takes_bytes: {used_bytes} of {self._max_bytes} bytes, "
            f"{trash_bytes} of them in the trash; remove takes, or raise the limit"
        )

    def _expire(self) -> None:
        if self._trash_s:
            self._delete([e for e in self._store.trash.entries() if self._age_s(e) > self._trash_s])

    def _empty_trash(self) -> None:
        """Delete as much of the trash as the limit asks for."""
        usage, gone = self.usage(), []
        excess_bytes = usage.takes_bytes + usage.trash_bytes - self._max_bytes
        for entry in self._store.trash.entries():
            if excess_bytes <= 0:
                break
            if self._age_s(entry) >= GRACE_S:
                gone.append(entry)
                excess_bytes -= self._size_bytes(entry.number, entry.folder)
        self._delete(gone)

    def _discard(self) -> None:
        """Move discarded takes to the trash until the others are within the limit."""
        excess_bytes = self.usage().takes_bytes - self._max_bytes
        for number in sorted(self._store.numbers()):
            if excess_bytes <= 0:
                break
            folder = self._store.folder_of(number)
            if is_worthless(read_rating(folder)):
                size_bytes = self._size_bytes(number, folder)
                self._store.remove(folder.name)
                excess_bytes -= size_bytes
                _log.warning("%s, rated discard, is in the trash: takes need room", folder.name)

    def _delete(self, entries: list[Trashed]) -> None:
        self._store.trash.delete(entries)
        for entry in entries:
            _log.info("%s is deleted from the trash", entry.take)

    def _age_s(self, entry: Trashed) -> float:
        return self._now_s() - entry.removed_s


def is_worthless(rating: Rating) -> bool:
    """Whether the musician said so, and said nothing against it."""
    return rating.verdict == "discard" and (rating.stars or 0) < _GOOD_STARS


def folder_bytes(folder: Path) -> int:
    """Size of the files in a folder; 0 for one that has just gone."""
    total_bytes = 0
    try:
        for path in folder.iterdir():
            status = path.lstat()
            total_bytes += status.st_size if stat.S_ISREG(status.st_mode) else 0
    except OSError:
        pass
    return total_bytes
