"""How clients of the same user find a running daemon and prove that they may talk to it.

`token` in the data folder is made on first run; `server.json` names the address of the daemon
that runs now. Both are readable by their owner only.
"""

from __future__ import annotations

import contextlib
import errno
import hmac
import http.client
import json
import os
import re
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from engine.spec import BridgeError

TOKEN_FILE = "token"
SERVER_FILE = "server.json"
HEALTH_TIMEOUT_S = 1.0
_TOKEN_FORM = re.compile(r"[!-~]{8,256}")  # printable ASCII without spaces, for an HTTP header


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Address of a running daemon.

    Attributes:
        url: WebSocket address.
        osc_port: UDP port of OSC on the same host.
        osc_tcp_port: its TCP port, 0 where a daemon of before had none.
    """

    url: str
    osc_port: int
    pid: int
    token: str
    osc_tcp_port: int = 0


def make_private_folder(folder: Path) -> None:
    """Create a folder that only its owner may enter; an existing one is left as it is.

    Raises:
        BridgeError: `unavailable` when it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        problem = f"{folder} cannot be used: {error.strerror}"
        raise BridgeError("unavailable", problem, "choose another: --data-dir") from None


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def token_of(data_dir: Path, override: str | None = None) -> str:
    """The token of this data folder, made on first use; `override` wins and is not kept.

    Raises:
        BridgeError: `bad_request` for a token that cannot be sent in a header or is short.
    """
    path = data_dir / TOKEN_FILE
    if override is None and path.exists():
        # A copied or restored folder may have lost its permissions.
        path.chmod(0o600)
        override = path.read_text(encoding="utf-8").strip()
    if override is None:
        token = secrets.token_urlsafe(24)
        write_private(path, token + "\n")
        return token
    if not _TOKEN_FORM.fullmatch(override):
        raise BridgeError("bad_request", "the token is not 8 to 256 characters without spaces")
    return override


def is_token(given: str | None, token: str) -> bool:
    """Whether this is the token, compared in constant time."""
    return hmac.compare_digest((given or "").encode(errors="replace"), token.encode())


def announce(data_dir: Path, info: ServerInfo) -> None:
    """Write `server.json`."""
    write_private(data_dir / SERVER_FILE, json.dumps(asdict(info), indent=1) + "\n")


def withdraw(data_dir: Path, pid: int) -> None:
    """Remove `server.json` if it is still that of the daemon `pid`."""
    info = _read_server_file(data_dir)
    if info is not None and info.pid == pid:
        (data_dir / SERVER_FILE).unlink(missing_ok=True)


def find_server(data_dir: Path) -> ServerInfo | None:
    """The daemon that runs on this data folder, or None; asks it, so a stale file is no answer."""
    info = _read_server_file(data_dir)
    if info is None:
        return None
    address = urlsplit(info.url)
    connection = http.client.HTTPConnection(
        address.hostname or "", address.port, timeout=HEALTH_TIMEOUT_S
    )
    try:
        connection.request("GET", "/health")
        health = json.loads(connection.getresponse().read(65536))
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return info if isinstance(health, dict) and health.get("pid") == info.pid else None


def _read_server_file(data_dir: Path) -> ServerInfo | None:
    try:
        values = json.loads((data_dir / SERVER_FILE).read_text(encoding="utf-8"))
        info = ServerInfo(**values)
        urlsplit(info.url).port  # noqa: B018  raises ValueError for a damaged address
    except (OSError, ValueError, TypeError):
        return None
    return info
