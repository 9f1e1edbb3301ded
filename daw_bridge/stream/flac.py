"""FLAC through libsndfile, which rounds and clips as `formats` does."""

from __future__ import annotations

import io

from daw_bridge import sndfile
from engine.spec import BridgeError

_SET_CLIPPING = 0x10C0
_FLOAT32_BYTES = 4


def has_flac() -> bool:
    """Whether FLAC can be written here."""
    return sndfile.find_library() is not None


def encode_flac(pcm: bytes, sample_rate_hz: int, channels: int, bits: int) -> bytes:
    """A whole FLAC file.

    Args:
        pcm: interleaved little-endian float32.
        bits: 16 or 24.

    Raises:
        BridgeError: `unavailable` without libsndfile, `bad_request` for a rate or a number of
            channels that FLAC does not have.
    """
    library = sndfile.find_library()
    if library is None:
        raise BridgeError("unavailable", "FLAC cannot be written here", "ask for int24 or float32")
    file = io.BytesIO()
    info = sndfile.Info(0, sample_rate_hz, channels, sndfile.FLAC | sndfile.SUBTYPES[bits], 0, 0)
    frames = len(pcm) // (_FLOAT32_BYTES * channels)
    with sndfile.Opened(library, file, sndfile.WRITE, info) as opened:
        if not opened.handle:
            raise BridgeError(
                "bad_request",
                f"no FLAC of {channels} channels at {sample_rate_hz} Hz: {opened.problem}",
                "ask for int24 or float32",
            )
        library.sf_command(opened.handle, _SET_CLIPPING, None, 1)
        written = library.sf_writef_float(opened.handle, pcm, frames)
    if written != frames:
        raise BridgeError("unavailable", f"FLAC broke off after {written} of {frames} samples")
    return file.getvalue()
