"""What was done in a watched folder: kept in the data folder, so that a restart knows it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Set
from pathlib import Path
from typing import Any

from daw_bridge.folders.arrivals import Arrival
from daw_bridge.owners import write_private

# RENDERED: there is a take of it, which could not be copied into the folder yet.
BEGUN, RENDERED, DONE, REFUSED = "begun", "rendered", "done", "refused"


class Ledger:
    """One folder's file of names, signatures and states, written as a whole.

    Attributes:
        is_written: whether the file says all that is noted.
    """

    def __init__(self, data_dir: Path, folder: Path) -> None:
        digest = _digest(folder.resolve())
        self.is_written = True
        self._slot_prefix = f"watch-{digest}"
        self._folder = folder
        self._path = data_dir / "watch" / f"{digest}.json"
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        self._entries: dict[str, dict[str, Any]] = self._read()

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            entries = json.loads(self._path.read_text(encoding="utf-8"))["files"]
            return {str(name): dict(entry) for name, entry in entries.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}  # new or damaged: at worst something is rendered again, from the cache

    def is_over(self, arrival: Arrival) -> bool:
        """Whether this file, as it is, was seen to its end."""
        return self._entry(arrival).get("state") in (DONE, REFUSED)

    def slot(self, arrival: Arrival) -> str:
        """The file's place among the daemon's jobs: what it asks for once changed supersedes that.

        By a digest: a name may be longer than a slot, and need not be Unicode.
        """
        return f"{self._slot_prefix}-{_digest(arrival.path.name)}"

    def job(self, arrival: Arrival) -> str | None:
        """The daemon's job that was begun for it."""
        return self._entry(arrival).get("job")

    def take(self, arrival: Arrival) -> str | None:
        """The take that was rendered for it."""
        return self._entry(arrival).get("take")

    def note(
        self, arrival: Arrival, state: str, *, job: str | None = None, take: str | None = None
    ) -> None:
        """Note how far it is; `write` makes it last."""
        before = self._entry(arrival)
        self._entries[arrival.path.name] = {
            "signature": [list(part) for part in arrival.signature],
            "state": state,
            "job": job or before.get("job"),
            "take": take or before.get("take"),
        }
        self.is_written = False

    def forget_gone(self, present: Set[str]) -> None:
        """Drop what was noted of files that are no longer there; `write` makes it last.

        An empty folder says nothing of its files: it may be where a drive is mounted that is away.

        Args:
            present: names that were just seen.

        Raises:
            OSError: the folder cannot be read.
        """
        absent = self._entries.keys() - present
        if not absent or not os.listdir(self._folder):
            return
        for name in absent:
            if _is_gone(self._folder / name):
                del self._entries[name]
                self.is_written = False

    def write(self) -> None:
        """Write all that is noted.

        Raises:
            OSError: the data folder cannot be written; what is noted is known here all the same.
        """
        kept = {"folder": str(self._folder), "files": self._entries}
        write_private(self._path, json.dumps(kept, indent=1))
        self.is_written = True

    def _entry(self, arrival: Arrival) -> dict[str, Any]:
        entry = self._entries.get(arrival.path.name, {})
        signature = [list(part) for part in arrival.signature]
        return entry if entry.get("signature") == signature else {}


def _is_gone(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:  # nobody can say
        pass
    return False


def _digest(name: str | Path) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
