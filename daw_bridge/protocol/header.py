"""The header of binary WebSocket frames as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BINARY_MAGIC = b"DAWB"
BINARY_KINDS: Mapping[str, int] = {"preview": 1, "stream": 2, "upload": 3}
BINARY_FORMATS: Mapping[str, int] = {"float32": 1, "bytes": 2, "int16": 3, "int24": 4, "flac": 5}
AUDIO_FORMATS = tuple(name for name in BINARY_FORMATS if name != "bytes")
FLAG_LAST = 1


@dataclass(frozen=True, slots=True)
class HeaderPart:
    """One field of the header of binary frames, with its `struct` code (little-endian)."""

    name: str
    code: str
    doc: str


BINARY_HEADER: tuple[HeaderPart, ...] = (
    HeaderPart("magic", "4s", "`DAWB`"),
    HeaderPart("version", "B", "version of this table"),
    HeaderPart("kind", "B", "1 preview, 2 stream, 3 upload"),
    HeaderPart(
        "format",
        "B",
        "1 float32, 3 int16, 4 int24 (interleaved, little-endian), 5 FLAC (a "
        "whole file for each frame), 2 bytes of a file",
    ),
    HeaderPart("flags", "B", "bit 0: last frame of this preview part, stream or upload"),
    HeaderPart("revision", "I", "revision of a preview, else 0"),
    HeaderPart("stream", "I", "number of the job (7 for `j-0007`), the stream or the upload"),
    HeaderPart("offset", "Q", "where the data belongs: samples of the file, or bytes of an upload"),
    HeaderPart("sample_rate_hz", "I", "sample rate, 0 for an upload"),
    HeaderPart("channels", "H", "channels, 0 for an upload"),
    HeaderPart("reserved", "H", "0"),
)
