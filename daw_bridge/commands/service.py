"""`daw-bridge service install|remove|print`: the daemon as a service of the user, without root."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from daw_bridge.commands.console import Console
from daw_bridge.commands.units import MARK, NAME, launchd_plist, systemd_unit
from daw_bridge.owners import write_private
from engine.spec import BridgeError

Run = Callable[[Sequence[str]], str]


@dataclass(frozen=True, slots=True)
class Manager:
    """A service manager of the user.

    Attributes:
        path: where its file goes.
        started_by, stopped_by: commands after the file is written, and before it is removed.
    """

    path: Path
    write: Callable[[Sequence[str]], str]
    started_by: tuple[tuple[str, ...], ...]
    stopped_by: tuple[tuple[str, ...], ...]


def manager_of(
    platform: str = sys.platform, environment: Mapping[str, str] = os.environ
) -> Manager:
    """The manager of this platform.

    Raises:
        BridgeError: `unavailable` where there is none that we know.
    """
    home = Path(environment.get("HOME") or Path.home())
    if platform == "darwin":
        path = home / "Library" / "LaunchAgents" / f"{NAME}.plist"
        domain = f"gui/{os.getuid()}"
        started = ("launchctl", "bootstrap", domain, str(path))
        stopped = ("launchctl", "bootout", f"{domain}/{NAME}")
        return Manager(path, launchd_plist, (started,), (stopped,))
    if platform == "linux":
        folder = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "systemd" / "user"
        control = ("systemctl", "--user")
        return Manager(
            folder / f"{NAME}.service",
            systemd_unit,
            ((*control, "daemon-reload"), (*control, "enable", "--now", NAME)),
            ((*control, "disable", "--now", NAME),),
        )
    hint = "start daw-bridge serve with your session by other means"
    raise BridgeError("unavailable", f"no service is known for {platform}", hint)


def run(options: argparse.Namespace, console: Console) -> None:
    """Install, remove or print.

    Raises:
        BridgeError: `unavailable` without a manager or where the file cannot be written;
            `bad_request` for a file of the same name that is not ours.
    """
    manager = manager_of()
    text = manager.write(_command(options))
    match options.action:
        case "print":
            console.result({"path": str(manager.path), "text": text}, text.splitlines())
        case "install":
            lines = install(manager, text)
            console.result({"path": str(manager.path), "notes": lines}, lines)
        case _:
            lines = remove(manager)
            console.result({"path": str(manager.path), "notes": lines}, lines)


def _command(options: argparse.Namespace) -> list[str]:
    # -P: whatever lies in the folder that the manager starts in is not imported.
    command = [sys.executable, "-P", "-m", "daw_bridge", "serve"]
    for flag, value in (("--config", options.config), ("--data-dir", options.data_dir)):
        if value:
            command += [flag, str(Path(value).expanduser().absolute())]
    return command


def install(manager: Manager, text: str, run_command: Run | None = None) -> list[str]:
    """Write the file and start the service, anew where it runs already; what to tell.

    Raises:
        BridgeError: as `run`.
    """
    path, run_command = manager.path, run_command or _run_command
    _refuse_foreign(path)
    if path.exists():
        for command in manager.stopped_by:
            run_command(command)  # it may not run: no problem of anybody's
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, text)
    except OSError as error:
        raise BridgeError("unavailable", f"{path} cannot be written: {error.strerror}") from None
    return [f"wrote {path}", *_tell(manager.started_by, run_command)]


def remove(manager: Manager, run_command: Run | None = None) -> list[str]:
    """Stop the service and delete its file; what to tell. Takes and settings stay.

    Raises:
        BridgeError: as `run`.
    """
    path = manager.path
    _refuse_foreign(path)
    if not path.exists():
        return [f"there is no {path}"]
    told = _tell(manager.stopped_by, run_command or _run_command)
    path.unlink()
    return [*told, f"removed {path}"]


def _refuse_foreign(path: Path) -> None:
    if path.exists() and MARK not in path.read_text(encoding="utf-8", errors="replace"):
        raise BridgeError(
            "bad_request", f"{path} was not written by this command", "move it away first"
        )


def _tell(commands: Sequence[Sequence[str]], run_command: Run) -> list[str]:
    told = []
    for command in commands:
        problem = run_command(command)
        line = " ".join(command)
        told.append(f"{line}: {problem}; type it yourself in your session" if problem else line)
    return told


def _run_command(command: Sequence[str]) -> str:
    """Run it; what went wrong, else empty."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    said = " ".join(ran.stderr.split())[:200]
    return "" if ran.returncode == 0 else said or f"status {ran.returncode}"
