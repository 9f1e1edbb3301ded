"""`daw-bridge config`: every setting, its value and where that comes from."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from daw_bridge.commands.console import Console, table
from daw_bridge.config import Config, load_with_origins, settings_table

_HIDDEN = "(not shown)"


def load_given(options: argparse.Namespace) -> tuple[Config, dict[str, str]]:
    """The settings of a command that takes all of them as flags, and where each comes from.

    Raises:
        BridgeError: as `load_with_origins`.
    """
    given: Mapping[str, Any] = vars(options)
    file = Path(options.config) if options.config else None
    return load_with_origins({item.name: given[item.name] for item in fields(Config)}, file=file)


def run(options: argparse.Namespace, console: Console) -> None:
    """Print the table. The token is not printed: it would end up in logs and screenshots."""
    config, origins = load_given(options)
    rows, values = [["setting", "value", "", "from", "meaning"]], []
    for setting in settings_table():
        value = _plain(getattr(config, setting.name))
        if setting.name == "token" and value is not None:
            value = _HIDDEN
        origin = origins[setting.name]
        rows.append([setting.name, _shown(value), setting.unit, origin, setting.doc])
        values.append({"name": setting.name, "value": value, "unit": setting.unit, "from": origin})
    console.result({"settings": values}, table(rows))


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, tuple):
        return [str(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _shown(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case list():
            return ", ".join(value)
        case float():
            return f"{value:g}"
        case _:
            return str(value)
