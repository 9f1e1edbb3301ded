"""How OSC packets are told apart on a TCP connection: SLIP or a size before each.

OSC 1.1 asks for SLIP (RFC 1055) with an END byte on both sides of a packet. OSC 1.0 put the size
of each packet before it, as a big-endian 32-bit integer; liblo and SuperCollider still do. The
first byte of a connection tells which it is: a packet begins with `/` or `#`, a size below 16 MiB
with a zero. Anything else, such as the request of a web page, is no OSC. No I/O here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Protocol

from pythonosc import slip

from engine.spec import BridgeError

_END = slip.END[0]
_STARTS_OF_SLIP = frozenset((_END, ord("/"), ord("#")))
_SIZE_BYTES = 4


class Framing(Protocol):
    """One of the two ways, with what has arrived so far."""

    def feed(self, data: bytes) -> Iterator[bytes | BridgeError]:
        """Yield every packet that is complete once `data` has arrived, and what is wrong.

        Raises:
            BridgeError: the connection cannot be followed any further.
        """

    def wrap(self, packet: bytes) -> bytes:
        """A packet as it goes out."""


class SlipFraming:
    """SLIP. A packet that is too long or wrongly escaped is told of and left out."""

    def __init__(self, max_packet_bytes: int) -> None:
        self._max_packet_bytes = max_packet_bytes
        self._buffer = bytearray()
        self._is_skipping = False

    def feed(self, data: bytes) -> Iterator[bytes | BridgeError]:
        """Yield every packet that is complete once `data` has arrived, and what is wrong."""
        searched = len(self._buffer)
        self._buffer += data
        while (end := self._buffer.find(_END, searched)) >= 0:
            escaped = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            searched = 0
            skipped, self._is_skipping = self._is_skipping, False
            if escaped and not skipped:  # nothing lies between the END of one and the next
                yield self._unescape(escaped)
        if len(self._buffer) > 2 * self._max_packet_bytes:  # every byte may be escaped
            self._buffer.clear()
            if not self._is_skipping:
                yield _too_large(self._max_packet_bytes)
            self._is_skipping = True

    def wrap(self, packet: bytes) -> bytes:
        """A packet with an END on both sides."""
        return bytes(slip.encode(packet))

    def _unescape(self, escaped: bytes) -> bytes | BridgeError:
        try:
            packet = bytes(slip.decode(escaped))
        except slip.ProtocolError:
            return BridgeError("bad_message", "a SLIP packet is wrongly escaped")
        if len(packet) > self._max_packet_bytes:
            return _too_large(self._max_packet_bytes)
        return packet


class SizedFraming:
    """A size before each packet."""

    def __init__(self, max_packet_bytes: int) -> None:
        self._max_packet_bytes = max_packet_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes | BridgeError]:
        """Yield every packet that is complete once `data` has arrived.

        Raises:
            BridgeError: `too_large` for a size over the limit; what follows cannot be told apart.
        """
        self._buffer += data
        while len(self._buffer) >= _SIZE_BYTES:
            (size_bytes,) = struct.unpack_from(">I", self._buffer)
            if size_bytes > self._max_packet_bytes:
                raise _too_large(self._max_packet_bytes)
            end = _SIZE_BYTES + size_bytes
            if len(self._buffer) < end:
                return
            packet = bytes(self._buffer[_SIZE_BYTES:end])
            del self._buffer[:end]
            yield packet

    def wrap(self, packet: bytes) -> bytes:
        """A packet after its size."""
        return struct.pack(">I", len(packet)) + packet


def framing_of(first_byte: int, max_packet_bytes: int) -> Framing:
    """The framing of a connection that begins with this byte.

    Raises:
        BridgeError: `bad_message` when it is neither.
    """
    if first_byte in _STARTS_OF_SLIP:
        return SlipFraming(max_packet_bytes)
    if first_byte == 0:
        return SizedFraming(max_packet_bytes)
    raise BridgeError(
        "bad_message",
        f"a connection that begins with byte {first_byte} is no OSC",
        "frame packets with SLIP, or send the size before each",
    )


def _too_large(limit_bytes: int) -> BridgeError:
    return BridgeError("too_large", "an OSC packet is too large", f"the limit is {limit_bytes}")
