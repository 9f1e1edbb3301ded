"""A saved session of Ardour: a trimmed clip on one track, two melodies on the track Melody.

The tempo and the metre change within the second melody, far from its beginning, where the clip
lies again by the name `late clip`. Behind that a ramp leads to the last tempo.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import mido
import soundfile

from tests.plugins.ardour.ardour import lua

BPM = 97.5
RATE_HZ = 44_100  # that of the house model, so that nothing is resampled
CLIP_AT = 156_000
CLIP_STARTS = 4_800
MELODY_AT_BEATS = 4
MELODY_BEATS = 2
LONG_MELODY_AT_BEATS = 8
LONG_MELODY_BEATS = 700
CHANGE_AT_BEATS = 656
CHANGED_BPM = 150
CHANGED_METRE = "3/4"
RAMP_AT_BEATS = 664
RAMP_BEATS = 16
RAMP_BPM = (120, 160)
LATE_CLIP_AT = int(CHANGE_AT_BEATS * 60 / BPM * RATE_HZ)  # as Ardour puts a region on the change
_SUPERCLOCK = 282_240_000 // RATE_HZ
_TICKS = 1920
_BUILD = """
create_session("{folder}", "song", {rate_hz})
local order, mode = ARDOUR.PresentationInfo.max_order, ARDOUR.TrackMode.Normal
Session:new_audio_track(2, 2, nil, 1, {track}, order, mode, true, false)
local one = ARDOUR.ChanCount(ARDOUR.DataType("midi"), 1)
Session:new_midi_track(one, one, true, ARDOUR.PluginInfo(), nil, nil, 1, "Melody", order, mode,
                       true, false)
local map = Temporal.TempoMap.fetch_writable()
map:set_tempo(Temporal.Tempo({bpm}, {bpm}, 4), Temporal.timepos_t(0))
local change = Temporal.timepos_t.from_ticks({change_ticks})
map:set_tempo(Temporal.Tempo({changed_bpm}, {changed_bpm}, 4), change)
map:set_meter(Temporal.Meter({changed_metre}), change)
-- A tempo with an end of its own would be a ramp in name only: Ardour computes it in set_ramped.
local ramp = Temporal.timepos_t.from_ticks({ramp_ticks})
local point = map:set_tempo(Temporal.Tempo({ramp_bpm}, {ramp_bpm}, 4), ramp)
local ramped = Temporal.timepos_t.from_ticks({ramped_ticks})
map:set_tempo(Temporal.Tempo({ramped_bpm}, {ramped_bpm}, 4), ramped)
assert(map:set_ramped(point, true))
Temporal.TempoMap.update(map)
map = nil
Session:save_state("")
close_session()
quit()
"""


def make_session(
    folder: Path, clip: Path, home: Path, *, track: str = "Stem", region: str = "clip"
) -> None:
    """Write the session; Ardour must not run on it.

    Args:
        track: name of the clip's track.
        region: name of the clip's region.
    """
    script = folder.with_suffix(".lua")
    script.write_text(
        _BUILD.format(
            folder=folder,
            rate_hz=RATE_HZ,
            bpm=BPM,
            track=json.dumps(track),
            change_ticks=CHANGE_AT_BEATS * _TICKS,
            changed_bpm=CHANGED_BPM,
            changed_metre=CHANGED_METRE.replace("/", ", "),
            ramp_ticks=RAMP_AT_BEATS * _TICKS,
            ramped_ticks=(RAMP_AT_BEATS + RAMP_BEATS) * _TICKS,
            ramp_bpm=RAMP_BPM[0],
            ramped_bpm=RAMP_BPM[1],
        )
    )
    lua(script, {"HOME": str(home)})
    file = folder / "song.ardour"
    tree = ET.parse(file)
    root = tree.getroot()
    _Writer(root).audio(region, track, clip, CLIP_AT)
    _Writer(root).audio("late clip", track, clip, LATE_CLIP_AT)
    midi = folder / "interchange" / "song" / "midifiles"
    midi.mkdir(parents=True, exist_ok=True)
    for name, at_beats, beats in (
        ("melody", MELODY_AT_BEATS, MELODY_BEATS),
        ("long melody", LONG_MELODY_AT_BEATS, LONG_MELODY_BEATS),
    ):
        _write_melody(midi / f"{name}.mid")
        _Writer(root).midi(name, at_beats, beats)
    tree.write(file, encoding="UTF-8", xml_declaration=True)


def _write_melody(path: Path) -> None:
    song = mido.MidiFile(type=0, ticks_per_beat=_TICKS)
    track = mido.MidiTrack()
    song.tracks.append(track)
    for note in (60, 64, 67, 72):
        track.append(mido.Message("note_on", note=note, velocity=90, time=0))
        track.append(mido.Message("note_off", note=note, velocity=64, time=_TICKS // 2))
    song.save(path)


class _Writer:
    """Adds regions to the tree of a session. Times: `a` superclocks, `b` ticks."""

    def __init__(self, root: ET.Element) -> None:
        self._root = root

    def _id(self) -> str:
        number = int(self._root.get("id-counter", "0"))
        self._root.set("id-counter", str(number + 1))
        return str(number)

    def _source(self, **given: str) -> str:
        sources = self._root.find("Sources")
        assert sources is not None
        number = self._id()
        ET.SubElement(sources, "Source", {"id": number, "gain": "1", "take-id": "", **given})
        return number

    def _region(self, track: str, name: str, ids: list[str], **given: str) -> None:
        [playlist] = [each for each in self._root.iter("Playlist") if each.get("name") == track]
        values = {"name": name, "id": self._id(), "channels": str(len(ids)), "opaque": "1"}
        values |= {"stretch": "1", "shift": "1", "whole-file": "0", "first-edit": "nothing"}
        for channel, number in enumerate(ids):
            values |= {f"{kind}source-{channel}": number for kind in ("", "master-")}
        ET.SubElement(playlist, "Region", values | given)

    def audio(self, name: str, track: str, path: Path, position: int) -> None:
        """A region that leaves out the first `CLIP_STARTS` samples of a stereo file."""
        ids = [
            self._source(
                name=str(path), type="audio", flags="", origin=str(path), channel=str(channel),
                **{"natural-position": "a0"},
            )
            for channel in range(2)
        ]  # fmt: skip
        length = soundfile.info(path).frames - CLIP_STARTS
        times = {
            "start": f"a{CLIP_STARTS * _SUPERCLOCK}",
            "length": f"a{length * _SUPERCLOCK}@a{position * _SUPERCLOCK}",
            "sync-position": "a0",
            "ancestral-start": "a0",
            "ancestral-length": "a0@a0",
        }
        fades = {"scale-amplitude": "1", "envelope-active": "0"}
        fades |= {"fade-in-active": "0", "fade-out-active": "0"}
        self._region(track, name, ids, **({"type": "audio"} | times | fades))

    def midi(self, name: str, at_beats: int, beats: int) -> None:
        """A region on the track Melody that plays the file of its name."""
        flags = "Writable,CanRename,Removable,RemovableIfEmpty,RemoveAtDestroy"
        number = self._source(
            name=f"{name}.mid", type="midi", flags=flags, origin="", **{"natural-position": "b0"}
        )
        times = {
            "start": "b0",
            "length": f"b{beats * _TICKS}@b{at_beats * _TICKS}",
            "sync-position": "b0",
            "ancestral-start": "b0",
            "ancestral-length": "b0@b0",
        }
        self._region("Melody", name, [number], **({"type": "midi"} | times))
