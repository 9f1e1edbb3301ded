"""A MIDI driver in memory for mido: what is sent to a port's name arrives at its callback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mido.ports import BaseInput, BaseOutput

NAMES = ["Keys", "DAW clock"]
_open: dict[str, list[Input]] = {}


def get_devices(**_: Any) -> list[dict[str, Any]]:
    return [{"name": name, "is_input": True, "is_output": True} for name in NAMES]


class Input(BaseInput):  # type: ignore[misc]  # mido has no types
    def _open(self, callback: Callable[[Any], None] | None = None, **_: Any) -> None:
        self._callback = callback
        _open.setdefault(self.name, []).append(self)

    def _close(self) -> None:
        _open[self.name].remove(self)

    def arrive(self, message: Any) -> None:
        if self._callback is not None:
            self._callback(message)


class Output(BaseOutput):  # type: ignore[misc]
    def _send(self, message: Any) -> None:
        for port in _open.get(self.name, []):
            port.arrive(message)


def listened_to(name: str) -> bool:
    """Whether a port is open by now."""
    return bool(_open.get(name))
