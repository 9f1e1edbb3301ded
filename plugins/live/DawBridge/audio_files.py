"""A part of a WAV or AIFF file as a file of its own, copied byte for byte in small steps.

Nothing is decoded: a part of a file is the same bytes between other sizes, so its samples are the
musician's own in any format, float and 24 bits included.
"""

from __future__ import annotations

import math
import os
import struct
from typing import BinaryIO, Iterator, NamedTuple

from .refusal import Refusal

STEP_BYTES = 1 << 20  # copied in one tick: a second of sound in ten milliseconds of a slow disk
_MAX_HEADER_CHUNKS = 64
_MAX_SIZE_BYTES = (1 << 32) - (1 << 16)


class Sound(NamedTuple):
    """What the header of a file says.

    Attributes:
        form: the chunks that describe the samples, as they are.
        data_at: where the first sample begins, in bytes.
    """

    container: str
    sample_rate_hz: float
    length_samples: int
    frame_bytes: int
    data_at: int
    form: bytes


def read_sound(path: str) -> Sound | None:
    """What a WAV or AIFF file holds, read from its header; None for any other file.

    Raises:
        Refusal: it cannot be read or is damaged.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(12)
            if head[:4] == b"RIFF" and head[8:] == b"WAVE":
                return _read_wav(file)
            if head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC"):
                return _read_aiff(file, head[8:])
    except OSError as error:
        raise Refusal(f"{path} cannot be read ({error.strerror})") from None
    except (struct.error, OverflowError, ZeroDivisionError):
        raise Refusal(f"{path} is damaged", "write it again, or use another") from None
    return None


def _read_wav(file: BinaryIO) -> Sound | None:
    form = b""
    for name, size_bytes, at in _chunks(file, "<I"):
        if name == b"fmt ":
            form = file.read(size_bytes)
        elif name == b"data" and form:
            rate_hz, _, frame_bytes = struct.unpack_from("<IIH", form, 4)
            length = size_bytes // frame_bytes
            return Sound("WAV", float(rate_hz), length, frame_bytes, at, form)
    raise struct.error


def _read_aiff(file: BinaryIO, kind: bytes) -> Sound | None:
    form, found = b"", None
    for name, size_bytes, at in _chunks(file, ">I"):
        if name == b"COMM":
            form = file.read(size_bytes)
        elif name == b"SSND":
            (offset,) = struct.unpack(">I", file.read(4))
            found = at + 8 + offset
    if not form or found is None:
        raise struct.error
    channels, length, bits = struct.unpack_from(">hIh", form)
    if kind == b"AIFC" and form[18:22] not in (b"NONE", b"sowt", b"fl32", b"FL32", b"in24"):
        return None  # compressed: its frames are no whole bytes
    frame_bytes = channels * ((bits + 7) // 8)
    return Sound(kind.decode(), _read_extended(form[8:18]), length, frame_bytes, found, form)


def _chunks(file: BinaryIO, size_format: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, size and place of each chunk of a file that is behind its first twelve bytes."""
    at = 12
    for _ in range(_MAX_HEADER_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        (size_bytes,) = struct.unpack(size_format, head[4:])
        yield head[:4], size_bytes, at + 8
        at += 8 + size_bytes + size_bytes % 2


def _read_extended(data: bytes) -> float:
    """AIFF's 80-bit number."""
    exponent, mantissa = struct.unpack(">hQ", data)
    return math.ldexp(mantissa, exponent - 16383 - 63)


class Cutter:
    """Copies a part of a file, one step at a time; after `close` it begins again.

    Args:
        sound: what `read_sound` says of the file.
        start_samples, stop_samples: the part.
        path: the new file, which is there once `step` says so, whole or not at all.
    """

    def __init__(
        self, source: str, sound: Sound, start_samples: int, stop_samples: int, path: str
    ) -> None:
        length = stop_samples - start_samples
        self.path = path
        self._source = source
        self._header = _header(sound, length)
        self._start_bytes = sound.data_at + start_samples * sound.frame_bytes
        self._length_bytes = length * sound.frame_bytes
        self._left_bytes = 0  # once the files are open
        self._temporary = f"{path}.{os.getpid()}-{id(self):x}.part"
        self._files: tuple[BinaryIO, BinaryIO] | None = None
        if self._length_bytes > _MAX_SIZE_BYTES:
            raise Refusal("the part is too long", "shorten the clip")

    def step(self) -> bool:
        """Copy at most `STEP_BYTES`; True once the file is there.

        Raises:
            Refusal: the disk refuses, or the source has become shorter.
        """
        if os.path.exists(self.path):
            return True
        try:
            return self._step()
        except OSError as error:
            self.close()
            raise Refusal(f"the clip cannot be copied ({error.strerror})") from None

    def _step(self) -> bool:
        source, target = self._files or self._open()
        data = source.read(min(STEP_BYTES, self._left_bytes))
        if self._left_bytes and not data:
            self.close()
            raise Refusal("the clip's file is shorter than it says", "write it again")
        target.write(data)
        self._left_bytes -= len(data)
        if self._left_bytes:
            return False
        target.write(b"\0" * (self._length_bytes % 2))
        source.close()
        target.close()
        self._files = None
        os.replace(self._temporary, self.path)
        return True

    def _open(self) -> tuple[BinaryIO, BinaryIO]:
        source = open(self._source, "rb")  # noqa: SIM115  open over many ticks
        try:
            target = open(self._temporary, "wb")  # noqa: SIM115
        except OSError:
            source.close()
            raise
        self._files, self._left_bytes = (source, target), self._length_bytes
        source.seek(self._start_bytes)
        target.write(self._header)
        return self._files

    def close(self) -> None:
        """Give up; nothing is left behind."""
        if self._files is None:
            return
        for file in self._files:
            try:
                file.close()
            except OSError:  # what was not written yet does not fit
                continue
        self._files = None
        os.remove(self._temporary)


def _header(sound: Sound, length: int) -> bytes:
    data_bytes = length * sound.frame_bytes
    if sound.container == "WAV":
        form = _chunk(b"fmt ", sound.form, "<I")
        body = b"WAVE" + form + b"data" + struct.pack("<I", data_bytes)
        return b"RIFF" + struct.pack("<I", len(body) + data_bytes + data_bytes % 2) + body
    form = sound.form[:2] + struct.pack(">I", length) + sound.form[6:]
    version = _chunk(b"FVER", b"\xa2\x80\x51\x40", ">I") if sound.container == "AIFC" else b""
    body = sound.container.encode() + version + _chunk(b"COMM", form, ">I")
    body += b"SSND" + struct.pack(">I", 8 + data_bytes) + bytes(8)
    return b"FORM" + struct.pack(">I", len(body) + data_bytes + data_bytes % 2) + body


def _chunk(name: bytes, data: bytes, size_format: str) -> bytes:
    return name + struct.pack(size_format, len(data)) + data + b"\0" * (len(data) % 2)
