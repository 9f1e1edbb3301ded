"""OSC over TCP: the commands and replies of UDP on a connection, which remembers its token."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from daw_bridge.protocol.framing import Framing, framing_of
from daw_bridge.protocol.messages import Call, Message, Peer, failed
from daw_bridge.protocol.osc_codec import OscCall, OscCallError, read_packet
from daw_bridge.transport.osc import encode_or_refuse, without_token
from daw_bridge.transport.outbox import Frame, Outbox
from engine.spec import BridgeError

_log = logging.getLogger(__name__)

MAX_PACKET_BYTES = 64 * 1024
_READ_BYTES = 64 * 1024
_FLUSH_S = 1.0


@dataclass(frozen=True, slots=True)
class TcpLimits:
    """Bounds of the OSC connections."""

    max_outbox_bytes: int
    max_clients: int
    hello_timeout_s: float


@dataclass(frozen=True, slots=True)
class TcpHandlers:
    """What happens to the messages of clients.

    Attributes:
        accepts: whether a token is the right one; called with None when there is none.
        on_call: answers a command through the peer.
        on_gone: forgets a peer.
    """

    accepts: Callable[[str | None], bool]
    on_call: Callable[[Call, Peer], Awaitable[None]]
    on_gone: Callable[[Peer], None]


@dataclass(eq=False, slots=True)
class TcpPeer:
    """A client on an OSC connection."""

    outbox: Outbox
    framing: Framing
    is_known: bool = False
    is_connected: bool = field(default=True, init=False)

    def send(self, message: Message, payload: bytes = b"", *, droppable: bool = False) -> None:
        """Queue a reply."""
        packets = encode_or_refuse(message, MAX_PACKET_BYTES)
        self.outbox.put([self.framing.wrap(packet) for packet in packets], droppable=droppable)

    async def send_audio(self, frame: bytes) -> None:
        """OSC carries no audio; the protocol table offers it no command that would send any."""
        raise AssertionError("audio over OSC")


class OscTcpServer:
    """The listening socket and its connections; an async context manager.

    Args:
        ports: the port to listen on, and others to take when it is in use.
    """

    def __init__(
        self, host: str, ports: Sequence[int], limits: TcpLimits, handlers: TcpHandlers
    ) -> None:
        self._host = host
        self._ports = ports
        self._port = ports[0]
        self._limits = limits
        self._handlers = handlers
        self._server: asyncio.Server | None = None
        self._serving: dict[asyncio.Task[None], Outbox] = {}

    @property
    def port(self) -> int:
        """The port in use."""
        return self._port

    @property
    def client_count(self) -> int:
        """Clients connected now."""
        return len(self._serving)

    async def __aenter__(self) -> OscTcpServer:
        """Listen.

        Raises:
            BridgeError: `unavailable` when the port is taken.
        """
        self._server = await self._listen()
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def _listen(self) -> asyncio.Server:
        for port in self._ports:
            try:
                return await asyncio.start_server(self._accept, self._host, port)
            except OSError as error:
                reason = error.strerror
        raise BridgeError(
            "unavailable",
            f"TCP port {self._port} of {self._host} cannot be used: {reason}",
            "--osc-tcp-port 0 takes a free one",
        )

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_S):
                for outbox in list(self._serving.values()):
                    await outbox.flushed()
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        if serving:
            await asyncio.wait(serving)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.client_count >= self._limits.max_clients:
            writer.close()
            return
        outbox = Outbox(self._limits.max_outbox_bytes, writer.transport.abort)
        task = asyncio.create_task(self._serve(reader, writer, outbox), name="osc-tcp")
        self._serving[task] = outbox
        task.add_done_callback(lambda ended: self._serving.pop(ended, None))

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, outbox: Outbox
    ) -> None:
        writing = asyncio.create_task(_write(outbox, writer), name="outbox")
        try:
            await self._converse(reader, outbox)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_S):
                    await outbox.flushed()
        except OSError:
            pass  # the client is gone
        except Exception:
            _log.exception("an OSC connection")
        finally:
            writing.cancel()
            await asyncio.wait([writing])
            writer.close()
            # What a client does not read would hold a graceful close for ever.
            asyncio.get_running_loop().call_later(_FLUSH_S, writer.transport.abort)

    async def _converse(self, reader: asyncio.StreamReader, outbox: Outbox) -> None:
        """Answer until the client goes, or is sent away."""
        deadline_s = asyncio.get_running_loop().time() + self._limits.hello_timeout_s
        try:
            async with asyncio.timeout_at(deadline_s):
                data = await reader.read(_READ_BYTES)
        except TimeoutError:
            return
        if not data:
            return
        try:
            peer = TcpPeer(outbox, framing_of(data[0], MAX_PACKET_BYTES))
        except BridgeError as error:
            _log.info("a connection to the OSC port is closed: %s", error.message)
            return
        peer.is_known = self._handlers.accepts(None)
        try:
            while data and await self._take(data, peer):
                # A client that asks and does not read is not read either.
                await outbox.room()
                async with asyncio.timeout_at(None if peer.is_known else deadline_s):
                    data = await reader.read(_READ_BYTES)
        except TimeoutError:
            peer.send(failed("", without_token()))
        finally:
            self._handlers.on_gone(peer)

    async def _take(self, data: bytes, peer: TcpPeer) -> bool:
        """Answer what has arrived; whether the conversation goes on."""
        try:
            for packet in peer.framing.feed(data):
                if isinstance(packet, BridgeError):
                    peer.send(failed("", packet))
                    continue
                for item in read_packet(packet):
                    if not await self._answer(item, peer):
                        return False
        except BridgeError as error:
            peer.send(failed("", error))
            return False
        return True

    async def _answer(self, item: OscCall | OscCallError, peer: TcpPeer) -> bool:
        """Answer one message; False for one that should have shown the token."""
        if isinstance(item, OscCallError):
            if peer.is_known:
                peer.send(failed(item.call_id, item.error))
            else:
                peer.send(failed(item.call_id, without_token()))
            return peer.is_known
        call = item.call
        if not (peer.is_known and item.token is None) and not self._handlers.accepts(item.token):
            peer.send(failed(call.id, without_token()))
            return False
        peer.is_known = True
        if item.reply_port is not None or item.reply_file:
            name = "reply_file" if item.reply_port is None else "reply_port"
            hint = "over TCP replies come on the connection"
            peer.send(failed(call.id, BridgeError("bad_request", f"{name} is for UDP", hint)))
            return True
        await self._handlers.on_call(call, peer)
        return True


async def _write(outbox: Outbox, writer: asyncio.StreamWriter) -> None:
    async def send(frame: Frame) -> None:
        assert isinstance(frame, bytes)
        writer.write(frame)
        await writer.drain()

    with contextlib.suppress(OSError):
        await outbox.run(send)
