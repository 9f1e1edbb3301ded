"""WebSocket: JSON control and binary PCM, both ways."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from daw_bridge.ids import job_number
from daw_bridge.protocol.binary import BinaryFrame, decode_binary, split_preview
from daw_bridge.protocol.messages import (
    Call,
    CallError,
    Message,
    Peer,
    failed,
    read_json_call,
    write_json_message,
)
from daw_bridge.transport.http import Gate
from daw_bridge.transport.outbox import Outbox
from engine.spec import BridgeError

_log = logging.getLogger(__name__)

_FLUSH_S = 1.0
_MAX_UNREAD_FRAMES = 4
_MAX_HELLO_BYTES = 64 * 1024  # of those who have not shown the token, each may keep some waiting
_POLICY_VIOLATION = 1008
_TRY_AGAIN_LATER = 1013


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the WebSocket side."""

    max_frame_bytes: int
    max_outbox_bytes: int
    max_clients: int
    hello_timeout_s: float


@dataclass(frozen=True, slots=True)
class Handlers:
    """What happens to the messages of clients.

    Attributes:
        on_call: answers a command through the peer.
        on_binary: takes a binary frame.
        on_gone: forgets a peer.
        encode_audio: turns float32 into another format, given its name, the rate and the number of
            channels; blocks.
    """

    on_call: Callable[[Call, Peer], Awaitable[None]]
    on_binary: Callable[[BinaryFrame, Peer], Awaitable[None]]
    on_gone: Callable[[Peer], None]
    encode_audio: Callable[[bytes, str, int, int], bytes]


class WebSocketPeer:
    """A client on a WebSocket."""

    is_connected = True

    def __init__(
        self, outbox: Outbox, encode_audio: Callable[[bytes, str, int, int], bytes]
    ) -> None:
        self._outbox = outbox
        self._encode_audio = encode_audio

    def send(self, message: Message, payload: bytes = b"", *, droppable: bool = False) -> None:
        """Queue a reply; a preview becomes binary frames."""
        if message.get("event") != "preview":
            self._outbox.put([write_json_message(message)], droppable=droppable)
            return
        frames = list(
            split_preview(
                job_number(message["job"]),
                message["revision"],
                message["offset_samples"],
                message["sample_rate_hz"],
                message["channels"],
                payload,
            )
        )
        wanted = message.get("format", "float32")
        if wanted == "float32":
            self._outbox.put([frame.encode() for frame in frames], droppable=True)
        else:
            make = partial(asyncio.to_thread, self._encode_frames, frames, wanted)
            self._outbox.put_later(make, len(payload), droppable=True)

    async def send_audio(self, frame: bytes) -> None:
        """Queue a binary frame that must not be lost, after waiting for room."""
        await self._outbox.stream_room()
        self._outbox.put([frame])

    def _encode_frames(self, frames: Sequence[BinaryFrame], wanted: str) -> list[bytes]:
        try:
            return [self._encode_frame(frame, wanted).encode() for frame in frames]
        except BridgeError as error:
            # The frames say which format they have, so float32 is better than nothing.
            _log.warning("a preview is sent as float32: %s", error.message)
            return [frame.encode() for frame in frames]

    def _encode_frame(self, frame: BinaryFrame, wanted: str) -> BinaryFrame:
        data = self._encode_audio(frame.data, wanted, frame.sample_rate_hz, frame.channels)
        return replace(frame, data=data, format=wanted)


class WebSocketServer:
    """The listening socket and its clients; an async context manager.

    Args:
        make_gate: makes the gate once the port is known.
    """

    def __init__(
        self,
        host: str,
        port: int,
        limits: Limits,
        handlers: Handlers,
        make_gate: Callable[[int], Gate],
    ) -> None:
        self._host = host
        self._port = port
        self._limits = limits
        self._handlers = handlers
        self._make_gate = make_gate
        self._server: Server | None = None
        self._gate: Gate | None = None
        self._outboxes: set[Outbox] = set()

    @property
    def port(self) -> int:
        """The port in use."""
        return self._port

    @property
    def client_count(self) -> int:
        """Clients connected now."""
        return len(self._outboxes)

    async def __aenter__(self) -> WebSocketServer:
        """Listen.

        Raises:
            BridgeError: `unavailable` when the port is taken.
        """
        try:
            self._server = await serve(
                self._serve_client,
                self._host,
                self._port,
                process_request=self._process_request,
                compression=None,  # audio does not shrink, and each client would cost 300 kB
                max_size=min(_MAX_HELLO_BYTES, self._limits.max_frame_bytes),
                max_queue=_MAX_UNREAD_FRAMES,
                # Who reads nothing for a while is not gone: the system tells when a process is, and
                # the outbox sends away who never reads.
                ping_interval=None,
                logger=logging.getLogger("daw_bridge.websockets"),
                server_header=None,
            )
        except OSError as error:
            raise BridgeError(
                "unavailable",
                f"port {self._port} of {self._host} cannot be used: {error.strerror}",
                "another daemon may run already; --port 0 takes a free one",
            ) from None
        self._port = next(iter(self._server.sockets)).getsockname()[1]
        self._gate = self._make_gate(self._port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_S):
                for outbox in list(self._outboxes):
                    await outbox.flushed()
        self._server.close()
        await self._server.wait_closed()

    def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        assert self._gate is not None
        answer = self._gate.answer(request)
        if answer is None and self._gate.has_token(request.headers):
            self._trust(connection)
        return answer

    def _trust(self, connection: ServerConnection) -> None:
        """Take long messages from now on."""
        connection.protocol.max_message_size = self._limits.max_frame_bytes

    async def _serve_client(self, connection: ServerConnection) -> None:
        if self.client_count >= self._limits.max_clients:
            await connection.close(_TRY_AGAIN_LATER, "too many clients")
            return
        outbox = Outbox(self._limits.max_outbox_bytes, connection.transport.abort)
        self._outboxes.add(outbox)
        peer = WebSocketPeer(outbox, self._handlers.encode_audio)
        writing = asyncio.create_task(_write(outbox, connection), name="outbox")
        try:
            if await self._is_greeted(connection, peer):
                await self._converse(connection, peer, outbox)
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_FLUSH_S):
                        await outbox.flushed()
                await connection.close(_POLICY_VIOLATION, "say hello with the token first")
        except ConnectionClosed:
            pass
        finally:
            self._outboxes.discard(outbox)
            self._handlers.on_gone(peer)
            writing.cancel()
            await asyncio.wait([writing])

    async def _is_greeted(self, connection: ServerConnection, peer: WebSocketPeer) -> bool:
        """Whether the client has shown the token, in a header or in its first message."""
        assert self._gate is not None
        assert connection.request is not None
        if self._gate.has_token(connection.request.headers):
            return True
        try:
            async with asyncio.timeout(self._limits.hello_timeout_s):
                message = await connection.recv()
            call = read_json_call(message) if isinstance(message, str) else None
        except TimeoutError:
            return False
        except CallError:
            call = None
        if call is not None and call.command == "hello" and self._gate.accepts(call.get("token")):
            self._trust(connection)
            await self._handlers.on_call(call, peer)
            return True
        error = BridgeError("forbidden", "the first message is no hello with the token")
        peer.send(failed(call.id if call else "", error))
        return False

    async def _converse(
        self, connection: ServerConnection, peer: WebSocketPeer, outbox: Outbox
    ) -> None:
        async for message in connection:
            try:
                if isinstance(message, str):
                    await self._handlers.on_call(read_json_call(message), peer)
                else:
                    await self._handlers.on_binary(decode_binary(message), peer)
            except CallError as error:
                peer.send(failed(error.call_id, error.error))
            except BridgeError as error:
                peer.send(failed("", error))
            # A client that asks and does not read is not read either.
            await outbox.room()


async def _write(outbox: Outbox, connection: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        await outbox.run(connection.send)
