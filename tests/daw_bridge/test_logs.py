from __future__ import annotations

import logging
from pathlib import Path

from daw_bridge.logs import DAEMON_LOGGER, ENGINE_LOGGER, WEBSOCKETS_LOGGER, logging_to


def test_logs_go_to_their_files_and_nothing_is_left_behind(tmp_path: Path) -> None:
    loggers = [logging.getLogger(n) for n in (DAEMON_LOGGER, ENGINE_LOGGER, WEBSOCKETS_LOGGER)]
    before = [(item.level, item.propagate, list(item.handlers)) for item in loggers]
    with logging_to(tmp_path / "logs"):
        logging.getLogger("daw_bridge.app").info("from the daemon")
        logging.getLogger(ENGINE_LOGGER).info("from the engine")
    assert [(item.level, item.propagate, list(item.handlers)) for item in loggers] == before
    assert (tmp_path / "logs" / "engine.log").read_text().endswith("from the engine\n")
    assert "from the daemon" in (tmp_path / "logs" / "daemon.log").read_text()


def test_engine_chatter_stays_out_of_the_daemons_log(tmp_path: Path) -> None:
    with logging_to(tmp_path):
        logging.getLogger(ENGINE_LOGGER).info("chatter")
        logging.getLogger(DAEMON_LOGGER).info("news")
    assert "chatter" not in (tmp_path / "daemon.log").read_text()
