"""Removed takes, which can be restored until the trash is emptied.

    takes/.trash/t-0007.1700000000000       a take, and when it was removed, in ms of Unix time
    takes/.trash/.gone-...                  one that is being deleted
    takes/.trash/highest.json               the highest number of those deleted: no id comes twice

Removing, restoring and deleting are one rename each, so a take is whole in one place whatever dies
in between; what a deletion leaves behind is swept later.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from daw_bridge.takes.files import read_json, replace_json, sync
from engine.spec import BridgeError

TRASH = ".trash"
_ENTRY_FORM = re.compile(r"(t-(\d{4}|[1-9]\d{4,8}))\.(\d{1,15})")
_GONE = ".gone-"
_HIGHEST = "highest.json"


@dataclass(frozen=True, slots=True)
class Trashed:
    """A take in the trash.

    Attributes:
        removed_s: when it was removed, Unix time.
    """

    take: str
    folder: Path
    removed_s: float

    @property
    def number(self) -> int:
        """That of its id."""
        return int(self.take.removeprefix("t-"))


class Trash:
    """The trash of a folder of takes, itself the folder `path`. Methods block on the disk."""

    def __init__(self, takes: Path) -> None:
        self._takes = takes
        self.path = takes / TRASH

    def put(self, take: str) -> None:
        """Move a take here.

        Raises:
            BridgeError: `not_found` when another process was faster, `unavailable` when the disk
                refuses; the take is where it was then.
        """
        target = self.path / f"{take}.{int(time.time() * 1000)}"
        try:
            self.path.mkdir(exist_ok=True)
            os.rename(self._takes / take, target)
        except FileNotFoundError:
            raise BridgeError("not_found", f"{take} is gone already", "takes lists them") from None
        except OSError as error:
            problem = f"{take} cannot be removed: {error.strerror}"
            raise BridgeError("unavailable", problem, "is the disk full?") from None
        self._sync()

    def restore(self, take: str) -> None:
        """Move a take back.

        Raises:
            BridgeError: `not_found` when it is not here, `bad_request` when its place is taken,
                `unavailable` when the disk refuses.
        """
        entry = self.find(take)
        if entry is None:
            hint = "takes with trash lists what can be restored"
            raise BridgeError("not_found", f"no take {take[:40]!r} in the trash", hint)
        target = self._takes / take
        if target.exists():
            raise BridgeError("bad_request", f"{take} is there already", "move one of them away")
        try:
            os.rename(entry.folder, target)
        except FileNotFoundError:
            raise BridgeError("not_found", f"{take} has just been deleted") from None
        except OSError as error:
            problem = f"{take} cannot be restored: {error.strerror}"
            raise BridgeError("unavailable", problem, "is the disk full?") from None
        self._sync()

    def find(self, take: str) -> Trashed | None:
        """The entry of a take, None without one."""
        return next((entry for entry in reversed(self.entries()) if entry.take == take), None)

    def entries(self) -> Sequence[Trashed]:
        """What can be restored, longest here first."""
        if not self.path.is_dir():
            return []
        found = ((path, _ENTRY_FORM.fullmatch(path.name)) for path in self.path.iterdir())
        entries = [
            Trashed(form[1], path, int(form[3]) / 1000) for path, form in found if form is not None
        ]
        return sorted(entries, key=lambda entry: (entry.removed_s, entry.number))

    def delete(self, entries: Sequence[Trashed]) -> None:
        """Delete for good, as far as the disk lets us; what is left over is swept later.

        Raises:
            OSError: the numbers cannot be noted; nothing is deleted then.
        """
        if not entries:
            return
        self._note(max(entry.number for entry in entries))
        for entry in entries:
            gone = self.path / f"{_GONE}{secrets.token_hex(6)}"
            with contextlib.suppress(OSError):  # restored or deleted by another process
                os.rename(entry.folder, gone)
                shutil.rmtree(gone, ignore_errors=True)

    def sweep(self) -> None:
        """Finish the deletions that a process which died left half done."""
        for path in self.path.glob(f"{_GONE}*"):
            shutil.rmtree(path, ignore_errors=True)

    def highest_number(self) -> int:
        """The highest number of a take that is or was here, 0 without one."""
        return max([self._noted(), *(entry.number for entry in self.entries())])

    def _noted(self) -> int:
        try:
            number = read_json(self.path / _HIGHEST).get("number")
        except BridgeError:
            return 0
        return number if isinstance(number, int) else 0

    def _note(self, number: int) -> None:
        if number > self._noted():
            replace_json(self.path / _HIGHEST, {"number": number})

    def _sync(self) -> None:
        with contextlib.suppress(OSError):  # it is moved already, and to be told so
            sync(self.path)
            sync(self._takes)
