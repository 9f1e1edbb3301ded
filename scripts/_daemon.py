"""A daemon of one's own for a while, and a DAW script's side of OSC: for the demo and the bench."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pythonosc.osc_message_builder import OscMessageBuilder

from daw_bridge.protocol.osc_codec import decode_reply
from daw_bridge.protocol.table import OSC_PREFIX, REPLY_BY_NAME
from daw_bridge.registration import ServerInfo, find_server

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
_POLL_S = 0.01
_DATAGRAM_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon that was started here.

    Attributes:
        started_s: from the start of the process to the first answer.
    """

    info: ServerInfo
    process: subprocess.Popen[bytes]
    data_dir: Path
    started_s: float


@contextmanager
def running_daemon(data_dir: Path, *extra: str) -> Iterator[Daemon]:
    """Start a daemon on free ports and stop it cleanly at the end.

    Raises:
        RuntimeError: it did not come up; the message has the end of its log.
    """
    command = [
        *(sys.executable, "-m", "daw_bridge", "serve", "--port", "0", "--osc-port", "0"),
        *("--data-dir", str(data_dir), *extra),
    ]
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "serve.log"
    begun_s = time.perf_counter()
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=_environment())
    try:
        info = _wait_until_up(process, data_dir, begun_s + START_TIMEOUT_S, log)
        yield Daemon(info, process, data_dir, time.perf_counter() - begun_s)
    finally:
        _stop(process)


def _environment() -> dict[str, str]:
    # The surroundings of whoever runs this must not change what is shown or measured.
    return {name: value for name, value in os.environ.items() if not name.startswith("DAW_BRIDGE_")}


def _wait_until_up(
    process: subprocess.Popen[bytes], data_dir: Path, deadline_s: float, log: Path
) -> ServerInfo:
    while time.perf_counter() < deadline_s:
        info = find_server(data_dir)
        if info is not None:
            return info
        if process.poll() is not None:
            break
        time.sleep(_POLL_S)
    tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise RuntimeError(f"the daemon did not start:\n{tail}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass(frozen=True, slots=True)
class OscReply:
    """One reply and when it came, in seconds since its request was sent."""

    name: str
    after_s: float
    fields: dict[str, Any]

    @property
    def is_last(self) -> bool:
        """Whether nothing more follows for this request."""
        return REPLY_BY_NAME[self.name].last


class OscDaw:
    """What a script inside a DAW does: sends commands by UDP, hears the replies on its port."""

    def __init__(self, info: ServerInfo) -> None:
        self._token = info.token
        self._address = ("127.0.0.1", info.osc_port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._count = 0

    def ask(self, command: str, timeout_s: float, **pairs: Any) -> Iterator[OscReply]:
        """Send one command and yield its replies up to the last.

        Raises:
            TimeoutError: nothing was heard for `timeout_s`.
        """
        self._count += 1
        call_id = f"daw-{self._count}"
        sent_s = time.perf_counter()
        self._socket.sendto(self._packet(command, call_id, pairs), self._address)
        self._socket.settimeout(timeout_s)
        while True:
            fields = decode_reply(self._socket.recv(_DATAGRAM_BYTES))
            if fields.pop("id") != call_id:
                continue  # a late word about an earlier request
            reply = OscReply(fields.pop("reply"), time.perf_counter() - sent_s, fields)
            yield reply
            if reply.is_last:
                return

    def close(self) -> None:
        """Release the port."""
        self._socket.close()

    def _packet(self, command: str, call_id: str, pairs: dict[str, Any]) -> bytes:
        message = OscMessageBuilder(OSC_PREFIX + command)
        for value in (call_id, "token", self._token):
            message.add_arg(value, "s")
        for key, value in pairs.items():
            message.add_arg(key, "s")
            message.add_arg(value, "d" if isinstance(value, float) else None)
        return bytes(message.build().dgram)
