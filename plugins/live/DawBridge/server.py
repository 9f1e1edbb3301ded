"""Where the daemon is: the data folder and its `server.json`."""

from __future__ import annotations

import json
import os
import sys
from typing import NamedTuple
from urllib.parse import urlsplit

from .refusal import Refusal

START_IT = "start it with `daw-bridge serve`, or once for all with `daw-bridge service install`"
_FOLDER_VARIABLE = "DAW_BRIDGE_DATA_DIR"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Server(NamedTuple):
    """Where a daemon listens for OSC over TCP, and what it wants to be shown."""

    host: str
    port: int
    token: str


def data_folder() -> str:
    """Where the daemon keeps its takes, which an environment variable may have moved."""
    moved = os.environ.get(_FOLDER_VARIABLE)
    if moved:
        return os.path.expanduser(moved)
    home = os.path.expanduser("~")
    if sys.platform == "darwin":
        return os.path.join(home, "Library", "Application Support", "daw-bridge")
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
        return os.path.join(local, "daw-bridge")
    share = os.environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    return os.path.join(share, "daw-bridge")


def find_server(folder: str | None = None) -> Server:
    """The daemon that runs on a data folder; only a small file is read.

    Raises:
        Refusal: there is none.
    """
    path = os.path.join(folder or data_folder(), "server.json")
    try:
        with open(path, encoding="utf-8") as file:
            values = json.load(file)
        host = urlsplit(values["url"]).hostname or ""
        server = Server(host, int(values["osc_tcp_port"]), str(values["token"]))
        pid = int(values["pid"])
    except FileNotFoundError:
        raise Refusal("daw-bridge is not running", START_IT) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refusal(f"{path} cannot be read ({error})", START_IT) from None
    # The token is for a process of this user on this machine, and for nobody else who may have
    # the port after the daemon was killed.
    if host not in _LOOPBACK or not _is_own_process(pid):
        raise Refusal("daw-bridge is not running", START_IT)
    if not server.port:
        raise Refusal("the daemon has no OSC over TCP", "update daw-bridge")
    return server


def _is_own_process(pid: int) -> bool:
    if os.name != "posix":
        return True  # os.kill would end the process on Windows
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError):
        return False
    return True
