"""Three blocking clients with one face: OSC over UDP, OSC over TCP, and WebSocket."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

from pythonosc import slip
from websockets.sync.client import ClientConnection, connect

from daw_bridge.app import App
from daw_bridge.protocol.binary import BinaryFrame, decode_binary
from daw_bridge.protocol.messages import Call, Message, write_json_call
from daw_bridge.protocol.osc_codec import decode_reply, encode_call
from daw_bridge.protocol.table import MAX_OSC_PACKET_BYTES

PATIENCE_S = 10.0


class Wire(Protocol):
    """A connection of one transport."""

    transport: str

    def say(self, call: Call) -> None:
        """Send a command."""

    def hear(self) -> Message | BinaryFrame:
        """The next reply, event or binary frame."""


class UdpWire:
    """OSC in datagrams."""

    transport = "osc"

    def __init__(self, app: App) -> None:
        self._app = app
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(("127.0.0.1", app.osc_port))

    def say(self, call: Call) -> None:
        self.socket.send(encode_call(call, self._app.token))

    def hear(self) -> Message:
        packet = self.socket.recv(65536)
        assert len(packet) < MAX_OSC_PACKET_BYTES == 1400
        return decode_reply(packet)


class TcpWire:
    """OSC on a connection; the frames are those of python-osc, not ours."""

    transport = "osc"

    def __init__(self, app: App) -> None:
        self._token: str | None = app.token
        self.socket = socket.create_connection(("127.0.0.1", app.osc_tcp_port), PATIENCE_S)
        self._file = self.socket.makefile("rb")

    def say(self, call: Call) -> None:
        self.socket.sendall(slip.encode(encode_call(call, self._token)))
        self._token = None  # the connection remembers it

    def hear(self) -> Message:
        assert self._file.read(1) == slip.END
        packet = b""
        while not packet.endswith(slip.END):
            packet += self._file.read(1)
        return decode_reply(slip.decode(packet))


class WebSocketWire:
    """JSON and binary frames."""

    transport = "websocket"

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def say(self, call: Call) -> None:
        self.connection.send(write_json_call(call))

    def hear(self) -> Message | BinaryFrame:
        frame = self.connection.recv(PATIENCE_S)
        if isinstance(frame, bytes):
            return decode_binary(frame)
        message: Message = json.loads(frame)
        return message


@contextmanager
def wires(app: App) -> Iterator[dict[str, Wire]]:
    """One of each, by name."""
    with ExitStack() as exits:
        udp, tcp = UdpWire(app), TcpWire(app)
        for wire in (udp, tcp):
            exits.callback(wire.socket.close)
        exits.callback(tcp._file.close)
        head = {"Authorization": f"Bearer {app.token}"}
        connection = exits.enter_context(connect(app.url, additional_headers=head, proxy=None))
        yield {"osc-udp": udp, "osc-tcp": tcp, "websocket": WebSocketWire(connection)}
