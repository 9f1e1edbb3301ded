"""Live's clips and their warp markers."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import soundfile

from tests.plugins.live.fake_objects import LiveObject, MidiNote, Rules

_SHADOW_BEATS = 1 / 64
_AUDIO_ONLY = frozenset(
    (
        *("file_path", "gain", "pitch_coarse", "pitch_fine", "sample_length", "sample_rate"),
        *("warp_markers", "warp_mode", "warping"),
        *("add_warp_marker", "move_warp_marker", "remove_warp_marker"),
    )
)
GUESSED_BPM = 93.0  # what Live takes a new sample for, which is wrong


class WarpMarker:
    """`Live.Clip.WarpMarker`; its time is in seconds, whatever its name says."""

    def __init__(self, sample_time: float, beat_time: float) -> None:
        self.sample_time = float(sample_time)
        self.beat_time = float(beat_time)


class Clip(LiveObject):
    f_class = "Clip"

    def __init__(self, rules: Rules, parent: Any, **values: Any) -> None:
        plain = {
            "name": "clip",
            "looping": False,
            "is_recording": False,
            "signature_numerator": 4,
            "signature_denominator": 4,
            "canonical_parent": parent,
        }
        super().__init__(rules, **{**plain, **values})

    def f_check(self, name: str) -> None:
        super().f_check(name)
        if name in _AUDIO_ONLY and not self.f_values["is_audio_clip"]:
            raise RuntimeError("This property is only available for audio clips")

    def f_get_is_midi_clip(self) -> bool:
        return not self.f_values["is_audio_clip"]

    def f_get_is_arrangement_clip(self) -> bool:
        return "start_time" in self.f_values

    def f_get_length(self) -> float:
        return float(self.f_values["loop_end"] - self.f_values["loop_start"])

    def f_get_end_time(self) -> float:
        length = self.f_get_length()
        if self.f_values["is_audio_clip"] and not self.f_values["warping"]:
            length *= self.f_song_bpm() / 60.0
        return float(self.f_values["start_time"] + self.f_values.get("f_shown_beats", length))

    def f_song_bpm(self) -> float:
        parent: Any = self.f_values["canonical_parent"]
        while parent.f_class != "Song":
            parent = parent.f_values["canonical_parent"]
        return float(parent.f_values["tempo"])

    def f_set_start_marker(self, value: float) -> None:
        if value >= self.f_values["end_marker"]:
            raise RuntimeError("Invalid start marker position")
        self.f_values["start_marker"] = value

    def f_set_end_marker(self, value: float) -> None:
        if value <= self.f_values["start_marker"]:
            raise RuntimeError("Invalid end marker position")
        self.f_values["end_marker"] = value

    def f_set_loop_start(self, value: float) -> None:
        if value >= self.f_values["loop_end"]:
            raise RuntimeError("Loop start must be before loop end")
        self.f_values["loop_start"] = value

    def f_set_loop_end(self, value: float) -> None:
        if value <= self.f_values["loop_start"]:
            raise RuntimeError("Loop end must be behind loop start")
        self.f_values["loop_end"] = value


class MidiClip(Clip):
    def __init__(self, rules: Rules, parent: Any, notes: list[MidiNote], **values: Any) -> None:
        edges = dict.fromkeys(("start_marker", "loop_start"), 0.0)
        super().__init__(rules, parent, **{"is_audio_clip": False, **edges, **values})
        self.f_notes = notes

    def f_call_get_notes_extended(
        self, from_pitch: int, pitch_span: int, from_time: float, time_span: float
    ) -> list[MidiNote]:
        return [
            note
            for note in self.f_notes
            if from_pitch <= note.pitch < from_pitch + pitch_span
            and from_time <= note.start_time < from_time + time_span
        ]


class AudioClip(Clip):
    """A clip of a file, warped as Live guesses it.

    Args:
        first_beat_s: where Live hears the first beat.
    """

    def __init__(
        self, rules: Rules, parent: Any, path: str, first_beat_s: float = 0.0, **values: Any
    ) -> None:
        if not Path(path).is_absolute() or not Path(path).is_file():
            raise ValueError("Invalid file path")
        header = soundfile.info(path)
        self.f_length_s = header.frames / header.samplerate
        # Visible markers; the hidden one goes on with their tempo, or with the guess.
        self.f_markers = [WarpMarker(first_beat_s, 0.0)]
        self.f_bpm = GUESSED_BPM
        sounds = {
            "is_audio_clip": True,
            "name": Path(path).stem,
            "file_path": path,
            "sample_length": header.frames,
            "sample_rate": float(header.samplerate),
            "warping": True,
            "warp_mode": 4,
            "gain": 0.4,
            "pitch_coarse": 0,
            "pitch_fine": 0.0,
        }
        super().__init__(rules, parent, **sounds)
        self.f_reset()
        self.f_values.update(values)

    def f_reset(self) -> None:
        """The whole file, in beats or seconds."""
        end = self.f_beats(self.f_length_s) if self.f_values["warping"] else self.f_length_s
        start = self.f_beats(0.0) if self.f_values["warping"] else 0.0
        self.f_values.update(start_marker=start, loop_start=start, end_marker=end, loop_end=end)
        self.f_values["looping"] = False

    def f_set_warping(self, value: bool) -> None:
        if value != self.f_values["warping"]:
            self.f_values["warping"] = value
            self.f_reset()

    def f_set_looping(self, value: bool) -> None:
        if value and not self.f_values["warping"]:
            raise RuntimeError("Only warped clips can be looped")
        self.f_values["looping"] = value

    def f_set_warp_mode(self, value: int) -> None:
        if value not in range(7) or value == 5:
            raise RuntimeError("Invalid warp mode")
        self.f_values["warp_mode"] = value

    def f_get_warp_markers(self) -> tuple[WarpMarker, ...]:
        last = self.f_markers[-1]
        shadow_s = last.sample_time + _SHADOW_BEATS * 60.0 / self.f_bpm_at_end()
        return (*self.f_markers, WarpMarker(shadow_s, last.beat_time + _SHADOW_BEATS))

    def f_bpm_at_end(self) -> float:
        if len(self.f_markers) < 2:
            return self.f_bpm
        one, other = self.f_markers[-2:]
        span_s = other.sample_time - one.sample_time
        return 60.0 * (other.beat_time - one.beat_time) / span_s

    def f_beats(self, seconds: float) -> float:
        """Where a second of the file plays: an own reckoning, to check the script's."""
        markers = self.f_get_warp_markers()
        pairs = list(itertools.pairwise(markers))
        one, other = next((p for p in pairs if seconds < p[1].sample_time), pairs[-1])
        share = (seconds - one.sample_time) / (other.sample_time - one.sample_time)
        return one.beat_time + share * (other.beat_time - one.beat_time)

    def f_call_add_warp_marker(self, marker: WarpMarker) -> None:
        self.f_needs_warp()
        if type(marker) is not WarpMarker:
            raise TypeError("No registered converter was able to produce a C++ TWarpMarker")
        if not 0.0 <= marker.sample_time < self.f_length_s:
            raise RuntimeError("Warp marker sample time is out of range.")
        added = sorted([*self.f_markers, marker], key=lambda item: item.sample_time)
        self.f_must_rise(added)
        self.f_markers = added

    def f_call_move_warp_marker(self, beat_time: float, distance: float) -> None:
        self.f_needs_warp()
        place = self.f_place(beat_time)
        old = self.f_markers[place]
        moved = list(self.f_markers)
        moved[place] = WarpMarker(old.sample_time, old.beat_time + distance)
        self.f_must_rise(moved)
        self.f_markers = moved

    def f_call_remove_warp_marker(self, beat_time: float) -> None:
        self.f_needs_warp()
        place = self.f_place(beat_time)
        if len(self.f_markers) == 1:
            raise RuntimeError("The last warp marker can't be removed.")
        self.f_bpm = self.f_bpm_at_end()
        del self.f_markers[place]

    def f_needs_warp(self) -> None:
        if not self.f_values["warping"]:
            raise RuntimeError("The clip is not warped")

    def f_place(self, beat_time: float) -> int:
        for place, marker in enumerate(self.f_markers):
            if abs(marker.beat_time - beat_time) < 1e-9:
                return place
        raise RuntimeError("The shadow marker can't be moved.")

    def f_must_rise(self, markers: list[WarpMarker]) -> None:
        for one, other in itertools.pairwise(markers):
            if other.beat_time <= one.beat_time or other.sample_time <= one.sample_time:
                raise RuntimeError("Warp markers must not cross.")
