"""FLAC through libsndfile, which comes with soundfile; soundfile itself would bring numpy here.

The library rounds and clips as `formats` does, and leaves the interpreter free while it works.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import importlib.util
import io
from pathlib import Path
from typing import Any

from engine.spec import BridgeError

_WRITE = 0x20
_FLAC = 0x170000
_SUBTYPES = {16: 0x0002, 24: 0x0003}
_SET_CLIPPING = 0x10C0
_FLOAT32_BYTES = 4


class _Info(ctypes.Structure):
    """`SF_INFO` of sndfile.h."""

    _fields_ = (
        ("frames", ctypes.c_int64),
        ("samplerate", ctypes.c_int),
        ("channels", ctypes.c_int),
        ("format", ctypes.c_int),
        ("sections", ctypes.c_int),
        ("seekable", ctypes.c_int),
    )


_Length = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
_Seek = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int, ctypes.c_void_p)
_Move = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)


class _VirtualIo(ctypes.Structure):
    """`SF_VIRTUAL_IO` of sndfile.h."""

    _fields_ = (
        ("get_filelen", _Length),
        ("seek", _Seek),
        ("read", _Move),
        ("write", _Move),
        ("tell", _Length),
    )


def has_flac() -> bool:
    """Whether FLAC can be written here."""
    return _library() is not None


def encode_flac(pcm: bytes, sample_rate_hz: int, channels: int, bits: int) -> bytes:
    """A whole FLAC file.

    Args:
        pcm: interleaved little-endian float32.
        bits: 16 or 24.

    Raises:
        BridgeError: `unavailable` without libsndfile, `bad_request` for a rate or a number of
            channels that FLAC does not have.
    """
    library = _library()
    if library is None:
        raise BridgeError("unavailable", "FLAC cannot be written here", "ask for int24 or float32")
    file = io.BytesIO()
    callbacks = _callbacks(file)
    info = _Info(0, sample_rate_hz, channels, _FLAC | _SUBTYPES[bits], 0, 0)
    handle = library.sf_open_virtual(ctypes.byref(callbacks), _WRITE, ctypes.byref(info), None)
    if not handle:
        reason = library.sf_strerror(None).decode(errors="replace")
        raise BridgeError(
            "bad_request",
            f"no FLAC of {channels} channels at {sample_rate_hz} Hz: {reason}",
            "ask for int24 or float32",
        )
    frames = len(pcm) // (_FLOAT32_BYTES * channels)
    try:
        library.sf_command(handle, _SET_CLIPPING, None, 1)
        written = library.sf_writef_float(handle, pcm, frames)
    finally:
        library.sf_close(handle)
    if written != frames:
        raise BridgeError("unavailable", f"FLAC broke off after {written} of {frames} samples")
    return file.getvalue()


def _callbacks(file: io.BytesIO) -> _VirtualIo:
    def write(data: int, count: int, _: int | None) -> int:
        return file.write(ctypes.string_at(data, count))

    return _VirtualIo(
        _Length(lambda _: file.getbuffer().nbytes),
        _Seek(lambda offset, whence, _: file.seek(offset, whence)),
        _Move(lambda data, count, _: 0),
        _Move(write),
        _Length(lambda _: file.tell()),
    )


@functools.cache
def _library() -> Any:
    """libsndfile of the soundfile package, else that of the system, else None."""
    found = importlib.util.find_spec("_soundfile_data")
    folders = found.submodule_search_locations or [] if found else []
    bundled = [str(path) for folder in folders for path in Path(folder).glob("libsndfile*")]
    system = ctypes.util.find_library("sndfile")
    for name in (*bundled, *([system] if system else ())):
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.sf_open_virtual.restype = ctypes.c_void_p
        library.sf_strerror.restype = ctypes.c_char_p
        library.sf_strerror.argtypes = (ctypes.c_void_p,)
        library.sf_command.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
        library.sf_writef_float.restype = ctypes.c_int64
        library.sf_writef_float.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64)
        library.sf_close.argtypes = (ctypes.c_void_p,)
        return library
    return None
