"""Commands and replies as plain values, and their form in JSON.

A command read from any transport becomes a `Call`; a reply is a mapping with `id`, `reply` or
`event`, and the fields of the table. No I/O here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from daw_bridge.protocol.table import (
    COMMAND_BY_NAME,
    COMMANDS,
    MAX_ID_LENGTH,
    REPLY_BY_NAME,
    Command,
    Transport,
)
from engine.spec import BridgeError, cast_field
from engine.units import finite_figures

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One checked command.

    Attributes:
        id: chosen by the client; every reply repeats it.
        values: the fields that were given, cast to their types.
    """

    id: str
    command: str
    values: Mapping[str, Any]

    def get(self, name: str) -> Any:
        """The value of a field, or its default."""
        for field in COMMAND_BY_NAME[self.command].fields:
            if field.name == name:
                return self.values.get(name, field.default)
        raise KeyError(name)


class Peer(Protocol):
    """A client, whatever its transport."""

    def send(self, message: Message, payload: bytes = b"", *, droppable: bool = False) -> None:
        """Queue a reply; `droppable` ones may be left out when the client is slow."""

    async def send_audio(self, frame: bytes) -> None:
        """Queue a binary frame that must not be lost, after waiting for room."""

    @property
    def is_connected(self) -> bool:
        """Whether a connection tells when the client goes; an address of UDP does not."""


class CallError(Exception):
    """A message that is no valid call.

    Attributes:
        call_id: id of the call when it could be read, else empty.
        error: what is wrong with it.
    """

    def __init__(self, call_id: str, error: BridgeError) -> None:
        super().__init__(str(error))
        self.call_id = call_id
        self.error = error


def check_call(call_id: str, name: str, values: Mapping[str, Any], transport: Transport) -> Call:
    """Check a command's name and fields against the table; `None` means absent.

    Raises:
        CallError: `bad_message` for an unknown command, `bad_request` for a bad field.
    """
    try:
        command = _command(name, transport)
        cast = _cast_values(command, values)
    except BridgeError as error:
        raise CallError(call_id, error) from None
    return Call(call_id, name, cast)


def _command(name: str, transport: Transport) -> Command:
    command = COMMAND_BY_NAME.get(name)
    if command is None:
        known = ", ".join(c.name for c in COMMANDS)
        raise BridgeError("bad_message", f"unknown command {name[:80]!r}", f"known: {known}")
    if transport not in command.transports:
        raise BridgeError("bad_message", f"{name} is not for {transport}", "use the WebSocket")
    return command


def _cast_values(command: Command, values: Mapping[str, Any]) -> dict[str, Any]:
    fields = {field.name: field for field in command.fields}
    cast: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            hint = f"known: {', '.join(fields)}" if fields else "it takes none"
            raise BridgeError("bad_request", f"{command.name} has no field {key[:80]!r}", hint)
        if value is not None:
            cast[key] = cast_field(fields[key], value)
    missing = [f.name for f in command.fields if command.name in f.required and f.name not in cast]
    if missing:
        raise BridgeError("bad_request", f"{command.name} needs {' and '.join(missing)}")
    return cast


def read_json_call(text: str) -> Call:
    """Read `{"id": ..., "command": ..., field: value, ...}`.

    Raises:
        CallError: the text is not JSON, not an object, or not a command of the table.
    """
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise CallError("", BridgeError("bad_message", f"not JSON: {error}"[:200])) from None
    if not isinstance(data, dict):
        raise CallError(
            "",
            BridgeError("bad_message", "not a JSON object", 'send {"id": "1", "command": "ping"}'),
        )
    call_id = read_id(data.pop("id", ""))
    name = data.pop("command", None)
    if not isinstance(name, str):
        raise CallError(call_id, BridgeError("bad_message", "the message names no command"))
    return check_call(call_id, name, data, "websocket")


def read_id(value: Any) -> str:
    """The id of a call as text.

    Raises:
        CallError: it is neither a short text nor an integer.
    """
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return str(value)
    if isinstance(value, str) and len(value) <= MAX_ID_LENGTH and value.isprintable():
        return value
    hint = f"an integer or at most {MAX_ID_LENGTH} printable characters"
    raise CallError("", BridgeError("bad_message", "the id is not usable", hint))


def write_json_call(call: Call) -> str:
    """Inverse of `read_json_call`."""
    return json.dumps({"id": call.id, "command": call.command, **call.values}, allow_nan=False)


def write_json_message(message: Message) -> str:
    """A reply or event as JSON text; figures that are no number become null.

    JSON has no NaN, and a browser would refuse the whole message for one.
    """
    return json.dumps(finite_figures(message), separators=(",", ":"), allow_nan=False)


def reply(call_id: str, name: str, **values: Any) -> Message:
    """An immediate answer."""
    assert name in REPLY_BY_NAME, name
    return {"id": call_id, "reply": name, **values}


def failed(call_id: str, error: BridgeError) -> Message:
    """The answer to a request that is refused."""
    return reply(call_id, "failed", **error.to_mapping())


def reply_name(message: Message) -> str:
    """Name of a reply or event in the table."""
    return str(message.get("reply") or message.get("event"))


def is_last(message: Message) -> bool:
    """Whether nothing more follows for the request."""
    return REPLY_BY_NAME[reply_name(message)].last


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
