"""Binary WebSocket frames: a fixed header of 32 bytes, then data."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from daw_bridge.protocol.table import (
    BINARY_FORMATS,
    BINARY_HEADER,
    BINARY_KINDS,
    BINARY_MAGIC,
    FLAG_LAST,
    VERSION,
)
from engine.spec import BridgeError

_HEADER = struct.Struct("<" + "".join(part.code for part in BINARY_HEADER))
_KIND_NAMES = {number: name for name, number in BINARY_KINDS.items()}
_FORMAT_NAMES = {number: name for name, number in BINARY_FORMATS.items()}

HEADER_BYTES = _HEADER.size
FLOAT32_BYTES = 4
CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class BinaryFrame:
    """One binary frame.

    Attributes:
        kind: `preview`, `stream` or `upload`.
        stream: number of the job, stream or upload it belongs to.
        offset: place of the data, in samples (per channel), or bytes for an upload.
        last: whether it ends the preview part, stream or upload.
        format: of the data; `bytes` for an upload.
    """

    kind: str
    stream: int
    offset: int
    data: bytes = field(repr=False)
    last: bool = False
    revision: int = 0
    sample_rate_hz: int = 0
    channels: int = 0
    format: str = "float32"

    def __post_init__(self) -> None:
        if self.kind == "upload":
            object.__setattr__(self, "format", "bytes")

    def encode(self) -> bytes:
        """The frame as bytes."""
        head = _HEADER.pack(
            BINARY_MAGIC,
            VERSION,
            BINARY_KINDS[self.kind],
            BINARY_FORMATS[self.format],
            FLAG_LAST if self.last else 0,
            self.revision,
            self.stream,
            self.offset,
            self.sample_rate_hz,
            self.channels,
            0,
        )
        return head + self.data


def decode_binary(frame: bytes) -> BinaryFrame:
    """Read a binary frame.

    Raises:
        BridgeError: `bad_message`, saying what is wrong with the header.
    """
    if len(frame) < HEADER_BYTES:
        raise BridgeError("bad_message", f"a binary frame of {len(frame)} bytes has no header")
    magic, version, kind, data_format, flags, revision, stream, offset, rate_hz, channels, _ = (
        _HEADER.unpack_from(frame)
    )
    if magic != BINARY_MAGIC:
        raise BridgeError("bad_message", "a binary frame does not start with DAWB")
    if version != VERSION:
        raise BridgeError("bad_message", f"a binary frame of version {version}")
    if kind not in _KIND_NAMES or data_format not in _FORMAT_NAMES:
        raise BridgeError("bad_message", f"a binary frame of kind {kind}, format {data_format}")
    return BinaryFrame(
        kind=_KIND_NAMES[kind],
        stream=stream,
        offset=offset,
        data=frame[HEADER_BYTES:],
        last=bool(flags & FLAG_LAST),
        revision=revision,
        sample_rate_hz=rate_hz,
        channels=channels,
        format=_FORMAT_NAMES[data_format],
    )


def split_preview(
    job_number: int,
    revision: int,
    offset_samples: int,
    sample_rate_hz: int,
    channels: int,
    pcm: bytes,
) -> Iterator[BinaryFrame]:
    """Cut a preview into frames small enough for any WebSocket client; the last is flagged."""
    sample_bytes = FLOAT32_BYTES * max(1, channels)
    step_samples = max(1, CHUNK_BYTES // sample_bytes)
    total_samples = len(pcm) // sample_bytes
    for start in range(0, max(1, total_samples), step_samples):
        stop = start + step_samples
        yield BinaryFrame(
            "preview",
            job_number,
            offset_samples + start,
            pcm[start * sample_bytes : stop * sample_bytes],
            last=stop >= total_samples,
            revision=revision,
            sample_rate_hz=sample_rate_hz,
            channels=channels,
        )
