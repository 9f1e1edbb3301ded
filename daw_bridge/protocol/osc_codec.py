"""Commands and replies as OSC 1.0 packets. No I/O here.

A command is `/dawbridge/<command> id key value key value ...`; a reply is
`/dawbridge/reply/<name> id value ...` with the values of the table in order. All lists are flat,
because Pure Data reads no OSC arrays, and replies stay below 1,400 bytes, so that they fit a
datagram on any network.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from daw_bridge.protocol.messages import (
    Call,
    CallError,
    Message,
    check_call,
    read_id,
    reply_name,
)
from daw_bridge.protocol.table import (
    MAX_OSC_PACKET_BYTES,
    OSC_PAIRS,
    OSC_PREFIX,
    OSC_REPLY_PREFIX,
    REPLY_BY_NAME,
    Arg,
    Reply,
)
from engine.spec import BridgeError, cast_field

_BUNDLE_HEAD = b"#bundle\0"
_BUNDLE_HEAD_BYTES = 16  # the tag and a time tag, which is not used: everything is done at once
_MAX_BUNDLE_DEPTH = 8
_READABLE_TYPES = frozenset("ifhdsTF")
_INT32 = range(-(2**31), 2**31)
_CLIPPED = "…"
_ADDRESS_HINT = f"ours are {OSC_PREFIX}<command>"


@dataclass(frozen=True, slots=True)
class OscCall:
    """A command read from OSC, with the pairs that belong to OSC itself."""

    call: Call
    token: str | None = None
    reply_port: int | None = None
    reply_file: bool = False


class OscCallError(CallError):
    """A message that is no valid call, with where its refusal should go."""

    def __init__(
        self,
        error: CallError,
        reply_port: int | None,
        *,
        token: str | None = None,
        reply_file: bool = False,
    ) -> None:
        super().__init__(error.call_id, error.error)
        self.reply_port = reply_port
        self.token = token
        self.reply_file = reply_file


def split_packet(packet: bytes, depth: int = 0) -> Iterator[bytes]:
    """Yield the messages of a packet, which is one message or a bundle, perhaps of bundles.

    Bundles are taken apart here and not by python-osc, which never returns from a bundle whose
    element has a negative size.

    Raises:
        BridgeError: `bad_message` for anything else.
    """
    if packet.startswith(b"/"):
        yield packet
        return
    if not packet.startswith(_BUNDLE_HEAD) or len(packet) < _BUNDLE_HEAD_BYTES:
        raise BridgeError("bad_message", "the packet is neither an OSC message nor a bundle")
    if depth >= _MAX_BUNDLE_DEPTH:
        raise BridgeError("bad_message", f"bundles nested over {_MAX_BUNDLE_DEPTH} deep")
    at = _BUNDLE_HEAD_BYTES
    while at < len(packet):
        if at + 4 > len(packet):
            raise BridgeError("bad_message", "the bundle is cut off")
        (size_bytes,) = struct.unpack_from(">i", packet, at)
        at += 4
        if size_bytes <= 0 or at + size_bytes > len(packet):
            raise BridgeError("bad_message", f"the bundle has an element of {size_bytes} bytes")
        yield from split_packet(packet[at : at + size_bytes], depth + 1)
        at += size_bytes


def read_packet(packet: bytes) -> Iterator[OscCall | OscCallError]:
    """Yield the commands of a packet, and in place of a bad one what is wrong with it."""
    try:
        for message in split_packet(packet):
            try:
                call = decode_call(message)
            except OscCallError as error:
                yield error
            else:
                if call is not None:
                    yield call
    except BridgeError as error:
        yield OscCallError(CallError("", error), None)


def decode_call(packet: bytes) -> OscCall | None:
    """Read one OSC message as a command; None for a reply, which is nothing to answer.

    Raises:
        OscCallError: `bad_message` or `bad_request`, with the id when it could be read.
    """
    own: dict[str, Any] = {}
    try:
        address, values = _parse_message(packet)
        if address.startswith(OSC_REPLY_PREFIX):
            return None
        call_id = _read_osc_id(values[0]) if values else ""
        pairs = _read_pairs(call_id, values[1:])
        _take_own_pairs(call_id, pairs, own)
        if not address.startswith(OSC_PREFIX):
            error = BridgeError("bad_message", f"no address {address[:80]!r}", _ADDRESS_HINT)
            raise CallError(call_id, error)
        call = check_call(call_id, address.removeprefix(OSC_PREFIX), pairs, "osc")
    except CallError as refusal:
        raise OscCallError(
            refusal,
            own.get("reply_port"),
            token=own.get("token"),
            reply_file=own.get("reply_file", False),
        ) from None
    return OscCall(call, **own)


def encode_call(
    call: Call,
    token: str | None = None,
    reply_port: int | None = None,
    reply_file: bool = False,
) -> bytes:
    """Inverse of `decode_call`, for clients and tests.

    Raises:
        BridgeError: `bad_request` for a value that OSC cannot carry.
    """
    builder = OscMessageBuilder(OSC_PREFIX + call.command)
    builder.add_arg(call.id, "s")
    own = {"token": token, "reply_port": reply_port, "reply_file": reply_file or None}
    pairs = {**own, **call.values}
    for key, value in pairs.items():
        if value is None:
            continue
        builder.add_arg(key, "s")
        _add_value(builder, key, value)
    return bytes(builder.build().dgram)


def encode_reply(message: Message, limit_bytes: int = MAX_OSC_PACKET_BYTES) -> list[bytes]:
    """The packets of a reply: one, but where it has a list, which sends one for each entry before.

    Args:
        limit_bytes: packets stay below this size; that of a datagram by default.

    Raises:
        BridgeError: `too_large` when a value that must not be shortened does not fit.
    """
    name = reply_name(message)
    reply = REPLY_BY_NAME[name]
    call_id = str(message.get("id", ""))
    if not reply.items:
        return [_encode_flat(reply, call_id, message, limit_bytes)]
    entries = message.get(reply.items_in or name, [])
    each = REPLY_BY_NAME[reply.items]
    told = entries if len(entries) >= reply.items_from else []
    packets = [_encode_flat(each, call_id, {**message, **entry}, limit_bytes) for entry in told]
    ending = {"count": len(entries), **message}
    return [*packets, _encode_flat(reply, call_id, ending, limit_bytes)]


def decode_reply(packet: bytes) -> Message:
    """Read a reply packet, for clients and tests; inverse of one packet of `encode_reply`.

    Raises:
        BridgeError: `bad_message`.
    """
    try:
        address, values = _parse_message(packet)
    except CallError as error:
        raise error.error from None
    reply = REPLY_BY_NAME.get(address.removeprefix(OSC_REPLY_PREFIX))
    if reply is None or not address.startswith(OSC_REPLY_PREFIX) or not values:
        raise BridgeError("bad_message", f"no reply {address[:80]!r}")
    said = [arg for arg in reply.args if arg.osc]
    named = dict(zip((arg.name for arg in said), values[1:], strict=False))
    return {"id": values[0], "reply": reply.name, **named}


def shortest_float32(value: float) -> float:
    """The shortest decimal that a 32-bit float can stand for: most likely what a person wrote.

    >>> shortest_float32(123.4000015258789)
    123.4
    """
    packed = struct.pack(">f", value)
    for digits in range(6, 10):
        short = float(f"{value:.{digits}g}")
        if struct.pack(">f", short) == packed:
            return short
    return value


def _parse_message(packet: bytes) -> tuple[str, list[Any]]:
    try:
        tags = _type_tags(packet)
        message = OscMessage(packet)
        tagged = list(zip(tags, message.params, strict=True))
    except Exception as error:
        # The parser meets whatever a datagram holds and has more ways to stumble than its own
        # ParseError: struct.error, UnicodeDecodeError, IndexError.
        raise CallError("", BridgeError("bad_message", f"not OSC: {error}"[:200])) from None
    values = [shortest_float32(value) if tag == "f" else value for tag, value in tagged]
    return message.address, values


def _type_tags(packet: bytes) -> str:
    """One tag for each value.

    Types we do not read are refused before the parser sees them: it would skip unknown ones, which
    shifts the pairs, and log to the root logger.
    """
    tags_at = (packet.find(b"\0") // 4 + 1) * 4
    tags = packet[tags_at + 1 : packet.find(b"\0", tags_at)].decode("ascii")
    unknown = sorted(set(tags) - _READABLE_TYPES)
    if unknown:
        raise ValueError(f"a value of type {unknown[0]!r}; send s, i, f, h, d, T or F")
    return tags


def _read_osc_id(value: Any) -> str:
    # Pure Data has no integers: its 1 arrives as a float.
    whole = isinstance(value, float) and value.is_integer()
    return read_id(int(value) if whole else value)


def _read_pairs(call_id: str, values: list[Any]) -> dict[str, Any]:
    keys, items = values[::2], values[1::2]
    if len(keys) != len(items):
        raise CallError(
            call_id,
            BridgeError("bad_message", "a key has no value", "send id, then key and value in turn"),
        )
    pairs: dict[str, Any] = {}
    for key, item in zip(keys, items, strict=True):
        if not isinstance(key, str) or key in pairs:
            raise CallError(
                call_id, BridgeError("bad_message", f"{str(key)[:80]!r} is no key, or comes twice")
            )
        pairs[key] = item
    return pairs


def _take_own_pairs(call_id: str, pairs: dict[str, Any], own: dict[str, Any]) -> None:
    try:
        for field in reversed(OSC_PAIRS):
            if field.name in pairs:
                own[field.name] = cast_field(field, pairs.pop(field.name))
    except BridgeError as error:
        raise CallError(call_id, error) from None


def _add_value(builder: OscMessageBuilder, key: str, value: Any) -> None:
    if isinstance(value, bool):
        builder.add_arg(value, "T" if value else "F")
    elif isinstance(value, int):
        builder.add_arg(value, "i" if value in _INT32 else "h")
    elif isinstance(value, float):
        builder.add_arg(value, "d")
    elif isinstance(value, str):
        builder.add_arg(value, "s")
    elif isinstance(value, list | tuple):
        builder.add_arg(",".join(str(item) for item in value), "s")
    else:
        raise BridgeError("bad_request", f"{key} cannot be said in OSC")


def _encode_flat(reply: Reply, call_id: str, values: Mapping[str, Any], limit_bytes: int) -> bytes:
    said = [(arg, _osc_value(arg, values.get(arg.name))) for arg in reply.args if arg.osc]
    packet = _build(reply, call_id, said)
    if len(packet) < limit_bytes:
        return packet
    room_bytes = _room_for_texts(len(packet), said, limit_bytes)
    clipped = [(arg, _clip(value, room_bytes) if arg.clip else value) for arg, value in said]
    packet = _build(reply, call_id, clipped)
    if len(packet) >= limit_bytes:
        hint = "ask over TCP or the WebSocket"
        raise BridgeError("too_large", f"{reply.name} does not fit an OSC packet", hint)
    return packet


def _room_for_texts(packet_bytes: int, said: list[tuple[Arg, Any]], limit_bytes: int) -> int:
    texts = [str(value).encode() for arg, value in said if arg.clip]
    if not texts:
        return 0
    fixed_bytes = packet_bytes - sum(len(text) for text in texts)
    # Each text may need up to four bytes of padding more than it did at its full length.
    return max(0, (limit_bytes - fixed_bytes) // len(texts) - 8)


def _clip(text: str, room_bytes: int) -> str:
    raw = text.encode()
    if len(raw) <= room_bytes:
        return text
    return raw[: max(0, room_bytes - 3)].decode(errors="ignore") + _CLIPPED


def _build(reply: Reply, call_id: str, said: list[tuple[Arg, Any]]) -> bytes:
    builder = OscMessageBuilder(OSC_REPLY_PREFIX + reply.name)
    builder.add_arg(call_id, "s")
    for arg, value in said:
        builder.add_arg(value, arg.osc)
    return bytes(builder.build().dgram)


def _flat_text(value: Any) -> str:
    """A text, or a list or mapping as one."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return ",".join(f"{name}={item}" for name, item in value.items())
    return "" if value is None else str(value)


def _osc_value(arg: Arg, value: Any) -> Any:
    if value is None:
        value = arg.absent
    if arg.osc == "s":
        text = _flat_text(value).replace("\0", "")
        return text.encode(errors="replace").decode()
    if arg.osc == "f":
        return float(value or 0.0)
    # 32 bits, because Pure Data and SuperCollider read no more; enough for 12 hours of samples.
    return max(_INT32.start, min(_INT32.stop - 1, int(value or 0)))
