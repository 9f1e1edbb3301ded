"""Streams of many clients at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daw_bridge.intake.uploads import UploadStore
from daw_bridge.protocol.binary import CHUNK_BYTES, decode_binary
from daw_bridge.protocol.messages import Call, Message
from daw_bridge.takes.store import TakeStore
from daw_bridge.transfers import Transfers
from engine.spec import Done, RenderRequest, Stem
from tests.daw_bridge.fake_engine import CHANNELS, SAMPLE_RATE_HZ, wav_bytes

_CLIENTS = 8
_LENGTH_SAMPLES = 100_000
_PATIENCE_S = 30.0


class _Player:
    """A client with room for everything, which notes when a frame comes."""

    is_connected = True

    def __init__(self, note: Callable[[], None]) -> None:
        self._note = note
        self.frames: list[bytes] = []

    def send(self, message: Message, payload: bytes = b"", *, droppable: bool = False) -> None:
        pass

    async def send_audio(self, frame: bytes) -> None:
        self._note()
        self.frames.append(frame)


async def test_streams_take_turns_of_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though all of them have their next frame at once, others wait for one frame and not all."""

    async def at_once(work: Callable[..., Any], *given: Any) -> Any:
        await asyncio.sleep(0)
        return work(*given)

    monkeypatch.setattr(asyncio, "to_thread", at_once)
    spool = tmp_path / "mix.wav"
    spool.write_bytes(wav_bytes(_LENGTH_SAMPLES, 1, "float"))
    stem = Stem("mix", str(spool), SAMPLE_RATE_HZ, CHANNELS, _LENGTH_SAMPLES)
    store = TakeStore(tmp_path / "takes")
    take = store.adopt(RenderRequest("generate", seconds=1.0), [stem], Done({}, {}))
    streams = Transfers(store, UploadStore(tmp_path / "uploads", 1000, 1000), lambda size: None)
    turn, in_turn = 0, Counter[int]()
    loop = asyncio.get_running_loop()

    def next_turn() -> None:
        nonlocal turn
        turn += 1
        loop.call_soon(next_turn)

    def note() -> None:
        in_turn[turn] += 1

    players = [_Player(note) for _ in range(_CLIENTS)]
    next_turn()
    for player in players:
        await streams.begin_stream(Call("1", "stream", {"take": take.id}), player)
    frames = -(-_LENGTH_SAMPLES * CHANNELS * 4 // CHUNK_BYTES)
    async with asyncio.timeout(_PATIENCE_S):
        while sum(in_turn.values()) < _CLIENTS * frames:
            await asyncio.sleep(0)
    assert max(in_turn.values()) == 1
    samples = wav_bytes(_LENGTH_SAMPLES, 1, "float")[-_LENGTH_SAMPLES * CHANNELS * 4 :]
    for player in players:
        assert b"".join(decode_binary(frame).data for frame in player.frames) == samples
