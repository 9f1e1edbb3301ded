from __future__ import annotations

import asyncio

import pytest

from daw_bridge.transport import outbox as outbox_module
from daw_bridge.transport.outbox import Frame, Outbox


async def _drained(outbox: Outbox) -> list[Frame]:
    sent: list[Frame] = []

    async def send(frame: Frame) -> None:
        sent.append(frame)

    task = asyncio.create_task(outbox.run(send))
    await outbox.flushed()
    task.cancel()
    await asyncio.wait([task])
    return sent


async def test_slow_client_loses_old_previews_and_nothing_else() -> None:
    outbox = Outbox(100)
    outbox.put(["keep 1"])
    for number in range(20):
        outbox.put([f"preview {number:02}"], droppable=True)
    outbox.put(["keep 2"])
    assert outbox.waiting_bytes <= 106
    sent = await _drained(outbox)
    assert sent[0] == "keep 1"
    assert sent[-1] == "keep 2"
    assert sent[-2] == "preview 19"
    assert len(sent) + outbox.dropped == 22


async def test_frames_that_belong_together_are_dropped_together() -> None:
    outbox = Outbox(100)
    outbox.put([b"a" * 30, b"b" * 30], droppable=True)
    outbox.put([b"c" * 30, b"d" * 30], droppable=True)
    assert await _drained(outbox) == [b"c" * 30, b"d" * 30]


async def test_preview_larger_than_the_limit_still_goes_when_nothing_waits() -> None:
    outbox = Outbox(100)
    outbox.put([b"x" * 500], droppable=True)
    assert await _drained(outbox) == [b"x" * 500]


async def test_frames_are_made_when_their_turn_comes_and_not_when_dropped() -> None:
    outbox, made = Outbox(100), []

    def later(number: int) -> None:
        async def make() -> list[Frame]:
            made.append(number)
            return [f"made {number}", b"more"]

        outbox.put_later(make, 60, droppable=True)

    outbox.put(["first"])
    for number in range(3):
        later(number)
    outbox.put(["last"])
    assert made == []
    assert await _drained(outbox) == ["first", "made 2", b"more", "last"]
    assert made == [2]


async def test_room_comes_back_when_the_client_reads() -> None:
    outbox = Outbox(100)
    await asyncio.wait_for(outbox.room(), 1)
    outbox.put(["x" * 100])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(outbox.room(), 0.01)
    await _drained(outbox)
    await asyncio.wait_for(outbox.room(), 1)


async def test_stream_goes_on_before_the_outbox_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "_STREAM_AHEAD_BYTES", 10)
    outbox = Outbox(100)
    await asyncio.wait_for(outbox.stream_room(), 1)
    outbox.put(["x" * 10])
    await asyncio.wait_for(outbox.room(), 1)  # what a client asks for is still read
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(outbox.stream_room(), 0.01)
    await _drained(outbox)
    await asyncio.wait_for(outbox.stream_room(), 1)


async def test_who_waits_for_room_is_freed_when_the_socket_breaks() -> None:
    outbox = Outbox(100)
    outbox.put(["x" * 500])

    async def send(frame: Frame) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await outbox.run(send)
    await asyncio.wait_for(outbox.room(), 1)
    outbox.put(["more"])
    assert outbox.waiting_bytes == 0


async def test_who_never_reads_is_sent_away_and_costs_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox_module, "_LEAST_KEPT_BYTES", 1)
    cut: list[int] = []
    outbox = Outbox(100, lambda: cut.append(1))
    outbox.put(["a single answer may be as long as it is" * 50])
    assert not cut
    outbox = Outbox(100, lambda: cut.append(1))
    for _ in range(1000):
        outbox.put(["kept" * 5])
        outbox.put(["dropped" * 5], droppable=True)
        assert outbox.waiting_bytes <= 5 * 100
    assert (cut, outbox.waiting_bytes) == ([1], 0)
    await asyncio.wait_for(outbox.room(), 1)


async def test_who_reads_may_be_sent_any_amount(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "_LEAST_KEPT_BYTES", 1)
    outbox, sent = Outbox(100, pytest.fail), 0

    async def send(frame: Frame) -> None:
        nonlocal sent
        sent += len(frame)

    task = asyncio.create_task(outbox.run(send))
    for _ in range(100):
        outbox.put(["x" * 300])
        await outbox.flushed()
    task.cancel()
    await asyncio.wait([task])
    assert sent == 30_000
