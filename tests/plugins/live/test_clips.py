"""Clips that cannot be used as they are, and what is said; odd places of clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from daw_bridge.app import App
from tests.plugins.live.conftest import RATE_HZ, MakeSound, OpenLive
from tests.plugins.live.fake_clips import AudioClip, WarpMarker
from tests.plugins.live.fake_live import Instance
from tests.plugins.live.fake_objects import LiveObject, MidiNote
from tests.plugins.live.fake_song import Song, put_audio, put_in_arrangement, put_midi, warp_to
from tests.plugins.live.live_api import VERSIONS, has
from tests.plugins.live.sets import NEWEST, a_set, in_slot, look_everywhere, put_device, request_of


@pytest.mark.parametrize(
    ("values", "command", "words"),
    [
        ({"is_recording": True}, "extend", "stop the recording first"),
        ({"file_path": "/nowhere/gone.wav"}, "extend", "cannot be read"),
        ({"loop_start": 900.0, "loop_end": 904.0}, "extend", "no sound in the clip's loop"),
        ({}, "inpaint", "put the loop brace around it"),
        ({}, "inpaint 4", "inpaint knows no 'bars'"),
    ],
)
def test_clip_that_cannot_be_used_says_why(
    open_live: OpenLive,
    make_sound: MakeSound,
    values: dict[str, Any],
    command: str,
    words: str,
) -> None:
    song, _, clip = a_set(make_sound)
    clip.f_values.update(values)
    host = open_live(song)
    host.rename(clip, f"groove > {command}")
    host.until_shown(words)
    assert not host.surface._bridge.jobs


def test_transposed_clip_without_warp_is_refused(
    open_live: OpenLive, make_sound: MakeSound
) -> None:
    song, _, clip = a_set(make_sound)
    clip.f_set_warping(False)
    clip.f_values["pitch_coarse"] = 3
    host = open_live(song)
    host.rename(clip, "groove > extend")
    host.until_shown("switch Warp on")


def test_empty_melody_is_refused(open_live: OpenLive) -> None:
    song = Song(NEWEST)
    late = [MidiNote(song.f_rules, 60, 9.0, 1.0), MidiNote(song.f_rules, 60, 0.0, 1.0, mute=True)]
    clip = put_midi(song, song.f_add_track("Keys", audio=False), 0, late, 4.0)
    host = open_live(song)
    host.rename(clip, "tune > melody")
    host.until_shown("no notes here")
    host.rename(clip, "tune > loop 4")
    host.until_shown("loop is for audio clips")


@pytest.mark.parametrize("version", VERSIONS)
def test_other_files_go_whole_or_not_at_all(
    daemon: App, open_live: OpenLive, tmp_path: Path, version: tuple[int, int, int]
) -> None:
    path = tmp_path / "clips" / "groove.flac"
    soundfile.write(path, np.zeros((4 * RATE_HZ, 2)), RATE_HZ)
    song = Song(version)
    clip = put_audio(song, song.f_add_track("Drums"), 0, str(path))
    warp_to(clip, 120.0)
    host = open_live(song)
    if version != (11, 0, 0):  # which does not tell the sample rate
        host.rename(clip, "groove > extend 4")
        creates = has("ClipSlot", "create_audio_clip", version)
        host.until_shown("is on Drums" if creates else "Drag it from")
        assert request_of(daemon)["source"] == str(path)
    clip.f_values.update(looping=True, loop_end=4.0)
    host.rename(clip, "groove > extend 4")
    host.until_shown("Crop Sample")


def test_recording_with_a_thousand_warp_markers(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song = Song(NEWEST)
    track = song.f_add_track("Live")
    clip = put_audio(song, track, 0, make_sound(30.0))
    steps = np.random.default_rng(5).uniform(0.024, 0.03, 1000)
    times = [0.0, *np.cumsum(steps).tolist()]
    clip.f_markers = [WarpMarker(second, place / 16) for place, second in enumerate(times)]
    clip.f_reset()
    host = open_live(song)
    host.rename(clip, "jam > extend 1")
    host.until_shown("jam extend is on Live")
    assert len(request_of(daemon)["tempo_map"].split(",")) == 1000
    take = in_slot(track, 1)
    for seconds in (0.03, 0.06, 0.099):
        assert take.f_beats(seconds) == pytest.approx(clip.f_beats(seconds), abs=1e-6)


def test_part_goes_on_in_its_last_tempo(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song = Song(NEWEST)
    track = song.f_add_track("Live")
    clip = put_audio(song, track, 0, make_sound(8.0))
    clip.f_markers = [WarpMarker(s, b) for s, b in ((0, 0), (2, 4), (3, 8), (5, 10))]
    clip.f_reset()
    clip.f_values.update(looping=True, loop_start=2.0, loop_end=7.0)
    host = open_live(song)
    host.rename(clip, "jam > extend seconds 4")
    host.until_shown("jam extend is on Live")
    # The part has 120 and 240 bpm; the 60 bpm behind it are nobody's business.
    assert request_of(daemon)["tempo_map"] == "0:120,4:240"
    take = in_slot(track, 1)
    assert [take.f_beats(s) for s in (0.0, 1.0, 2.0, 4.0)] == pytest.approx([0, 2, 6, 14])


def refuse(clip: AudioClip, marker: WarpMarker) -> None:
    raise RuntimeError("no more markers")


def ignore(clip: AudioClip, marker: WarpMarker) -> None:
    """As a Live would that knows better."""


@pytest.mark.parametrize(
    ("answer", "words"), [(refuse, "(no more markers)"), (ignore, "-0.045 beats off the grid")]
)
def test_live_that_does_not_take_warp_markers_is_told_of(
    daemon: App,
    open_live: OpenLive,
    make_sound: MakeSound,
    monkeypatch: pytest.MonkeyPatch,
    answer: Any,
    words: str,
) -> None:
    song, track, clip = a_set(make_sound)
    monkeypatch.setattr(AudioClip, "f_call_add_warp_marker", answer)
    host = open_live(song)
    host.rename(clip, "groove > extend 1")
    told = host.until_shown("look at its warp markers")
    assert "on Drums, but" in told
    assert words in told
    assert in_slot(track, 1).f_values["name"] == "groove extend t-0001"


def test_clip_that_live_warps_later_is_put_back_on_the_grid(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song, track, clip = a_set(make_sound)
    clip.f_set_looping(True)
    host = open_live(song)
    for row in (1, 2):
        host.rename(clip, "groove > extend 1")
        host.until(lambda row=row: track.f_values["clip_slots"][row].f_values["clip"])
    analysed, deleted = in_slot(track, 1), in_slot(track, 2)
    analysed.f_markers = [WarpMarker(0.0, 0.0), WarpMarker(0.05, 0.08)]
    analysed.f_reset()
    deleted.f_values.clear()
    host.until_shown("t-0001 is back on the grid")
    assert [analysed.f_beats(s) for s in (0.0, 0.05, 0.1)] == pytest.approx([0.0, 0.1, 0.2])
    assert (analysed.f_values["looping"], analysed.f_values["loop_end"]) == (True, 0.2)
    for _ in range(30):
        host.tick()


def test_take_of_a_take_keeps_its_name_short(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song, track, clip = a_set(make_sound)
    clip.f_values["name"] = "groove extend t-0007"
    host = open_live(song)
    host.rename(clip, "groove extend t-0007 > vary")
    host.until_shown("groove vary is on Drums")
    assert in_slot(track, 1).f_values["name"] == "groove vary t-0001"
    assert clip.f_values["name"] == "groove extend t-0007"


def test_clip_that_is_deleted_meanwhile_still_gets_its_take(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song, track, clip = a_set(make_sound)
    host = open_live(song)
    host.rename(clip, "groove > extend 4: sleep=0.3")
    host.until_shown("is asked for")
    track.f_values["clip_slots"][0].f_values["clip"] = None
    song.f_values["view"].f_values["detail_clip"] = None
    clip.f_values.clear()  # any look at it raises now
    host.until_shown("groove extend is on Drums")
    assert in_slot(track, 1).f_values["gain"] == 0.4


def test_clip_in_a_take_lane_belongs_to_its_track(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song = Song(NEWEST)
    track = song.f_add_track("Voice")
    clip = put_in_arrangement(song, track, 4.0, make_sound())
    clip.f_values["canonical_parent"] = TakeLane(song.f_rules, canonical_parent=track)
    warp_to(clip, 120.0)
    host = open_live(song)
    host.rename(clip, "voice > vary")
    host.until_shown("voice vary is on Voice takes at bar 2")


class TakeLane(LiveObject):
    f_class = "TakeLane"


def test_looped_arrangement_clip_sends_its_loop(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song = Song(NEWEST)
    track = song.f_add_track("Drums")
    clip = put_in_arrangement(song, track, 32.0, make_sound(8.0))
    warp_to(clip, 120.0)
    clip.f_values.update(looping=True, start_marker=2.0, loop_start=4.0, loop_end=8.0)
    song.f_values.update(loop=True, loop_start=33.0, loop_length=1.0)
    host = open_live(song)
    host.rename(clip, "groove > extend 1")
    host.until_shown("is on Drums takes")
    asked = request_of(daemon)
    assert soundfile.info(asked["source"]).frames == 2 * RATE_HZ
    assert asked["position_beats"] == 34.0


def test_place_that_is_free_is_on_the_clips_own_track(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song = Song(NEWEST)
    keys = song.f_add_track("Keys", audio=False)
    tune = [MidiNote(song.f_rules, 60, 0.0, 1.0)]
    clip = put_midi(song, keys, 0, tune, 4.0, start_time=8.0, canonical_parent=keys)
    host = open_live(song)
    host.rename(clip, "tune > melody")
    host.until_shown("tune melody is on Keys takes at bar 3")
    host.rename(clip, "tune > melody")
    host.until_shown("tune melody is on Keys takes 2 at bar 3")
    assert [track.f_values["name"] for track in song.f_values["tracks"]] == [
        *("Keys", "Keys takes", "Keys takes 2")
    ]


def test_knobs_count_for_what_a_name_does_not_say(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song, _, clip = a_set(make_sound)
    put_device(song, "daw-bridge: tape", Variation=0.9, Refine=2.0)
    host = open_live(song)
    look_everywhere(host)
    host.rename(clip, "groove > extend 2 refine 1")
    host.until_shown("is on Drums")
    wanted = {"variation": 0.9, "refine": 1, "bars": 2.0, "prompt": "tape"}
    assert wanted.items() <= request_of(daemon).items()


def test_name_cancels_everything(daemon: App, open_live: OpenLive, make_sound: MakeSound) -> None:
    song, _, clip = a_set(make_sound)
    host = open_live(song)
    host.rename(clip, "groove > extend 4: sleep=60")
    host.until_shown("is asked for")
    host.rename(clip, "groove > vary: sleep=60")
    host.until_shown("vary is asked for")
    host.rename(clip, "groove > cancel")
    host.until(lambda: not host.surface._bridge.jobs)
    assert clip.f_values["name"] == "groove"
    host.rename(clip, "groove > cancel")
    host.until_shown("there is nothing to cancel")


def test_surface_that_is_chosen_twice_asks_once(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song, _, clip = a_set(make_sound)
    host = open_live(song)
    first, second = host.surface, __import__("DawBridge").create_instance(Instance(song))
    host.tick()
    second.update_display()
    clip.f_values["name"] = "groove > extend 1"
    for _ in range(5):
        first.update_display()
        second.update_display()
    assert first._bridge is None
    assert len(second._bridge.jobs) == 1
    second.disconnect()
