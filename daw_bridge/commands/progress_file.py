"""`--progress-file`: how far a render is, for hosts that can start a program but not hear it.

It holds one line, the latest, and is there as soon as the flags are good. It stays when the command
ends: `--result-file` says how it ended.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from daw_bridge.commands.result_file import new_json_file, write_whole
from engine.spec import BridgeError, Progress
from engine.units import finite_figures

PROGRESS_FILE = "--progress-file"
_SENDING, _QUEUED = Progress("sending", 0.0), Progress("queued", 0.0)


def new_progress_file(text: str) -> Path:
    """The file of that name, which is not there yet.

    Raises:
        BridgeError: `bad_request` for another ending, or when it is there.
    """
    return new_json_file(PROGRESS_FILE, text)


class ProgressFile:
    """Keeps the file at the latest: `{"job": "j-0003", "stage": "draft", "fraction": 0.25, ...}`.

    `job` is null until the daemon has accepted it, and all the time without a daemon; the stage is
    `sending` only before that is known.

    Args:
        path: None where nobody asked for one.

    Raises:
        BridgeError: `bad_request` when the file cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._job: str | None = None
        self._write(_SENDING)

    def begin(self, job: str | None) -> None:
        """The job that is told from now on; None for a render without a daemon."""
        self._job = job
        self.progress(_QUEUED)

    def progress(self, event: Progress) -> None:
        """Tell how far the job is. A file that cannot be replaced keeps what it says.

        Windows lets nobody replace a file while the host reads it, and a render is worth more than
        a line about it.
        """
        with suppress(BridgeError):
            self._write(event)

    def _write(self, event: Progress) -> None:
        if self._path is not None:
            told = {"job": self._job, **asdict(event)}
            write_whole(PROGRESS_FILE, self._path, json.dumps(finite_figures(told)) + "\n")
