"""Live's set: tracks, slots, scenes and the Arrangement."""

from __future__ import annotations

from typing import Any

from tests.plugins.live.fake_clips import AudioClip, Clip, MidiClip
from tests.plugins.live.fake_objects import (
    Device,
    LimitationError,
    LiveObject,
    MidiNote,
    Rules,
)
from tests.plugins.live.live_api import TELLS_ARRANGEMENT_CLIP, Version


class ClipSlot(LiveObject):
    f_class = "ClipSlot"

    def __init__(self, rules: Rules, track: Track) -> None:
        super().__init__(rules, canonical_parent=track, clip=None, is_group_slot=False)

    def f_get_has_clip(self) -> bool:
        return self.f_values["clip"] is not None

    def f_call_create_audio_clip(self, path: str) -> Clip:
        track = self.f_values["canonical_parent"]
        if self.f_get_has_clip() or not track.f_takes_audio():
            raise RuntimeError(
                "the slot is not empty, or not of an audio track that can be changed"
            )
        self.f_rules.clips_made += 1
        self.f_values["clip"] = AudioClip(self.f_rules, self, path, track.f_first_beat_s)
        return self.f_values["clip"]  # type: ignore[no-any-return]

    def f_call_delete_clip(self) -> None:
        if not self.f_get_has_clip():
            raise RuntimeError("the slot is empty")
        self.f_values["clip"] = None


class Track(LiveObject):
    """A track.

    Attributes:
        f_first_beat_s: where Live hears the first beat of new samples.
        f_overwritten: clips of the Arrangement that a newer one has eaten.
    """

    f_class = "Track"

    def __init__(self, song: Song, name: str, audio: bool, slots: int) -> None:
        rules = song.f_rules
        super().__init__(
            rules,
            canonical_parent=song,
            name=name,
            arrangement_clips=(),
            clip_slots=(),
            devices=(),
            has_audio_input=audio,
            has_midi_input=not audio,
            is_foldable=False,
            is_frozen=False,
        )
        self.f_values["clip_slots"] = tuple(ClipSlot(rules, self) for _ in range(slots))
        self.f_first_beat_s = 0.0
        self.f_overwritten: list[Clip] = []

    def f_takes_audio(self) -> bool:
        return bool(self.f_values["has_audio_input"] and not self.f_values["is_frozen"])

    def f_insert(self, clip: Clip) -> Clip:
        start, stop = clip.f_values["start_time"], clip.f_get_end_time()
        kept: list[Clip] = []
        for other in self.f_values["arrangement_clips"]:
            apart = other.f_get_end_time() <= start or stop <= other.f_values["start_time"]
            (kept if apart else self.f_overwritten).append(other)
        self.f_values["arrangement_clips"] = (*kept, clip)
        return clip

    def f_call_create_audio_clip(self, path: str, position: float) -> Clip | None:
        if not self.f_takes_audio() or not 0.0 <= position <= 1_576_800.0:
            raise RuntimeError("no audio track that can be changed, or no place of a song")
        self.f_rules.clips_made += 1
        clip = AudioClip(self.f_rules, self, path, self.f_first_beat_s, start_time=position)
        self.f_insert(clip)
        return clip if self.f_rules.version in TELLS_ARRANGEMENT_CLIP else None

    def f_call_duplicate_clip_to_arrangement(self, clip: Clip, position: float) -> Clip:
        if not self.f_takes_audio() or not 0.0 <= position <= 1_576_800.0:
            raise RuntimeError("no audio track that can be changed, or no place of a song")
        assert isinstance(clip, AudioClip)
        values = {**clip.f_values, "canonical_parent": self, "start_time": position}
        copy = AudioClip(self.f_rules, self, clip.f_values["file_path"])
        copy.f_values.update(values)
        copy.f_markers, copy.f_bpm = list(clip.f_markers), clip.f_bpm
        return self.f_insert(copy)

    def f_add_devices(self, *devices: Device) -> None:
        self.f_values["devices"] = (*self.f_values["devices"], *devices)


class View(LiveObject):
    f_class = "Song.View"


class Song(LiveObject):
    """A set.

    Attributes:
        f_max_tracks, f_max_scenes: what the edition allows.
    """

    f_class = "Song"

    def __init__(self, version: Version, bpm: float = 120.0, scenes: int = 3) -> None:
        rules = Rules(version)
        view = View(rules, detail_clip=None, highlighted_clip_slot=None, selected_track=None)
        super().__init__(
            rules,
            canonical_parent=None,
            view=view,
            tempo=bpm,
            signature_numerator=4,
            signature_denominator=4,
            loop=False,
            loop_start=0.0,
            loop_length=16.0,
            current_song_time=0.0,
            root_note=0,
            scale_name="Major",
            scale_mode=False,
            tracks=(),
            return_tracks=(),
            scenes=tuple(range(scenes)),
        )
        self.f_max_tracks = self.f_max_scenes = 1000
        self.f_values["master_track"] = Track(self, "Main", audio=False, slots=0)

    def f_add_track(self, name: str, audio: bool = True) -> Track:
        return self.f_insert_track(len(self.f_values["tracks"]), name, audio)

    def f_insert_track(self, index: int, name: str, audio: bool) -> Track:
        track = Track(self, name, audio, len(self.f_values["scenes"]))
        tracks = list(self.f_values["tracks"])
        tracks.insert(index, track)
        self.f_values["tracks"] = tuple(tracks)
        return track

    def f_call_create_audio_track(self, index: int) -> Track:
        if len(self.f_values["tracks"]) >= self.f_max_tracks:
            raise LimitationError("no more tracks in this edition")
        return self.f_insert_track(index, "Audio", audio=True)

    def f_call_create_scene(self, index: int) -> object:
        if len(self.f_values["scenes"]) >= self.f_max_scenes:
            raise LimitationError("no more scenes in this edition")
        assert index == -1
        self.f_values["scenes"] += (len(self.f_values["scenes"]),)
        for track in self.f_values["tracks"]:
            slot = ClipSlot(self.f_rules, track)
            track.f_values["clip_slots"] += (slot,)
        return object()

    def f_call_begin_undo_step(self) -> None:
        self.f_rules.undo_depth += 1

    def f_call_end_undo_step(self) -> None:
        self.f_rules.undo_depth -= 1
        self.f_rules.undo_steps += 1
        if self.f_rules.undo_depth < 0:
            raise RuntimeError("no undo step was begun")


def put_audio(song: Song, track: Track, row: int, path: str, **values: Any) -> AudioClip:
    """A clip that the musician has put into a slot, and selected."""
    slot = track.f_values["clip_slots"][row]
    clip = AudioClip(song.f_rules, slot, path)
    slot.f_values["clip"] = clip
    song.f_values["view"].f_values["detail_clip"] = clip
    clip.f_values.update(values)
    return clip


def put_midi(
    song: Song, track: Track, row: int, notes: list[MidiNote], beats: float, **values: Any
) -> MidiClip:
    """A MIDI clip in a slot, selected."""
    slot = track.f_values["clip_slots"][row]
    edges = dict.fromkeys(("end_marker", "loop_end"), beats)
    clip = MidiClip(song.f_rules, slot, notes, **{**edges, **values})
    slot.f_values["clip"] = clip
    song.f_values["view"].f_values["detail_clip"] = clip
    return clip


def put_in_arrangement(
    song: Song, track: Track, position_beats: float, path: str, **values: Any
) -> AudioClip:
    """An audio clip in the Arrangement, selected."""
    clip = AudioClip(song.f_rules, track, path, start_time=position_beats)
    clip.f_values.update(values)
    track.f_insert(clip)
    song.f_values["view"].f_values["detail_clip"] = clip
    return clip


def warp_to(clip: AudioClip, bpm: float) -> None:
    """What a musician does: the whole clip at one tempo, from its first sample."""
    from tests.plugins.live.fake_clips import WarpMarker

    middle_s = clip.f_length_s / 2
    clip.f_markers = [WarpMarker(0.0, 0.0), WarpMarker(middle_s, middle_s * bpm / 60.0)]
    looping = clip.f_values["looping"]
    clip.f_reset()
    clip.f_values["looping"] = looping
