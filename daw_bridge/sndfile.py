"""libsndfile, which comes with soundfile; soundfile itself would bring numpy here.

It works on bytes in memory and leaves the interpreter free meanwhile, so that converting audio
keeps no other client waiting.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import importlib.util
import io
from pathlib import Path
from typing import Any

READ, WRITE = 0x10, 0x20
FLAC = 0x170000
SUBTYPES = {16: 0x0002, 24: 0x0003}
_RAW_LITTLE_ENDIAN = 0x10040000
_FLOAT32_BYTES = 4


class Info(ctypes.Structure):
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


class Opened:
    """A file of libsndfile's in memory; a context manager.

    Attributes:
        handle: what the library's functions take; None when it refuses, see `problem`.
    """

    def __init__(self, library: Any, file: io.BytesIO, mode: int, info: Info) -> None:
        self._library = library
        self._callbacks = _callbacks(file)  # kept for as long as the library calls them
        self.handle = library.sf_open_virtual(
            ctypes.byref(self._callbacks), mode, ctypes.byref(info), None
        )

    @property
    def problem(self) -> str:
        """Why it could not be opened."""
        return str(self._library.sf_strerror(None).decode(errors="replace"))

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        if self.handle:
            self._library.sf_close(self.handle)


def floats_of(raw: bytes, bits: int) -> bytes | None:
    """Little-endian integers of 16 or 24 bits as float32, exactly; None without the library."""
    library = find_library()
    frames = len(raw) // (bits // 8)
    if library is None or not frames:
        return None
    info = Info(0, 48_000, 1, _RAW_LITTLE_ENDIAN | SUBTYPES[bits], 0, 0)
    floats = ctypes.create_string_buffer(frames * _FLOAT32_BYTES)
    with Opened(library, io.BytesIO(raw), READ, info) as opened:
        if not opened.handle or library.sf_readf_float(opened.handle, floats, frames) != frames:
            return None
    return floats.raw


def _callbacks(file: io.BytesIO) -> _VirtualIo:
    def write(data: int, count: int, _: int | None) -> int:
        return file.write(ctypes.string_at(data, count))

    def read(data: int, count: int, _: int | None) -> int:
        found = file.read(count)
        ctypes.memmove(data, found, len(found))
        return len(found)

    return _VirtualIo(
        _Length(lambda _: file.getbuffer().nbytes),
        _Seek(lambda offset, whence, _: file.seek(offset, whence)),
        _Move(read),
        _Move(write),
        _Length(lambda _: file.tell()),
    )


@functools.cache
def find_library() -> Any:
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
        library.sf_readf_float.restype = ctypes.c_int64
        library.sf_readf_float.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
        library.sf_close.argtypes = (ctypes.c_void_p,)
        return library
    return None
