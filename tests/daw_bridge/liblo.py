"""OSC by liblo, an implementation in C: one more client with the face of `wires`."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from typing import Any

from daw_bridge.app import App
from daw_bridge.protocol.messages import Call, Message
from daw_bridge.protocol.osc_codec import shortest_float32
from daw_bridge.protocol.table import (
    MAX_OSC_PACKET_BYTES,
    OSC_PREFIX,
    OSC_REPLY_PREFIX,
    REPLY_BY_NAME,
)

PATIENCE_S = 10.0
LIBLO = find_library("lo")
_UDP, _TCP = 1, 4
_POINTER = ctypes.c_void_p
_HANDLER = ctypes.CFUNCTYPE(
    *(ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(_POINTER), ctypes.c_int),
    *(_POINTER, _POINTER),
)
_C_TYPES: dict[str, Any] = {"i": ctypes.c_int32, "f": ctypes.c_float, "h": ctypes.c_int64}


def _library() -> ctypes.CDLL:
    lo = ctypes.CDLL(LIBLO)
    for name in ("lo_address_new_with_proto", "lo_server_new_with_proto", "lo_message_new"):
        getattr(lo, name).restype = _POINTER
    lo.lo_server_add_method.restype = _POINTER
    lo.lo_message_length.restype = ctypes.c_size_t
    lo.lo_message_add_double.argtypes = (_POINTER, ctypes.c_double)
    return lo


class LibloWire:
    """liblo sends, liblo receives; the type tags it finds must be those of the table."""

    transport = "osc"

    def __init__(self, app: App, tcp: bool) -> None:
        self._lo = _library()
        self._token = app.token
        self._told: list[Message] = []
        self._wrong: list[str] = []
        self._handler = _HANDLER(self._keep)
        protocol = _TCP if tcp else _UDP
        port = str(app.osc_tcp_port if tcp else app.osc_port).encode()
        self._server = _POINTER(self._lo.lo_server_new_with_proto(None, protocol, None))
        self._address = _POINTER(self._lo.lo_address_new_with_proto(protocol, b"127.0.0.1", port))
        assert self._server
        assert self._address
        if tcp:  # liblo sends size and packet apart, and the second would wait for an answer
            self._lo.lo_address_set_tcp_nodelay(self._address, 1)
        self._lo.lo_server_add_method(self._server, None, None, self._handler, None)

    def close(self) -> None:
        self._lo.lo_address_free(self._address)
        self._lo.lo_server_free(self._server)

    def say(self, call: Call) -> None:
        message = _POINTER(self._lo.lo_message_new())
        words: list[Any] = [call.id, "token", self._token]
        for name, value in call.values.items():
            words += [name, ",".join(value) if isinstance(value, tuple) else value]
        for word in words:
            self._add(message, word)
        path = f"{OSC_PREFIX}{call.command}".encode()
        sent = self._lo.lo_send_message_from(self._address, self._server, path, message)
        self._lo.lo_message_free(message)
        assert sent > 0

    def hear(self) -> Message:
        until_s = time.monotonic() + PATIENCE_S
        # liblo looks at what comes over TCP when its wait is over, so the wait is short.
        while not self._told and time.monotonic() < until_s:
            self._lo.lo_server_recv_noblock(self._server, 5)
        assert not self._wrong, self._wrong
        return self._told.pop(0)

    def _add(self, message: ctypes.c_void_p, word: Any) -> None:
        if isinstance(word, bool):
            (self._lo.lo_message_add_true if word else self._lo.lo_message_add_false)(message)
        elif isinstance(word, int):
            self._lo.lo_message_add_int64(message, ctypes.c_int64(word))
        elif isinstance(word, float):
            self._lo.lo_message_add_double(message, word)
        else:
            self._lo.lo_message_add_string(message, str(word).encode())

    def _keep(
        self, path: bytes, tags: bytes, values: Any, count: int, message: Any, _data: Any
    ) -> int:
        packet_bytes = self._lo.lo_message_length(_POINTER(message), path)
        if packet_bytes >= MAX_OSC_PACKET_BYTES:
            self._wrong.append(f"{path!r} has {packet_bytes} bytes")
        name = path.decode().removeprefix(OSC_REPLY_PREFIX)
        row = REPLY_BY_NAME.get(name)
        args = [arg for arg in row.args if arg.osc] if row else []
        if tags.decode() != "s" + "".join(arg.osc for arg in args):
            self._wrong.append(f"{path!r} has the type tags {tags!r}")
        said = [_read(tag, values[n]) for n, tag in enumerate(tags.decode())]
        names = ["id", *(arg.name for arg in args)]
        self._told.append({"reply": name, **dict(zip(names, said, strict=False))})
        return 0


def _read(tag: str, at: int) -> Any:
    """The value that liblo points to."""
    if tag == "s":
        return ctypes.string_at(at).decode()
    value = _C_TYPES[tag].from_address(at).value
    return shortest_float32(value) if tag == "f" else value


@contextmanager
def liblo_wires(app: App) -> Iterator[dict[str, LibloWire]]:
    """liblo over UDP and TCP by name; none where it is not installed."""
    found = {f"liblo-{kind}": LibloWire(app, kind == "tcp") for kind in ("udp", "tcp") if LIBLO}
    try:
        yield found
    finally:
        for wire in found.values():
            wire.close()
