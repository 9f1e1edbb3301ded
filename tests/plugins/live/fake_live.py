"""The module `Live` and the control surface's side of Live, for the script to run in."""

from __future__ import annotations

import importlib
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from tests.plugins.live.fake_clips import WarpMarker
from tests.plugins.live.fake_song import Song
from tests.plugins.live.live_api import Version, has

PLUGIN = Path(__file__).resolve().parents[3] / "plugins" / "live"
_PATIENCE_S = 60.0
_TICK_S = 0.005  # Live takes 0.1


class Instance:
    """`c_instance`: what Live hands to a control surface."""

    def __init__(self, song: Song) -> None:
        self._song = song
        self.shown: list[str] = []
        self.logged: list[str] = []
        self.forwarded: list[tuple[int, int]] = []

    def song(self) -> Song:
        return self._song

    def handle(self) -> int:
        return 4711

    def request_rebuild_midi_map(self) -> None:
        pass

    def show_message(self, text: str) -> None:
        assert isinstance(text, str)
        self.shown.append(text)

    def log_message(self, text: str) -> None:
        assert isinstance(text, str)
        self.logged.append(text)


class NonBlocking(socket.socket):
    """A socket that must never wait."""

    def _ready(self) -> None:
        assert not self.getblocking(), "a blocking socket on Live's main thread"

    def connect_ex(self, address: Any) -> int:
        self._ready()
        return super().connect_ex(address)

    def send(self, *data: Any) -> int:
        self._ready()
        return super().send(*data)

    def recv(self, size: int, *flags: int) -> bytes:
        self._ready()
        assert size <= 1 << 16, "a tick reads too much"
        return super().recv(size, *flags)

    def connect(self, address: Any) -> None:
        raise AssertionError("connect waits")

    def sendall(self, *data: Any) -> None:
        raise AssertionError("sendall waits")


class Host:
    """Live with a set, in which the script runs."""

    def __init__(self, song: Song, surface: Any, instance: Instance) -> None:
        self.song = song
        self.surface = surface
        self.instance = instance
        self._read = 0  # texts of `shown` that have been waited for

    @property
    def shown(self) -> list[str]:
        """What the status bar has said."""
        return self.instance.shown

    def tick(self) -> None:
        """A tenth of a second of Live."""
        made = self.song.f_rules.clips_made
        self.surface.update_display()
        assert self.song.f_rules.clips_made - made <= 1, "a tick makes one clip, and no more"
        errors = [text for text in self.instance.logged if "Traceback" in text]
        assert not errors, errors[0]

    def until(self, holds: Callable[[], Any]) -> None:
        """Ticks, until something holds."""
        end_s = time.monotonic() + _PATIENCE_S
        while not holds():
            assert time.monotonic() < end_s, (self.shown, self.instance.logged)
            self.tick()
            time.sleep(_TICK_S)

    def until_shown(self, words: str) -> str:
        """Ticks, until the status bar says something; the whole of it.

        What was said before the text of the last call, or with it, is past: the same words can be
        waited for again.
        """
        self.until(lambda: any(words in text for text in self.shown[self._read :]))
        while words not in self.shown[self._read]:
            self._read += 1
        self._read += 1
        return self.shown[self._read - 1]

    def rename(self, clip: Any, name: str) -> None:
        """The musician selects a clip, and gives it a name."""
        self.song.f_values["view"].f_values["detail_clip"] = clip
        self.tick()
        clip.f_values["name"] = name

    def press(self, parameter: Any) -> None:
        """The musician clicks a button of the device."""
        low, high = parameter.f_values["min"], parameter.f_values["max"]
        on = parameter.f_values["value"] == high
        parameter.f_set_value(low if on else high)


def _module(version: Version, instance: Instance) -> ModuleType:
    module = ModuleType("Live")
    application = SimpleNamespace(
        get_major_version=lambda: version[0],
        get_minor_version=lambda: version[1],
        get_bugfix_version=lambda: version[2],
    )

    def forward_midi_note(handle: int, midi_map: int, channel: int, note: int) -> bool:
        assert (handle, midi_map) == (4711, 99)
        instance.forwarded.append((channel, note))
        return True

    classes = {"WarpMarker": WarpMarker} if has("Clip", "add_warp_marker", version) else {}
    parts: dict[str, Any] = {
        "Application": SimpleNamespace(get_application=lambda: application),
        "Clip": SimpleNamespace(**classes),
        "MidiMap": SimpleNamespace(
            forward_midi_note=forward_midi_note, MapMode=SimpleNamespace(absolute=0)
        ),
    }
    for name, part in parts.items():
        setattr(module, name, part)
    return module


@contextmanager
def running(song: Song, scripts: Path = PLUGIN) -> Iterator[Host]:
    """The script in a Live, from the moment somebody chooses it until Live is closed.

    Args:
        scripts: Live's folder of Remote Scripts.
    """
    instance = Instance(song)
    before = dict(sys.modules)
    sys.modules["Live"] = _module(song.f_rules.version, instance)
    sys.path.insert(0, str(scripts))
    try:
        package = importlib.import_module("DawBridge")
        surface = package.create_instance(instance)
        link = sys.modules["DawBridge.link"]
        link.socket = SimpleNamespace(  # type: ignore[attr-defined]
            **{name: getattr(socket, name) for name in dir(socket) if not name.startswith("__")}
            | {"socket": NonBlocking}
        )
        host = Host(song, surface, instance)
        try:
            yield host
        finally:
            surface.disconnect()
        assert song.f_rules.undo_depth == 0
    finally:
        sys.path.remove(str(scripts))
        for name in set(sys.modules) - set(before):
            if name == "Live" or name.split(".")[0] == "DawBridge":
                del sys.modules[name]
