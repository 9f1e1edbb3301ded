"""What waits to be sent to one client: bounded, with back-pressure.

Previews and progress are dropped, oldest first, when a client reads too slowly; everything else
is kept, and streams wait for room before they add more. A client that hears of all jobs and reads
nothing would fill the memory in the end, so it is sent away.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

Frame = str | bytes
MakeFrames = Callable[[], Awaitable[Sequence[Frame]]]

_log = logging.getLogger(__name__)

# What is kept for a client may be as many times the size from which previews are dropped, and as
# much as all of its streams add at once when there is room again.
_KEPT_TIMES = 4
_LEAST_KEPT_BYTES = 16 * 2**20

# A stream reads no further ahead than this: many at once would fill the memory, and an answer would
# wait behind what a client does not need for seconds yet.
_STREAM_AHEAD_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class _Parcel:
    """Frames that are sent together or not at all, made when their turn comes where `make` is."""

    frames: Sequence[Frame]
    make: MakeFrames | None
    size_bytes: int
    droppable: bool


class Outbox:
    """The queue in front of one client's socket.

    Args:
        max_bytes: what may wait before previews are dropped.
        on_overflow: cuts the connection, once too much waits of what is kept.
    """

    def __init__(self, max_bytes: int, on_overflow: Callable[[], None] | None = None) -> None:
        self._max_bytes = max_bytes
        self._max_kept_bytes = max(_KEPT_TIMES * max_bytes, _LEAST_KEPT_BYTES)
        self._kept_bytes = 0
        self._on_overflow = on_overflow
        self._parcels: deque[_Parcel] = deque()
        self._waiting_bytes = 0
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._stream_room = asyncio.Event()
        self._stream_room.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self.dropped = 0

    @property
    def waiting_bytes(self) -> int:
        """Size of what waits."""
        return self._waiting_bytes

    def put(self, frames: Sequence[Frame], *, droppable: bool = False) -> None:
        """Queue frames that belong together; never waits. A closed outbox takes them nowhere."""
        self._queue(_Parcel(frames, None, sum(len(frame) for frame in frames), droppable))

    def put_later(self, make: MakeFrames, size_bytes: int, *, droppable: bool = False) -> None:
        """Queue frames that are made when their turn comes, and not at all when they are dropped.

        Args:
            size_bytes: what they count until then.
        """
        self._queue(_Parcel((), make, size_bytes, droppable))

    def _queue(self, parcel: _Parcel) -> None:
        if self._closed:
            return
        if parcel.droppable:
            self._make_room(parcel.size_bytes)
        elif self._kept_bytes and self._kept_bytes + parcel.size_bytes > self._max_kept_bytes:
            self._overflow()
            return
        else:
            self._kept_bytes += parcel.size_bytes
        self._parcels.append(parcel)
        self._waiting_bytes += parcel.size_bytes
        self._idle.clear()
        self._filled.set()
        self._tell_room()

    async def room(self) -> None:
        """Wait until less than the limit waits."""
        await self._room.wait()

    async def stream_room(self) -> None:
        """Wait until so little waits that a stream should go on."""
        await self._stream_room.wait()

    async def flushed(self) -> None:
        """Wait until everything has been handed to the socket."""
        await self._idle.wait()

    async def run(self, send: Callable[[Frame], Awaitable[None]]) -> None:
        """Hand frames to the socket until cancelled, or until `send` raises."""
        try:
            while True:
                while not self._parcels:
                    self._idle.set()
                    self._filled.clear()
                    await self._filled.wait()
                parcel = self._parcels.popleft()
                for frame in await parcel.make() if parcel.make else parcel.frames:
                    await send(frame)
                if self._closed:
                    return
                self._waiting_bytes -= parcel.size_bytes
                self._kept_bytes -= 0 if parcel.droppable else parcel.size_bytes
                self._tell_room()
        finally:
            self._close()

    def _overflow(self) -> None:
        _log.warning("a client does not read and is sent away: %d bytes wait", self._waiting_bytes)
        self._close()
        if self._on_overflow is not None:
            self._on_overflow()

    def _close(self) -> None:
        self._closed = True
        self._parcels.clear()
        self._waiting_bytes = self._kept_bytes = 0
        self._tell_room()  # whoever waits for it would wait for ever
        self._idle.set()

    def _tell_room(self) -> None:
        stream_bytes = min(self._max_bytes, _STREAM_AHEAD_BYTES)
        for room, limit_bytes in ((self._room, self._max_bytes), (self._stream_room, stream_bytes)):
            if self._waiting_bytes < limit_bytes:
                room.set()
            else:
                room.clear()

    def _make_room(self, size_bytes: int) -> None:
        """Drop the oldest droppable parcels until the new one fits, or none is left."""
        while self._waiting_bytes + size_bytes > self._max_bytes:
            oldest = next((parcel for parcel in self._parcels if parcel.droppable), None)
            if oldest is None:
                return
            self._parcels.remove(oldest)
            self._waiting_bytes -= oldest.size_bytes
            self.dropped += 1
