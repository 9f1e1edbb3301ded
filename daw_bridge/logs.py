"""Log files of the daemon and its engine, rotated so that a year of running fills no disk."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path

MAX_LOG_BYTES = 2 * 2**20
KEPT_LOGS = 3
DAEMON_LOGGER = "daw_bridge"
ENGINE_LOGGER = "daw_bridge.engine"
WEBSOCKETS_LOGGER = "daw_bridge.websockets"  # which would log every look at /health


@contextmanager
def logging_to(folder: Path) -> Iterator[None]:
    """Write `daemon.log` and `engine.log` into a folder while the context lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    daemon_handler = _handler(folder / "daemon.log", "%(asctime)s %(levelname)s %(message)s")
    engine_handler = _handler(folder / "engine.log", "%(asctime)s %(message)s")
    daemon, engine = logging.getLogger(DAEMON_LOGGER), logging.getLogger(ENGINE_LOGGER)
    websockets = logging.getLogger(WEBSOCKETS_LOGGER)
    before = (daemon.level, websockets.level, engine.propagate)
    daemon.addHandler(daemon_handler)
    daemon.setLevel(logging.INFO)
    websockets.setLevel(logging.WARNING)
    engine.addHandler(engine_handler)
    engine.propagate = False
    try:
        yield
    finally:
        daemon.removeHandler(daemon_handler)
        engine.removeHandler(engine_handler)
        daemon_handler.close()
        engine_handler.close()
        daemon.setLevel(before[0])
        websockets.setLevel(before[1])
        engine.propagate = before[2]


def _handler(path: Path, form: str) -> RotatingFileHandler:
    handler = RotatingFileHandler(
        path, maxBytes=MAX_LOG_BYTES, backupCount=KEPT_LOGS, encoding="utf-8", delay=True
    )
    handler.setFormatter(logging.Formatter(form))
    return handler
