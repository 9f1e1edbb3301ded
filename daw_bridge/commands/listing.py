"""The commands that ask: models, takes, jobs; those that rate, remove and restore a take and stop
a job."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from daw_bridge.commands import models
from daw_bridge.commands.arguments import given_values
from daw_bridge.commands.console import Console, table
from daw_bridge.commands.local import EngineFactory, finished_take, open_store
from daw_bridge.commands.remote import ask, find_daemon
from daw_bridge.config import Config
from daw_bridge.protocol.table import COMMAND_BY_NAME
from daw_bridge.takes.keeping import Keeper
from daw_bridge.takes.store import TakeStore
from engine.models.public.registry import Registry
from engine.spec import BridgeError, cast_field


def run(
    options: argparse.Namespace, config: Config, console: Console, make_engine: EngineFactory
) -> None:
    """Answer one of `models`, `takes`, `jobs`, `rate`, `remove`, `restore` and `cancel`.

    Raises:
        BridgeError: as the daemon refuses; `unavailable` for `jobs` and `cancel` without one.
    """
    command = options.command
    items = COMMAND_BY_NAME[command].fields
    given = given_values(options, items)
    fields = {item.name: cast_field(item, given[item.name]) for item in items if item.name in given}
    client = find_daemon(options, config)
    if client is not None:
        answer = ask(client, command, **fields)
    elif command == "models":
        answer = _local_models(config, make_engine)
    elif command == "takes":
        answer = _local_takes(config, fields)
    elif command == "rate":
        take = fields["take"]
        rating = open_store(config).rate(take, fields)
        answer = {"take": take, **rating.to_mapping()}
    elif command in ("remove", "restore"):
        answer = _local_trash(config, command, fields["take"])
    else:
        raise BridgeError(
            "unavailable", "no daemon is running, so there are no jobs", "daw-bridge serve"
        )
    if command == "models":
        # Another daemon has its own list, of which it tells what it wants.
        here = options.server is None
        models.show(answer["models"], Registry(config.models_file).all() if here else (), console)
    else:
        _show(command, answer, console)


def _local_models(config: Config, make_engine: EngineFactory) -> dict[str, Any]:
    engine = make_engine(config.cache_dir, config.models_file)
    try:
        installed = Registry(config.models_file).listed()
        return {"models": [*engine.info().get("models", ()), *installed]}
    finally:
        engine.unload()


def _local_trash(config: Config, command: str, take: str) -> dict[str, Any]:
    store = open_store(config)
    keeper = Keeper(store, config.max_takes_bytes, config.trash_days)
    if command == "remove":
        store.remove(take)
        return {"take": take, **asdict(keeper.tidy())}
    path = store.restore(take).main.path
    return {"take": take, "path": path, **asdict(keeper.usage())}


def _local_takes(config: Config, fields: dict[str, Any]) -> dict[str, Any]:
    limits = {item.name: item.default for item in COMMAND_BY_NAME["takes"].fields}
    if not (config.data_dir / "takes").is_dir():
        return {"takes": []}
    store = TakeStore(config.data_dir / "takes")
    limit = {**limits, **fields}["limit"]
    if fields.get("trash"):
        removed = store.removed(limit)
        return {"takes": [{**take.summary(), "removed": when} for take, when in removed]}
    if "take" not in fields:
        return {"takes": [take.summary() for take in store.list(limit)]}
    take = store.get(fields["take"])
    finished = finished_take(store, take)
    told = {"report": finished.report, "recipe": finished.recipe}
    return {"takes": [{**take.summary(), **told}]}


def _show(command: str, answer: dict[str, Any], console: Console) -> None:
    if command == "cancel":
        console.result({"job": answer["job"]}, [f"{answer['job']} stops"])
        return
    if command == "rate":
        rated = {name: answer[name] for name in ("take", "verdict", "stars", "note")}
        console.result(rated, [f"{answer['take']}: {_rating(answer)}"])
        return
    if command in ("remove", "restore"):
        told = {name: value for name, value in answer.items() if name not in ("id", "reply")}
        where = "in the trash; restore brings it back" if command == "remove" else told["path"]
        lines = [f"{told['take']}: {where}", *([told["warning"]] if told["warning"] else [])]
        console.result(told, lines)
        return
    entries: list[dict[str, Any]] = answer[command]
    rows = [_row(command, entry) for entry in entries]
    console.result({command: entries}, table(rows) if rows else [f"no {command} yet"])


def _row(command: str, entry: dict[str, Any]) -> list[str]:
    match command:
        case "takes":
            length_s = entry["length_samples"] / entry["sample_rate_hz"]
            about = [entry["take"], entry["task"], f"{length_s:.2f} s", _rating(entry)]
            return [*about, entry["path"]]
        case _:
            return [entry["job"], entry["task"], entry["state"], f"{entry['fraction']:.0%}"]


def _rating(entry: dict[str, Any]) -> str:
    """A rating in few words: `keep, 4 of 5, the fill drags`; a dash where nothing is said."""
    stars = entry["stars"]
    said = (entry["verdict"], f"{stars} of 5" if stars else "", entry["note"])
    return ", ".join(text for text in said if text) or "-"
