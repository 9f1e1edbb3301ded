"""The Max for Live device `daw-bridge`: its knobs are read, its buttons are heard.

The device sends nothing. Its controls are parameters of Live, which a script can read, so there is
no port to open and no secret to keep, and its buttons can be mapped to keys and MIDI.
A lit button is a request under way; switching it off cancels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from .wishes import DRAFT, KNOBS, MENUS, ROLES, VERBS

if TYPE_CHECKING:
    from Live.Device import Device
    from Live.DeviceParameter import DeviceParameter
    from Live.Song import Song
    from Live.Track import Track

NAME = "daw-bridge"
_MAX_CLASSES = ("MxDeviceAudioEffect", "MxDeviceMidiEffect", "MxDeviceInstrument")
BUTTONS = {verb.capitalize(): verb for verb in VERBS}
_CONTROLS = {knob.name for knob in (*KNOBS, *MENUS, *ROLES, DRAFT)}
_LIT = 0.5


class Button:
    """A verb of a device.

    Attributes:
        is_lit: as it was last left by the script.
    """

    def __init__(self, panel: Panel, verb: str, parameter: DeviceParameter) -> None:
        self.panel = panel
        self.verb = verb
        self.parameter = parameter
        self.is_lit = False

    def show(self, lit: bool) -> None:
        """Light it or put it out; a device that was deleted shows nothing."""
        self.is_lit = lit
        try:
            value = self.parameter.max if lit else self.parameter.min
            if self.parameter.value != value:
                self.parameter.value = value
        except Exception:  # Live's own type, for objects that are gone
            self.panel.is_gone = True

    def is_on(self) -> bool:
        """Whether it is lit in Live."""
        low, high = self.parameter.min, self.parameter.max
        return (self.parameter.value - low) / (high - low) >= _LIT


class Panel:
    """One device in the set."""

    def __init__(self, device: Device, on_press: Callable[[Button], None]) -> None:
        self.device = device
        self.is_gone = False
        self.buttons: list[Button] = []
        self._controls: list[DeviceParameter] = []
        self._heard: list[tuple[DeviceParameter, Callable[[], None]]] = []
        for parameter in device.parameters:
            name = parameter.name
            if name in BUTTONS:
                self._listen(Button(self, BUTTONS[name], parameter), on_press)
            elif name in _CONTROLS:
                self._controls.append(parameter)

    def _listen(self, button: Button, on_press: Callable[[Button], None]) -> None:
        def heard() -> None:
            # Live allows no changes while it tells of one: this only takes a note.
            on_press(button)

        self.buttons.append(button)
        button.parameter.add_value_listener(heard)
        self._heard.append((button.parameter, heard))

    def values(self) -> dict[str, float]:
        """What its controls say, by name."""
        return {parameter.name: parameter.value for parameter in self._controls}

    def close(self) -> None:
        """Listen no more."""
        for parameter, heard in self._heard:
            try:
                if parameter.value_has_listener(heard):
                    parameter.remove_value_listener(heard)
            except Exception:  # it is gone, and the listener with it
                self.is_gone = True
        self._heard = []


class Panels:
    """All devices of a set; one track is looked at in each tick, so that none takes long."""

    def __init__(self) -> None:
        self._panels: list[Panel] = []
        self._next = 0
        self._seen: list[Device] = []
        self._pressed: list[Button] = []

    def look(self, song: Song) -> None:
        """Look at the next track."""
        tracks = [*song.tracks, *song.return_tracks, song.master_track]
        if self._next >= len(tracks):
            self._drop_lost()
            self._next = 0
        self._look_at(tracks[self._next])
        self._next += 1

    def presses(self) -> list[Button]:
        """Buttons that Live told of since the last time, each once."""
        pressed = list(self._pressed)
        del self._pressed[:]
        return [button for place, button in enumerate(pressed) if button not in pressed[:place]]

    def first(self) -> Panel | None:
        """The device whose knobs count for a command by name or note."""
        return self._panels[0] if self._panels else None

    def close(self) -> None:
        """Listen to none of them any more."""
        for panel in self._panels:
            panel.close()
        self._panels = []

    def _look_at(self, track: Track) -> None:
        for device in track.devices:
            if device.class_name not in _MAX_CLASSES:
                continue
            if not device.name.lower().startswith(NAME):
                continue
            self._seen.append(device)
            if not any(panel.device == device for panel in self._panels):
                panel = Panel(device, self._pressed.append)
                for button in panel.buttons:
                    button.show(False)  # a set may have been saved while it was lit
                self._panels.append(panel)

    def _drop_lost(self) -> None:
        for panel in self._panels:
            if panel.is_gone or panel.device not in self._seen:
                panel.close()
        self._panels = [
            panel for panel in self._panels if not panel.is_gone and panel.device in self._seen
        ]
        self._seen = []
