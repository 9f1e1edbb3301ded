"""Frames between the daemon and its engine process: one JSON object and an optional payload.

    u32 LE  length of the JSON in bytes
    u32 LE  length of the payload in bytes
    JSON    one object, UTF-8
    payload raw bytes (the PCM of a preview)

Pure functions and an incremental decoder: nothing here reads or writes.

What is said, by the `op` of the object:

| op | way | fields |
|---|---|---|
| `render` | to the engine | `job`, `request` (mapping), `spool` (folder), `sparing` (flag) |
| `cancel` | to the engine | `job` |
| `ping`, `pong` | there and back | `count` |
| `estimate` | to the engine | `question` (number), `request` |
| `estimated` | to the daemon | `question`, and what is needed or `error` |
| `unload` | to the engine | |
| `unloaded` | to the daemon | the models are out of memory, until the next render |
| `shutdown` | to the engine | |
| `ready` | to the daemon | `info`: device, models with digests |
| `broken` | to the daemon | `error`: why the engine cannot start |
| `event` | to the daemon | `job`, `event` and the fields of that event |
| `settling`, `settled` | to the daemon | it is at what the last result did not wait for, or done |
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from engine.spec import BridgeError
from engine.units import finite_figures

MAX_JSON_BYTES = 16 * 2**20
MAX_PAYLOAD_BYTES = 256 * 2**20

_HEAD = struct.Struct("<II")


def encode_frame(message: Mapping[str, Any], payload: bytes = b"") -> bytes:
    """Encode one frame; figures that are no number become null.

    Raises:
        BridgeError: `too_large` when the object or the payload is over its limit, `bad_message`
            when the object holds what JSON does not.
    """
    try:
        body = json.dumps(finite_figures(message), separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise BridgeError("bad_message", f"not a JSON object: {error}") from None
    _check_lengths(len(body), len(payload))
    return b"".join((_HEAD.pack(len(body), len(payload)), body, payload))


class FrameDecoder:
    """Turns a stream of bytes, cut anywhere, into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield every frame that is complete once `data` has arrived.

        Raises:
            BridgeError: `too_large` or `bad_message`. The stream cannot be followed after that.
        """
        self._buffer += data
        while (frame := self._next_frame()) is not None:
            yield frame

    @property
    def pending_bytes(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._buffer)

    def _next_frame(self) -> tuple[dict[str, Any], bytes] | None:
        if len(self._buffer) < _HEAD.size:
            return None
        json_bytes, payload_bytes = _HEAD.unpack_from(self._buffer)
        _check_lengths(json_bytes, payload_bytes)
        payload_at = _HEAD.size + json_bytes
        end = payload_at + payload_bytes
        if len(self._buffer) < end:
            return None
        with memoryview(self._buffer) as view:
            body, payload = bytes(view[_HEAD.size : payload_at]), bytes(view[payload_at:end])
        del self._buffer[:end]
        return _read_object(body), payload


def _check_lengths(json_bytes: int, payload_bytes: int) -> None:
    if json_bytes > MAX_JSON_BYTES:
        raise BridgeError("too_large", f"a frame's object of {json_bytes} bytes")
    if payload_bytes > MAX_PAYLOAD_BYTES:
        raise BridgeError("too_large", f"a frame's payload of {payload_bytes} bytes")


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BridgeError("bad_message", f"a frame that is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise BridgeError("bad_message", "a frame that is not a JSON object")
    return message
