"""Audio in the format a client asks for: float32 as it is, integers, or FLAC. Methods block.

Integers are rounded to the nearest, ties to even, and clipped; they are not dithered, so that the
same samples give the same bytes wherever a stream begins. What comes from a file of 16 or 24 bits
goes through float32 and back without a change.
"""

from __future__ import annotations

import sys
from array import array

from daw_bridge.stream import flac

_BITS = {"int16": 16, "int24": 24}
_DOUBLE_BYTES = 8


def encode_audio(
    pcm: bytes, audio_format: str, sample_rate_hz: int, channels: int, *, flac_bits: int = 24
) -> bytes:
    """Audio as float32, int24, int16 or flac.

    Args:
        pcm: interleaved little-endian float32.
        flac_bits: 16 or 24 bits of a FLAC, which is a whole file. Nothing stays nothing.

    Raises:
        BridgeError: `unavailable` or `bad_request` as `flac.encode_flac`.
    """
    if audio_format == "float32" or not pcm:
        return pcm
    if audio_format == "flac":
        return flac.encode_flac(pcm, sample_rate_hz, channels, flac_bits)
    return _to_integers(pcm, _BITS[audio_format])


def _to_integers(pcm: bytes, bits: int) -> bytes:
    """Little-endian signed integers of x·2^(bits-1).

    A double near 1.5·2^52 units counts in whole units: adding that many units of 2^(1-bits) makes
    the processor round, and the integer stands in the low bytes of the sum, in two's complement.
    """
    floats = array("f", pcm)
    if sys.byteorder == "big":
        floats.byteswap()
    unit = 2.0 ** (1 - bits)
    highest = 1.0 - unit
    # Written so that a first value which is no number fails the comparison, too.
    if not (max(floats) <= highest and min(floats) >= -1.0):
        # What is no number, and alone is not itself, becomes silence.
        floats = array("f", [min(highest, max(-1.0, x)) if x == x else 0.0 for x in floats])
    counting = 1.5 * 2.0**52 * unit
    sums = array("d", [x + counting for x in floats])
    if sys.byteorder == "big":
        sums.byteswap()
    raw = sums.tobytes()
    width = bits // 8
    integers = bytearray(width * len(sums))
    for index in range(width):
        integers[index::width] = raw[index::_DOUBLE_BYTES]
    return bytes(integers)
