"""Which DAWs are on this machine, in their usual places, and how each gets here."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Host:
    """A program that may talk to the daemon.

    Attributes:
        commands: names on the search path.
        places: patterns of files and folders, by `sys.platform`; `~` and variables are replaced.
        way: how it gets here.
    """

    name: str
    commands: tuple[str, ...]
    places: Mapping[str, tuple[str, ...]]
    way: str


_OSC = "OSC to the port of `daw-bridge config`, see docs/protocol.md"


def _mac(*names: str) -> tuple[str, ...]:
    folders = ("/Applications", "~/Applications")
    return tuple(f"{folder}/{name}.app" for folder in folders for name in names)


HOSTS: tuple[Host, ...] = (
    Host(
        "REAPER",
        ("reaper",),
        {
            "linux": ("/opt/REAPER/reaper", "~/opt/REAPER/reaper"),
            "darwin": _mac("REAPER*"),
            "win32": ("$ProgramFiles/REAPER*",),
        },
        "a ReaScript that calls the command line, or " + _OSC,
    ),
    Host(
        "Ableton Live",
        (),
        {"darwin": _mac("Ableton Live*"), "win32": ("$ProgramData/Ableton/Live*",)},
        "a Max for Live device with udpsend and udpreceive: " + _OSC,
    ),
    Host(
        "Bitwig Studio",
        ("bitwig-studio",),
        {
            "linux": (
                "/opt/bitwig-studio",
                "/var/lib/flatpak/app/com.bitwig.BitwigStudio",
                "~/.local/share/flatpak/app/com.bitwig.BitwigStudio",
            ),
            "darwin": _mac("Bitwig Studio*"),
            "win32": ("$ProgramFiles/Bitwig Studio*",),
        },
        "a controller script: " + _OSC,
    ),
    Host(
        "Ardour",
        ("ardour", "ardour9", "ardour8", "ardour7", "ardour6"),
        {
            "linux": ("/opt/Ardour-*", "~/.local/share/flatpak/app/org.ardour.Ardour"),
            "darwin": _mac("Ardour*"),
            "win32": ("$ProgramFiles/Ardour*",),
        },
        "a Lua script that calls the command line",
    ),
    Host(
        "Renoise",
        ("renoise",),
        {
            "linux": ("/usr/local/bin/renoise*", "/opt/renoise*"),
            "darwin": _mac("Renoise*"),
            "win32": ("$ProgramFiles/Renoise*",),
        },
        "a Lua tool with a socket: " + _OSC,
    ),
    Host("Logic Pro", (), {"darwin": _mac("Logic Pro*")}, "the command line, files by hand"),
    Host(
        "Cubase",
        (),
        {"darwin": _mac("Cubase*"), "win32": ("$ProgramFiles/Steinberg/Cubase*",)},
        "the command line, files by hand",
    ),
    Host(
        "Pure Data",
        ("pd", "purr-data"),
        {"darwin": _mac("Pd*"), "win32": ("$ProgramFiles/Pd*",)},
        "oscformat and netsend -u: " + _OSC,
    ),
    Host(
        "SuperCollider",
        ("sclang",),
        {"darwin": _mac("SuperCollider*"), "win32": ("$ProgramFiles/SuperCollider*",)},
        "NetAddr: " + _OSC,
    ),
)


def found_hosts(
    platform: str = sys.platform, environment: Mapping[str, str] = os.environ
) -> Iterator[tuple[Host, Path]]:
    """Every host that is here, with where it is."""
    for host in HOSTS:
        place = _on_path(host, environment) or _at_place(host, platform, environment)
        if place is not None:
            yield host, place


def _on_path(host: Host, environment: Mapping[str, str]) -> Path | None:
    search = environment.get("PATH", "")
    places = (shutil.which(command, path=search) for command in host.commands)
    return next((Path(place) for place in places if place), None)


def _at_place(host: Host, platform: str, environment: Mapping[str, str]) -> Path | None:
    for pattern in host.places.get(platform, ()):
        written = pattern
        for variable in ("ProgramFiles", "ProgramData"):
            written = written.replace(f"${variable}", environment.get(variable, ""))
        if written.startswith("~"):
            written = environment.get("HOME", "~") + written[1:]
        place = Path(written)
        found = sorted(place.parent.glob(place.name)) if place.parent.is_dir() else []
        if found:
            return found[-1]
    return None
