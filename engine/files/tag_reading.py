"""What a WAV of ours says of itself, read back: the inverse of `tags.riff_chunks`.

A field that is missing, cut off or absurd is one that is not said: tags are never a reason to
refuse a file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

from engine.files.tags import Tags
from engine.units import Metre

_POSITION_AT = 338  # in `bext`: after description, originator, its reference, date and time
_LOOP_COUNT_AT = 28  # in `smpl`
_ACID = struct.Struct("<IHHfIHHf")
_INFO = {b"INAM": "title", b"ICMT": "comment"}
_MAX_CHUNKS = 1000


def read_tags(data: bytes) -> Tags:
    """The tags of a WAV file's bytes; empty ones for any other file.

    What was rounded in the file stays rounded, such as a tempo in single precision, and a length
    that is not whole beats is not there. Writing the tags again gives the same chunks.
    """
    if data[:4] not in (b"RIFF", b"RF64") or data[8:12] != b"WAVE":
        return Tags()
    tags = Tags()
    for name, body in _chunks(data, 12):
        match name:
            case b"bext" if len(body) >= _POSITION_AT + 8:
                (position,) = struct.unpack_from("<Q", body, _POSITION_AT)
                tags = replace(tags, position_samples=int(position))
            case b"smpl" if len(body) >= _LOOP_COUNT_AT + 4:
                (count,) = struct.unpack_from("<I", body, _LOOP_COUNT_AT)
                tags = replace(tags, loops=count > 0)
            case b"acid" if len(body) >= _ACID.size:
                tags = _with_tempo(tags, body)
            case b"LIST" if body[:4] == b"INFO":
                said = _texts(body)
                tags = replace(tags, title=said.get("title", ""), comment=said.get("comment", ""))
    return tags


def _chunks(data: bytes, start: int) -> Iterator[tuple[bytes, bytes]]:
    for _ in range(_MAX_CHUNKS):
        if start + 8 > len(data):
            return
        name, size = data[start : start + 4], data[start + 4 : start + 8]
        size_bytes = int.from_bytes(size, "little")
        # The samples are long, and nothing of ours comes after them.
        if name == b"data":
            return
        yield name, data[start + 8 : start + 8 + size_bytes]
        start += 8 + size_bytes + size_bytes % 2


def _with_tempo(tags: Tags, body: bytes) -> Tags:
    *_, beats, unit, metre_beats, bpm = _ACID.unpack_from(body)
    if not 0 < bpm < 10_000:
        return tags
    try:
        metre = Metre(metre_beats, unit)
    except ValueError:
        return tags
    return replace(tags, bpm=bpm, length_beats=float(beats) or None, metre=metre)


def _texts(body: bytes) -> dict[str, str]:
    return {
        _INFO[name]: text.rstrip(b"\0").decode("utf-8", "replace")
        for name, text in _chunks(body, 4)
        if name in _INFO
    }
