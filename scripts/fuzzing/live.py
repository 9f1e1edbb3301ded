"""Nonsense sent to a running daemon over each of its ways in, and what it answers."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import struct
import time
from collections.abc import Callable
from random import Random
from typing import Protocol
from urllib.parse import urlsplit

from pythonosc import slip
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from daw_bridge.protocol.messages import Call
from daw_bridge.protocol.osc_codec import decode_reply, encode_call
from daw_bridge.registration import ServerInfo
from engine.spec import ERROR_CODES, BridgeError
from fuzzing.messages import Messages
from fuzzing.watch import Tally

LIVE_KINDS = ("osc", "tcp", "websocket", "json")
ANSWER_TIMEOUT_S = 30.0
CHECK_EVERY = 32
_MAX_DATAGRAM_BYTES = 60_000


class Session(Protocol):
    """One way in."""

    def send(self, random: Random) -> bytes:
        """Make one case, send it, and return it."""

    def check(self) -> None:
        """Hear the answers of what was sent, and that the daemon still answers."""

    def close(self) -> None:
        """Go away."""


class NoAnswerError(Exception):
    """The daemon does not answer any more, or answers what no document tells of."""


def open_session(kind: str, info: ServerInfo, messages: Messages, tally: Tally) -> Session:
    """The session of a kind."""
    makers: dict[str, Callable[[ServerInfo, Messages, Tally], Session]] = {
        "osc": _Udp,
        "tcp": _Tcp,
        "websocket": _Frames,
        "json": _Texts,
    }
    return makers[kind](info, messages, tally)


class _Judge:
    """Counts answers and refuses those that are no answers."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def osc(self, packet: bytes) -> str:
        """The id of an answer."""
        try:
            reply = decode_reply(packet)
        except BridgeError as error:
            raise NoAnswerError(f"an answer that is no reply: {packet[:200]!r}: {error}") from None
        self._count(reply["reply"], reply.get("code"))
        return str(reply["id"])

    def text(self, text: str) -> str:
        """The id of an answer."""
        try:
            message = json.loads(text)
            name = message.get("reply") or message["event"]
        except (ValueError, KeyError, AttributeError) as error:
            raise NoAnswerError(f"an answer that is no reply: {text[:200]!r}: {error}") from None
        self._count(name, message.get("code"))
        return str(message.get("id", ""))

    def _count(self, name: str, code: str | None) -> None:
        if name == "failed" and code not in ERROR_CODES:
            raise NoAnswerError(f"an error of the code {code!r}, which is in no document")
        self._tally.note(code or name)


class _Udp:
    """OSC datagrams."""

    def __init__(self, info: ServerInfo, messages: Messages, tally: Tally) -> None:
        self._messages, self._judge, self._token = messages, _Judge(tally), info.token
        self._address = ("127.0.0.1", info.osc_port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._pings = 0

    def send(self, random: Random) -> bytes:
        packet = self._messages.osc(random)[:_MAX_DATAGRAM_BYTES]
        self._socket.sendto(packet, self._address)
        return packet

    def check(self) -> None:
        self._pings += 1
        wanted = f"fuzz-{self._pings}"
        ping = encode_call(Call(wanted, "ping", {}), self._token)
        deadline_s = time.monotonic() + ANSWER_TIMEOUT_S
        while time.monotonic() < deadline_s:
            self._socket.sendto(ping, self._address)
            self._socket.settimeout(1.0)
            # A datagram may be lost: then it is asked again.
            with contextlib.suppress(TimeoutError):
                while self._judge.osc(self._socket.recv(65536)) != wanted:
                    pass
                return
        raise NoAnswerError(f"no answer over UDP for {ANSWER_TIMEOUT_S:g} s")

    def close(self) -> None:
        self._socket.close()


class _Tcp:
    """OSC on connections, with either framing, which is damaged now and then."""

    def __init__(self, info: ServerInfo, messages: Messages, tally: Tally) -> None:
        self._messages, self._tally, self._judge = messages, tally, _Judge(tally)
        self._info = info
        self._pings = 0
        self._is_sized = self._is_damaged = False
        self._socket: socket.socket | None = None

    def send(self, random: Random) -> bytes:
        if self._socket is None:
            self._socket = self._connect()
            self._is_sized = random.random() < 0.5
            self._is_damaged = False
            if random.random() < 0.8:  # who has shown the token once is listened to for longer
                hello = encode_call(Call("fuzz", "hello", {}), self._info.token)
                self._socket.sendall(_framed(hello, self._is_sized))
        packet = self._messages.osc(random)
        framed = _framed(packet, self._is_sized)
        if random.random() < 0.05:
            self._is_damaged = True
            framed = random.randbytes(random.choice((1, 4, 100))) + framed
        try:
            self._socket.sendall(framed)
        except OSError:
            self._tally.note("closed")
            self._drop()
        return packet

    def check(self) -> None:
        if self._socket is not None:
            heard = _to_the_end(self._socket)
            self._drop()
            for packet in _unframed(heard, self._is_sized) if not self._is_damaged else ():
                self._judge.osc(packet)
        self._pings += 1
        wanted = f"fuzz-{self._pings}"
        with contextlib.closing(self._connect()) as fresh:
            fresh.sendall(_framed(encode_call(Call(wanted, "ping", {}), self._info.token), True))
            answers = [self._judge.osc(item) for item in _unframed(_to_the_end(fresh), True)]
        if wanted not in answers:
            raise NoAnswerError("no answer over TCP on a new connection")

    def _connect(self) -> socket.socket:
        address = ("127.0.0.1", self._info.osc_tcp_port)
        return socket.create_connection(address, timeout=ANSWER_TIMEOUT_S)

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def close(self) -> None:
        self._drop()


def _framed(packet: bytes, sized: bool) -> bytes:
    return struct.pack(">I", len(packet)) + packet if sized else bytes(slip.encode(packet))


def _unframed(data: bytes, sized: bool) -> list[bytes]:
    if not sized:
        return [bytes(slip.decode(part)) for part in data.split(slip.END) if part]
    packets = []
    while len(data) >= 4:
        (size,) = struct.unpack_from(">I", data)
        packets.append(data[4 : 4 + size])
        data = data[4 + size :]
    return packets


def _to_the_end(connection: socket.socket) -> bytes:
    """Say that nothing more comes, and hear the rest."""
    heard = []
    try:
        connection.shutdown(socket.SHUT_WR)
        while data := connection.recv(65536):
            heard.append(data)
    except TimeoutError:
        raise NoAnswerError("a connection that was closed by us stays open") from None
    except OSError:
        pass  # the daemon closed it first
    return b"".join(heard)


class _Texts:
    """JSON on a WebSocket."""

    def __init__(self, info: ServerInfo, messages: Messages, tally: Tally) -> None:
        self._messages, self._tally, self._judge = messages, tally, _Judge(tally)
        self._info = info
        self._pings = 0
        self._exits = contextlib.ExitStack()
        self._connection = self._connected()

    def _connected(self) -> ClientConnection:
        """A new connection in place of the one before."""
        self._exits.close()
        headers = {"Authorization": f"Bearer {self._info.token}"}
        opening = connect(self._info.url, additional_headers=headers, max_size=None, proxy=None)
        return self._exits.enter_context(opening)

    def send(self, random: Random) -> bytes:
        text = self._messages.json_text(random)
        self._deliver(text)
        return text.encode()

    def _deliver(self, frame: str | bytes) -> None:
        try:
            self._connection.send(frame)
        except ConnectionClosed as closed:
            self._tally.note(f"closed {closed.rcvd.code if closed.rcvd else ''}".strip())
            self._connection = self._connected()

    def check(self) -> None:
        self._pings += 1
        wanted = f"fuzz-{self._pings}"
        self._deliver(json.dumps({"id": wanted, "command": "ping"}))
        try:
            while True:
                heard = self._connection.recv(timeout=ANSWER_TIMEOUT_S)
                if isinstance(heard, str) and self._judge.text(heard) == wanted:
                    return
        except TimeoutError:
            raise NoAnswerError(f"no answer for {ANSWER_TIMEOUT_S:g} s") from None
        except ConnectionClosed as closed:
            self._tally.note(f"closed {closed.rcvd.code if closed.rcvd else ''}".strip())
            self._connection = self._connected()

    def close(self) -> None:
        self._exits.close()


class _Frames(_Texts):
    """Binary frames of ours, and connections whose WebSocket frames themselves are damaged."""

    def send(self, random: Random) -> bytes:
        if random.random() < 0.5:
            frame = self._messages.binary(random)
            self._deliver(frame)
            return frame
        raw = self._messages.raw_frames(random)
        with contextlib.closing(self._shake_hands()) as connection:
            try:
                connection.sendall(raw)
            except OSError:
                self._tally.note("closed early")
            _to_the_end(connection)
        self._tally.note("raw connection ended")
        return raw

    def _shake_hands(self) -> socket.socket:
        address = urlsplit(self._info.url)
        assert address.hostname is not None
        connection = socket.create_connection((address.hostname, address.port), ANSWER_TIMEOUT_S)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            f"GET {address.path} HTTP/1.1", f"Host: {address.netloc}", "Upgrade: websocket",
            "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
            f"Authorization: Bearer {self._info.token}", "", "",
        )  # fmt: skip
        connection.sendall("\r\n".join(lines).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            data = connection.recv(4096)
            if not data:
                raise NoAnswerError(f"the handshake was refused: {head[:200]!r}")
            head += data
        if not head.startswith(b"HTTP/1.1 101"):
            raise NoAnswerError(f"the handshake was refused: {head[:200]!r}")
        return connection
