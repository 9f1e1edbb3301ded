"""The connection to the daemon: a TCP socket that never blocks, looked at once a tick."""

from __future__ import annotations

import errno
import socket
from typing import Callable

from . import osc
from .refusal import Refusal
from .server import START_IT, Server

READ_BYTES = 64 * 1024  # a tick reads so much and leaves the rest to the next
RETRY_S = 3.0
CONNECT_PATIENCE_S = 3.0
_UNDER_WAY = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN, 10035)  # 10035: Windows' name
_NOT_YET = (errno.EWOULDBLOCK, errno.EAGAIN, 10035)


class Link:
    """A connection that comes back by itself.

    Args:
        find: where the daemon is; raises `Refusal` where it is not.
        on_open: told the server of each new connection; says hello on it.
        on_packet: told each packet.
        on_lost: told why a connection ended or could not be made.
    """

    def __init__(
        self,
        find: Callable[[], Server],
        on_open: Callable[[Server], None],
        on_packet: Callable[[bytes], None],
        on_lost: Callable[[Refusal], None],
    ) -> None:
        self._find = find
        self._on_open = on_open
        self._on_packet = on_packet
        self._on_lost = on_lost
        self._socket: socket.socket | None = None
        self._server: Server | None = None
        self._is_open = False
        self._since_s = 0.0
        self._next_try_s = 0.0
        self._out = b""
        self._unwrapper = osc.Unwrapper()

    @property
    def is_open(self) -> bool:
        """Whether the daemon has been reached."""
        return self._is_open

    def hurry(self) -> None:
        """Try at the next tick, instead of when it is time."""
        self._next_try_s = 0.0

    def send(self, packet: bytes) -> None:
        """Queue a packet; it leaves with this tick or the next ones."""
        self._out += osc.wrap(packet)

    def poll(self, now_s: float) -> None:
        """Do what can be done at once; called every tick."""
        try:
            if self._socket is None:
                if now_s >= self._next_try_s:
                    self._next_try_s = now_s + RETRY_S
                    self._connect(now_s)
            elif not self._is_open:
                self._look_whether_open(now_s)
            if self._is_open:
                self._write()
                self._read()
        except Refusal as refusal:
            self.close()
            self._on_lost(refusal)
        except (OSError, ValueError) as error:
            self.close()
            self._on_lost(Refusal(f"the daemon is gone ({error})", START_IT))

    def close(self) -> None:
        """End the connection; the next tick that is due makes another."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._is_open, self._out = None, False, b""
        self._unwrapper = osc.Unwrapper()

    def _connect(self, now_s: float) -> None:
        server = self._find()
        family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
        host = "127.0.0.1" if server.host == "localhost" else server.host  # a name could block
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setblocking(False)
        self._socket, self._server, self._since_s = made, server, now_s
        code = made.connect_ex((host, server.port))
        if code == 0:
            self._opened()
        elif code not in _UNDER_WAY:
            raise Refusal("daw-bridge does not answer", START_IT)

    def _look_whether_open(self, now_s: float) -> None:
        made = self._socket
        assert made is not None
        if made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise Refusal("daw-bridge does not answer", START_IT)
        try:
            made.getpeername()
        except OSError:  # not yet
            if now_s - self._since_s > CONNECT_PATIENCE_S:
                raise Refusal("daw-bridge does not answer", START_IT) from None
        else:
            self._opened()

    def _opened(self) -> None:
        assert self._server is not None
        self._is_open = True
        self._on_open(self._server)

    def _write(self) -> None:
        assert self._socket is not None
        try:
            while self._out:
                self._out = self._out[self._socket.send(self._out) :]
        except OSError as error:
            if error.errno not in _NOT_YET:
                raise

    def _read(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(READ_BYTES)
        except OSError as error:
            if error.errno in _NOT_YET:
                return
            raise
        if not data:
            raise Refusal("the daemon has gone away", START_IT)
        for packet in self._unwrapper.feed(data):
            self._on_packet(packet)
