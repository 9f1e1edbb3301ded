"""The control surface: what Live calls, and what the musician sees in the status bar.

Live calls `update_display` ten times a second on its main thread, and everything happens there:
Live objects may be touched nowhere else. A tick does a bounded piece of work and never waits.
"""

from __future__ import annotations

import os
import time
import traceback
from typing import Any

import Live

from . import placing
from .bridge import Bridge, Job, Reports
from .clips import Selected, read_selected, selected_clip, still_there
from .devices import Button, Panels
from .protocol import Protocol
from .refusal import Refusal
from .requests import Request, make_request
from .server import data_folder
from .wishes import (
    CANCEL,
    MARK,
    Wish,
    read_command,
    read_knobs,
    read_prompt,
    title_of,
    wants_draft,
    without_command,
)

_VERSION = "1"
_MIDI_CHANNEL = 15  # 16, as musicians count
_NOTES = {
    36: "extend",
    37: "loop",
    38: "inpaint",
    39: "melody",
    40: "accompany",
    41: "vary",
    42: "cancel",
}
_NOTE_ON = 0x90
_SAY_AGAIN_S = 1.0
_LOOK_AGAIN_TICKS = 20
_MOST_ERRORS = 20  # told in full; Live's log is for others, too


class Owner:
    """What a job is for.

    Attributes:
        button: the button that is lit while it runs.
    """

    def __init__(self, origin: placing.Origin, button: Button | None) -> None:
        self.origin = origin
        self.button = button


class DawBridge(Reports):
    """A control surface without hardware.

    Args:
        c_instance: Live's side of it.
    """

    _newest: DawBridge | None = None

    def __init__(self, c_instance: Any) -> None:
        if DawBridge._newest is not None:
            DawBridge._newest.disconnect()  # chosen twice: two would ask for everything twice
        DawBridge._newest = self
        self._live = c_instance
        self._errors = 0
        self._panels = Panels()
        self._verbs: list[str] = []
        self._last: Any = None  # the clip that was selected last
        self._named: Any = None  # the clip that was selected at the last tick, and its name
        self._name = ""
        self._plain = ""  # what a name becomes whose command has replaced the whole of it
        self._takes: list[tuple[Job, dict[str, Any]]] = []
        self._placed: list[tuple[int, placing.Placed]] = []  # and the tick to look at it again
        self._ticks = 0
        self._seeds: dict[str, int] = {}
        self._said_s = -_SAY_AGAIN_S
        self._progress = ""
        self._protocol: Protocol | None = None
        self._bridge: Bridge | None = None
        self._folder = os.path.join(data_folder(), "exports", "live")
        try:
            self._protocol = Protocol.load()
        except Refusal as refusal:
            self._say(str(refusal))
        else:
            self._bridge = Bridge(self._protocol, self, f"live/{_VERSION} {_live_version()}")

    # What Live calls.

    def update_display(self) -> None:
        """Ten times a second."""
        try:
            self._tick()
        except Exception:  # nothing of ours may stop Live's timer
            self._named = self._last = None  # it may be gone
            self._errors += 1
            if self._errors <= _MOST_ERRORS:
                self._log(traceback.format_exc())

    def build_midi_map(self, midi_map_handle: int) -> None:
        """Live asks which notes to pass on."""
        script = self._live.handle()
        for note in _NOTES:
            Live.MidiMap.forward_midi_note(script, midi_map_handle, _MIDI_CHANNEL, note)

    def receive_midi(self, midi_bytes: Any) -> None:
        """A note of those; it is acted on in the next tick."""
        status, note, velocity = midi_bytes[:3]
        if status == _NOTE_ON + _MIDI_CHANNEL and velocity and note in _NOTES:
            self._verbs.append(_NOTES[note])

    def disconnect(self) -> None:
        """Live closes the set, or the musician chose another surface."""
        self._panels.close()
        if self._bridge is not None:
            self._bridge.close()
        self._bridge = None
        if DawBridge._newest is self:
            DawBridge._newest = None

    def connect_script_instances(self, instanciated_scripts: Any) -> None:
        """Live tells of other surfaces, which are not needed."""

    def request_rebuild_midi_map(self) -> None:
        """Part of what Live expects of a surface."""
        self._live.request_rebuild_midi_map()

    def refresh_state(self) -> None:
        """There is no hardware to be refreshed."""

    def port_settings_changed(self) -> None:
        """The MIDI ports are Live's affair."""

    def can_lock_to_devices(self) -> bool:
        """There is nothing to be locked."""
        return False

    def suggest_input_port(self) -> str:
        """Any port will do."""
        return ""

    def suggest_output_port(self) -> str:
        """None is needed."""
        return ""

    def suggest_map_mode(self, cc_no: int, channel: int) -> int:
        """Live's default for controllers."""
        return int(Live.MidiMap.MapMode.absolute)

    # A tick.

    def _tick(self) -> None:
        if self._bridge is None or self._protocol is None:
            return
        song = self._live.song()
        self._panels.look(song)
        for button in self._panels.presses():
            self._pressed(song, button)
        self._look_at_name(song)
        verbs, self._verbs = self._verbs, []
        for verb in verbs:
            self._want(song, Wish(verb, {}), None)
        self._bridge.tick()
        self._tell_progress()
        self._ticks += 1
        self._look_again()
        if self._takes:  # one a tick: making a clip is the longest thing that Live is asked for
            self._place(song, *self._takes.pop(0))

    def _pressed(self, song: Any, button: Button) -> None:
        on = button.is_on()
        if on == button.is_lit:
            return  # the script's own change
        button.is_lit = on
        if on:
            self._want(song, Wish(button.verb, {}), button)
        else:
            self._cancel(lambda owner: owner.button is button)

    def _look_at_name(self, song: Any) -> None:
        """A command is a name that changes while its clip is selected, not one that was there."""
        clip = selected_clip(song)
        name = "" if clip is None else clip.name
        same, before = clip is not None and clip == self._named, self._name
        self._named, self._name = clip, name
        self._last = self._last if clip is None else clip
        plain = without_command(name)
        if not same or (plain and not plain.startswith(MARK)):
            self._plain = plain
        if clip is None or not same or name == before:
            return
        assert self._protocol is not None
        try:
            wish = read_command(name, self._protocol)
        except Refusal as refusal:  # it may never have been meant as one: the name stays
            self._say(str(refusal))
            return
        if wish is not None:
            clip.name = self._name = self._plain
            self._want(song, wish, None)

    def _want(self, song: Any, wish: Wish, button: Button | None) -> None:
        if wish.verb == CANCEL:
            self._cancel(lambda owner: True)
            return
        try:
            self._ask(song, wish, button)
        except Refusal as refusal:
            self._say(str(refusal))
            if button is not None:
                button.show(False)

    def _ask(self, song: Any, wish: Wish, button: Button | None) -> None:
        assert self._bridge is not None
        clip = selected_clip(song)
        if clip is None:  # so it is for whoever selects the device's track to reach its buttons
            clip = still_there(self._last)
        if clip is None:
            raise Refusal("no clip is selected", "click a clip first")
        of = read_selected(song, clip, title_of(clip.name), replaces=wish.verb == "inpaint")
        panel = button.panel if button is not None else self._panels.first()
        values: dict[str, float] = {} if panel is None else panel.values()
        request = self._request(wish, of, values, "" if panel is None else panel.device.name)
        asked = [(request, False)]
        if wants_draft(values, request.fields):
            draft = request._replace(fields={**request.fields, "refine": 0})
            asked.insert(0, (draft, True))
        if button is not None:
            button.show(True)
        for one, is_draft in asked:
            origin = placing.Origin(one.command, of, one.start_s, is_draft)
            self._bridge.ask(one, Owner(origin, button))
        self._say(f"{of.title}: {request.command} is asked for")

    def _request(self, wish: Wish, of: Selected, values: dict[str, float], panel: str) -> Request:
        """The request for a wish, with what a device's knobs and name say beside it."""
        assert self._protocol is not None
        verb = "melody" if of.is_midi and wish.verb == "accompany" else wish.verb
        knobs = read_knobs(values, verb, self._protocol)
        prompt = read_prompt(panel)
        if prompt:
            knobs["prompt"] = prompt
        wish = Wish(verb, {**knobs, **wish.fields})
        request = make_request(wish, of, self._protocol, self._folder)
        self._choose_seed(request.fields)
        return request

    def _choose_seed(self, fields: dict[str, Any]) -> None:
        """Whoever asks for the same again wants to hear something else."""
        if "seed" not in fields:
            same = repr(sorted(fields.items()))
            fields["seed"] = self._seeds.get(same, 0)
            self._seeds[same] = fields["seed"] + int(fields.get("takes", 1))

    def _cancel(self, meant: Any) -> None:
        assert self._bridge is not None
        jobs = [job for job in self._bridge.jobs if meant(job.owner)]
        for job in jobs:
            self._bridge.cancel(job)
        self._say("cancelled" if jobs else "there is nothing to cancel")

    # What the daemon tells.

    def on_progress(self, job: Job, fraction: float, stage: str) -> None:
        """A job has come so far."""
        done = f"{100 * fraction:.0f} %"
        self._progress = f"{_title(job)}: {placing.label(job.owner.origin)} {done}"

    def on_done(self, job: Job, values: dict[str, Any]) -> None:
        """A take is there; it becomes a clip in a tick of its own."""
        self._takes.append((job, values))

    def on_failed(self, job: Job, refusal: Refusal) -> None:
        """A job, or the whole request, has failed."""
        self._say(f"{_title(job)}: {refusal}")

    def on_ended(self, job: Job) -> None:
        """Nothing more will come of a request."""
        button = job.owner.button
        waiting = [] if self._bridge is None else self._bridge.jobs
        if button is not None and not any(other.owner.button is button for other in waiting):
            button.show(False)

    def on_trouble(self, refusal: Refusal) -> None:
        """Something is wrong with the daemon."""
        self._say(str(refusal))

    def _place(self, song: Any, job: Job, values: dict[str, Any]) -> None:
        take = placing.Take(values["take"], values["path"], values["offset_samples"])
        origin = job.owner.origin
        try:
            if not placing.can_create(origin.of.place.track):
                raise Refusal("this Live lets no script make audio clips (11.3.25 and 12.0.5 do)")
            marker: Any = getattr(Live.Clip, "WarpMarker", None)
            placed = placing.place(song, take, origin, marker)
        except Exception as error:  # Live's own types: a track is gone, a slot is frozen, ...
            if not isinstance(error, Refusal):
                self._log(traceback.format_exc())
            self._say(f"{take.name} is done, but not on a track: {error}. Drag it from {take.path}")
        else:
            self._placed.append((self._ticks + _LOOK_AGAIN_TICKS, placed))
            self._say(f"{_title(job)} {placing.label(origin)} is {placed.where}")

    def _look_again(self) -> None:
        """At a clip that was made two seconds ago."""
        if self._placed and self._placed[0][0] <= self._ticks:
            _, placed = self._placed.pop(0)
            try:
                told = placing.look_again(placed)
            except Exception:  # Live's own type: the musician has deleted it
                return
            if told:
                self._say(f"{placed.new.take.name} {told}")

    def _tell_progress(self) -> None:
        """The newest, once what was said before has been read."""
        now_s = time.monotonic()
        if self._progress and now_s - self._said_s >= _SAY_AGAIN_S:
            self._show(self._progress)
            self._said_s, self._progress = now_s, ""

    def _say(self, text: str) -> None:
        self._said_s, self._progress = time.monotonic(), ""
        self._show(text)
        self._log(text)

    def _show(self, text: str) -> None:
        self._live.show_message("daw-bridge: " + text)

    def _log(self, text: str) -> None:
        self._live.log_message("daw-bridge: " + text)


def _title(job: Job) -> str:
    title: str = job.owner.origin.of.title
    return title


def _live_version() -> str:
    live = Live.Application.get_application()
    parts = (live.get_major_version(), live.get_minor_version(), live.get_bugfix_version())
    return ".".join(map(str, parts))
