"""Commands as OSC packets, JSON texts and WebSocket frames, from valid to nonsense."""

from __future__ import annotations

import json
import struct
from random import Random
from typing import Any

from daw_bridge.protocol.binary import BinaryFrame
from daw_bridge.protocol.table import BINARY_KINDS, COMMANDS, OSC_PREFIX, Command
from engine.fields import WITH_LENGTH, Field
from fuzzing.mutate import damaged, strange_text, strange_value

# A daemon that stops when it is told to is no finding.
_COMMANDS = tuple(command for command in COMMANDS if command.name != "shutdown")
_OPCODES = (0, 1, 2, 8, 9, 10, 3, 7, 11, 15)
_USUAL: dict[str, tuple[Any, ...]] = {
    "metre": ("4/4", "7/8"),
    "roles": ("drums,bass", ["lead"]),
    "lane": ("0:-30,3:-12", [[0, -20], [1, -10]]),
    "form": ("ABBA", "A4 B4", "0:A,8:B"),
    "tempo": ("0:120,8:90",),
}
_OSC_TAGS = "ifsbhtdScrmTFNI[]x"


class Messages:
    """Makes messages.

    Args:
        token: of the daemon; most messages carry it, so that they get further.
        good_path: a file under an allowed folder.
        hostile_paths: files outside of them, under several names.
    """

    def __init__(self, token: str, good_path: str, hostile_paths: tuple[str, ...]) -> None:
        self._token = token
        self._good_path = good_path
        self._hostile_paths = hostile_paths

    def osc(self, random: Random) -> bytes:
        """One packet: a message, a bundle, or what is left of one."""
        packet = self._osc_message(random)
        if random.random() < 0.3:
            packet = self._osc_bundle(random, packet, depth=random.choice((1, 1, 2, 12)))
        return damaged(random, packet) if random.random() < 0.6 else packet

    def json_text(self, random: Random) -> str:
        """One text frame."""
        command, values = self._call(random)
        message: Any = {"id": self._id(random), "command": command, **values}
        if random.random() < 0.05:
            message = strange_value(random, self._hostile_paths)
        text = json.dumps(message, ensure_ascii=random.random() < 0.5)
        text = text.encode(errors="replace").decode()
        if random.random() < 0.4:
            text = damaged(random, text.encode()).decode(errors="replace")
        return text

    def binary(self, random: Random) -> bytes:
        """One binary frame of ours."""
        frame = BinaryFrame(
            random.choice(tuple(BINARY_KINDS)),
            random.choice((0, 1, 2, 7, 2**32 - 1)),
            random.choice((0, 1, 4096, 2**63)),
            random.randbytes(random.choice((0, 1, 32, 3000))),
            last=random.random() < 0.5,
        ).encode()
        return damaged(random, frame) if random.random() < 0.7 else frame

    def raw_frames(self, random: Random) -> bytes:
        """Bytes on a WebSocket connection, with headers that may lie."""
        parts = []
        for _ in range(random.choice((1, 1, 2, 4))):
            text = random.random() < 0.5
            body = self.json_text(random).encode() if text else self.binary(random)
            parts.append(_frame(random, body))
        whole = b"".join(parts)
        return damaged(random, whole) if random.random() < 0.5 else whole

    def _call(self, random: Random) -> tuple[str, dict[str, Any]]:
        """A command and its fields: of three calls one is meant well, as far as one field knows."""
        command = random.choice(_COMMANDS)
        strangeness = random.choice((0.0, 0.1, 0.6))
        values = {
            item.name: self._value(random, item, strangeness)
            for item in command.fields
            if command.name in item.required or random.random() < 0.2
        }
        if command.name in WITH_LENGTH and random.random() < 0.9:
            values.pop("bars", None)
            values["seconds"] = 1.0
        if random.random() < strangeness / 3:
            values[strange_text(random, self._hostile_paths)] = random.randrange(9)
        strange_name = random.random() < strangeness / 6
        return self._other_name(random, command) if strange_name else command.name, values

    def _value(self, random: Random, item: Field, strangeness: float) -> Any:
        if random.random() < strangeness:
            return strange_value(random, self._hostile_paths)
        low = item.low or 0.0
        match item.kind:
            case "path":
                outside = random.random() < 0.2
                return random.choice(self._hostile_paths) if outside else self._good_path
            case "number":
                return random.uniform(low, min(item.high or low + 1.0, low + 20.0))
            case "integer":
                return random.randint(int(low), int(min(item.high or low + 9, low + 9)))
            case "flag":
                return random.random() < 0.5
            case "choice":
                return random.choice(item.choices)
            case _:
                usual = _USUAL.get(item.kind, ("word", "", "j-0001", "t-0001"))
                return random.choice(usual)

    def _other_name(self, random: Random, command: Command) -> str:
        names = ("", "reply/done", command.name.upper(), "../" + command.name, "x" * 3000)
        return random.choice(names)

    def _id(self, random: Random) -> Any:
        usual = random.random() < 0.9
        return random.randrange(1000) if usual else strange_value(random, self._hostile_paths)

    def _osc_message(self, random: Random) -> bytes:
        command, values = self._call(random)
        items: list[tuple[str, Any]] = [("s", str(random.randrange(1000)))]
        pairs = {"token": self._token, **values} if random.random() < 0.9 else values
        for key, value in pairs.items():
            items += [("s", key), _osc_item(random, value)]
        if random.random() < 0.1:
            items.append((random.choice(_OSC_TAGS), random.randrange(9)))
        address = OSC_PREFIX + command if random.random() < 0.97 else f"/{command}"
        tags = "," + "".join(tag for tag, _ in items)
        body = b"".join(_osc_bytes(tag, value) for tag, value in items)
        return _osc_text(address) + _osc_text(tags) + body

    def _osc_bundle(self, random: Random, packet: bytes, depth: int) -> bytes:
        for _ in range(depth):
            elements = [packet, *(self._osc_message(random) for _ in range(random.choice((0, 2))))]
            body = b"".join(struct.pack(">i", len(item)) + item for item in elements)
            packet = b"#bundle\0" + random.randbytes(8) + body
        return packet


def _osc_item(random: Random, value: Any) -> tuple[str, Any]:
    match value:
        case bool():
            return ("T" if value else "F"), None
        case int():
            return ("i" if -(2**31) <= value < 2**31 else "h"), value
        case float():
            return random.choice("fd"), value
        case str():
            return "s", value
        case _:
            return "s", str(value)[:500]


def _osc_text(text: str) -> bytes:
    raw = text.encode(errors="replace").replace(b"\0", b"?")
    return raw + b"\0" * (4 - len(raw) % 4)


def _osc_bytes(tag: str, value: Any) -> bytes:
    match tag:
        case "s" | "S":
            return _osc_text(str(value))
        case "i" | "c" | "r" | "m":
            return struct.pack(">I", int(value) % 2**32)
        case "h" | "t":
            return struct.pack(">Q", int(value) % 2**64)
        case "f":
            return struct.pack(">f", max(-3e38, min(3e38, float(value))))
        case "d":
            return struct.pack(">d", float(value))
        case "b":
            return struct.pack(">I", 4) + b"blob"
        case _:
            return b""


def _frame(random: Random, body: bytes) -> bytes:
    """A frame as a client sends it; length, mask and flags are wrong now and then."""
    honest = random.random() < 0.6
    first = (
        0x80 | random.choice((1, 2))
        if honest
        else random.choice(_OPCODES) | (random.choice((0x80, 0x00, 0xC0, 0xF0)))
    )
    length = len(body) if honest else random.choice((len(body), 0, 125, 126, 65536, 2**31, 2**63))
    mask_bit = 0x80 if honest or random.random() < 0.7 else 0
    if length < 126:
        head = bytes([first, mask_bit | length])
    elif length < 65536:
        head = bytes([first, mask_bit | 126]) + struct.pack(">H", length)
    else:
        head = bytes([first, mask_bit | 127]) + struct.pack(">Q", length)
    if not mask_bit:
        return head + body
    mask = random.randbytes(4)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(body))
