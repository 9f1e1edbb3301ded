"""`daw-bridge estimate TASK ...`: what a render would need, before it is asked for."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from daw_bridge.commands.console import Console
from daw_bridge.commands.local import EngineFactory
from daw_bridge.commands.remote import estimate, find_daemon
from daw_bridge.commands.render import request_of
from daw_bridge.config import Config
from daw_bridge.protocol.table import REPLY_BY_NAME

_PATIENCE_S = 3600.0  # the daemon's engine answers after the render that it is at


def run(
    options: argparse.Namespace, config: Config, console: Console, make_engine: EngineFactory
) -> None:
    """Ask the daemon when there is one, else an engine in this process.

    Raises:
        BridgeError: what is wrong with the request or its files.
    """
    request = request_of(options)
    client = find_daemon(options, config, reply_timeout_s=_PATIENCE_S)
    if client is not None:
        found = estimate(client, request)
    else:
        engine = make_engine(config.cache_dir, config.models_file)
        try:
            found = engine.estimate(request)
        finally:
            engine.unload()
    told = {arg.name: found[arg.name] for arg in REPLY_BY_NAME["estimate"].args}
    console.result(told, _as_lines(told))


def _as_lines(told: Mapping[str, Any]) -> list[str]:
    if told["cached"]:
        return ["it has been rendered before and is at hand"]
    least, most, free = told["evaluations_least"], told["evaluations_most"], told["free_bytes"]
    memory = f"memory: {_mib(told['needed_bytes'])} for the optimisation (keeps {told['policy']})"
    counted = f"{most}" if least == most else f"{least} to {most}"
    seconds = told["seconds"]
    unknown = "unknown until this engine has made a render of the kind"
    return [
        memory + ("" if free is None else f", {_mib(free)} are free"),
        f"network: {counted} evaluations",
        f"time: {unknown if seconds is None else f'about {seconds:.0f} s'}",
    ]


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.0f} MiB"
