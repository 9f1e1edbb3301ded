"""How commands speak: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from daw_bridge.commands.result_file import RESULT_FILE, write_whole
from engine.spec import BridgeError, Progress
from engine.units import finite_figures

# Mistakes the caller can mend. Everything else is a failure on our side.
BAD_INPUT_CODES = frozenset(
    {"bad_request", "bad_audio", "bad_midi", "bad_message", "forbidden", "not_found", "too_large"}
)
EXIT_OK, EXIT_FAILED, EXIT_BAD_INPUT = 0, 1, 2


def exit_status(error: BridgeError) -> int:
    """2 for what the caller can mend, 1 for what failed."""
    return EXIT_BAD_INPUT if error.code in BAD_INPUT_CODES else EXIT_FAILED


class Console:
    """Writes one command's result, as text for people or as one JSON object for programs.

    Args:
        result_file: gets the JSON object as well, whole or not at all.
    """

    def __init__(
        self,
        as_json: bool,
        out: TextIO | None = None,
        err: TextIO | None = None,
        result_file: Path | None = None,
    ) -> None:
        self.as_json = as_json or result_file is not None
        self._result_file = result_file
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._is_terminal = self._err.isatty()
        self._line_length = 0
        self._kept: Mapping[str, Any] = {}

    def keep(self, value: Mapping[str, Any]) -> None:
        """What programs are told beside the error, where one ends the command after all."""
        self._kept = value

    def result(self, value: Mapping[str, Any], lines: Sequence[str]) -> None:
        """Print the result: `value` as JSON, or `lines` for people."""
        self._clear_line()
        self._kept = {}  # it is told now
        # Plain ASCII: a terminal of any encoding takes it, and so does a name that is no Unicode.
        text = json.dumps(finite_figures(value)) if self.as_json else "\n".join(lines)
        if self._result_file is not None:
            write_whole(RESULT_FILE, self._result_file, text)
        if text:
            print(self._sayable(text), file=self._out, flush=True)

    def _sayable(self, text: str) -> str:
        """With escapes for what the terminal's encoding lacks, such as a name that is no Unicode.

        The result must not be lost to it.
        """
        encoding = self._out.encoding or "utf-8"
        return text.encode(encoding, "backslashreplace").decode(encoding)

    def error(self, error: BridgeError) -> None:
        """One line on standard error; with JSON the error object on standard output as well."""
        self._clear_line()
        if self.as_json:
            text = json.dumps(finite_figures({**self._kept, "error": error.to_mapping()}))
            if self._result_file is not None:
                # The complaint below is all that is left to say when this fails as well.
                with suppress(BridgeError):
                    write_whole(RESULT_FILE, self._result_file, text)
            print(text, file=self._out, flush=True)
        print(f"daw-bridge: {' '.join(str(error).split())}", file=self._err, flush=True)

    def note(self, text: str) -> None:
        """A remark for people on standard error; programs are not bothered."""
        if not self.as_json:
            self._clear_line()
            print(text, file=self._err, flush=True)

    def progress(self, event: Progress) -> None:
        """Redraw the progress line, on a terminal only."""
        if not self._is_terminal:
            return
        line = progress_line(event)[: shutil.get_terminal_size().columns - 1]
        self._err.write("\r" + line.ljust(self._line_length))
        self._err.flush()
        self._line_length = len(line)

    def _clear_line(self) -> None:
        if self._line_length:
            self._err.write("\r" + " " * self._line_length + "\r")
            self._line_length = 0


def progress_line(event: Progress) -> str:
    """One line for people: stage, share done, step and time left."""
    parts = [f"{event.fraction:4.0%}", event.stage]
    if event.steps:
        parts.append(f"{event.step}/{event.steps}")
    if event.best is not None:
        parts.append(f"best {event.best:.4g}")
    if event.eta_s is not None:
        parts.append(f"about {math.ceil(event.eta_s)} s left")
    return "  ".join(parts)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of left-aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
