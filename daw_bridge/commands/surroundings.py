"""What `doctor` finds beside the installation: MIDI ports, audio devices and hosts."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterator

from daw_bridge.client import Client
from daw_bridge.commands.checks import OK, WARNING, Check
from daw_bridge.commands.hosts import look
from daw_bridge.commands.remote import ask
from daw_bridge.config import Config
from daw_bridge.registration import find_server
from engine.spec import BridgeError

_DOCTOR = "daw-bridge doctor"
_TIMEOUT_S = 5.0


def midi(_: Config) -> Iterator[Check]:
    """The MIDI inputs."""
    from daw_bridge.midi.ports import input_names

    if importlib.util.find_spec("rtmidi") is None:
        hint = "for capture: pip install 'daw-bridge[midi]'"
        yield Check("midi", OK, "no live MIDI: python-rtmidi is not installed", hint)
        return
    try:
        names = input_names()
    except BridgeError as error:
        yield Check("midi", WARNING, error.message, error.hint)
        return
    if names:
        yield Check("midi", OK, ", ".join(names))
    else:
        hint = "for capture: plug in a keyboard, or open the DAW's virtual port"
        yield Check("midi", OK, "no input port", hint)


def audio(_: Config) -> Iterator[Check]:
    """The device that audition plays through."""
    if importlib.util.find_spec("sounddevice") is None:
        hint = "to listen to takes from here: pip install 'daw-bridge[audio]'"
        yield Check("audio", OK, "no audition: sounddevice is not installed", hint)
        return
    try:
        import sounddevice

        outputs = [device for device in sounddevice.query_devices() if _plays(device)]
    except Exception as error:  # PortAudio is missing, or it finds no system to ask
        text = " ".join(str(error).split())[:200]
        yield Check("audio", WARNING, text, "install PortAudio (libportaudio2)")
        return
    if outputs:
        yield Check("audio", OK, ", ".join(str(device["name"]) for device in outputs))
    else:
        yield Check("audio", OK, "no output device", "takes can be rendered, not listened to here")


def _plays(device: object) -> bool:
    return isinstance(device, dict) and device.get("max_output_channels", 0) > 0


def hosts(config: Config) -> Iterator[Check]:
    """The DAWs that are here, and whether our part is in them."""
    found = [seen for seen in look(config) if seen.place is not None]
    for seen in found:
        named = " ".join(filter(None, (seen.host.title, seen.version)))
        part = f", our part is {seen.part}" if seen.part != "no part" else ""
        hint = seen.host.way if seen.part == "no part" else ""
        if seen.part in ("not installed", "older"):
            hint = f"daw-bridge hosts install {seen.host.name}"
        yield Check("host", OK, f"{named}, {seen.place}{part}", hint)
    if not found:
        hint = "any program that speaks OSC or WebSocket will do, see docs/protocol.md"
        yield Check("host", OK, "no DAW in the usual places", hint)


def clients(config: Config) -> Iterator[Check]:
    """Who talks to the daemon now."""
    running = find_server(config.data_dir)
    if running is None:
        return
    client = Client(running.url, running.token, name=_DOCTOR, reply_timeout_s=_TIMEOUT_S)
    names = [name for name in ask(client, "status").get("client_names", ()) if name != _DOCTOR]
    counted = Counter(names)
    listed = [f"{name} ({count})" if count > 1 else name for name, count in counted.items()]
    found = ", ".join(listed) or "nobody talks to the daemon now"
    yield Check(
        "clients", OK, found, "" if listed else "a host is seen here once it has said hello"
    )
