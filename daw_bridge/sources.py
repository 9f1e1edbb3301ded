"""Where settings are given: a TOML file, the environment and flags, the later above the earlier.

# config.toml in the data folder
port = 8790
roots = ["~/Music", "/media/clips"]
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daw_bridge.owners import is_of_another, others_may_read, others_may_write
from engine.spec import BridgeError

ENVIRONMENT_PREFIX = "DAW_BRIDGE_"
CONFIG_FILE = "config.toml"
CONFIG_VARIABLE = ENVIRONMENT_PREFIX + "CONFIG"
DEFAULT = "default"
_MAX_FILE_BYTES = 1 << 20
_SECRET = "token"


@dataclass(frozen=True, slots=True)
class Given:
    """A setting as it was given.

    Attributes:
        name: how it is called there: `port`, `DAW_BRIDGE_PORT`.
        origin: the file, `environment` or `flag`.
    """

    value: Any
    name: str
    origin: str


def environment_name(setting: str) -> str:
    """Environment variable of a setting: `port` is `DAW_BRIDGE_PORT`."""
    return ENVIRONMENT_PREFIX + setting.upper()


def from_flags(flags: Mapping[str, Any], names: Collection[str]) -> dict[str, Given]:
    """Settings by flag; None is not given.

    Raises:
        BridgeError: `bad_request` for an unknown name.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    _refuse_unknown(given, names, "setting")
    return {name: Given(value, name, "flag") for name, value in given.items()}


def from_environment(environment: Mapping[str, str], names: Collection[str]) -> dict[str, Given]:
    """Settings by variable.

    Raises:
        BridgeError: `bad_request` for a variable that looks like one of ours and is none.
    """
    variables = {environment_name(name): name for name in names}
    ours = {name for name in environment if name.startswith(ENVIRONMENT_PREFIX)}
    _refuse_unknown(ours, {*variables, CONFIG_VARIABLE}, "environment variable")
    return {
        name: Given(environment[variable], variable, "environment")
        for variable, name in variables.items()
        if variable in environment
    }


def from_file(path: Path, names: Collection[str]) -> dict[str, Given]:
    """Settings of a TOML file.

    Raises:
        BridgeError: `bad_request` for what is no TOML or an unknown name; `unavailable` for a file
            that cannot be read, or that another user may have written.
    """
    text, status = _read(path)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        hint = 'write lines such as port = 8787 or roots = ["/clips"]'
        raise BridgeError("bad_request", f"{path}: {error}", hint) from None
    _refuse_unknown(values, names, "setting", f"{path}: ")
    if _SECRET in values and others_may_read(status):
        raise BridgeError(
            "unavailable",
            f"{path} holds the token and others may read it",
            f"chmod 600 {path}",
        )
    return {name: Given(value, name, str(path)) for name, value in values.items()}


def _read(path: Path) -> tuple[str, os.stat_result]:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(_MAX_FILE_BYTES)
    except OSError as error:
        raise BridgeError("unavailable", f"{path} cannot be read: {error.strerror}") from None
    # Its settings name the code that runs as the engine.
    if is_of_another(status) or others_may_write(status):
        raise BridgeError(
            "unavailable", f"{path} may have been written by another user", f"chmod 600 {path}"
        )
    try:
        return data.decode(), status
    except UnicodeDecodeError:
        raise BridgeError("bad_request", f"{path} is no text in UTF-8") from None


def nearest(name: str, names: Collection[str]) -> str:
    """The name that was meant, as a hint; empty where none is near."""
    found = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {found[0]}?" if found else ""


def _refuse_unknown(
    given: Collection[str], names: Collection[str], what: str, where: str = ""
) -> None:
    for name in sorted(set(given) - set(names)):
        hint = nearest(name, names) or "daw-bridge config lists them"
        raise BridgeError("bad_request", f"{where}unknown {what} {name}", hint)
