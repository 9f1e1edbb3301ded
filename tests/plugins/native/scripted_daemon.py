"""A daemon that says what a test tells it to, so that it can be wrong, slow or gone."""

from __future__ import annotations

import json
import os
import socket
import struct
from pathlib import Path
from typing import Any

from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from tests.plugins.native.clap_host import PATIENCE_S

TOKEN = "token-of-the-script"


class Conversation:
    """One connection of the plugin; commands are framed by their length, as OSC 1.0 over TCP."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.settimeout(PATIENCE_S)

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def hear(self, command: str) -> tuple[str, dict[str, Any]]:
        """Id and fields of the next command, which must be this one."""
        message = OscMessage(self._exactly(struct.unpack(">i", self._exactly(4))[0]))
        assert message.address == f"/dawbridge/{command}", message.address
        name, *fields = message.params
        assert len(fields) % 2 == 0, fields
        return str(name), dict(zip(fields[::2], fields[1::2], strict=True))

    def say(self, reply: str, *values: Any) -> None:
        """Send a reply; a pair is a value and its OSC type."""
        builder = OscMessageBuilder(f"/dawbridge/reply/{reply}")
        for value in values:
            builder.add_arg(*(value if isinstance(value, tuple) else (value,)))
        packet = builder.build().dgram
        self._connection.sendall(struct.pack(">i", len(packet)) + packet)

    def welcome(self) -> None:
        """Answer `hello`, and require the token."""
        name, fields = self.hear("hello")
        assert fields["token"] == TOKEN
        self.say("hello", name, "0", 1, "", "", "", "")

    def ends(self) -> bool:
        """Wait until the plugin has hung up; false when it says something instead."""
        return self._connection.recv(1) == b""

    def _exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            more = self._connection.recv(length - len(data))
            assert more, "the plugin hung up"
            data += more
        return data


class ScriptedDaemon:
    """Listens on loopback and is named by `server.json`."""

    def __init__(self, data_dir: Path) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE_S)
        port = self._listener.getsockname()[1]
        self.about = {"url": f"ws://127.0.0.1:{port}/", "osc_port": port, "pid": os.getpid()}
        self.about |= {"token": TOKEN, "osc_tcp_port": port}
        self._file = data_dir / "server.json"
        self.announce(self.about)

    def announce(self, about: dict[str, Any]) -> None:
        """Write `server.json`, whole."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(about))
        fresh.replace(self._file)

    def __enter__(self) -> ScriptedDaemon:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def accept(self) -> Conversation:
        """The next connection."""
        return Conversation(self._listener.accept()[0])

    def waits(self, patience_s: float) -> bool:
        """Whether nobody connects for so long."""
        self._listener.settimeout(patience_s)
        try:
            self._listener.accept()[0].close()
        except TimeoutError:
            return True
        finally:
            self._listener.settimeout(PATIENCE_S)
        return False
