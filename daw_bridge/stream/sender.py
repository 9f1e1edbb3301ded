"""Sends audio in chunks, each read only when the client has room for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

CHUNK_BYTES = 256 * 1024
FLOAT32_BYTES = 4


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a stream.

    Attributes:
        offset_samples: place in the whole file.
        data: in whatever format it was read.
        last: whether the stream ends with it.
    """

    offset_samples: int
    data: bytes
    last: bool


async def send_audio(
    read: Callable[[int, int], Awaitable[bytes]],
    send: Callable[[Chunk], Awaitable[None]],
    *,
    length_samples: int,
    channels: int,
    offset_samples: int = 0,
    chunk_bytes: int = CHUNK_BYTES,
) -> None:
    """Send samples from an offset to the end; at least one chunk, so that the end is always told.

    Chunks end at the same samples wherever the stream begins, so that one which goes on at the end
    of a chunk is the same from there on, byte for byte, in any format.

    Args:
        read: returns the audio, given the first sample and how many.
        send: returns once the client has room for the next chunk (back-pressure).
    """
    step_samples = max(1, chunk_bytes // (FLOAT32_BYTES * channels))
    position = min(offset_samples, length_samples)
    while True:
        count = min(step_samples - position % step_samples, length_samples - position)
        data = await read(position, count) if count else b""
        last = position + count >= length_samples
        await send(Chunk(position, data, last))
        if last:
            return
        position += count
