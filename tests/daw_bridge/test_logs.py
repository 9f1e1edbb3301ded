from __future__ import annotations

import json
import logging
import os
import stat
from pathlib import Path

import pytest

from daw_bridge.app import App
from daw_bridge.client import Client
from daw_bridge.logs import (
    DAEMON_LOGGER,
    ENGINE_LOGGER,
    MAX_LINE_CHARACTERS,
    WEBSOCKETS_LOGGER,
    LogOptions,
    logging_to,
)
from tests.daw_bridge.conftest import MakeConfig

daemon = logging.getLogger(DAEMON_LOGGER)


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
        daemon.info("news")
    assert "chatter" not in (tmp_path / "daemon.log").read_text()


def test_json_lines_are_objects_with_fields_and_exceptions(tmp_path: Path) -> None:
    with logging_to(tmp_path, LogOptions("json")):
        daemon.info("job %s", "j-1", extra={"fields": {"job": "j-1", "render_s": 1.5}})
        try:
            raise ValueError("two\nlines")
        except ValueError:
            daemon.exception("it failed")
    lines = [json.loads(line) for line in (tmp_path / "daemon.log").read_text().splitlines()]
    assert len(lines) == 2
    assert lines[0]["message"] == "job j-1"
    assert (lines[0]["job"], lines[0]["render_s"], lines[0]["level"]) == ("j-1", 1.5, "info")
    assert lines[0]["time"].endswith("+00:00")
    assert "ValueError: two\nlines" in lines[1]["exception"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_and_no_endless_line(tmp_path: Path, form: str) -> None:
    with logging_to(tmp_path, LogOptions(form)) as hide:
        hide("s3cret-token")
        daemon.info("Authorization: Bearer %s", "s3cret-token")
        try:
            raise RuntimeError("s3cret-token" + "x" * 10_000)
        except RuntimeError:
            daemon.exception("y" * 10_000)
    text = (tmp_path / "daemon.log").read_text()
    assert "s3cret-token" not in text
    assert "<token>" in text
    assert len(text) < 6 * MAX_LINE_CHARACTERS


def test_logs_are_rotated_by_size_and_private(tmp_path: Path) -> None:
    with logging_to(tmp_path, LogOptions("text", max_bytes=2000, kept=2)):
        for number in range(300):
            daemon.info("line %d", number)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["daemon.log", "daemon.log.1", "daemon.log.2"]
    assert all((tmp_path / name).stat().st_size <= 2000 for name in files)
    assert "line 299" in (tmp_path / "daemon.log").read_text()
    if os.name == "posix":
        modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in files}
        assert modes == {0o600}


async def test_what_a_user_writes_and_the_token_stay_out(
    make_config: MakeConfig, clip: str
) -> None:
    prompt = "my unpublished lyrics, all of them"
    config = make_config(log_format="json")
    async with App(config) as app, Client(app.url, app.token, name=f"evil {app.token}") as client:
        for extra in ("", " raise"):
            fields = {"task": "extend", "source": clip, "seconds": 1, "prompt": prompt + extra}
            job = await client.submit(fields)
            _ = [event async for event in client.events(job)]
    text = "".join(path.read_text() for path in (config.data_dir / "logs").iterdir())
    assert prompt not in text
    assert app.token not in text
    ended = [json.loads(line) for line in text.splitlines() if '"end"' in line]
    assert [entry["end"] for entry in ended] == ["done", "failed"]
    assert all(entry["task"] == "extend" and entry["render_s"] >= 0 for entry in ended)
