"""Audio on its way: uploads that arrive and takes that are streamed, for each client."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from daw_bridge.intake.uploads import PREFIX, Upload, UploadStore
from daw_bridge.protocol.binary import BinaryFrame
from daw_bridge.protocol.messages import Call, Peer, failed, reply
from daw_bridge.stream.sender import Chunk, send_pcm
from daw_bridge.takes.store import TakeStore
from daw_bridge.takes.wav import WavInfo, read_wav_float32, read_wav_info
from engine.spec import BridgeError

_log = logging.getLogger(__name__)

MAX_UPLOADS_PER_CLIENT = 4
MAX_STREAMS_PER_CLIENT = 16


@dataclass(slots=True)
class _Client:
    """What is under way for one client. A failed upload stays as None, to ignore its rest."""

    uploads: dict[int, tuple[str, Upload] | None] = field(default_factory=dict)
    streams: set[asyncio.Task[None]] = field(default_factory=set)

    def open_uploads(self) -> list[Upload]:
        return [entry[1] for entry in self.uploads.values() if entry is not None]


class Transfers:
    """Uploads and streams of all clients."""

    def __init__(self, takes: TakeStore, uploads: UploadStore) -> None:
        self._takes = takes
        self._uploads = uploads
        self._clients: dict[Peer, _Client] = {}
        self._numbers: Iterator[int] = itertools.count(1)

    async def begin_upload(self, call: Call, peer: Peer) -> None:
        """Answer `upload`.

        Raises:
            BridgeError: `too_large` when it is too big or too many are under way.
        """
        client = self._clients.setdefault(peer, _Client())
        if len(client.open_uploads()) >= MAX_UPLOADS_PER_CLIENT:
            raise BridgeError("too_large", "too many uploads at a time", "finish one first")
        upload = await asyncio.to_thread(
            self._uploads.begin, call.get("name"), call.get("size_bytes"), call.get("sha256") or ""
        )
        number = next(self._numbers)
        client.uploads[number] = (call.id, upload)
        peer.send(reply(call.id, "upload", upload=number))

    async def take_binary(self, frame: BinaryFrame, peer: Peer) -> None:
        """Add the bytes of an upload.

        Raises:
            BridgeError: `bad_message` for a frame that belongs to none.
        """
        client = self._clients.setdefault(peer, _Client())
        if frame.kind != "upload" or frame.stream not in client.uploads:
            raise BridgeError(
                "bad_message", f"no {frame.kind} {frame.stream} is under way", "begin with upload"
            )
        entry = client.uploads[frame.stream]
        if entry is None:
            return
        call_id, upload = entry
        try:
            await asyncio.to_thread(upload.write, frame.offset, frame.data)
            if frame.last:
                upload_id, path = await asyncio.to_thread(upload.finish)
                await asyncio.to_thread(self._uploads.make_room)
                size_bytes = path.stat().st_size
                del client.uploads[frame.stream]
                values = {"source": PREFIX + upload_id, "size_bytes": size_bytes}
                peer.send(reply(call_id, "uploaded", **values))
        except (BridgeError, OSError) as error:
            client.uploads[frame.stream] = None
            upload.discard()
            peer.send(failed(call_id, _as_refusal(error)))

    async def begin_stream(self, call: Call, peer: Peer) -> None:
        """Answer `stream`, and send the audio in the background.

        Raises:
            BridgeError: `not_found`, `bad_audio`, `bad_request` for an offset behind the end, or
                `too_large` when too many are under way.
        """
        client = self._clients.setdefault(peer, _Client())
        if len(client.streams) >= MAX_STREAMS_PER_CLIENT:
            raise BridgeError("too_large", "too many streams at a time", "wait for one to end")
        take = await asyncio.to_thread(self._takes.get, call.get("take"))
        path = Path(take.file(call.get("stem")).path)
        info = await asyncio.to_thread(read_wav_info, path)
        offset_samples = call.get("offset_samples")
        if offset_samples > info.length_samples:
            raise BridgeError(
                "bad_request",
                f"offset_samples is {offset_samples}",
                f"the file has {info.length_samples}",
            )
        number = next(self._numbers)
        peer.send(
            reply(
                call.id,
                "stream",
                stream=number,
                sample_rate_hz=info.sample_rate_hz,
                channels=info.channels,
                length_samples=info.length_samples,
                offset_samples=offset_samples,
            )
        )
        sending = asyncio.create_task(
            self._stream(call.id, number, path, info, offset_samples, peer), name="stream"
        )
        client.streams.add(sending)
        sending.add_done_callback(client.streams.discard)

    async def _stream(
        self, call_id: str, number: int, path: Path, info: WavInfo, offset_samples: int, peer: Peer
    ) -> None:
        async def read(start: int, count: int) -> bytes:
            return await asyncio.to_thread(read_wav_float32, path, info, start, count)

        async def send(chunk: Chunk) -> None:
            frame = BinaryFrame(
                "stream",
                number,
                chunk.offset_samples,
                chunk.pcm,
                last=chunk.last,
                sample_rate_hz=info.sample_rate_hz,
                channels=info.channels,
            )
            await peer.send_audio(frame.encode())

        try:
            await send_pcm(
                read,
                send,
                length_samples=info.length_samples,
                channels=info.channels,
                offset_samples=offset_samples,
            )
        except BridgeError as error:
            peer.send(failed(call_id, error))
        except Exception as error:
            _log.exception("stream %d of %s", number, path)
            refusal = BridgeError("unavailable", f"the stream broke off: {error!r}"[:300])
            peer.send(failed(call_id, refusal))

    def forget(self, peer: Peer) -> None:
        """A client is gone: its uploads are dropped, its streams end."""
        client = self._clients.pop(peer, None)
        if client is None:
            return
        for upload in client.open_uploads():
            upload.discard()
        for sending in client.streams:
            sending.cancel()


def _as_refusal(error: BridgeError | OSError) -> BridgeError:
    if isinstance(error, BridgeError):
        return error
    return BridgeError("unavailable", f"the upload cannot be kept: {error.strerror}")
