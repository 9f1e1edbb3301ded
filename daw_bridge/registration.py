"""How clients of the same user find a running daemon and prove that they may talk to it.

`token` in the data folder is made on first run; `server.json` names the address of the daemon
that runs now. Both are readable by their owner only.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import hmac
import http.client
import json
import os
import re
import secrets
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from daw_bridge.owners import (
    closed_to_writers,
    is_of_another,
    others_may_write,
    write_private,
)
from engine.spec import BridgeError

TOKEN_FILE = "token"
SERVER_FILE = "server.json"
HEALTH_TIMEOUT_S = 5.0  # a machine that renders on every core may not answer at once
PROOF_SALT, PROOF_ROUNDS = b"daw-bridge proof", 200_000
_MAX_TOKEN_CHARACTERS = 1024
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
    """Create a folder that only its owner may enter; in an existing one nobody else may write.

    Raises:
        BridgeError: `unavailable` when it cannot be made or written, or belongs to somebody else.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if is_of_another(folder.stat()):
            raise PermissionError(errno.EPERM, "it belongs to another user")
        if others_may_write(folder.stat()):
            # Who can write here could put a token of their own in place of ours.
            with contextlib.suppress(PermissionError):  # a file system without owners
                folder.chmod(closed_to_writers(folder.stat().st_mode))
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        problem = f"{folder} cannot be used: {error.strerror}"
        raise BridgeError("unavailable", problem, "choose another: --data-dir") from None


def token_of(data_dir: Path, override: str | None = None) -> str:
    """The token of this data folder, made on first use; `override` wins and is not kept.

    Raises:
        BridgeError: `bad_request` for a token that cannot be sent in a header or is short,
            `unavailable` for a file that is damaged or that another user may have written.
    """
    path = data_dir / TOKEN_FILE
    wanted = "8 to 256 characters without spaces"
    if override is not None:
        if not _TOKEN_FORM.fullmatch(override):
            raise BridgeError("bad_request", f"the token is not {wanted}")
        return override
    kept = _kept_token(path)
    if kept is None:
        kept = _new_token()
        write_private(path, kept + "\n")
    elif not _TOKEN_FORM.fullmatch(kept):
        raise _unusable_token(path, f"it does not hold {wanted}")
    return kept


def _new_token() -> str:
    """One that a command line does not take for a flag."""
    while (token := secrets.token_urlsafe(24)).startswith("-"):
        pass
    return token


def _kept_token(path: Path) -> str | None:
    """What the file of the token says, None without one; afterwards it is its owner's alone."""
    try:
        # A link could lead to a file that somebody else chose.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable_token(path, error.strerror or str(error)) from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or is_of_another(status):
        os.close(descriptor)
        raise _unusable_token(path, "it is no file of yours")
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
        if os.name == "posix":
            # A copied or restored folder may have lost its permissions.
            with contextlib.suppress(PermissionError):
                os.fchmod(descriptor, 0o600)
        return file.read(_MAX_TOKEN_CHARACTERS).strip()


def _unusable_token(path: Path, reason: str) -> BridgeError:
    return BridgeError(
        "unavailable", f"{path} cannot be used: {reason}", "remove it: it is made anew"
    )


def is_token(given: str | None, token: str) -> bool:
    """Whether this is the token, compared in constant time."""
    return hmac.compare_digest((given or "").encode(errors="replace"), token.encode())


def proof_of(token: str, port: int, nonce: str) -> str:
    """What shows that somebody on a port knows the token, in hexadecimal.

    The port is part of it: who has another one cannot pass on what the daemon answers. A token that
    somebody chose may be short; the key is drawn from it slowly, so that trying them all is no use.
    """
    return hmac.digest(_proof_key(token), f"{port}:{nonce}".encode(), "sha256").hex()


@functools.lru_cache(maxsize=1)
def _proof_key(token: str) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", token.encode(), PROOF_SALT, PROOF_ROUNDS)


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
    if info is None or not _is_own_process(info.pid):
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


def page_address(info: ServerInfo) -> str:
    """Address of the daemon's page, with the token where no request carries it."""
    return f"http://{urlsplit(info.url).netloc}/#token={quote(info.token, safe='')}"


def _is_own_process(pid: int) -> bool:
    """Whether this user has such a process.

    A daemon that was killed leaves its file behind, and whoever takes its port next would be shown
    the token.
    """
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError, TypeError):
        return False
    return True


def _read_server_file(data_dir: Path) -> ServerInfo | None:
    try:
        values = json.loads((data_dir / SERVER_FILE).read_text(encoding="utf-8"))
        info = ServerInfo(**values)
        urlsplit(info.url).port  # noqa: B018  raises ValueError for a damaged address
    except (OSError, ValueError, TypeError):
        return None
    return info
