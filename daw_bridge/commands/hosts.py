"""`daw-bridge hosts [install NAME | uninstall NAME]`: the hosts here, and our part in them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daw_bridge.commands.console import EXIT_FAILED, EXIT_OK, Console, table
from daw_bridge.config import Config
from daw_bridge.hosts.finding import found_hosts, version_of
from daw_bridge.hosts.installing import Installer, Outcome, plugins_folder
from daw_bridge.hosts.table import HOST_BY_NAME, HOSTS, Host
from daw_bridge.registration import make_private_folder
from engine.spec import BridgeError


@dataclass(frozen=True, slots=True)
class Seen:
    """A host as it is on this machine.

    Attributes:
        place: None where it was not found.
        part: the state of our part, as `Installer.state` says it.
    """

    host: Host
    place: Path | None
    version: str
    part: str


def run(options: argparse.Namespace, config: Config, console: Console) -> int:
    """List, install or uninstall; the exit status.

    Raises:
        BridgeError: as `Installer` refuses; `bad_request` for a name that is none.
    """
    if options.action is None:
        seen = list(look(config))
        console.result({"hosts": [_as_value(item) for item in seen]}, _as_lines(seen))
        return EXIT_OK
    host = _host_named(options.name)
    make_private_folder(config.data_dir)
    installer = installer_of(host, config)
    if options.action == "install":
        outcome, hint = installer.install(), host.then
    else:
        outcome, hint = installer.uninstall(), ""
    lines = _told(outcome, hint)
    value = {
        name: [str(path) for path in getattr(outcome, name)]
        for name in ("written", "unchanged", "removed", "kept")
    }
    console.result({"host": host.name, **value, "then": hint}, lines)
    return EXIT_FAILED if outcome.kept else EXIT_OK


def look(config: Config) -> Iterator[Seen]:
    """Every host of the table, found or not."""
    found = {host.name: place for host, place in found_hosts()}
    for host in HOSTS:
        place = found.get(host.name)
        version = version_of(host, place) if place else ""
        yield Seen(host, place, version, installer_of(host, config).state())


def installer_of(
    host: Host,
    config: Config,
    platform: str = sys.platform,
    environment: Mapping[str, str] = os.environ,
) -> Installer:
    """The installer of this machine."""
    return Installer(host, plugins_folder(), config.data_dir, platform, environment)


def _host_named(name: str) -> Host:
    host = HOST_BY_NAME.get(name)
    if host is None or not host.parts:
        known = ", ".join(host.name for host in HOSTS if host.parts)
        hint = host.way if host else f"known: {known}"
        raise BridgeError("bad_request", f"nothing can be installed for {name[:80]!r}", hint)
    return host


def _as_value(seen: Seen) -> dict[str, Any]:
    return {
        "name": seen.host.name,
        "title": seen.host.title,
        "found": seen.place is not None,
        "place": str(seen.place) if seen.place else None,
        "version": seen.version or None,
        "part": seen.part,
        "way": seen.host.way,
    }


def _as_lines(seen: list[Seen]) -> list[str]:
    rows = [("NAME", "HOST", "VERSION", "OUR PART", "WHERE")]
    for item in seen:
        place = str(item.place) if item.place else "not found"
        part = item.part if item.host.parts else "-"
        rows.append((item.host.name, item.host.title, item.version or "-", part, place))
    return table(rows)


def _told(outcome: Outcome, hint: str) -> list[str]:
    lines = [f"wrote {path}" for path in outcome.written]
    lines += [f"removed {path}" for path in outcome.removed]
    if outcome.unchanged:
        lines.append(f"{len(outcome.unchanged)} files were there already")
    for path in outcome.kept:
        lines.append(f"kept {path}: it is not as we left it; move it away if you do not need it")
    return [*lines, *([hint] if hint else [])]
