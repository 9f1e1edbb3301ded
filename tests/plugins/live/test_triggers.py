"""How the musician asks: the device's buttons, MIDI notes, names; and what is said back."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest

from daw_bridge.app import App
from tests.plugins.live.conftest import MakeSound, OpenLive
from tests.plugins.live.fake_live import PLUGIN
from tests.plugins.live.fake_objects import MidiNote
from tests.plugins.live.fake_song import put_audio, put_midi
from tests.plugins.live.sets import a_set, in_slot, look_everywhere, put_device, request_of

CHANNEL_16 = 15


def test_button_of_the_device_asks_with_its_knobs(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song, track, _ = a_set(make_sound)
    knobs = put_device(
        song, "daw-bridge: warm tape", Bars=8.0, Variation=0.25, Refine=3.0, Overlap=2.5,
        Crossfade=12.0, Side=1.0, Candidates=2.0, Fresh=0.9, Drums=1.0,
    )  # fmt: skip
    host = open_live(song)
    look_everywhere(host)
    host.press(knobs["Extend"])
    host.until(lambda: host.surface._bridge.jobs)
    assert knobs["Extend"].f_values["value"] == 1.0  # lit while it runs
    host.until_shown("groove extend is on Drums")
    assert knobs["Extend"].f_values["value"] == 0.0
    assert in_slot(track, 1).f_values["name"] == "groove extend t-0001"
    wanted: dict[str, Any] = {
        "task": "extend", "bars": 8.0, "variation": 0.25, "refine": 3, "overlap": 2.5,
        "crossfade_ms": 12.0, "side": "start", "candidates": 2, "prompt": "warm tape",
    }  # fmt: skip
    asked = request_of(daemon)
    assert wanted.items() <= asked.items()
    assert "fresh" not in asked  # a knob of another verb
    host.press(knobs["Accompany"])
    host.until_shown("groove accompany is on Drums")
    assert request_of(daemon, "j-0002")["roles"] == ["drums"]
    host.press(knobs["Vary"])
    host.until_shown("groove vary is on Drums")
    asked = request_of(daemon, "j-0003")
    assert (asked["task"], asked["fresh"], asked["variation"]) == ("vary", 0.9, 0.25)
    assert not {"bars", "side", "overlap", "crossfade_ms", "roles"} & asked.keys()


def test_draft_lands_first_and_the_refined_take_after_it(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song, track, clip = a_set(make_sound)
    clip.f_values.update(looping=True, loop_start=1.0, loop_end=7.0)  # a part, which is copied
    knobs = put_device(song, Draft=1.0)
    host = open_live(song)
    look_everywhere(host)
    host.press(knobs["Extend"])
    host.until_shown("groove extend draft is on Drums")
    host.until_shown("groove extend is on Drums")
    names = [in_slot(track, row).f_values["name"] for row in (1, 2)]
    assert names == ["groove extend draft t-0001", "groove extend t-0002"]
    drafted, refined = request_of(daemon), request_of(daemon, "j-0002")
    assert (drafted["refine"], refined["refine"]) == (0, 8)
    assert {**drafted, "refine": 8} == refined
    assert knobs["Extend"].f_values["value"] == 0.0
    knobs["Refine"].f_set_value(0.0)
    host.press(knobs["Extend"])
    host.until(lambda: len(track.f_values["clip_slots"]) == 4)
    host.until(lambda: not host.surface._bridge.jobs)
    host.tick()
    assert len(track.f_values["clip_slots"]) == 4  # one take more: it is a draft already


def test_several_takes_each_get_a_slot(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song, track, _ = a_set(make_sound)
    knobs = put_device(song, Takes=3.0)
    host = open_live(song)
    look_everywhere(host)
    host.press(knobs["Vary"])
    host.until(lambda: len([text for text in host.shown if "is on" in text]) == 3)
    names = [in_slot(track, row).f_values["name"] for row in (1, 2, 3)]
    assert names == [f"groove vary t-000{n}" for n in (1, 2, 3)]
    assert knobs["Vary"].f_values["value"] == 0.0
    host.press(knobs["Vary"])
    host.until(lambda: len([text for text in host.shown if "is on" in text]) == 6)
    assert request_of(daemon, "j-0004")["seed"] == 3


def test_second_click_cancels(daemon: App, open_live: OpenLive, make_sound: MakeSound) -> None:
    song, track, _ = a_set(make_sound)
    knobs = put_device(song, "daw-bridge: sleep=60")
    host = open_live(song)
    look_everywhere(host)
    host.press(knobs["Loop"])
    host.until_shown("groove: loop 25 %")
    host.press(knobs["Loop"])
    host.until_shown("cancelled")
    host.until(lambda: not host.surface._bridge.jobs)
    assert knobs["Loop"].f_values["value"] == 0.0
    assert not track.f_values["clip_slots"][1].f_values["clip"]


def test_button_that_cannot_help_goes_out_and_says_why(
    open_live: OpenLive, make_sound: MakeSound
) -> None:
    song, _, clip = a_set(make_sound)
    knobs = put_device(song)
    view = song.f_values["view"].f_values
    view["detail_clip"] = None
    host = open_live(song)
    look_everywhere(host)
    for verb, selected, words in (
        ("Extend", None, "click a clip first"),
        ("Inpaint", clip, "put the loop brace around it"),
    ):
        view["detail_clip"] = selected
        host.press(knobs[verb])
        host.until_shown(words)
        assert knobs[verb].f_values["value"] == 0.0


def test_clip_that_was_selected_last_counts_while_the_devices_track_is_selected(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song, track, clip = a_set(make_sound)
    knobs = put_device(song)  # on the main track, which has no clips
    host = open_live(song)
    look_everywhere(host)
    song.f_values["view"].f_values["detail_clip"] = None
    look_everywhere(host)
    host.press(knobs["Extend"])
    host.until_shown("groove extend is on Drums")
    track.f_values["clip_slots"][0].f_values["clip"] = None
    clip.f_values.clear()  # deleted: any look at it raises
    host.press(knobs["Extend"])
    host.until_shown("click a clip first")


def test_set_that_was_saved_with_a_lit_button_asks_for_nothing(
    open_live: OpenLive, make_sound: MakeSound
) -> None:
    song, _, _ = a_set(make_sound)
    knobs = put_device(song, Extend=1.0)
    host = open_live(song)
    look_everywhere(host)
    assert knobs["Extend"].f_values["value"] == 0.0
    assert not host.surface._bridge.jobs


def test_device_that_is_deleted_is_forgotten(open_live: OpenLive, make_sound: MakeSound) -> None:
    song, _, _ = a_set(make_sound)
    knobs = put_device(song)
    host = open_live(song)
    look_everywhere(host)
    assert knobs["Extend"].f_listeners
    song.f_values["master_track"].f_values["devices"] = ()
    look_everywhere(host)
    look_everywhere(host)
    assert not knobs["Extend"].f_listeners
    host.surface.disconnect()


@pytest.mark.parametrize(
    ("note", "task"),
    [(36, "extend"), (37, "loop"), (39, "melody"), (40, "accompany"), (41, "vary")],
)
def test_note_on_channel_16_asks(
    daemon: App, open_live: OpenLive, make_sound: MakeSound, note: int, task: str
) -> None:
    song, _, _ = a_set(make_sound)
    if task == "melody":
        tune = [MidiNote(song.f_rules, 60, 0.0, 1.0)]
        put_midi(song, song.f_add_track("Keys", audio=False), 0, tune, 8.0)
    host = open_live(song)
    host.surface.build_midi_map(99)
    assert (CHANNEL_16, note) in host.instance.forwarded
    host.surface.receive_midi((0x80 + CHANNEL_16, note, 0))
    host.surface.receive_midi((0x90, note, 100))
    host.surface.receive_midi((0x90 + CHANNEL_16, note, 0))
    host.tick()
    assert not host.surface._bridge.jobs
    host.surface.receive_midi((0x90 + CHANNEL_16, note, 100))
    host.until_shown(f"{task} is on ")
    assert request_of(daemon)["task"] == task


def test_note_cancels(daemon: App, open_live: OpenLive, make_sound: MakeSound) -> None:
    song, _, clip = a_set(make_sound)
    host = open_live(song)
    host.rename(clip, "groove > extend 4: sleep=60")
    host.until_shown("25 %")
    host.surface.receive_midi((0x90 + CHANNEL_16, 42, 1))
    host.until(lambda: not host.surface._bridge.jobs)
    host.until_shown("cancelled")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("> dance 4", "no command 'dance'"),
        (">", "no command ''"),
        ("> extend 4 side", "side has no value"),
        ("> extend 4 colour red", "extend knows no 'colour'"),
        ("> extend bars much", "it must be a number"),
        ("groove > cancel that", "write `> cancel` and nothing more"),
        ("groove > cancel: that", "write `> cancel` and nothing more"),
    ],
)
def test_command_that_cannot_be_read_says_what_to_do(
    open_live: OpenLive, make_sound: MakeSound, name: str, words: str
) -> None:
    song, _, clip = a_set(make_sound)
    host = open_live(song)
    host.rename(clip, name)
    host.until_shown(words)
    assert clip.f_values["name"] == name  # to be mended, or not meant as a command at all
    assert not host.surface._bridge.jobs


@pytest.mark.parametrize(
    "name",
    [
        "Intro > Verse",
        "Verse -> Loop",
        "Dry=>vary",
        "Kick > extended",
        "Take > loop the loop",
        "Noise > cancel culture",
        "> 9000",
        "A > B > C",
    ],
)
def test_name_with_a_mark_that_is_no_command_stays(
    open_live: OpenLive, make_sound: MakeSound, name: str
) -> None:
    song, _, clip = a_set(make_sound)
    host = open_live(song)
    host.rename(clip, name)
    for _ in range(3):
        host.tick()
        assert clip.f_values["name"] == name
    assert not host.surface._bridge.jobs


@pytest.mark.parametrize(
    ("names", "plain"),
    [
        (["Intro > Verse", "Intro > Verse > extend 4"], "Intro > Verse"),
        (["Intro > Verse", "> extend 4"], "Intro > Verse"),
        (["groove > extend 4 side", "groove > extend 4 side start"], "groove"),
        (["> extnd 4", "> extend 4"], "groove"),
        (["> extend 4: a > b > loop"], "groove"),
        (["A -> B > Extend 4"], "A -> B"),
    ],
)
def test_command_leaves_the_name_that_it_was_added_to(
    daemon: App, open_live: OpenLive, make_sound: MakeSound, names: list[str], plain: str
) -> None:
    song, track, clip = a_set(make_sound)
    host = open_live(song)
    for name in names:
        host.rename(clip, name)
        host.tick()
    assert clip.f_values["name"] == plain
    host.until_shown(f"{plain} extend is on Drums")
    assert in_slot(track, 1).f_values["name"] == f"{plain} extend t-0001"
    asked = request_of(daemon)
    assert (asked["task"], asked["bars"]) == ("extend", 4.0)
    assert asked["prompt"] == names[-1].partition(": ")[2]


def test_values_are_checked_by_the_daemon(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song, _, clip = a_set(make_sound)
    host = open_live(song)
    for command, words in (
        ("extend 4 variation 7", "must be 0 to 1"),
        ("extend 4 side left", "must be one of end, start"),
        ("extend inf", "must be a finite number"),
        ("melody", "groove melody is on Drums"),  # of a recorded voice
    ):
        host.rename(clip, f"> {command}")
        host.until_shown(words)
        assert clip.f_values["name"] == "groove"


def test_name_that_was_there_before_is_no_command(
    open_live: OpenLive, make_sound: MakeSound
) -> None:
    song, track, clip = a_set(make_sound)
    clip.f_values["name"] = "A > loop"
    other = put_audio(song, track, 1, make_sound(), name="B > extend 4")
    host = open_live(song)
    for selected in (clip, other, clip, None, other):
        song.f_values["view"].f_values["detail_clip"] = selected
        host.tick()
        host.tick()
    assert not host.surface._bridge.jobs
    assert not host.shown


def test_highlighted_slot_counts_where_no_clip_is_in_view(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song, track, _ = a_set(make_sound)
    view = song.f_values["view"].f_values
    view.update(detail_clip=None, highlighted_clip_slot=track.f_values["clip_slots"][0])
    host = open_live(song)
    host.surface.receive_midi((0x90 + CHANNEL_16, 36, 100))
    host.until_shown("groove extend is on Drums")


def test_readme_lists_the_notes() -> None:
    text = (PLUGIN / "README.md").read_text(encoding="utf-8").replace("\n", " ")
    (notes,) = [
        ast.literal_eval(node.value)
        for node in ast.parse((PLUGIN / "DawBridge/surface.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_NOTES"
    ]
    assert ", ".join(f"{note} {verb}" for note, verb in notes.items()) in re.sub(" +", " ", text)
