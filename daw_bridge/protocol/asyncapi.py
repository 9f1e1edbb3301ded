"""Writes the table as an AsyncAPI 3 document, for generators of clients and documentation."""

from __future__ import annotations

import json
from typing import Any

from daw_bridge.protocol.table import (
    BINARY_KINDS,
    COMMANDS,
    MAX_ID_LENGTH,
    OSC_PREFIX,
    OSC_REPLY_PREFIX,
    REPLIES,
    VERSION,
    WEBSOCKET_PATH,
    Arg,
    Command,
    Reply,
)
from engine.spec import Field

ASYNCAPI_PATH = "docs/asyncapi.json"

Schema = dict[str, Any]

_ID: Schema = {
    "type": "string",
    "maxLength": MAX_ID_LENGTH,
    "description": "chosen by the client and repeated in every reply",
}
_CHANNELS = {"websocket": ("websocket",), "osc": ("oscUdp", "oscTcp")}


def asyncapi_json() -> str:
    """The document: every command an operation that the daemon receives, with its replies."""
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "daw-bridge",
            "version": str(VERSION),
            "description": "Commands, replies and events of the daemon. Generated from the "
            "protocol table; protocol.md says it in words, with the header of binary frames.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "websocket": _server("127.0.0.1:8787", "ws", "JSON in text frames, audio in binary"),
            "oscUdp": _server("127.0.0.1:9787", "osc-udp", "OSC messages and bundles"),
            "oscTcp": _server("127.0.0.1:9787", "osc-tcp", "the same, framed by SLIP"),
        },
        "channels": {name: _channel(name) for name in _CHANNELS},
        "operations": {
            f"{command.name}-{transport}": _operation(command, transport)
            for command in COMMANDS
            for transport in command.transports
        },
        "components": {
            "messages": {
                **{f"command-{command.name}": _command(command) for command in COMMANDS},
                **{f"reply-{reply.name}": _reply(reply) for reply in REPLIES},
                **{f"frame-{kind}": _frame(kind) for kind in BINARY_KINDS},
            },
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "the token of the data folder; in OSC the pair `token`",
                }
            },
        },
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _server(host: str, protocol: str, description: str) -> Schema:
    return {
        "host": host,
        "protocol": protocol,
        "description": description + "; the address is in server.json of the data folder",
        "security": [_ref("components/securitySchemes/token")],
    }


def _channel(transport: str) -> Schema:
    commands = [c for c in COMMANDS if transport in c.transports]
    names = [f"command-{command.name}" for command in commands]
    names += [f"reply-{name}" for name in _told(commands)]
    if transport == "websocket":
        names += [f"frame-{kind}" for kind in BINARY_KINDS]
    return {
        "address": WEBSOCKET_PATH if transport == "websocket" else None,
        "servers": [_ref(f"servers/{name}") for name in _CHANNELS[transport]],
        "messages": {name: _ref(f"components/messages/{name}") for name in names},
    }


def _told(commands: list[Command]) -> list[str]:
    """Replies that the commands lead to, with the entries of their lists."""
    named = {"failed", *(name for command in commands for name in command.replies)}
    entries = {reply.items for reply in REPLIES if reply.name in named}
    return [reply.name for reply in REPLIES if reply.name in named | entries]


def _operation(command: Command, transport: str) -> Schema:
    messages = f"channels/{transport}/messages"
    return {
        "action": "receive",
        "summary": command.doc,
        "channel": _ref(f"channels/{transport}"),
        "messages": [_ref(f"{messages}/command-{command.name}")],
        "reply": {
            "channel": _ref(f"channels/{transport}"),
            "messages": [_ref(f"{messages}/reply-{name}") for name in _told([command])],
        },
    }


def _command(command: Command) -> Schema:
    required = [field.name for field in command.fields if command.name in field.required]
    return {
        "name": command.name,
        "summary": command.doc,
        "payload": {
            "type": "object",
            "required": ["id", "command", *required],
            "additionalProperties": False,
            "properties": {
                "id": _ID,
                "command": {"const": command.name},
                **{field.name: _field(field) for field in command.fields},
            },
        },
        **({"x-osc-address": OSC_PREFIX + command.name} if "osc" in command.transports else {}),
    }


def _field(field: Field) -> Schema:
    kinds = {"number": "number", "integer": "integer", "flag": "boolean"}
    schema: Schema = {"type": kinds.get(field.kind, "string"), "description": field.doc}
    if field.kind == "roles":
        schema |= {"type": "array", "items": {"type": "string"}}
    optional = {
        "minimum": field.low,
        "maximum": field.high,
        "enum": list(field.choices) or None,
        "default": list(field.default) if isinstance(field.default, tuple) else field.default,
        "x-unit": field.unit or None,
    }
    return schema | {key: value for key, value in optional.items() if value is not None}


def _reply(reply: Reply) -> Schema:
    key = "event" if reply.event else "reply"
    said = [{"name": arg.name, "type": arg.osc} for arg in reply.args if arg.osc]
    lists: Schema = {}
    if reply.items:
        lists[reply.items_in or reply.name] = {
            "type": "array",
            "items": _ref(f"components/messages/reply-{reply.items}/payload"),
        }
    return {
        "name": reply.name,
        "summary": reply.doc,
        "payload": {
            "type": "object",
            "properties": {
                "id": _ID,
                key: {"const": reply.name},
                **{arg.name: _arg(arg) for arg in reply.args},
                **lists,
            },
        },
        "x-osc-address": OSC_REPLY_PREFIX + reply.name,
        "x-osc-arguments": [{"name": "id", "type": "s"}, *said],
    }


def _arg(arg: Arg) -> Schema:
    # A text of OSC may stand for a list or a mapping in JSON, and null for what is not known.
    kinds = {"i": ["integer", "null"], "f": ["number", "null"]}
    schema: Schema = {"description": arg.doc}
    if arg.osc in kinds:
        schema["type"] = kinds[arg.osc]
    return schema | ({"x-unit": arg.unit} if arg.unit else {})


def _frame(kind: str) -> Schema:
    return {
        "name": f"frame-{kind}",
        "summary": f"a binary frame of kind {kind}: a header of 32 bytes, then data",
        "contentType": "application/octet-stream",
        "payload": {"type": "string", "format": "binary"},
    }


def _ref(place: str) -> Schema:
    return {"$ref": f"#/{place}"}
