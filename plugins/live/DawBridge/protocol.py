"""The daemon's protocol, read from the `protocol.json` that comes with the script."""

from __future__ import annotations

import json
import os
from typing import Any

from .refusal import Refusal

_HERE = os.path.dirname(os.path.abspath(__file__))
# Installed it lies beside this file, in the repository two folders up.
PLACES = (
    os.path.join(_HERE, "protocol.json"),
    os.path.join(os.path.dirname(os.path.dirname(_HERE)), "protocol.json"),
)


class Protocol:
    """Which fields a command has, what they may be, and what replies mean."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.version: int = table["version"]
        self._prefix: str = table["osc"]["prefix"]
        self._reply_prefix: str = table["osc"]["reply_prefix"]
        self._fields: dict[str, dict[str, dict[str, Any]]] = {
            row["name"]: {field["name"]: field for field in row["fields"]}
            for row in table["commands"]
        }
        self._values: dict[str, list[str]] = {
            row["name"]: [arg["name"] for arg in row.get("args", []) if "osc" in arg]
            for row in table["replies"]
        }

    @classmethod
    def load(cls) -> Protocol:
        """The protocol of this installation.

        Raises:
            Refusal: it is not there.
        """
        for path in PLACES:
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    return cls(json.load(file))
        raise Refusal("protocol.json is missing", "run `daw-bridge hosts install live` again")

    def address(self, command: str) -> str:
        """The OSC address of a command."""
        return self._prefix + command

    def field(self, command: str, name: str) -> dict[str, Any] | None:
        """What the table says of a field; None where the command has no such field."""
        return self._fields[command].get(name)

    def cast(self, command: str, name: str, given: Any) -> Any:
        """A value as its field wants it.

        Raises:
            Refusal: it is no such value; ranges are left to the daemon, which names them.
        """
        field = self.field(command, name)
        if field is None:
            raise Refusal(
                f"{command} knows no {name!r}",
                "it knows {}".format(", ".join(sorted(self._fields[command]))),
            )
        try:
            if field["kind"] == "number":
                return float(given)
            if field["kind"] == "integer":
                return round(float(given))
        except (ValueError, OverflowError):
            raise Refusal(f"{name} is {given!r}", "it must be a number") from None
        if field["kind"] == "flag":
            return str(given).lower() in ("1", "1.0", "true", "yes", "on")
        return str(given)

    def read(self, address: str, values: list[Any]) -> tuple[str, str, dict[str, Any]]:
        """Name, id and values of a reply; what this version does not know has no values."""
        name = address[len(self._reply_prefix) :] if address.startswith(self._reply_prefix) else ""
        call_id = str(values[0]) if values else ""
        return name, call_id, dict(zip(self._values.get(name, []), values[1:]))
