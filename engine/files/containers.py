"""File formats by the byte: a WAV writer, and how many bytes a cut-off file lacks.

WAV is written here and not by libsndfile, because libsndfile stamps float files with the time of
day (the `PEAK` chunk): the same take would not give the same bytes.
"""

from __future__ import annotations

import io
import struct

import numpy as np
import numpy.typing as npt
import soundfile

from engine.files.quantise import FLOAT_BITS, INTEGER_BITS, to_integers
from engine.files.tags import Tags, chunk, riff_chunks
from engine.spec import BridgeError

Samples = npt.NDArray[np.float64]

_MAX_RIFF_BYTES = (1 << 32) - (1 << 14)  # the other chunks are smaller than the difference
# What programs write that cannot seek back: 0, or about 2 or 4 GiB, of which SoX's 0x7F000000 for
# AIFF, rounded down to whole frames, is the least. No file of that size is read.
_LEAST_UNKNOWN_BYTES = 0x7EFF0000
_FORMAT_PCM, _FORMAT_FLOAT, _FORMAT_EXTENSIBLE = 1, 3, 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def encode(
    samples: Samples,
    sample_rate_hz: int,
    subtype: str,
    container: str,
    tags: Tags | None = None,
) -> bytes:
    """The bytes of an audio file; the same samples give the same bytes.

    Args:
        samples: float64 `[channels, samples]`.
        tags: what the file says of itself; a WAV can say all of it, the others its texts.

    Raises:
        BridgeError: `bad_request` for a combination that cannot be written, `too_large` beyond
            4 GiB, `engine_failed` for NaN.
    """
    if not np.all(np.isfinite(samples)):
        raise BridgeError("engine_failed", "the rendered audio holds values that are not numbers")
    if subtype not in INTEGER_BITS and subtype not in FLOAT_BITS:
        known = ", ".join((*INTEGER_BITS, *FLOAT_BITS))
        raise BridgeError("bad_request", f"the sample format {subtype!r} is not written", known)
    if container == "WAV" and subtype != "PCM_S8":
        return _wav_bytes(samples, sample_rate_hz, subtype, tags)
    if container not in ("WAV", "AIFF", "FLAC") or not soundfile.check_format(container, subtype):
        raise BridgeError("bad_request", f"{container} files cannot hold {subtype} samples")
    buffer = io.BytesIO()
    if subtype in INTEGER_BITS:  # left-justified integers: libsndfile only drops the zero bits
        shift = 32 - INTEGER_BITS[subtype]
        frames: npt.NDArray[np.generic] = (to_integers(samples, subtype) << shift).astype(np.int32)
    else:
        frames = samples
    form = (sample_rate_hz, samples.shape[0], subtype)
    with soundfile.SoundFile(buffer, "w", *form, format=container) as sound:
        for name, text in ({} if tags is None else tags.texts).items():
            setattr(sound, name, text)
        sound.write(frames.T)
    return _undated(buffer.getvalue()) if container == "AIFF" else buffer.getvalue()


def _undated(data: bytes) -> bytes:
    """An AIFF without the time of day that libsndfile writes into the `PEAK` chunk of floats."""
    position = 12
    while position + 8 <= len(data):
        name = data[position : position + 4]
        (size,) = struct.unpack(">I", data[position + 4 : position + 8])
        if name == b"PEAK" and size >= 8:
            return data[: position + 12] + b"\0" * 4 + data[position + 16 :]
        position += 8 + size + size % 2
    return data


def _wav_bytes(samples: Samples, sample_rate_hz: int, subtype: str, tags: Tags | None) -> bytes:
    channels, length = samples.shape
    bits = INTEGER_BITS.get(subtype) or FLOAT_BITS[subtype]
    frame_bytes = channels * bits // 8
    if length * frame_bytes > _MAX_RIFF_BYTES:
        raise BridgeError("too_large", "the result does not fit into a WAV file (4 GiB)")
    payload = _interleaved(samples, subtype)
    code = _FORMAT_FLOAT if subtype in FLOAT_BITS else _FORMAT_PCM
    rates = (channels, sample_rate_hz, sample_rate_hz * frame_bytes, frame_bytes, bits)
    if channels > 2:  # plain PCM headers are defined for mono and stereo; no speaker is claimed
        form = struct.pack("<HHIIHH", _FORMAT_EXTENSIBLE, *rates)
        form += struct.pack("<HHIH", 22, bits, 0, code) + _GUID_TAIL
    else:
        form = struct.pack("<HHIIHH", code, *rates)
    chunks = chunk(b"fmt ", form)
    if code == _FORMAT_FLOAT:
        chunks += chunk(b"fact", struct.pack("<I", length))
    if tags is not None:
        chunks += riff_chunks(tags, sample_rate_hz, channels, length, bits)
    chunks += chunk(b"data", payload)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def _interleaved(samples: Samples, subtype: str) -> bytes:
    """Little-endian frames as they lie in the `data` chunk."""
    frames = np.ascontiguousarray(samples.T)
    if subtype in FLOAT_BITS:
        return frames.astype("<f4" if subtype == "FLOAT" else "<f8").tobytes()
    values = to_integers(frames, subtype)
    if subtype == "PCM_U8":
        return (values + 128).astype(np.uint8).tobytes()
    width = INTEGER_BITS[subtype] // 8
    as_bytes = values.astype("<i4").reshape(-1, 1).view(np.uint8)
    return as_bytes[:, :width].tobytes()


def truncated_by_bytes(data: bytes) -> int:
    """How many bytes a WAV, W64, AIFF or OGG file lacks by its own headers; 0 when complete.

    Decoders read such files without complaint and return what is there.
    """
    if data[:4] == b"RF64" and data[12:16] == b"ds64" and len(data) >= 36:
        (size,) = struct.unpack("<Q", data[28:36])  # after the 64-bit size of the whole file
        return max(0, data.find(b"data", 36) + 8 + int(size) - len(data))
    if data[:4] in (b"RIFF", b"RIFX") and data[8:12] == b"WAVE":
        return _missing_in_chunks(data, "<" if data[:4] == b"RIFF" else ">", b"data")
    if data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC"):
        return _missing_in_chunks(data, ">", b"SSND")
    if data[:4] == b"riff" and data[24:28] == b"wave":
        return _missing_in_w64(data)
    if data[:4] == b"OggS":
        return _missing_in_last_page(data)
    return 0


def _missing_in_w64(data: bytes) -> int:
    """Sony Wave64: names are 16 bytes, sizes 64 bits and count name and size, too."""
    position = 40
    while position + 24 <= len(data):
        name = data[position : position + 4]
        (size,) = struct.unpack("<Q", data[position + 16 : position + 24])
        if name == b"data":
            return max(0, position + int(size) - len(data))
        position += max(24, int(size) + -int(size) % 8)
    return 0


def _missing_in_chunks(data: bytes, order: str, wanted: bytes) -> int:
    position = 12
    while position + 8 <= len(data):
        name = data[position : position + 4]
        (size,) = struct.unpack(f"{order}I", data[position + 4 : position + 8])
        position += 8
        if name == wanted:
            unknown = size == 0 or size >= _LEAST_UNKNOWN_BYTES
            return 0 if unknown else max(0, position + size - len(data))
        position += size + size % 2
    return max(0, position - len(data))


def _missing_in_last_page(data: bytes) -> int:
    """An Ogg page: 27 header bytes, the last the number of segments; their lengths; the body."""
    page = data.rfind(b"OggS")
    if len(data) < page + 27:
        return page + 27 - len(data)
    segments = data[page + 26]
    table = data[page + 27 : page + 27 + segments]
    return max(0, page + 27 + segments + sum(table) - len(data))
