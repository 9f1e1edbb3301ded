"""Ways to damage bytes, and values that programs trip over; a given `Random` decides."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random
from typing import Any

_EDGES = (0, 1, 2, 3, 4, 7, 8, 15, 16, 127, 128, 255, 256, 32767, 32768, 65535, 65536)
_WIDE_EDGES = (2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1)
_INTEGER_FORMS = ("<H", ">H", "<I", ">I", "<Q", ">Q")
MAX_BYTES = 64 * 1024


def damaged(random: Random, data: bytes) -> bytes:
    """The bytes after one to six blows, at most `MAX_BYTES` of them."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        data = random.choice(_BLOWS)(random, data)[:MAX_BYTES]
    return data


def _flip(random: Random, data: bytes) -> bytes:
    if not data:
        return data
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]


def _overwrite(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data) + 1)
    new = random.randbytes(random.choice((1, 1, 2, 4, 16)))
    return data[:at] + new + data[at + len(new) :]


def _integer(random: Random, data: bytes) -> bytes:
    """A length, count or offset that lies."""
    form = random.choice(_INTEGER_FORMS)
    limit = 256 ** struct.calcsize(form)
    value = random.choice(_EDGES + _WIDE_EDGES) % limit
    at = random.randrange(len(data) + 1)
    new = struct.pack(form, value)
    return data[:at] + new + data[at + len(new) :]


def _insert(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data) + 1)
    filling = random.choice((b"\0", b"\xff", b"\x80", b"/", b"[", b"{", random.randbytes(1)))
    return data[:at] + filling * random.choice((1, 3, 64, 5000)) + data[at:]


def _delete(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + data[at + random.choice((1, 2, 4, 32)) :]


def _truncate(random: Random, data: bytes) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _repeat(random: Random, data: bytes) -> bytes:
    begin = random.randrange(len(data) + 1)
    end = min(len(data), begin + random.choice((1, 4, 16, 256)))
    return data[:end] + data[begin:end] * random.choice((1, 2, 50)) + data[end:]


def _swap(random: Random, data: bytes) -> bytes:
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(2))
    return data[cuts[0] : cuts[1]] + data[: cuts[0]] + data[cuts[1] :]


_BLOWS: tuple[Callable[[Random, bytes], bytes], ...] = (
    _flip, _flip, _overwrite, _integer, _integer, _insert, _delete, _truncate, _repeat, _swap,
)  # fmt: skip


def strange_text(random: Random, hostile_paths: tuple[str, ...]) -> str:
    """Text that a field was not made for."""
    return random.choice(
        (
            "", " ", "\0", "nan", "-inf", "1e999", "null", "true", "../" * 12 + "etc/passwd",
            "upload:../../token", "upload:" + "0" * 16, "t-0001", "t-../..", "j-0001", "%n%s%x",
            "\ud800", "\u202e", "é" * 40, "x" * random.choice((65, 2001, 9000)), "A" * 600,
            "0:-30,3:-12", "0:-30,0:-30", "4/4", "0/0", "9" * 400 + "/4", "0:A,8:B", "A4 B-4",
            "'; DROP TABLE jobs; --", "<script>", "$(id)", *hostile_paths, *hostile_paths,
        )
    )  # fmt: skip


def strange_value(random: Random, hostile_paths: tuple[str, ...], depth: int = 0) -> Any:
    """Any value that JSON can say."""
    kinds = 6 if depth < 3 else 4
    match random.randrange(kinds):
        case 0:
            return random.choice((None, True, False))
        case 1:
            sign = random.choice((1, -1))
            return sign * random.choice((*_EDGES, *_WIDE_EDGES, 10**30, 10**400))
        case 2:
            return random.choice((0.0, -0.0, 0.5, -1.5, 1e-320, 1e308, 120.0, 3.14e9))
        case 3:
            return strange_text(random, hostile_paths)
        case 4:
            count = random.choice((0, 1, 2, 5, 60))
            return [strange_value(random, hostile_paths, depth + 1) for _ in range(count)]
        case _:
            return {
                strange_text(random, hostile_paths): strange_value(random, hostile_paths, depth + 1)
                for _ in range(random.choice((0, 1, 3)))
            }
