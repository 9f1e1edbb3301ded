"""Which hosts are on this machine, in their usual places, and of which version."""

from __future__ import annotations

import os
import plistlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from daw_bridge.hosts.table import DEFAULTS, HOSTS, Host

_VERSION = re.compile(r"\d+(?:\.\d+)*")
_ASK_TIMEOUT_S = 5.0


def found_hosts(
    platform: str = sys.platform, environment: Mapping[str, str] = os.environ
) -> Iterator[tuple[Host, Path]]:
    """Every host that is here, with where it is."""
    for host in HOSTS:
        place = _on_path(host, environment) or _at_place(host, platform, environment)
        if place is not None:
            yield host, place


def expanded(written: str, environment: Mapping[str, str]) -> Path:
    """A place of the table with `~` and variables replaced; patterns stay."""
    home = environment.get("HOME") or environment.get("USERPROFILE") or str(Path.home())
    if written.startswith("$"):
        name, _, rest = written[1:].partition("/")
        written = f"{environment.get(name) or DEFAULTS[name]}/{rest}"
    return Path(home + written[1:] if written.startswith("~") else written)


def existing(pattern: Path) -> list[Path]:
    """What is there of a path with patterns in it, in order."""
    fixed = Path(*_before_patterns(pattern))
    rest = pattern.relative_to(fixed)
    if rest == Path("."):
        return [fixed] if fixed.exists() else []
    return sorted(fixed.glob(str(rest))) if fixed.is_dir() else []


def _before_patterns(pattern: Path) -> Iterator[str]:
    for part in pattern.parts:
        if re.search(r"[*?\[]", part):
            return
        yield part


def version_of(host: Host, place: Path) -> str:
    """The version where it is told without opening a window; else empty."""
    property_list = place / "Contents" / "Info.plist"
    if property_list.is_file():
        try:
            values = plistlib.loads(property_list.read_bytes())
        except (OSError, ValueError, plistlib.InvalidFileException):
            values = {}
        return str(values.get("CFBundleShortVersionString", ""))
    if host.asks_version and place.is_file():
        return _asked(place, host.asks_version)
    # `ardour` is a link to `ardour7`; folders and bundles have the number in their name.
    found = _VERSION.search(place.resolve().name)
    return found[0] if found else ""


def _asked(program: Path, flag: str) -> str:
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    try:
        said = subprocess.run(
            [program, flag],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ASK_TIMEOUT_S,
            env=environment,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = _VERSION.search(said.stdout + said.stderr)
    return found[0] if found else ""


def _on_path(host: Host, environment: Mapping[str, str]) -> Path | None:
    search = environment.get("PATH", "")
    places = (shutil.which(command, path=search) for command in host.commands)
    return next((Path(place) for place in places if place), None)


def _at_place(host: Host, platform: str, environment: Mapping[str, str]) -> Path | None:
    for pattern in host.places.get(platform, ()):
        found = existing(expanded(pattern, environment))
        if found:
            return found[-1]
    return None
