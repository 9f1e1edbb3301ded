"""Log files of the daemon and its engine, rotated so that a year of running fills no disk.

As text or as JSON lines. Never in them: the token, and more of what a user wrote than a line holds.
"""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

DAEMON_LOGGER = "daw_bridge"
ENGINE_LOGGER = "daw_bridge.engine"
WEBSOCKETS_LOGGER = "daw_bridge.websockets"  # which would log every look at /health
FORMATS = ("text", "json")
MAX_LINE_CHARACTERS = 500
_CLIPPED = "…"
_HIDDEN = "<token>"

Hide = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LogOptions:
    """How logs are written.

    Attributes:
        form: one of `FORMATS`.
        max_bytes: of a file, before it becomes an old one.
        kept: old files of each log.
    """

    form: str = "text"
    max_bytes: int = 2 * 2**20
    kept: int = 3


@contextmanager
def logging_to(folder: Path, options: LogOptions | None = None) -> Iterator[Hide]:
    """Write `daemon.log` and `engine.log` into a folder while the context lasts.

    Gives a function that is told what must never appear in them.
    """
    options = options or LogOptions()
    folder.mkdir(parents=True, exist_ok=True)
    secrets: list[str] = []
    daemon_handler = _handler(folder / "daemon.log", options, secrets)
    engine_handler = _handler(folder / "engine.log", options, secrets)
    daemon, engine = logging.getLogger(DAEMON_LOGGER), logging.getLogger(ENGINE_LOGGER)
    websockets = logging.getLogger(WEBSOCKETS_LOGGER)
    before = (daemon.level, websockets.level, engine.propagate)
    daemon.addHandler(daemon_handler)
    daemon.setLevel(logging.INFO)
    websockets.setLevel(logging.WARNING)
    engine.addHandler(engine_handler)
    engine.propagate = False
    try:
        yield secrets.append
    finally:
        daemon.removeHandler(daemon_handler)
        engine.removeHandler(engine_handler)
        daemon_handler.close()
        engine_handler.close()
        daemon.setLevel(before[0])
        websockets.setLevel(before[1])
        engine.propagate = before[2]


class _PrivateFile(RotatingFileHandler):
    """Files that their owner alone may read."""

    def _open(self) -> io.TextIOWrapper:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return open(os.open(self.baseFilename, flags, 0o600), "a", encoding="utf-8")


class _TextLines(logging.Formatter):
    """A time, a level and a message, then the lines of an exception."""

    def __init__(self, secrets: list[str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        return _fit(super().format(record), self._secrets)


class _JsonLines(logging.Formatter):
    """One object on each line; `extra={"fields": {...}}` adds to it."""

    def __init__(self, secrets: list[str]) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _fit(record.getMessage(), self._secrets),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            entry["exception"] = _fit(self.formatException(record.exc_info), self._secrets)
        return json.dumps(entry, default=str)


def _fit(text: str, secrets: list[str]) -> str:
    """The text without secrets, no line of it longer than a line may be."""
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    lines = text.split("\n")
    if max(map(len, lines)) <= MAX_LINE_CHARACTERS:
        return text
    return "\n".join(
        line if len(line) <= MAX_LINE_CHARACTERS else line[:MAX_LINE_CHARACTERS] + _CLIPPED
        for line in lines
    )


def _handler(path: Path, options: LogOptions, secrets: list[str]) -> RotatingFileHandler:
    handler = _PrivateFile(
        path, maxBytes=options.max_bytes, backupCount=options.kept, encoding="utf-8", delay=True
    )
    handler.setFormatter((_JsonLines if options.form == "json" else _TextLines)(secrets))
    return handler
