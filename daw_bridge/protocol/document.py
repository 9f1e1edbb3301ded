"""Writes the table as `plugins/protocol.json` for programs and `docs/protocol.md` for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from daw_bridge.protocol.table import (
    BINARY_FORMATS,
    BINARY_HEADER,
    BINARY_KINDS,
    BINARY_MAGIC,
    COMMANDS,
    FLAG_LAST,
    MAX_ID_LENGTH,
    MAX_OSC_PACKET_BYTES,
    OSC_PAIRS,
    OSC_PREFIX,
    OSC_REPLY_PREFIX,
    REPLIES,
    REPLY_BY_NAME,
    VERSION,
    Arg,
    Command,
    Reply,
)
from engine.spec import ERROR_CODES, Field

JSON_PATH = "plugins/protocol.json"
MARKDOWN_PATH = "docs/protocol.md"

_OSC_TYPES = {
    "number": "f d i h s",
    "integer": "i h s",
    "flag": "T F i",
    "text": "s",
    "path": "s",
    "choice": "s",
    "tempo": "s, points beat:bpm with commas",
    "metre": "s",
    "roles": "s, with commas",
    "lane": "s, points seconds:dB with commas",
    "form": "s",
}

_INTRODUCTION = f"""# Protocol

Generated from the protocol table by `scripts/generate_protocol`; do not edit. Version {VERSION}.

Every command and every reply carries the `id` that the client chose for the command: printable
text of at most {MAX_ID_LENGTH} characters, or an integer, which is answered as text. A render is
answered by `accepted` with its job, then come the events of the job, and `done`, `cancelled` or
`failed` ends it. A client that goes away does not stop its job; the take is kept.

The daemon listens on loopback only. Its addresses and its token stand in `server.json` in the data
folder, which only its owner can read.

## WebSocket

The address is `url` of `server.json`. A client shows the token in an `Authorization: Bearer`
header or in its first message, `{{"id": "1", "command": "hello", "token": "..."}}`. Connections
from pages of other origins are refused. A command is a text frame
`{{"id": "2", "command": "extend", "source": "/clips/groove.wav", "bars": 2}}`. Answers have
`reply`, events of a job have `event` and `job`; `null` means unknown. Progress and previews are
left out when a client reads too slowly, nothing else is.

## OSC

A command is a message or part of a bundle (time tags are not used) to `{OSC_PREFIX}<command>`:
first the id, then keys and values in turn, `/dawbridge/extend 2 token ... source /clips/groove.wav
bars 2`. Values have the types `s i f h d T F`. A reply is `{OSC_REPLY_PREFIX}<name>` with the id
and then the values in the order given below, flat, in less than {MAX_OSC_PACKET_BYTES} bytes; texts
marked *clipped* are shortened to fit. A 32-bit float is read as the shortest decimal that it can
stand for, so that a tempo of 123.4 stays 123.4. Replies go to the port the message came from, or to
`reply_port`. Audio never rides in OSC: give paths, or the id of an upload over the WebSocket.

The same messages go over TCP, on `osc_tcp_port` of `server.json`, which is the number of the UDP
port unless it is taken: framed by SLIP with an END byte on both sides (OSC 1.1), or with the size
of each packet before it as a big-endian 32-bit integer (OSC 1.0), whichever the client begins with.
The first message shows the token, later ones need not; a wrong token ends the connection. Replies
and events come on the connection, and a packet may have 64 KiB.

These pairs belong to OSC itself and can go with every command:

"""


def protocol_json() -> str:
    """The table for programs."""
    table = {
        "name": "daw-bridge",
        "version": VERSION,
        "osc": {
            "prefix": OSC_PREFIX,
            "reply_prefix": OSC_REPLY_PREFIX,
            "max_packet_bytes": MAX_OSC_PACKET_BYTES,
            "pairs": [_field_entry(field, "") for field in OSC_PAIRS],
        },
        "commands": [_command_entry(command) for command in COMMANDS],
        "replies": [_reply_entry(reply) for reply in REPLIES],
        "binary": {
            "magic": BINARY_MAGIC.decode(),
            "byte_order": "little",
            "header": [
                {"name": part.name, "type": part.code, "doc": part.doc} for part in BINARY_HEADER
            ],
            "kinds": dict(BINARY_KINDS),
            "formats": dict(BINARY_FORMATS),
            "flags": {"last": FLAG_LAST},
        },
        "errors": sorted(ERROR_CODES),
    }
    return json.dumps(table, indent=1, ensure_ascii=False) + "\n"


def protocol_markdown() -> str:
    """The table for people."""
    parts = [
        _INTRODUCTION,
        _fields_table(OSC_PAIRS, ""),
        "\n## Commands\n\nFields marked * are required.\n",
        *(_command_section(command) for command in COMMANDS),
        "\n## Replies and events\n",
        *(_reply_section(reply) for reply in REPLIES),
        _binary_section(),
        "\n## Error codes\n\n",
        ", ".join(f"`{code}`" for code in sorted(ERROR_CODES)) + ".\n",
    ]
    return "".join(parts)


def _without_empty(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value not in (None, "", (), [])}


def _field_entry(field: Field, command: str) -> dict[str, Any]:
    return _without_empty(
        {
            "name": field.name,
            "kind": field.kind,
            "osc": _OSC_TYPES[field.kind],
            "unit": field.unit,
            "low": field.low,
            "high": field.high,
            "choices": field.choices,
            "default": field.default,
            "required": command in field.required or None,
            "doc": field.doc,
        }
    )


def _command_entry(command: Command) -> dict[str, Any]:
    return {
        "name": command.name,
        "doc": command.doc,
        "transports": list(command.transports),
        "asynchronous": command.asynchronous,
        "fields": [_field_entry(field, command.name) for field in command.fields],
        "replies": [*command.replies, *(() if "failed" in command.replies else ("failed",))],
    }


def _reply_entry(reply: Reply) -> dict[str, Any]:
    return _without_empty(
        {
            "name": reply.name,
            "doc": reply.doc,
            "json_key": "event" if reply.event else "reply",
            "last": reply.last,
            "items": reply.items,
            "items_in": reply.items_in,
            "items_from": reply.items_from or None,
            "args": [_arg_entry(arg) for arg in reply.args],
        }
    )


def _arg_entry(arg: Arg) -> dict[str, Any]:
    return _without_empty({"name": arg.name, "osc": arg.osc, "unit": arg.unit, "doc": arg.doc})


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _fields_table(fields: Sequence[Field], command: str) -> str:
    if not fields:
        return ""
    rows = [
        (
            f"`{field.name}`" + (" *" if command in field.required else ""),
            _OSC_TYPES[field.kind],
            _range(field),
            _default(field.default),
            field.doc,
        )
        for field in fields
    ]
    return _table(("field", "OSC types", "range", "default", "meaning"), rows)


def _range(field: Field) -> str:
    if field.choices:
        return ", ".join(field.choices)
    if field.low is None or field.high is None:
        return field.unit
    return f"{_short(field.low)} to {_short(field.high)} {field.unit}".rstrip()


def _short(number: float) -> str:
    power = round(number).bit_length() - 1
    return f"2^{power}" if number > 1e6 and number == 2**power else f"{number:.16g}"


def _default(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _command_section(command: Command) -> str:
    only = "" if "osc" in command.transports else " WebSocket only."
    replies = ", ".join(f"`{name}`" for name in command.replies if name != "failed")
    lists = dict.fromkeys(REPLY_BY_NAME[name].items for name in command.replies)
    entries = ", ".join(f"`{name}`" for name in lists if name)
    apart = f" By OSC each entry of a list is a message of its own: {entries}." if entries else ""
    fields = _fields_table(command.fields, command.name)
    return (
        f"\n### `{command.name}`\n\n{_sentence(command.doc)}{only}"
        f" Replies: {replies}, or `failed`.{apart}" + (f"\n\n{fields}" if fields else "\n")
    )


def _reply_section(reply: Reply) -> str:
    osc = [f"{arg.name}:{arg.osc}" for arg in reply.args if arg.osc]
    said = reply.name not in ("upload", "uploaded", "stream")
    line = f"\nOSC: `{OSC_REPLY_PREFIX}{' '.join([reply.name, 'id:s', *osc])}`\n" if said else ""
    kind = "Event" if reply.event else "Reply"
    ends = " Nothing follows it." if reply.event and reply.last else ""
    rows = [
        (
            f"`{arg.name}`",
            arg.osc or "JSON only",
            arg.unit,
            arg.doc + (", *clipped*" if arg.clip else ""),
        )
        for arg in reply.args
    ]
    table = "\n" + _table(("value", "OSC type", "unit", "meaning"), rows) if rows else ""
    return f"\n### `{reply.name}`\n\n{kind}: {reply.doc}.{ends}\n{line}{table}"


def _binary_section() -> str:
    rows = [(f"`{part.name}`", f"`{part.code}`", part.doc) for part in BINARY_HEADER]
    return (
        "\n## Binary frames\n\nA little-endian header of 32 bytes, then data. Types are those of "
        "Python's `struct`.\n\n"
        + _table(("field", "type", "meaning"), rows)
        + "\nAn upload's frames come in order, from `offset_bytes` of the reply on, each at the "
        "offset where the last one ended, the last one flagged; one at 0 begins anew. Offsets and "
        "lengths of audio count samples per channel. Frames end at the same samples wherever a "
        "stream begins, and a frame without samples has no data in any format.\n"
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
