"""What `doctor` finds beside the installation: MIDI ports, audio devices and hosts."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from daw_bridge.commands.checks import OK, WARNING, Check
from daw_bridge.commands.hosts import found_hosts
from daw_bridge.config import Config
from engine.spec import BridgeError


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


def hosts(_: Config) -> Iterator[Check]:
    """The DAWs that are here."""
    found = list(found_hosts())
    for host, place in found:
        yield Check("host", OK, f"{host.name}, {place}", host.way)
    if not found:
        hint = "any program that speaks OSC or WebSocket will do, see docs/protocol.md"
        yield Check("host", OK, "no DAW in the usual places", hint)
