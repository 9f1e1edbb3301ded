"""OSC over UDP: control and file paths; audio never rides in OSC."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Protocol

from daw_bridge.protocol.messages import Call, Message, Peer, failed
from daw_bridge.protocol.osc_codec import (
    OscCall,
    OscCallError,
    encode_reply,
    read_packet,
)
from daw_bridge.protocol.table import MAX_OSC_PACKET_BYTES
from engine.spec import BridgeError

_log = logging.getLogger(__name__)

_MAX_WAITING_MESSAGES = 1024
_REOPEN_S, _LONGEST_REOPEN_S = 0.05, 2.0
# The event loop of Windows reads no datagram more after one of these (python/cpython#127057).
_ERRORS_END_READING = sys.platform == "win32"

Address = tuple[Any, ...]


class ReplyFiles(Protocol):
    """Where replies go that are wanted as files."""

    def check(self, call_id: str) -> None:
        """Refuse an id that is no name of a file, with `bad_request`."""

    def write(self, message: Message) -> None:
        """Replace the reply to a call."""


@dataclass(frozen=True, slots=True)
class OscPeer:
    """A client known by the address its replies go to."""

    address: Address
    send_packet: Callable[[bytes, Address], None] = field(compare=False, repr=False)
    files: ReplyFiles | None = field(default=None, compare=False, repr=False)
    is_connected = False

    def send(self, message: Message, payload: bytes = b"", *, droppable: bool = False) -> None:
        """Send a reply at once; UDP has no queue of ours."""
        if self.files is not None and not droppable:
            self.files.write(message)
        for packet in encode_or_refuse(message):
            self.send_packet(packet, self.address)

    async def send_audio(self, frame: bytes) -> None:
        """OSC carries no audio; the protocol table offers it no command that would send any."""
        raise AssertionError("audio over OSC")


def encode_or_refuse(message: Message, limit_bytes: int = MAX_OSC_PACKET_BYTES) -> list[bytes]:
    """The packets of a reply, or of the refusal that stands for one which does not fit."""
    try:
        return encode_reply(message, limit_bytes)
    except BridgeError as error:
        return encode_reply(failed(str(message.get("id", "")), error), limit_bytes)


def without_token() -> BridgeError:
    """What a message is told that should have shown the token."""
    return BridgeError(
        "forbidden",
        "the OSC message does not carry the token",
        "send the pair `token` and the text in server.json",
    )


class _Receiver(asyncio.DatagramProtocol):
    """Puts datagrams in a queue; drops them when it is full, as UDP may."""

    def __init__(
        self, waiting: asyncio.Queue[tuple[bytes, Address]], broken: Callable[[], None]
    ) -> None:
        self._waiting = waiting
        self._broken = broken

    def datagram_received(self, data: bytes, addr: Address) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self._waiting.put_nowait((data, addr))

    def error_received(self, exc: Exception) -> None:
        # A client that has closed its port, as `oscsend` does at once; nothing to do about it,
        # but where it was the last that is ever read.
        _log.debug("OSC reply not delivered: %s", exc)
        if _ERRORS_END_READING:
            self._broken()


class OscServer:
    """The UDP socket; an async context manager.

    Args:
        accepts: whether a token is the right one; called with None when there is none.
        on_call: answers a command through the peer.
        files: where replies go that are wanted as files.
    """

    def __init__(
        self,
        host: str,
        port: int,
        accepts: Callable[[str | None], bool],
        on_call: Callable[[Call, Peer], Awaitable[None]],
        files: ReplyFiles,
    ) -> None:
        self._files = files
        self._host = host
        self._port = port
        self._accepts = accepts
        self._on_call = on_call
        self._waiting: asyncio.Queue[tuple[bytes, Address]] = asyncio.Queue(_MAX_WAITING_MESSAGES)
        self._transport: asyncio.DatagramTransport | None = None
        self._task: asyncio.Task[None] | None = None
        self._opening: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port in use."""
        return self._port

    async def __aenter__(self) -> OscServer:
        """Listen.

        Raises:
            BridgeError: `unavailable` when the port is taken.
        """
        try:
            await self._open()
        except OSError as error:
            raise BridgeError(
                "unavailable",
                f"UDP port {self._port} of {self._host} cannot be used: {error.strerror}",
                "--osc-port 0 takes a free one",
            ) from None
        self._task = asyncio.create_task(self._work(), name="osc")
        return self

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Receiver(self._waiting, self._reopen), local_addr=(self._host, self._port)
        )
        self._port = self._transport.get_extra_info("sockname")[1]

    def _reopen(self) -> None:
        """Begin anew on the same port, once, however many errors come together."""
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open_again(), name="osc-again")

    async def _open_again(self) -> None:
        assert self._transport is not None
        self._transport.close()
        delay_s = _REOPEN_S  # the loop closes the socket a little later
        while True:
            await asyncio.sleep(delay_s)
            try:
                return await self._open()
            except OSError as error:
                if delay_s == _REOPEN_S:
                    _log.warning("UDP port %d is not heard for now: %s", self._port, error)
                delay_s = min(2.0 * delay_s, _LONGEST_REOPEN_S)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._transport is not None
        assert self._task is not None
        ending = [task for task in (self._task, self._opening) if task is not None]
        for task in ending:
            task.cancel()
        await asyncio.wait(ending)
        self._transport.close()

    async def _work(self) -> None:
        while True:
            packet, sender = await self._waiting.get()
            if sender[1] == self._port:
                continue  # sent by ourselves to our own port, as `reply_port` can ask for
            try:
                for item in read_packet(packet):
                    await self._answer(item, sender)
            except Exception:
                _log.exception("OSC packet of %d bytes", len(packet))

    async def _answer(self, item: OscCall | OscCallError, sender: Address) -> None:
        if isinstance(item, OscCallError):
            self._refuse(item, sender)
        else:
            await self._admit(item, sender)

    async def _admit(self, call: OscCall, sender: Address) -> None:
        peer = self._peer(sender, call.reply_port)
        if not self._accepts(call.token):
            peer.send(failed(call.call.id, without_token()))
            return
        if call.reply_file:
            try:
                self._files.check(call.call.id)
            except BridgeError as error:
                peer.send(failed(call.call.id, error))
                return
            peer = replace(peer, files=self._files)
        await self._on_call(call.call, peer)

    def _refuse(self, item: OscCallError, sender: Address) -> None:
        peer = self._peer(sender, item.reply_port)
        # Where the token is asked for, nobody without it makes us write a file.
        if item.reply_file and self._accepts(item.token):
            with contextlib.suppress(BridgeError):
                self._files.check(item.call_id)
                peer = replace(peer, files=self._files)
        peer.send(failed(item.call_id, item.error))

    def _peer(self, sender: Address, reply_port: int | None) -> OscPeer:
        # Only ports of the sender's own host, so that nobody is made to flood another machine.
        address = (sender[0], reply_port, *sender[2:]) if reply_port else sender
        return OscPeer(address, self._send_packet)

    def _send_packet(self, packet: bytes, address: Address) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(packet, address)
