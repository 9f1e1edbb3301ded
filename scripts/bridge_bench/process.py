"""What a process holds, as Linux tells it."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

FAKE_ENGINE = "tests.daw_bridge.fake_engine:create_engine"


@dataclass(frozen=True, slots=True)
class Holding:
    """What a process holds at one moment."""

    memory_mb: float
    files: int
    threads: int

    def to_mapping(self) -> dict[str, float]:
        """Plain data."""
        return asdict(self)


def holding_of(process: int) -> Holding:
    """Resident memory, open files and threads of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    return Holding(
        _number(status, "VmRSS") * 1024 / 1e6,
        len(os.listdir(f"/proc/{process}/fd")),
        int(_number(status, "Threads")),
    )


def children_of(process: int) -> list[int]:
    """The processes that a process has started."""
    lists = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for path in lists for child in path.read_text().split()]


def _number(status: str, name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+)", status)
    assert found is not None
    return float(found[1])
