"""`daw-bridge export`: a take as a file for other programs."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

from daw_bridge.commands.arguments import given_values
from daw_bridge.commands.console import Console
from daw_bridge.commands.local import open_store
from daw_bridge.commands.remote import ask, find_daemon
from daw_bridge.config import Config
from daw_bridge.exports import TIMEOUT_S, export_request, exports_folder, run_export
from daw_bridge.protocol.table import COMMAND_BY_NAME
from engine.spec import BridgeError, cast_field

_FIELDS = COMMAND_BY_NAME["export"].fields


def run(options: argparse.Namespace, config: Config, console: Console) -> None:
    """Export here, with or without a daemon: whoever types may write where they like.

    A daemon is asked only when one is named, because then it may have takes of its own.

    Raises:
        BridgeError: as the export refuses.
    """
    given = given_values(options, _FIELDS)
    fields = {
        item.name: cast_field(item, given[item.name]) for item in _FIELDS if item.name in given
    }
    if "folder" in fields:
        fields["folder"] = str(Path(fields["folder"]).expanduser().resolve())
    if options.server is None:
        answer = _local(config, {**{item.name: item.default for item in _FIELDS}, **fields})
    else:
        client = find_daemon(options, config, reply_timeout_s=TIMEOUT_S + 10.0)
        assert client is not None
        answer = ask(client, "export", **fields)
    told = {name: value for name, value in answer.items() if name not in ("id", "reply")}
    console.result(told, _lines(told))


def _local(config: Config, values: dict[str, Any]) -> dict[str, Any]:
    item = open_store(config).get(values["take"]).file(values["stem"])
    folder = Path(values["folder"]) if values["folder"] else exports_folder(config.data_dir)
    if not folder.is_dir():
        raise BridgeError("not_found", f"{folder} is no folder", "make it first")
    request = export_request(item, values, folder)
    roots = ((config.data_dir / "takes").resolve(), folder)
    return asyncio.run(run_export(request, roots))


def _lines(told: dict[str, Any]) -> list[str]:
    over = told["over_samples"]
    said = [
        f"{told['sample_rate_hz']} Hz",
        told["sample_format"] + (", dithered" if told["dithered"] else ""),
        f"peak {told['peak_db']:.2f} dBFS" if told["peak_db"] > -200 else "silent",
        f"{over} samples over full scale were cut off" if over else "",
    ]
    return [told["path"], ", ".join(text for text in said if text)]
