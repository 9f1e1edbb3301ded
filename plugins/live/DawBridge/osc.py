"""OSC messages and SLIP frames, as far as the daemon's TCP port needs them. No I/O here."""

from __future__ import annotations

import struct
from typing import Any, Iterator

END, ESC, ESC_END, ESC_ESC = b"\xc0", b"\xdb", b"\xdb\xdc", b"\xdb\xdd"
MAX_PACKET_BYTES = 64 * 1024
_INT32 = range(-(2**31), 2**31)
_NUMBERS = {"i": ">i", "h": ">q", "f": ">f", "d": ">d"}
_CONSTANTS = {"T": True, "F": False, "N": None}


def encode(address: str, values: list[Any]) -> bytes:
    """An OSC message.

    Args:
        values: texts, booleans, integers and floats; floats go as 64 bits, so that a beat keeps
            its place late in a long song.
    """
    tags, data = ",", b""
    for value in values:
        if isinstance(value, bool):
            tags += "T" if value else "F"
        elif isinstance(value, int):
            kind = "i" if value in _INT32 else "h"
            tags += kind
            data += struct.pack(_NUMBERS[kind], value)
        elif isinstance(value, float):
            tags += "d"
            data += struct.pack(">d", value)
        else:
            tags += "s"
            data += _text(str(value))
    return _text(address) + _text(tags) + data


def decode(packet: bytes) -> tuple[str, list[Any]]:
    """Address and values of an OSC message.

    Raises:
        ValueError: it is none, or is cut off.
    """
    address, at = _read_text(packet, 0)
    tags, at = _read_text(packet, at)
    if not address.startswith("/") or not tags.startswith(","):
        raise ValueError("no OSC message")
    values: list[Any] = []
    for tag in tags[1:]:
        if tag == "s":
            text, at = _read_text(packet, at)
            values.append(text)
        elif tag in _NUMBERS:
            size_bytes = struct.calcsize(_NUMBERS[tag])
            if at + size_bytes > len(packet):
                raise ValueError("the message is cut off")
            values.extend(struct.unpack_from(_NUMBERS[tag], packet, at))
            at += size_bytes
        elif tag in _CONSTANTS:
            values.append(_CONSTANTS[tag])
        else:
            raise ValueError(f"unknown type {tag!r}")
    return address, values


def wrap(packet: bytes) -> bytes:
    """A packet between two END bytes."""
    return END + packet.replace(ESC, ESC_ESC).replace(END, ESC_END) + END


class Unwrapper:
    """Takes the packets out of a stream of SLIP."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the packets that are complete once `data` has arrived.

        Raises:
            ValueError: a packet is larger than any that the daemon sends.
        """
        *frames, self._buffer = (self._buffer + data).split(END)
        for frame in frames:
            if frame:
                yield frame.replace(ESC_END, END).replace(ESC_ESC, ESC)
        if len(self._buffer) > 2 * MAX_PACKET_BYTES:  # every byte may be escaped
            raise ValueError("the packet does not end")


def _text(text: str) -> bytes:
    data = text.encode("utf-8").replace(b"\0", b"") + b"\0"
    return data + b"\0" * (-len(data) % 4)


def _read_text(packet: bytes, at: int) -> tuple[str, int]:
    end = packet.find(b"\0", at)
    if end < 0:
        raise ValueError("the message is cut off")
    return packet[at:end].decode("utf-8", "replace"), at + (end - at) // 4 * 4 + 4
