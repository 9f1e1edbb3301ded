"""`daw-bridge doctor`: look at the installation and say what to do about each problem."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from daw_bridge.commands import surroundings
from daw_bridge.commands.checks import OK, PROBLEM, WARNING, Check
from daw_bridge.config import Config
from daw_bridge.owners import is_of_another, others_may_read, others_may_write
from daw_bridge.registration import SERVER_FILE, TOKEN_FILE, find_server
from daw_bridge.takes.keeping import Keeper
from daw_bridge.takes.store import TakeStore

MIN_PYTHON = (3, 11)
LOW_MEMORY_BYTES = 4 * 2**30
LOW_DISK_BYTES = 2 * 2**30
MAX_WEIGHTS_BYTES = 32 * 10**6
_LIBRARIES = ("numpy", "scipy", "safetensors", "soundfile", "soxr", "librosa", "mido", "matplotlib")


def examine(config: Config) -> list[Check]:
    """Every check, in the order to read them. A check that fails unexpectedly is a problem."""
    looks: tuple[Callable[[Config], Iterator[Check]], ...] = (
        _python,
        _torch,
        _libraries,
        _memory,
        _weights,
        _daemon,
        _folders,
        _takes,
        _permissions,
        surroundings.midi,
        surroundings.audio,
        surroundings.hosts,
        surroundings.clients,
    )
    checks: list[Check] = []
    for look in looks:
        try:
            checks += look(config)
        except Exception as error:
            name = look.__name__.strip("_")
            checks.append(Check(name, PROBLEM, f"{type(error).__name__}: {error}", "report this"))
    return checks


def as_result(checks: list[Check]) -> dict[str, object]:
    """The machine-readable form."""
    healthy = all(check.state != PROBLEM for check in checks)
    return {"ok": healthy, "checks": [asdict(check) for check in checks]}


def as_lines(checks: list[Check]) -> list[str]:
    """The form for people: a mark, the name, what was found, and below it what to do."""
    marks = {OK: "ok", WARNING: "!", PROBLEM: "X"}
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{marks[check.state]:>2}  {check.name.ljust(width)}  {check.found}")
        if check.hint:
            lines.append(f"{'':>{width + 6}}{check.hint}")
    return lines


def _python(_: Config) -> Iterator[Check]:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    new_enough = sys.version_info >= MIN_PYTHON
    yield Check(
        "python",
        OK if new_enough else PROBLEM,
        found,
        "" if new_enough else f"install Python {MIN_PYTHON[0]}.{MIN_PYTHON[1]} or newer",
    )


def _torch(_: Config) -> Iterator[Check]:
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Check("torch", PROBLEM, str(error).splitlines()[0], "run ./scripts/setup again")
        return
    yield Check("torch", OK, str(torch.__version__))
    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties(0)
        yield Check("device", OK, f"{device.name}, {_size(device.total_memory)}")
    elif torch.backends.mps.is_available():
        hint = "the Apple GPU is used only for models that were added with --device mps"
        yield Check("device", OK, f"CPU, {torch.get_num_threads()} threads", hint)
    else:
        hint = "fine for the embedded model; a GPU makes refining much faster"
        yield Check("device", OK, f"CPU, {torch.get_num_threads()} threads", hint)


def _libraries(_: Config) -> Iterator[Check]:
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        yield Check("libraries", PROBLEM, f"missing {', '.join(missing)}", "run ./scripts/setup")
        return
    try:
        importlib.import_module("soundfile")
    except OSError as error:  # the package is there and libsndfile is not
        yield Check("libraries", PROBLEM, str(error), "install libsndfile")
        return
    versions = (f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)
    yield Check("libraries", OK, ", ".join(versions))


def _memory(_: Config) -> Iterator[Check]:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return
    total_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    low = total_bytes < LOW_MEMORY_BYTES
    yield Check(
        "memory",
        WARNING if low else OK,
        f"{_size(total_bytes)}, {os.cpu_count()} cores",
        "close other programs before long renders" if low else "",
    )


def _weights(_: Config) -> Iterator[Check]:
    spec = importlib.util.find_spec("engine")
    assert spec is not None
    assert spec.origin is not None
    files = sorted((Path(spec.origin).parent / "weights").glob("*.safetensors"))
    total_bytes = sum(file.stat().st_size for file in files)
    if not files:
        yield Check("weights", PROBLEM, "none found", "install the package again, or train them")
        return
    for file in files:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        yield Check("weights", OK, f"{file.name}, {_size(file.stat().st_size)}, {digest[:16]}")
    if total_bytes > MAX_WEIGHTS_BYTES:
        yield Check("weights", WARNING, f"{_size(total_bytes)} together", "more than intended")


def _daemon(config: Config) -> Iterator[Check]:
    running = find_server(config.data_dir)
    if running is not None:
        yield Check("daemon", OK, f"running, {running.url}, OSC port {running.osc_port}")
        return
    yield Check("daemon", OK, "not running", "daw-bridge serve starts it; commands work without")
    for name, port, kind in (
        ("port", config.port, socket.SOCK_STREAM),
        ("osc port", config.osc_port, socket.SOCK_DGRAM),
        ("osc tcp port", _tcp_port(config), socket.SOCK_STREAM),
    ):
        if _is_free(config.host, port, kind):
            yield Check(name, OK, f"{port} is free")
        else:
            flag = "--" + name.replace(" ", "-")
            yield Check(name, PROBLEM, f"{port} is taken", f"choose another: serve {flag} N")


def _tcp_port(config: Config) -> int:
    return config.osc_port if config.osc_tcp_port is None else config.osc_tcp_port


def _is_free(host: str, port: int, kind: socket.SocketKind) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind is socket.SOCK_STREAM and os.name == "posix":
            # Else a daemon that stopped a moment ago would look like one that runs.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _folders(config: Config) -> Iterator[Check]:
    folder = config.data_dir
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        yield Check("folder", PROBLEM, f"{folder} cannot be written", "choose another: --data-dir")
        return
    free_bytes = shutil.disk_usage(existing).free
    low = free_bytes < LOW_DISK_BYTES
    used_bytes = sum(map(_file_bytes, folder.rglob("*")))
    yield Check(
        "folder",
        WARNING if low else OK,
        f"{folder}, {_size(used_bytes)} used, {_size(free_bytes)} free",
        "make room, or choose another: --data-dir" if low else "",
    )


def _takes(config: Config) -> Iterator[Check]:
    folder = config.data_dir / "takes"
    if not folder.is_dir():
        return
    usage = Keeper(TakeStore(folder), config.max_takes_bytes, config.trash_days).usage()
    found = f"{_size(usage.takes_bytes)}, {_size(usage.trash_bytes)} in the trash"
    yield Check("takes", WARNING if usage.warning else OK, found, usage.warning)


def _permissions(config: Config) -> Iterator[Check]:
    folder = config.data_dir
    if os.name != "posix" or not folder.is_dir():
        return
    status = folder.stat()
    if is_of_another(status) or others_may_write(status):
        problem = f"{folder} can be written by other users"
        yield Check("permissions", PROBLEM, problem, f"chmod 700 {folder}")
        return
    secrets = [folder / name for name in (TOKEN_FILE, SERVER_FILE)]
    seen = [path for path in secrets if path.exists() and others_may_read(path.stat())]
    if seen:
        problem = f"other users can read {', '.join(path.name for path in seen)}"
        hint = f"chmod 600 {' '.join(map(str, seen))}, and delete the token to have a new one made"
        yield Check("permissions", PROBLEM, problem, hint)
    elif others_may_read(status):
        hint = f"chmod 700 {folder} keeps older takes from other users, too"
        yield Check("permissions", WARNING, f"other users can list {folder}", hint)
    else:
        yield Check("permissions", OK, "the folder is yours alone")


def _file_bytes(path: Path) -> int:
    try:
        status = path.lstat()
    except OSError:  # a render that is under way has just moved it
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _size(count_bytes: int) -> str:
    if count_bytes >= 10**9:
        return f"{count_bytes / 10**9:.1f} GB"
    return f"{count_bytes / 10**6:.1f} MB"
