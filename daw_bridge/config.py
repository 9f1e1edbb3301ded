"""Settings of the daemon: one table of name, unit, default and meaning.

A setting comes from the command line, else from the environment (`DAW_BRIDGE_PORT`), else from the
file `config.toml` of the data folder or the one that `--config` names, else from its default.
Everything is cast here, once, so that the rest of the daemon reads plain values.
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

from daw_bridge.sources import (
    CONFIG_FILE,
    CONFIG_VARIABLE,
    DEFAULT,
    Given,
    environment_name,
    from_environment,
    from_file,
    from_flags,
)
from engine.spec import BridgeError

EXPORTS = "exports"  # folder of the data folder
RECORDINGS = "recordings"  # another, where plugins put what they recorded
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
    number = float(_no_flag(value))
    if not math.isfinite(number) or number < 0:
        raise ValueError("it must be a number of at least 0")
    return number


def _no_flag(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("it must be a number")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError("it must be a whole number")
    return int(_no_flag(value))


def _positive(value: Any) -> float:
    number = _number(value)
    if number == 0:
        raise ValueError("it must be more than 0")
    return number


def _count(value: Any) -> int:
    number = _whole(value)
    if number < 1:
        raise ValueError("it must be at least 1")
    return number


def _amount(value: Any) -> int:
    number = _whole(value)
    if number < 0:
        raise ValueError("it must be at least 0")
    return number


def _port(value: Any) -> int:
    port = _whole(value)
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


def _log_format(value: Any) -> str:
    if value not in ("text", "json"):
        raise ValueError("it must be text or json")
    return str(value)


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
        metadata=_about(_folders, "folders whose files clients may name, and takes and uploads"),
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
    min_free_disk_bytes: int = field(
        default=512 * 2**20,
        metadata=_about(_count, "room that uploads and jobs leave on the disk", "bytes"),
    )
    max_takes_bytes: int = field(
        default=0,
        metadata=_about(
            _amount, "takes and their trash; above it the trash is emptied; 0 for none", "bytes"
        ),
    )
    trash_days: float = field(
        default=30.0,
        metadata=_about(_number, "time a removed take can be restored; 0 for ever", "days"),
    )
    unfinished_upload_s: float = field(
        default=86_400.0,
        metadata=_about(_number, "time an upload that was cut off waits for its client", "s"),
    )
    max_source_bytes: int = field(
        default=2**30, metadata=_about(_count, "largest clip read from disk", "bytes")
    )
    max_queued_jobs: int = field(
        default=64, metadata=_about(_count, "jobs waiting; more are refused", "jobs")
    )
    max_new_audio_s: float = field(
        default=600.0,
        metadata=_about(_number, "longest audio of one request that says how long it is", "s"),
    )
    max_outbox_bytes: int = field(
        default=8 * 2**20,
        metadata=_about(_count, "unsent data per client before previews are dropped", "bytes"),
    )
    max_job_history: int = field(
        default=2000, metadata=_about(_count, "finished jobs kept in the journal", "jobs")
    )
    log_format: str = field(
        default="text", metadata=_about(_log_format, "form of the logs: text, or json for lines")
    )
    max_log_bytes: int = field(
        default=2 * 2**20,
        metadata=_about(_count, "size at which a log becomes an old one", "bytes"),
    )
    kept_logs: int = field(
        default=3, metadata=_about(_count, "old files kept of each log", "files")
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
    stall_timeout_s: float = field(
        default=600.0,
        metadata=_about(_positive, "time a render may stand still before it is ended", "s"),
    )
    idle_unload_s: float = field(
        default=900.0,
        metadata=_about(
            _number, "time without work after which the engine unloads its models; 0 for never", "s"
        ),
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
        file: Path | None = None,
    ) -> Config:
        """Settings from overrides (`None` means not given), the environment and a file.

        Raises:
            BridgeError: as `load_with_origins`.
        """
        return load_with_origins(overrides, environment, file)[0]

    @property
    def cache_dir(self) -> Path:
        """Folder of the latent cache."""
        return self.data_dir / "cache"

    @property
    def models_file(self) -> Path:
        """Registry of the models that were installed beside the embedded one."""
        return self.data_dir / "models.json"

    @property
    def allowed_roots(self) -> tuple[Path, ...]:
        """The roots with links resolved; what the daemon hands out and plugins recorded."""
        own = (self.data_dir / name for name in ("takes", "uploads", RECORDINGS, EXPORTS))
        return tuple(dict.fromkeys(root.resolve() for root in (*self.roots, *own)))


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the settings table, for the command line and the documentation."""

    name: str
    unit: str
    default: Any
    doc: str
    environment: str


def load_with_origins(
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] = os.environ,
    file: Path | None = None,
) -> tuple[Config, dict[str, str]]:
    """Cast settings, and tell where each comes from: `default`, a file, `environment` or `flag`.

    Args:
        overrides: by name; `None` means not given.
        file: TOML file; else the one that the environment names, else that of the data folder,
            where there is one.

    Raises:
        BridgeError: `bad_request`, naming the setting and what it must be, or the name that was
            meant; `unavailable` for a file that cannot be trusted.
    """
    names = [item.name for item in fields(Config)]
    above = from_environment(environment, names) | from_flags(overrides or {}, names)
    given = _of_file(file, environment, above, names) | above
    values: dict[str, Any] = {}
    for item in fields(Config):
        if item.name in given:
            values[item.name] = _cast(item.metadata["cast"], given[item.name])
    origins = {name: given[name].origin if name in given else DEFAULT for name in names}
    return Config(**values), origins


def _of_file(
    file: Path | None, environment: Mapping[str, str], above: Mapping[str, Given], names: list[str]
) -> dict[str, Given]:
    named = file or environment.get(CONFIG_VARIABLE)
    if named:
        return from_file(_folder(named), names)
    data_dir = _cast(_folder, above["data_dir"]) if "data_dir" in above else default_data_dir()
    own = data_dir / CONFIG_FILE
    if not own.exists():
        return {}
    given = from_file(own, names)
    if "data_dir" in given:
        raise BridgeError(
            "bad_request",
            f"{own} names another data_dir",
            "use --data-dir, or --config with a file",
        )
    return given


def _cast(cast: Callable[[Any], Any], given: Given) -> Any:
    try:
        return cast(given.value)
    except (ValueError, TypeError) as error:
        where = f" in {given.origin}" if os.sep in given.origin else ""
        problem = f"{given.name} is {given.value!r}{where}"
        raise BridgeError("bad_request", problem, str(error)) from None


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
