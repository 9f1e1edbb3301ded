"""Audio outputs: which there are, and playing through one. The extra `audio` brings the driver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from daw_bridge.audition.player import Player
from engine.spec import BridgeError

_HINT = "connect one, or choose another with --device; play --list shows the outputs"


@dataclass(frozen=True, slots=True)
class Output:
    """An audio output.

    Attributes:
        number: what the driver counts it as.
        usual_rate_hz: the rate that it works at by itself.
    """

    number: int
    name: str
    channels: int
    usual_rate_hz: int
    is_default: bool = False


def driver() -> Any:
    """The module that speaks to PortAudio.

    Raises:
        BridgeError: `unavailable` without the extra or the library.
    """
    try:
        import sounddevice
    except ImportError:
        raise BridgeError(
            "unavailable",
            "playing needs sounddevice, which is not installed",
            "pip install 'daw-bridge[audio]'",
        ) from None
    except OSError as error:
        raise BridgeError(
            "unavailable", f"PortAudio cannot be loaded: {error}", "install libportaudio2"
        ) from None
    return sounddevice


def outputs() -> list[Output]:
    """The audio outputs there are.

    Raises:
        BridgeError: as `driver`; `unavailable` when the system's audio cannot be asked.
    """
    sounddevice = driver()
    try:
        listed = list(sounddevice.query_devices())
        default = sounddevice.default.device[1]
    except sounddevice.PortAudioError as error:
        raise BridgeError("unavailable", f"the system's audio: {error}", _HINT) from None
    return [
        Output(
            number,
            str(device["name"]),
            int(device["max_output_channels"]),
            round(device["default_samplerate"]),
            number == default,
        )
        for number, device in enumerate(listed)
        if device["max_output_channels"] > 0
    ]


def choose(found: list[Output], wanted: str | None) -> Output:
    """The output of a number or of a part of a name; else the system's own choice.

    Raises:
        BridgeError: `not_found` when there is none or no such one, `bad_request` when several fit.
    """
    if not found:
        raise BridgeError("not_found", "there is no audio output", _HINT)
    if wanted is None:
        return next((output for output in found if output.is_default), found[0])
    fitting = [output for output in found if wanted in (str(output.number), output.name)]
    if not fitting:
        fitting = [output for output in found if wanted.lower() in output.name.lower()]
    listed = ", ".join(f"{output.number} {output.name!r}" for output in fitting or found)
    if not fitting:
        raise BridgeError("not_found", f"there is no audio output {wanted!r}", f"it has {listed}")
    if len(fitting) > 1:
        raise BridgeError("bad_request", f"several outputs fit {wanted!r}", f"one of {listed}")
    return fitting[0]


def rate_for(output: Output, channels: int, sample_rate_hz: int) -> int:
    """The rate to play at: the audio's own where the device takes it, else the device's."""
    sounddevice = driver()
    try:
        sounddevice.check_output_settings(
            device=output.number, channels=channels, samplerate=sample_rate_hz, dtype="float32"
        )
    except (sounddevice.PortAudioError, ValueError):
        return output.usual_rate_hz
    return sample_rate_hz


@contextmanager
def streaming(
    output: Output, channels: int, sample_rate_hz: int, make: Callable[[float], Player]
) -> Iterator[Player]:
    """Play; the player says when it is finished.

    Args:
        make: makes the player, from the device's latency in seconds.

    Raises:
        BridgeError: `unavailable` when the device refuses.
    """
    sounddevice = driver()
    player: Player | None = None

    def callback(block: Any, frames: int, clock: Any, status: Any) -> None:
        assert player is not None
        if not player.fill(block, clock, bool(status.output_underflow)):
            raise sounddevice.CallbackStop

    def finished() -> None:
        if player is not None:
            player.finished.set()

    try:
        stream = sounddevice.OutputStream(
            samplerate=sample_rate_hz,
            device=output.number,
            channels=channels,
            dtype="float32",
            callback=callback,
            finished_callback=finished,
        )
        player = make(float(stream.latency))
        with stream:
            yield player
    except sounddevice.PortAudioError as error:
        raise BridgeError("unavailable", f"{output.name}: {error}", _HINT) from None
