from __future__ import annotations

import asyncio

import pytest

from daw_bridge.stream.sender import Chunk, send_audio


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100])
@pytest.mark.parametrize("offset", [0, 1, 8])
async def test_stream_is_the_file_from_the_offset_on(
    channels: int, length: int, offset: int
) -> None:
    sample_bytes = 4 * channels
    file = bytes(index % 251 for index in range(length * sample_bytes))
    chunks: list[Chunk] = []

    async def read(start: int, count: int) -> bytes:
        return file[start * sample_bytes : (start + count) * sample_bytes]

    async def send(chunk: Chunk) -> None:
        chunks.append(chunk)

    await send_audio(
        read,
        send,
        length_samples=length,
        channels=channels,
        offset_samples=offset,
        chunk_bytes=8 * sample_bytes,
    )
    assert b"".join(chunk.data for chunk in chunks) == file[offset * sample_bytes :]
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    position = min(offset, length)
    for chunk in chunks:
        assert chunk.offset_samples == position
        position += len(chunk.data) // sample_bytes


async def test_nothing_is_read_before_there_is_room() -> None:
    reads: list[int] = []
    room = asyncio.Semaphore(2)

    async def read(start: int, count: int) -> bytes:
        reads.append(start)
        return bytes(4 * count)

    async def send(chunk: Chunk) -> None:
        await room.acquire()

    task = asyncio.create_task(
        send_audio(read, send, length_samples=80, channels=1, chunk_bytes=32)
    )
    for _ in range(50):
        await asyncio.sleep(0)
    assert reads == [0, 8, 16]
    task.cancel()
    await asyncio.wait([task])
