"""A program that says lines on one of its pipes, read with patience."""

from __future__ import annotations

import queue
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PATIENCE_S = 30.0
_ENDED = None


class Lines:
    """What a program says, line by line; `heard` keeps all of it."""

    def __init__(self, pipe: IO[str]) -> None:
        self.heard: list[str] = []
        self._waiting: queue.Queue[str | None] = queue.Queue()
        self._thread = threading.Thread(target=self._read, args=(pipe,))
        self._thread.start()

    def _read(self, pipe: IO[str]) -> None:
        for line in pipe:
            self._waiting.put(line.rstrip("\n"))
        self._waiting.put(_ENDED)

    def until(self, words: str, patience_s: float = PATIENCE_S) -> str:
        """The next line that has the words in it."""
        while True:
            try:
                line = self._waiting.get(timeout=patience_s)
            except queue.Empty:
                raise AssertionError(f"no {words!r} in {self.heard}") from None
            assert line is not _ENDED, f"it ended without {words!r}: {self.heard}"
            self.heard.append(line)
            if words in line:
                return line

    def close(self) -> None:
        """Once the program has ended."""
        self._thread.join()


@contextmanager
def saying(
    command: Sequence[str | Path], environment: Mapping[str, str], *, cwd: Path | None = None
) -> Iterator[Lines]:
    """A program that runs until the block ends, its two outputs as one."""
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    lines = Lines(process.stdout)
    try:
        yield lines
    finally:
        process.kill()
        process.wait()
        lines.close()
        process.stdout.close()
