"""MIDI ports: which there are, and opening one. The extra `midi` brings the driver."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from daw_bridge.midi.recorder import Played
from engine.spec import BridgeError

Handler = Callable[[Any, float], None]
_HINT = "plug in a keyboard or open the DAW's virtual port; capture --list shows the ports"


def backend() -> Any:
    """The MIDI driver; the environment's `MIDO_BACKEND` names another one than RtMidi.

    Raises:
        BridgeError: `unavailable` without the extra.
    """
    import mido

    found = mido.Backend()
    try:
        found.load()
    except ImportError:
        raise BridgeError(
            "unavailable",
            "live MIDI needs python-rtmidi, which is not installed",
            "pip install 'daw-bridge[midi]'",
        ) from None
    return found


def input_names() -> list[str]:
    """The input ports there are.

    Raises:
        BridgeError: `unavailable` without the extra or a MIDI system.
    """
    driver = backend()
    try:
        return list(driver.get_input_names())
    except Exception as error:  # each driver has its own
        raise _no_system(error) from None


def choose(names: list[str], wanted: str | None) -> str:
    """The port of a name or of a part of it; the only one there is where none is named.

    Raises:
        BridgeError: `not_found` when there is none or no such one, `bad_request` when several fit.
    """
    if not names:
        raise BridgeError("not_found", "there is no MIDI input port", _HINT)
    fitting = names if wanted is None else [name for name in names if name == wanted]
    if not fitting:
        fitting = [name for name in names if (wanted or "").lower() in name.lower()]
    listed = ", ".join(repr(name) for name in names)
    if not fitting:
        raise BridgeError("not_found", f"there is no MIDI input {wanted!r}", f"there are {listed}")
    if len(fitting) > 1:
        raise BridgeError("bad_request", "several MIDI inputs fit", f"--port one of {listed}")
    return fitting[0]


@contextmanager
def listening(name: str, handle: Handler) -> Iterator[None]:
    """Hand on every message of a port with the second of its arrival (`time.monotonic`).

    Raises:
        BridgeError: `unavailable` when the port cannot be opened.
    """
    driver = backend()
    try:
        port = driver.open_input(name, callback=lambda message: handle(message, time.monotonic()))
    except Exception as error:
        raise BridgeError(
            "unavailable", f"MIDI input {name!r} cannot be opened: {error}", "is it in use?"
        ) from None
    try:
        yield
    finally:
        port.close()


def played(message: Any, at_s: float) -> Played | None:
    """A key pressed or released; None for any other message."""
    if message.type not in ("note_on", "note_off"):
        return None
    velocity = message.velocity if message.type == "note_on" else 0
    return Played(at_s, message.channel, message.note, velocity)


def _no_system(error: Exception) -> BridgeError:
    return BridgeError(
        "unavailable",
        f"this system has no MIDI: {' '.join(str(error).split())[:200]}",
        "on Linux load the module snd-seq, or start JACK",
    )
