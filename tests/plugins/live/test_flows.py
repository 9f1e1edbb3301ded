"""Every flow of the README, in every Live: the script as it is, a real daemon, a fake Live."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import soundfile

from daw_bridge.app import App
from tests.plugins.live.conftest import RATE_HZ, MakeSound, OpenLive
from tests.plugins.live.fake_clips import Clip, WarpMarker
from tests.plugins.live.fake_objects import MidiNote
from tests.plugins.live.fake_song import (
    Song,
    put_audio,
    put_in_arrangement,
    put_midi,
    warp_to,
)
from tests.plugins.live.live_api import VERSIONS, Version, has
from tests.plugins.live.sets import NEWEST, in_slot, request_of

CREATING = [version for version in VERSIONS if has("ClipSlot", "create_audio_clip", version)]
TAKE_S = 0.1  # what the fake engine makes when it is asked for bars


def values(clip: Clip, names: str) -> list[Any]:
    return [clip.f_values[name] for name in names.split()]


@pytest.mark.parametrize("version", CREATING)
def test_extended_clip_comes_into_the_next_free_slot(
    daemon: App, open_live: OpenLive, make_sound: MakeSound, version: Version
) -> None:
    song = Song(version, bpm=97.5)
    track = song.f_add_track("Drums")
    clip = put_audio(song, track, 0, make_sound(), name="Groove")
    warp_to(clip, 97.5)
    host = open_live(song)
    host.rename(clip, "Groove > extend 4 variation 0.7: dusty drums")
    host.until_shown("Groove extend is on Drums")
    assert clip.f_values["name"] == "Groove"
    take = in_slot(track, 1)
    assert values(take, "name warping looping warp_mode gain") == [
        *("Groove extend t-0001", True, False, 4, 0.4)
    ]
    end = TAKE_S * 97.5 / 60
    assert values(take, "start_marker loop_start") == [0.0, 0.0]
    assert values(take, "end_marker loop_end") == pytest.approx([end, end])
    for seconds in (0.0, 0.03, TAKE_S):
        assert take.f_beats(seconds) == pytest.approx(seconds * 97.5 / 60)
    asked = request_of(daemon)
    assert asked["source"] == clip.f_values["file_path"]
    wanted = {"task": "extend", "bars": 4.0, "variation": 0.7, "metre": "4/4", "seed": 0}
    assert wanted.items() <= asked.items()
    assert asked["prompt"] == "dusty drums"
    assert asked["bpm"] == pytest.approx(97.5, abs=1e-9)
    assert asked["position_beats"] == 0.0
    assert song.f_rules.undo_steps == 1


@pytest.mark.parametrize("version", [v for v in VERSIONS if v not in CREATING])
def test_older_live_is_told_where_the_take_is(
    daemon: App, open_live: OpenLive, make_sound: MakeSound, version: Version
) -> None:
    song = Song(version)
    track = song.f_add_track("Drums")
    clip = put_audio(song, track, 0, make_sound())
    host = open_live(song)
    host.rename(clip, "groove > extend 4")
    told = host.until_shown("Drag it from")
    assert "11.3.25" in told
    assert Path(told.rpartition("from ")[2]).is_file()
    assert [slot.f_values["clip"] for slot in track.f_values["clip_slots"]] == [clip, None, None]


def test_slots_that_are_taken_are_left_alone_and_scenes_added(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song = Song(NEWEST, scenes=2)
    track = song.f_add_track("Drums")
    other = put_audio(song, track, 1, make_sound(name="other.wav"))
    clip = put_audio(song, track, 0, make_sound())
    host = open_live(song)
    host.rename(clip, "groove > extend 4")
    host.until_shown("is on Drums")
    assert in_slot(track, 1) is other
    assert in_slot(track, 2).f_values["name"] == "groove extend t-0001"


def test_clip_without_warp_comes_back_without_warp(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song = Song(NEWEST, bpm=133.0)
    track = song.f_add_track("Voice")
    clip = put_audio(song, track, 0, make_sound())
    clip.f_set_warping(False)
    host = open_live(song)
    host.rename(clip, "voice > extend 2 side start")
    host.until_shown("is on Voice")
    take = in_slot(track, 1)
    assert values(take, "warping start_marker loop_end") == [False, 0.0, pytest.approx(TAKE_S)]
    asked = request_of(daemon)
    assert (asked["bpm"], asked["side"], asked["bars"]) == (pytest.approx(133.0), "start", 2.0)


@pytest.mark.parametrize("first_beat_s", [0.0, 0.02])
def test_loop_loops_on_the_grid_whatever_live_has_guessed(
    daemon: App, open_live: OpenLive, make_sound: MakeSound, first_beat_s: float
) -> None:
    song = Song(NEWEST, bpm=120.0)
    track = song.f_add_track("Drums")
    track.f_first_beat_s = first_beat_s
    clip = put_audio(song, track, 0, make_sound(4.0))
    clip.f_set_warping(False)
    host = open_live(song)
    host.rename(clip, "groove > loop")
    host.until_shown("is on Drums")
    take = in_slot(track, 1)
    assert values(take, "warping looping loop_start") == [True, True, 0.0]
    assert take.f_values["warp_mode"] == 0
    assert take.f_values["loop_end"] == pytest.approx(TAKE_S * 2)
    assert [take.f_beats(s) for s in (0.0, 0.04, 0.1)] == pytest.approx([0.0, 0.08, 0.2])
    assert request_of(daemon)["bars"] == 2.0  # as long as the clip: 4 s at 120


def test_file_that_plays_in_another_tempo_keeps_its_own(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song = Song(NEWEST, bpm=120.0)
    track = song.f_add_track("Drums")
    clip = put_audio(song, track, 0, make_sound(), looping=True)
    warp_to(clip, 90.0)
    host = open_live(song)
    host.rename(clip, "groove > vary fresh 0.3")
    host.until_shown("is on Drums")
    assert request_of(daemon)["bpm"] == pytest.approx(90.0, abs=1e-9)
    take = in_slot(track, 1)
    assert take.f_values["looping"]
    assert take.f_values["loop_end"] == pytest.approx(TAKE_S * 1.5)


def test_warp_markers_are_the_files_tempo_map(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song = Song(NEWEST, bpm=120.0)
    track = song.f_add_track("Drums")
    clip = put_audio(song, track, 0, make_sound(4.0))
    # Four beats in two seconds, then four in one, and on like that.
    clip.f_markers = [WarpMarker(0.0, 0.0), WarpMarker(2.0, 4.0), WarpMarker(3.0, 8.0)]
    clip.f_reset()
    host = open_live(song)
    host.rename(clip, "live > extend seconds 3.5")
    host.until_shown("is on Drums")
    asked = request_of(daemon)
    assert asked["tempo_map"] == "0:120,4:240"
    assert "bpm" not in asked
    take = in_slot(track, 1)
    assert take.f_length_s == 3.5
    assert [take.f_beats(s) for s in (1.0, 2.0, 2.5, 3.5)] == pytest.approx([2, 4, 6, 10])


def test_part_of_a_clip_is_cut_bit_for_bit(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song = Song(NEWEST, bpm=120.0)
    track = song.f_add_track("Drums")
    path = make_sound(8.0)
    clip = put_audio(song, track, 0, path)
    warp_to(clip, 120.0)
    clip.f_values.update(looping=True, loop_start=2.0, loop_end=10.0)
    host = open_live(song)
    host.rename(clip, "groove > extend 1")
    host.until_shown("is on Drums")
    asked = request_of(daemon)
    sent, _ = soundfile.read(asked["source"], dtype="int32")
    whole, _ = soundfile.read(path, dtype="int32")
    assert np.array_equal(sent, whole[RATE_HZ : 5 * RATE_HZ])
    assert asked["position_beats"] == 2.0


def test_region_in_the_clips_brace_is_replaced(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song = Song(NEWEST, bpm=120.0)
    track = song.f_add_track("Drums")
    clip = put_audio(song, track, 0, make_sound(8.0))
    warp_to(clip, 120.0)
    clip.f_values.update(looping=True, loop_start=4.0, loop_end=6.0)
    host = open_live(song)
    host.rename(clip, "groove > inpaint")
    host.until_shown("is on Drums")
    asked = request_of(daemon)
    assert asked["source"] == clip.f_values["file_path"]
    assert (asked["start"], asked["end"]) == pytest.approx((2.0, 3.0))


@pytest.mark.parametrize("version", CREATING)
def test_arrangement_clip_comes_to_its_place_on_a_track_for_takes(
    daemon: App, open_live: OpenLive, make_sound: MakeSound, version: Version
) -> None:
    song = Song(version, bpm=120.0)
    track = song.f_add_track("Drums")
    song.f_add_track("Bass")
    clip = put_in_arrangement(song, track, 16.0, make_sound(4.0))
    warp_to(clip, 120.0)
    song.f_values["signature_numerator"] = 3
    host = open_live(song)
    host.rename(clip, "groove > extend 4")
    assert "at bar 6" in host.until_shown("is on Drums takes")
    names = [track.f_values["name"] for track in song.f_values["tracks"]]
    assert names == ["Drums", "Drums takes", "Bass"]
    takes = song.f_values["tracks"][1]
    (take,) = takes.f_values["arrangement_clips"]
    assert take.f_values["start_time"] == 16.0
    assert take.f_get_end_time() == pytest.approx(16.0 + TAKE_S * 2)
    assert all(slot.f_values["clip"] is None for slot in takes.f_values["clip_slots"])
    assert request_of(daemon)["position_beats"] == 16.0
    assert request_of(daemon)["metre"] == "3/4"
    # Once more: the place is taken, and nothing is written over.
    host.rename(clip, "groove > extend 4")
    host.until_shown("is on Drums takes 2")
    assert not any(track.f_overwritten for track in song.f_values["tracks"])
    assert request_of(daemon, "j-0002")["seed"] == 1


def test_song_loop_marks_a_part_of_an_arrangement_clip(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song = Song(NEWEST, bpm=120.0)
    track = song.f_add_track("Drums")
    clip = put_in_arrangement(song, track, 8.0, make_sound(8.0))
    warp_to(clip, 120.0)
    song.f_values.update(loop=True, loop_start=12.0, loop_length=4.0)
    host = open_live(song)
    host.rename(clip, "groove > loop")
    host.until_shown("groove loop is on Drums takes")
    asked = request_of(daemon)
    assert asked["position_beats"] == 12.0
    assert soundfile.info(asked["source"]).frames == 2 * RATE_HZ
    (take,) = song.f_values["tracks"][1].f_values["arrangement_clips"]
    assert take.f_values["start_time"] == 12.0
    host.rename(clip, "groove > inpaint")
    host.until_shown("groove inpaint is on")
    asked = request_of(daemon, "j-0002")
    assert (asked["start"], asked["end"]) == pytest.approx((2.0, 4.0))
    assert asked["position_beats"] == 8.0


def test_accompaniment_lies_beside_its_clip(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song = Song(NEWEST)
    track = song.f_add_track("Guitar")
    clip = put_in_arrangement(song, track, 4.0, make_sound(4.0))
    warp_to(clip, 120.0)
    song.f_values.update(scale_mode=True, root_note=9, scale_name="Minor")
    host = open_live(song)
    host.rename(clip, "riff > accompany roles drums,bass")
    host.until_shown("riff accompany is on Guitar takes")
    asked = request_of(daemon)
    assert (asked["key"], asked["roles"]) == ("A minor", ["drums", "bass"])


@pytest.mark.parametrize("task", ["accompany", "extend 1"])
def test_a_transposed_clip_is_told_in_its_files_key_and_answered_in_its_own(
    daemon: App, open_live: OpenLive, make_sound: MakeSound, task: str
) -> None:
    """The file goes out as it is, three semitones below what sounds in a song in A minor."""
    song = Song(NEWEST)
    track = song.f_add_track("Guitar")
    clip = put_in_arrangement(song, track, 4.0, make_sound(4.0))
    warp_to(clip, 120.0)
    clip.f_values.update(pitch_coarse=3, pitch_fine=12.0)
    song.f_values.update(scale_mode=True, root_note=9, scale_name="Minor")
    host = open_live(song)
    host.rename(clip, f"riff > {task}")
    host.until_shown("is on Guitar takes")
    assert request_of(daemon)["key"] == "F# minor"
    (takes,) = [each for each in song.f_values["tracks"] if each.f_values["name"] == "Guitar takes"]
    (made,) = takes.f_values["arrangement_clips"]
    assert (made.f_values["pitch_coarse"], made.f_values["pitch_fine"]) == (3, 12.0)


@pytest.mark.parametrize("version", [(11, 3, 25), NEWEST])
def test_midi_clip_becomes_a_melody(daemon: App, open_live: OpenLive, version: Version) -> None:
    song = Song(version, bpm=101.0)
    track = song.f_add_track("Piano", audio=False)
    rules = song.f_rules
    notes = [
        MidiNote(rules, 60, 4.0, 1.0, 90.0),
        MidiNote(rules, 64, 5.5, 10.0),
        MidiNote(rules, 67, 6.0, 1.0, mute=True),
        MidiNote(rules, 72, 1.0, 1.0),
    ]
    clip = put_midi(
        song, track, 1, notes, 16.0, looping=True, loop_start=4.0, loop_end=8.0,
        signature_numerator=2,
    )  # fmt: skip
    song.f_values.update(root_note=4, scale_name="Minor")
    host = open_live(song)
    host.rename(clip, "tune > accompany : slow jazz")
    host.until_shown("tune melody is on Piano takes")
    asked = request_of(daemon)
    assert (asked["task"], asked["bars"], asked["prompt"]) == ("melody", 2.0, "slow jazz")
    assert asked["bpm"] == pytest.approx(101.0)
    assert asked.get("key") == ("E minor" if version < (12, 0, 0) else None)
    file = mido.MidiFile(asked["melody"])
    heard = [message for message in file if message.type in ("note_on", "note_off")]
    beat_s = 60 / 101
    assert [(m.type, m.note, round(m.time / beat_s, 3)) for m in heard] == [
        *(("note_on", 60, 0.0), ("note_off", 60, 1.0)),
        *(("note_on", 64, 0.5), ("note_off", 64, 2.5)),
    ]
    assert heard[0].velocity == 90
    assert file.length == pytest.approx(4 * beat_s, rel=1e-5)
    (metre,) = [message for message in file if message.type == "time_signature"]
    assert (metre.numerator, metre.denominator) == (2, 4)
    takes = song.f_values["tracks"][1]
    assert takes.f_values["has_audio_input"]
    take = in_slot(takes, 1)
    assert values(take, "warping looping") == [True, True]
    assert take.f_values["loop_end"] == pytest.approx(TAKE_S * 101 / 60)


def test_edition_without_scenes_gets_its_take_in_the_arrangement(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    for number, version in enumerate(CREATING, start=1):
        song = Song(version, scenes=0)
        song.f_max_scenes = 0
        track = song.f_add_track("Drums")
        clip = put_in_arrangement(song, track, 4.0, make_sound(4.0))
        warp_to(clip, 120.0)
        host = open_live(song)
        host.rename(clip, "groove > extend 4")
        host.until_shown("is on Drums takes")
        (take,) = song.f_values["tracks"][1].f_values["arrangement_clips"]
        assert take.f_values["name"] == f"groove extend t-{number:04}"
        assert take.f_beats(0.1) == pytest.approx(0.2)
