"""Audio on its way: uploads that arrive and takes that are streamed, for each client."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from daw_bridge.intake.uploads import PREFIX, Upload, UploadStore
from daw_bridge.protocol.binary import BinaryFrame
from daw_bridge.protocol.messages import Call, Message, Peer, failed, reply
from daw_bridge.stream.flac import has_flac
from daw_bridge.stream.formats import encode_audio
from daw_bridge.stream.sender import Chunk, send_audio
from daw_bridge.takes.store import TakeStore
from daw_bridge.takes.wav import WavInfo, read_wav_float32, read_wav_info, read_wav_raw
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
    """Uploads and streams of all clients.

    Args:
        on_sent: told the size of everything that goes out.
        in_use: paths of the files that jobs still have to read.
    """

    def __init__(
        self,
        takes: TakeStore,
        uploads: UploadStore,
        on_sent: Callable[[int], None],
        in_use: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._in_use = in_use
        self._takes = takes
        self._on_sent = on_sent
        self._uploads = uploads
        self._clients: dict[Peer, _Client] = {}
        self._numbers: Iterator[int] = itertools.count(1)
        self._turn = asyncio.Lock()  # of one frame: many at once would make others wait for all

    async def begin_upload(self, call: Call, peer: Peer) -> None:
        """Answer `upload`.

        Raises:
            BridgeError: `too_large` when it is too big or too many are under way.
        """
        client = self._clients.setdefault(peer, _Client())
        if len(client.open_uploads()) >= MAX_UPLOADS_PER_CLIENT:
            raise BridgeError("too_large", "too many uploads at a time", "finish one first")
        name, size_bytes, sha256 = (
            call.get("name"),
            call.get("size_bytes"),
            call.get("sha256") or "",
        )
        number = next(self._numbers)
        if kept := await asyncio.to_thread(self._uploads.find, sha256, size_bytes):
            peer.send(reply(call.id, "upload", upload=number, offset_bytes=size_bytes))
            peer.send(_uploaded(call.id, kept[0], size_bytes))
            return
        upload = await asyncio.to_thread(self._uploads.begin, name, size_bytes, sha256)
        client.uploads[number] = (call.id, upload)
        peer.send(reply(call.id, "upload", upload=number, offset_bytes=upload.received_bytes))
        if upload.is_whole:
            await self._take_upload(client, number, None, peer)

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
        await self._take_upload(client, frame.stream, frame, peer)

    async def _take_upload(
        self, client: _Client, number: int, frame: BinaryFrame | None, peer: Peer
    ) -> None:
        """Add a frame to an upload, or none where all bytes are there; finish it after the last."""
        entry = client.uploads[number]
        if entry is None:
            return
        call_id, upload = entry
        try:
            if frame is not None:
                await asyncio.to_thread(upload.write, frame.offset, frame.data)
            if frame is None or frame.last:
                upload_id, _ = await asyncio.to_thread(upload.finish)
                await asyncio.to_thread(self._uploads.make_room, self._in_use())
                del client.uploads[number]
                peer.send(_uploaded(call_id, upload_id, upload.size_bytes))
        except (BridgeError, OSError) as error:
            client.uploads[number] = None
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
        check_format(call.get("format"))
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
                format=call.get("format"),
            )
        )
        sending = asyncio.create_task(self._stream(call, number, path, info, peer), name="stream")
        client.streams.add(sending)
        sending.add_done_callback(client.streams.discard)

    async def _stream(self, call: Call, number: int, path: Path, info: WavInfo, peer: Peer) -> None:
        wanted = call.get("format")

        async def read(start: int, count: int) -> bytes:
            return await asyncio.to_thread(_read_as, wanted, path, info, start, count)

        async def send(chunk: Chunk) -> None:
            frame = BinaryFrame(
                "stream",
                number,
                chunk.offset_samples,
                chunk.data,
                last=chunk.last,
                sample_rate_hz=info.sample_rate_hz,
                channels=info.channels,
                format=wanted,
            )
            async with self._turn:
                data = frame.encode()
                await asyncio.sleep(0)
            await peer.send_audio(data)
            self._on_sent(len(data))

        try:
            await send_audio(
                read,
                send,
                length_samples=info.length_samples,
                channels=info.channels,
                offset_samples=call.get("offset_samples"),
            )
        except BridgeError as error:
            peer.send(failed(call.id, error))
        except Exception as error:
            _log.exception("stream %d of %s", number, path)
            refusal = BridgeError("unavailable", f"the stream broke off: {error!r}"[:300])
            peer.send(failed(call.id, refusal))

    def forget(self, peer: Peer) -> None:
        """A client is gone: its uploads wait for it or are dropped, its streams end."""
        client = self._clients.pop(peer, None)
        if client is None:
            return
        for upload in client.open_uploads():
            upload.leave()
        for sending in client.streams:
            sending.cancel()


def check_format(wanted: str | None) -> None:
    """Refuse a format that cannot be written on this machine.

    Raises:
        BridgeError: `unavailable`.
    """
    if wanted == "flac" and not has_flac():
        raise BridgeError("unavailable", "FLAC cannot be written here", "ask for int24 or float32")


def _read_as(wanted: str, path: Path, info: WavInfo, start: int, count: int) -> bytes:
    if wanted == info.pcm_format:
        return read_wav_raw(path, info, start, count)
    pcm = read_wav_float32(path, info, start, count)
    bits = 16 if info.pcm_format == "int16" else 24
    return encode_audio(pcm, wanted, info.sample_rate_hz, info.channels, flac_bits=bits)


def _uploaded(call_id: str, upload_id: str, size_bytes: int) -> Message:
    return reply(call_id, "uploaded", source=PREFIX + upload_id, size_bytes=size_bytes)


def _as_refusal(error: BridgeError | OSError) -> BridgeError:
    if isinstance(error, BridgeError):
        return error
    problem = f"the upload cannot be kept: {error.strerror}"
    return BridgeError("unavailable", problem, "is the disk full?")
