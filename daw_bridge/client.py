"""A small WebSocket client: what the command line, the demo and the tests talk to a daemon with.

async with Client(info.url, info.token) as client:
    job = await client.submit({"task": "extend", "source": "/home/me/groove.wav", "bars": 2})
    async for event in client.events(job):
        print(event["event"])
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from daw_bridge.ids import job_id
from daw_bridge.protocol.binary import CHUNK_BYTES, HEADER_BYTES, BinaryFrame, decode_binary
from daw_bridge.protocol.messages import Message, is_last, reply_name
from daw_bridge.registration import ServerInfo, find_server
from engine.spec import BridgeError

__all__ = ["Client", "ServerInfo", "find_server"]

_CLOSED = object()
Inbox = asyncio.Queue[Any]


class Client:
    """A connection to a daemon; an async context manager.

    Args:
        previews: whether `events` should bring preview audio.
        reply_timeout_s: how long to wait for the answer to a command, not for a job.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        name: str = "daw-bridge client",
        previews: bool = True,
        reply_timeout_s: float = 30.0,
    ) -> None:
        self._url = url
        self._token = token
        self._name = name
        self._previews = previews
        self._reply_timeout_s = reply_timeout_s
        self._ids = itertools.count(1)
        self._calls: dict[str, Inbox] = {}
        self._jobs: dict[str, Inbox] = {}
        self._streams: dict[int, Inbox] = {}
        self._subscribed: Inbox | None = None
        self._preview_parts: dict[int, list[BinaryFrame]] = defaultdict(list)
        self._reading: asyncio.Task[None] | None = None
        self._connection: ClientConnection | None = None
        self.server: Message = {}

    async def __aenter__(self) -> Client:
        """Connect and say hello; the answer is in `server`.

        Raises:
            BridgeError: `unavailable` when nobody listens, `forbidden` for a wrong token.
        """
        try:
            # No proxy: the daemon is on this machine, whatever the environment says.
            self._connection = await connect(self._url, max_size=None, compression=None, proxy=None)
        except InvalidStatus as error:
            raise _refusal(error.response.body) from None
        except (OSError, InvalidHandshake, InvalidURI, TimeoutError) as error:
            raise BridgeError(
                "unavailable", f"no daemon at {self._url}: {error}", "start daw-bridge serve"
            ) from None
        self._reading = asyncio.create_task(self._read(self._connection), name="client-reader")
        try:
            self.server = await self.request(
                "hello", token=self._token, client=self._name, previews=self._previews
            )
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        assert self._connection is not None
        assert self._reading is not None
        await self._connection.close()
        await self._reading

    async def request(self, command: str, **fields: Any) -> Message:
        """Send a command and return its first reply. `None` fields are left out.

        Raises:
            BridgeError: as the daemon refuses; `unavailable` when the connection is lost.
        """
        call_id = await self._send(command, fields)
        try:
            return await self._next_reply(call_id)
        finally:
            del self._calls[call_id]

    async def submit(self, request: Mapping[str, Any]) -> str:
        """Ask for a render, given the fields of a `RenderRequest`; the job id.

        Raises:
            BridgeError: as the daemon refuses.
        """
        return (await self.submit_takes(request))[0]

    async def submit_takes(self, request: Mapping[str, Any]) -> list[str]:
        """Ask for a render with `takes`; the id of each take's job.

        Raises:
            BridgeError: as the daemon refuses.
        """
        values = dict(request)
        call_id = await self._send(str(values.pop("task", "")), values)
        try:
            told = [await self._next_reply(call_id) for _ in range(int(values.get("takes", 1)))]
            return [str(accepted["job"]) for accepted in told]
        finally:
            del self._calls[call_id]

    async def rerender(self, take: str, **overrides: Any) -> str:
        """Ask to render a take again; the job id.

        Raises:
            BridgeError: as the daemon refuses.
        """
        accepted = await self.request("rerender", take=take, **overrides)
        return str(accepted["job"])

    async def events(self, job: str) -> AsyncGenerator[Message, None]:
        """Every event of a job up to `done`, `failed` or `cancelled`.

        A `preview` has its audio in `pcm`. The job may be another client's. Whoever leaves early
        can come back: the events wait.

        Raises:
            BridgeError: `not_found` for an unknown job, `unavailable` without the daemon.
        """
        if job not in self._jobs:
            await self.request("watch", job=job)
        inbox = self._jobs[job]
        while True:
            message = await _take(inbox)
            if is_last(message):
                self._jobs.pop(job, None)
                yield message
                return
            yield message

    async def subscribe(self, **wishes: Any) -> AsyncGenerator[Message, None]:
        """The events of all jobs that this client has not asked for itself, until it closes.

        Args:
            wishes: how often, as the fields of the command `subscribe`.

        Raises:
            BridgeError: `unavailable` when the connection is lost.
        """
        inbox = self._subscribed = asyncio.Queue()
        try:
            await self.request("subscribe", **wishes)
            while True:
                yield await _take(inbox)
        finally:
            self._subscribed = None

    async def result(self, job: str) -> Message:
        """The `done` of a job.

        Raises:
            BridgeError: as the job failed; `unavailable` when it was cancelled.
        """
        ending: Message = {}
        async for event in self.events(job):
            ending = event
        match ending.get("event"):
            case "done":
                return ending
            case "failed":
                raise _error_of(ending)
            case _:
                reason = ending.get("reason", "")
                raise BridgeError("unavailable", f"{job} was cancelled", reason)

    async def cancel(self, job: str) -> None:
        """Ask to stop a job; `events` ends with `cancelled` once it has.

        Raises:
            BridgeError: `not_found`, or `bad_request` for a job that is over.
        """
        await self.request("cancel", job=job)

    async def upload(self, path: Path) -> str:
        """Send a file; the value to give as `source` or `melody`. One cut off before goes on.

        Raises:
            BridgeError: as the daemon refuses; `not_found` without the file.
        """
        try:
            with path.open("rb") as file:
                digest = await asyncio.to_thread(hashlib.file_digest, file, "sha256")
                return await self._upload(path.name, file.tell(), digest.hexdigest(), file)
        except OSError as error:
            raise BridgeError("not_found", f"{path}: {error.strerror}") from None

    async def _upload(self, name: str, size_bytes: int, sha256: str, file: BinaryIO) -> str:
        chunk_bytes = min(CHUNK_BYTES, self.server["limits"]["max_frame_bytes"] - HEADER_BYTES)
        fields = {"name": name, "size_bytes": size_bytes, "sha256": sha256}
        call_id = await self._send("upload", fields)
        try:
            begun = await self._next_reply(call_id)
            number, offset_bytes = begun["upload"], begun["offset_bytes"]
            file.seek(offset_bytes)
            for start in range(offset_bytes, size_bytes, chunk_bytes):
                part = await asyncio.to_thread(file.read, chunk_bytes)
                last = start + chunk_bytes >= size_bytes
                await self._send_raw(BinaryFrame("upload", number, start, part, last).encode())
            return str((await self._next_reply(call_id))["source"])
        finally:
            del self._calls[call_id]

    async def stream_frames(
        self,
        take: str,
        *,
        stem: str | None = None,
        offset_samples: int = 0,
        audio_format: str | None = None,
    ) -> AsyncGenerator[BinaryFrame, None]:
        """The audio of a take as it arrives, with its place, rate, channels and format.

        A FLAC is a whole file in each frame.

        Raises:
            BridgeError: `not_found` or `bad_audio`; `unavailable` when the connection is lost.
        """
        fields: dict[str, Any] = {"take": take, "stem": stem, "offset_samples": offset_samples}
        if audio_format is not None:
            fields["format"] = audio_format
        call_id = await self._send("stream", fields)
        # The frames come to the inbox of the call, because it may still be refused half-way.
        inbox = self._calls[call_id]
        number = -1
        try:
            number = (await self._next_reply(call_id))["stream"]
            while True:
                item: BinaryFrame | Message = await _take(inbox)
                if not isinstance(item, BinaryFrame):
                    raise _error_of(item)
                yield item
                if item.last:
                    return
        finally:
            self._streams.pop(number, None)
            del self._calls[call_id]

    async def stream(self, take: str, **how: Any) -> bytes:
        """The whole audio of a take: interleaved little-endian float32, or the format asked for.

        Args:
            how: as `stream_frames`.

        Raises:
            BridgeError: as `stream_frames`.
        """
        frames = self.stream_frames(take, **how)
        return b"".join([frame.data async for frame in frames])

    async def _send(self, command: str, fields: Mapping[str, Any]) -> str:
        call_id = str(next(self._ids))
        given = {name: value for name, value in fields.items() if value is not None}
        try:
            text = json.dumps({"id": call_id, "command": command, **given}, allow_nan=False)
        except ValueError as error:
            # The daemon could not read it, nor say to which call its refusal belongs.
            raise BridgeError("bad_request", f"{command} cannot be sent: {error}") from None
        self._calls[call_id] = asyncio.Queue()
        try:
            await self._send_raw(text)
        except BaseException:
            del self._calls[call_id]
            raise
        return call_id

    async def _send_raw(self, frame: str | bytes) -> None:
        assert self._connection is not None
        try:
            await self._connection.send(frame)
        except ConnectionClosed:
            raise BridgeError("unavailable", "the connection to the daemon is lost") from None

    async def _next_reply(self, call_id: str) -> Message:
        try:
            async with asyncio.timeout(self._reply_timeout_s):
                message: Message = await _take(self._calls[call_id])
        except TimeoutError:
            raise BridgeError("unavailable", "the daemon does not answer") from None
        if reply_name(message) == "failed":
            raise _error_of(message)
        return message

    async def _read(self, connection: ClientConnection) -> None:
        try:
            async for frame in connection:
                if isinstance(frame, str):
                    self._take_message(json.loads(frame))
                else:
                    self._take_frame(decode_binary(frame))
        except (ConnectionClosed, BridgeError, ValueError):
            pass  # whoever waits is told below
        finally:
            inboxes = (*self._calls.values(), *self._jobs.values(), *self._streams.values())
            for inbox in (*inboxes, *([self._subscribed] if self._subscribed else ())):
                inbox.put_nowait(_CLOSED)
            await connection.close()

    def _take_message(self, message: Message) -> None:
        if "event" in message:
            self._deliver(message)
            return
        match message["reply"]:
            case "accepted" | "watching":
                self._jobs.setdefault(message["job"], asyncio.Queue())
            case "stream":
                if inbox := self._calls.get(message["id"]):
                    self._streams[message["stream"]] = inbox
        # An answer to nobody is one to a message of ours that the daemon could not read.
        if inbox := self._calls.get(message["id"]):
            inbox.put_nowait(message)

    def _take_frame(self, frame: BinaryFrame) -> None:
        if frame.kind == "stream":
            if inbox := self._streams.get(frame.stream):
                inbox.put_nowait(frame)
            return
        parts = self._preview_parts[frame.stream]
        parts.append(frame)
        if not frame.last:
            return
        del self._preview_parts[frame.stream]
        self._deliver(_preview_event(job_id(frame.stream), parts))

    def _deliver(self, event: Message) -> None:
        inbox = self._jobs.get(event["job"], self._subscribed)
        if inbox is not None:
            inbox.put_nowait(event)


def _preview_event(job: str, parts: list[BinaryFrame]) -> Message:
    first = parts[0]
    return {
        "event": "preview",
        "job": job,
        "revision": first.revision,
        "offset_samples": first.offset,
        "sample_rate_hz": first.sample_rate_hz,
        "channels": first.channels,
        "format": first.format,
        "pcm": b"".join(part.data for part in parts),
    }


async def _take(inbox: Inbox) -> Any:
    item = await inbox.get()
    if item is _CLOSED:
        inbox.put_nowait(_CLOSED)  # for whoever asks next
        raise BridgeError("unavailable", "the connection to the daemon is lost")
    return item


def _error_of(message: Message) -> BridgeError:
    return BridgeError(message["code"], message["message"], message.get("hint", ""))


def _refusal(body: bytes | bytearray | None) -> BridgeError:
    try:
        return _error_of(json.loads(body or b""))
    except (ValueError, KeyError, TypeError):
        return BridgeError("unavailable", "what listens there is no daw-bridge")
