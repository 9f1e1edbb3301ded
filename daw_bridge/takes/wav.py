"""Reading WAV files as float32, for streaming, without numpy.

Covers what a render can be written as: integers of 16, 24 and 32 bits and floats of 32 and 64,
plain or `WAVE_FORMAT_EXTENSIBLE`, RIFF or RF64. Integers are scaled by 1/2^(bits-1), so 16 and
24 bits convert exactly.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from daw_bridge import sndfile
from engine.spec import BridgeError

FLOAT32_BYTES = 4
_FORMAT_INTEGER = 1
_FORMAT_FLOAT = 3
_FORMAT_EXTENSIBLE = 0xFFFE
_SIZE_IN_DS64 = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class WavInfo:
    """Where the samples of a WAV file are and what they mean.

    Attributes:
        encoding: `i` for integers, `f` for floats.
        data_at: offset of the first sample in the file, in bytes.
    """

    sample_rate_hz: int
    channels: int
    length_samples: int
    encoding: str
    bits: int
    data_at: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return self.channels * self.bits // 8

    @property
    def pcm_format(self) -> str:
        """The samples as they lie in the file: `int24`, `float32`."""
        return f"{'float' if self.encoding == 'f' else 'int'}{self.bits}"


def read_wav_info(path: Path) -> WavInfo:
    """Read the header of a WAV file.

    Raises:
        BridgeError: `bad_audio` when it is not a WAV we can stream, `not_found` without a file.
    """
    try:
        with path.open("rb") as file:
            return _read_header(file, path.stat().st_size)
    except OSError as error:
        raise BridgeError("not_found", f"{path} cannot be read: {error.strerror}") from None
    except struct.error:
        raise BridgeError("bad_audio", f"{path.name} is cut off in its header") from None


def read_wav_raw(path: Path, info: WavInfo, start_samples: int, count_samples: int) -> bytes:
    """The samples of a part of the file as they lie there; shorter at its end.

    Raises:
        BridgeError: `not_found` when the file is gone.
    """
    count = max(0, min(count_samples, info.length_samples - start_samples))
    try:
        with path.open("rb") as file:
            file.seek(info.data_at + start_samples * info.frame_bytes)
            return file.read(count * info.frame_bytes)
    except OSError as error:
        raise BridgeError("not_found", f"{path} cannot be read: {error.strerror}") from None


def read_wav_float32(path: Path, info: WavInfo, start_samples: int, count_samples: int) -> bytes:
    """Interleaved little-endian float32 of a part of the file; shorter at its end.

    Raises:
        BridgeError: `not_found` when the file is gone.
    """
    raw = read_wav_raw(path, info, start_samples, count_samples)
    return _CONVERTERS[info.encoding, info.bits](raw)


def _read_header(file: BinaryIO, file_bytes: int) -> WavInfo:
    magic, _, form = struct.unpack("<4sI4s", file.read(12))
    if magic not in (b"RIFF", b"RF64") or form != b"WAVE":
        raise BridgeError("bad_audio", "the file is not a WAV")
    layout: tuple[int, int, int, int] | None = None
    data_bytes_64: int | None = None
    while True:
        name, size_bytes = struct.unpack("<4sI", file.read(8))
        if name == b"data":
            break
        body = file.read(size_bytes + size_bytes % 2)
        if name == b"ds64":
            (data_bytes_64,) = struct.unpack_from("<Q", body, 8)
        elif name == b"fmt ":
            layout = _read_format(body)
    if layout is None:
        raise BridgeError("bad_audio", "the WAV has no format before its data")
    if size_bytes == _SIZE_IN_DS64 and data_bytes_64 is not None:
        size_bytes = data_bytes_64
    code, channels, rate_hz, bits = layout
    encoding = {_FORMAT_INTEGER: "i", _FORMAT_FLOAT: "f"}.get(code, "?")
    if (encoding, bits) not in _CONVERTERS or channels < 1 or rate_hz < 1:
        raise BridgeError("bad_audio", f"WAV format {code} with {bits} bits cannot be streamed")
    data_at = file.tell()
    # A writer that died leaves a size larger than the file, or 0xFFFFFFFF.
    available_bytes = min(size_bytes, file_bytes - data_at)
    length_samples = available_bytes // (channels * bits // 8)
    return WavInfo(rate_hz, channels, length_samples, encoding, bits, data_at)


def _read_format(body: bytes) -> tuple[int, int, int, int]:
    code, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if code == _FORMAT_EXTENSIBLE:
        (code,) = struct.unpack_from("<H", body, 24)
    return code, channels, rate_hz, bits


def _native(values: array[int] | array[float]) -> None:
    """Swap from the file's little-endian order, or back to it."""
    if sys.byteorder == "big":
        values.byteswap()


def _scaled(values: array[int], bits: int) -> bytes:
    scale = 1.0 / (1 << (bits - 1))
    floats = array("f", [value * scale for value in values])
    _native(floats)
    return floats.tobytes()


def _exactly(bits: int, slowly: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """By libsndfile where there is one: ours would keep the event loop waiting."""

    def convert(raw: bytes) -> bytes:
        floats = sndfile.floats_of(raw, bits) if sys.byteorder == "little" else None
        return slowly(raw) if floats is None else floats

    return convert


def _from_int16(raw: bytes) -> bytes:
    values = array("h", raw)
    _native(values)
    return _scaled(values, 16)


def _from_int24(raw: bytes) -> bytes:
    # Three bytes become the upper three of four, which keeps the sign and needs no loop.
    wide = bytearray(len(raw) // 3 * 4)
    wide[1::4], wide[2::4], wide[3::4] = raw[0::3], raw[1::3], raw[2::3]
    return _from_int32(bytes(wide))


def _from_int32(raw: bytes) -> bytes:
    values = array("i", raw)
    _native(values)
    return _scaled(values, 32)


def _from_float64(raw: bytes) -> bytes:
    values = array("d", raw)
    _native(values)
    floats = array("f", values)
    _native(floats)
    return floats.tobytes()


_CONVERTERS: dict[tuple[str, int], Callable[[bytes], bytes]] = {
    ("i", 16): _exactly(16, _from_int16),
    ("i", 24): _exactly(24, _from_int24),
    ("i", 32): _from_int32,
    ("f", 32): bytes,
    ("f", 64): _from_float64,
}
