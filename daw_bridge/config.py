"""Settings of the daemon: one table of name, unit, default and meaning.

A setting comes from the command line, else from the environment (`DAW_BRIDGE_PORT`), else from
its default. Everything is cast here, once, so that the rest of the daemon reads plain values.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from engine.spec import BridgeError

ENVIRONMENT_PREFIX = "DAW_BRIDGE_"
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")


def default_data_dir(
    platform: str = sys.platform, environment: Mapping[str, str] = os.environ
) -> Path:
    """Where takes, the journal and logs live on this platform."""
    home = Path.home()
    if platform == "darwin":
        return home / "Library" / "Application Support" / "daw-bridge"
    if platform == "win32":
        return Path(environment.get("LOCALAPPDATA") or home / "AppData" / "Local") / "daw-bridge"
    return Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share") / "daw-bridge"


def default_roots() -> tuple[Path, ...]:
    """Folders under which a DAW keeps clips: the home folder and the temporary folder."""
    return (Path.home(), Path(tempfile.gettempdir()))


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number) or number < 0:
        raise ValueError("it must be a number of at least 0")
    return number


def _positive(value: Any) -> float:
    number = _number(value)
    if number == 0:
        raise ValueError("it must be more than 0")
    return number


def _count(value: Any) -> int:
    number = int(value)
    if number < 1:
        raise ValueError("it must be at least 1")
    return number


def _port(value: Any) -> int:
    port = int(value)
    if not 0 <= port <= 65535:
        raise ValueError("it must be a port from 0 to 65535")
    return port


def _optional_port(value: Any) -> int | None:
    return None if value == "" else _port(value)


def _host(value: Any) -> str:
    if value not in LOOPBACK_HOSTS:
        raise ValueError(f"it must be one of {', '.join(LOOPBACK_HOSTS)}")
    # The name can stand for two addresses, each of which would get a free port of its own.
    return "127.0.0.1" if value == "localhost" else str(value)


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() not in _TRUE + _FALSE:
        raise ValueError("it must be true or false")
    return str(value).lower() in _TRUE


def _folder(value: Any) -> Path:
    return Path(value).expanduser().absolute()


def _folders(value: Any) -> tuple[Path, ...]:
    names = value.split(os.pathsep) if isinstance(value, str) else list(value)
    return tuple(_folder(name) for name in names if str(name))


def _optional_text(value: Any) -> str | None:
    return str(value) if value else None


def _about(cast: Callable[[Any], Any], doc: str, unit: str = "") -> dict[str, Any]:
    return {"cast": cast, "doc": doc, "unit": unit}


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting of the daemon, cast and checked."""

    host: str = field(
        default="127.0.0.1", metadata=_about(_host, "address to listen on; loopback only")
    )
    port: int = field(
        default=8787, metadata=_about(_port, "port of WebSocket and HTTP; 0 takes a free one")
    )
    osc_port: int = field(
        default=9787, metadata=_about(_port, "UDP port of OSC; 0 takes a free one")
    )
    osc_tcp_port: int | None = field(
        default=None,
        metadata=_about(_optional_port, "TCP port of OSC; that of UDP when absent"),
    )
    data_dir: Path = field(
        default_factory=default_data_dir,
        metadata=_about(_folder, "folder of takes, journal and logs"),
    )
    roots: tuple[Path, ...] = field(
        default_factory=default_roots,
        metadata=_about(_folders, "folders whose files clients may name, besides the data folder"),
    )
    token: str | None = field(
        default=None, metadata=_about(_optional_text, "token of clients; else the one on disk")
    )
    osc_token_required: bool = field(
        default=True, metadata=_about(_flag, "whether OSC messages must carry the token")
    )
    engine_factory: str = field(
        default="engine.pipeline:create_engine",
        metadata=_about(str, "MODULE:FUNCTION that makes the engine"),
    )
    max_frame_bytes: int = field(
        default=4 * 2**20, metadata=_about(_count, "largest WebSocket frame", "bytes")
    )
    max_upload_bytes: int = field(
        default=512 * 2**20, metadata=_about(_count, "largest upload", "bytes")
    )
    max_uploads_total_bytes: int = field(
        default=4 * 2**30,
        metadata=_about(_count, "all uploads kept; the least recently used go first", "bytes"),
    )
    max_source_bytes: int = field(
        default=2 * 2**30, metadata=_about(_count, "largest clip read from disk", "bytes")
    )
    max_queued_jobs: int = field(
        default=64, metadata=_about(_count, "jobs waiting; more are refused", "jobs")
    )
    max_new_audio_s: float = field(
        default=600.0, metadata=_about(_number, "longest audio of one request", "s")
    )
    max_outbox_bytes: int = field(
        default=8 * 2**20,
        metadata=_about(_count, "unsent data per client before previews are dropped", "bytes"),
    )
    max_job_history: int = field(
        default=2000, metadata=_about(_count, "finished jobs kept in the journal", "jobs")
    )
    max_clients: int = field(
        default=256,
        metadata=_about(_count, "WebSockets at a time, and OSC connections", "clients"),
    )
    hello_timeout_s: float = field(
        default=10.0, metadata=_about(_number, "time a client has for its hello", "s")
    )
    engine_ready_timeout_s: float = field(
        default=120.0, metadata=_about(_positive, "time the engine has to start", "s")
    )
    heartbeat_interval_s: float = field(
        default=2.0, metadata=_about(_positive, "time between pings to the engine", "s")
    )
    heartbeat_timeout_s: float = field(
        default=30.0, metadata=_about(_positive, "silence after which the engine is killed", "s")
    )
    cancel_grace_s: float = field(
        default=3.0,
        metadata=_about(_number, "time the engine has to obey a cancel before it is killed", "s"),
    )
    restart_delay_s: float = field(
        default=0.5,
        metadata=_about(
            _number, "first delay before a dead engine is started again; doubles up to 30", "s"
        ),
    )

    @classmethod
    def load(
        cls,
        overrides: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> Config:
        """Cast settings from overrides (`None` means not given), then the environment.

        Raises:
            BridgeError: `bad_request`, naming the setting and what it must be.
        """
        values: dict[str, Any] = {}
        given = {name: value for name, value in (overrides or {}).items() if value is not None}
        for item in fields(cls):
            variable = environment_name(item.name)
            origin, raw = item.name, given.pop(item.name, None)
            if raw is None:
                origin, raw = variable, environment.get(variable)
            if raw is None:
                continue
            try:
                values[item.name] = item.metadata["cast"](raw)
            except (ValueError, TypeError) as error:
                raise BridgeError("bad_request", f"{origin} is {raw!r}", str(error)) from None
        if given:
            raise BridgeError("bad_request", f"unknown settings {', '.join(sorted(given))}")
        return cls(**values)

    @property
    def allowed_roots(self) -> tuple[Path, ...]:
        """The roots with links resolved, and with them what the daemon itself hands out."""
        own = (self.data_dir / "takes", self.data_dir / "uploads")
        return tuple(dict.fromkeys(root.resolve() for root in (*self.roots, *own)))


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the settings table, for the command line and the documentation."""

    name: str
    unit: str
    default: Any
    doc: str
    environment: str


def environment_name(setting: str) -> str:
    """Environment variable of a setting: `port` is `DAW_BRIDGE_PORT`."""
    return ENVIRONMENT_PREFIX + setting.upper()


def settings_table() -> tuple[Setting, ...]:
    """Every setting with its unit, default, meaning and environment variable."""
    defaults = Config()
    return tuple(
        Setting(
            item.name,
            item.metadata["unit"],
            getattr(defaults, item.name),
            item.metadata["doc"],
            environment_name(item.name),
        )
        for item in fields(Config)
    )
