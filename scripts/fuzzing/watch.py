"""What is watched while nonsense arrives: answers, memory, the log, and files nobody may touch."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

_LONG_AGO_NS = 10**18  # before any reading: file systems note the first reading after a change


def memory_bytes(pid: int | str = "self") -> int:
    """Resident size of a process, 0 where the system does not say."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    return int(found[1]) * 1024 if found else 0


@dataclass(slots=True)
class Tally:
    """Counts of one kind of case.

    Attributes:
        outcomes: how often each thing happened, by error code or word.
        first_bytes, last_bytes: memory of the process that reads, when it was warm and at the end.
        problems: what no document tells of.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    first_bytes: int = 0
    last_bytes: int = 0
    problems: list[str] = field(default_factory=list)

    def note(self, outcome: str) -> None:
        """Count one."""
        self.outcomes[outcome] += 1

    def memory(self, now_bytes: int) -> None:
        """Remember the memory; the first counts from `settle` on."""
        self.last_bytes = now_bytes
        self.first_bytes = self.first_bytes or now_bytes

    def settle(self) -> None:
        """The process is warm: what it takes from here on is growth."""
        self.first_bytes = 0

    @property
    def growth_bytes(self) -> int:
        """Memory taken since the process was warm."""
        return self.last_bytes - self.first_bytes


class Sentinels:
    """A tree of files outside the allowed folders that must stay as it is, and unread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("secret.wav", "secret.mid", "inner/secret.json", "token"):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"nobody may read this\n")
        self.files = sorted(path for path in folder.rglob("*") if path.is_file())
        for path in self.files:
            os.utime(path, ns=(_LONG_AGO_NS, path.stat().st_mtime_ns))
        self._before = self._look()

    def _look(self) -> dict[str, tuple[int, int, int]]:
        found = {}
        for path in sorted(self.folder.rglob("*")):
            status = path.lstat()
            read_ns = status.st_atime_ns if path.is_file() else 0
            found[str(path)] = (status.st_size, status.st_mtime_ns, read_ns)
        return found

    def touched(self) -> list[str]:
        """What has changed or been read."""
        now = self._look()
        names = sorted(set(now) | set(self._before))
        return [name for name in names if now.get(name) != self._before.get(name)]

    @staticmethod
    def reading_is_seen(folder: Path) -> bool:
        """Whether this file system notes that a file was read at all."""
        probe = folder / "probe"
        probe.write_bytes(b"x")
        os.utime(probe, ns=(_LONG_AGO_NS, probe.stat().st_mtime_ns))
        probe.read_bytes()
        seen = probe.stat().st_atime_ns != _LONG_AGO_NS
        probe.unlink()
        return seen


class Log:
    """The logs: a traceback or an error in them is a finding, whatever the client was told."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read_to: dict[Path, int] = {}

    def news(self) -> list[str]:
        """Tracebacks and errors since the last look."""
        found = []
        for path in sorted(self._folder.glob("*.log")):
            begin = self._read_to.get(path, 0)
            size = path.stat().st_size
            begin = 0 if size < begin else begin  # it was rotated
            with path.open("rb") as file:
                file.seek(begin)
                text = file.read().decode(errors="replace")
            self._read_to[path] = size
            if "Traceback (most recent call last)" in text or " ERROR " in text:
                found.append(f"{path.name}: {text[-3000:]}")
        return found
