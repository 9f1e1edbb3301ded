"""A take becomes a clip of the set: a free slot or its place in the Arrangement, its beats right.

Nothing is written over. In the Session the take goes to the next free slot below its source, in the
Arrangement to the source's own place; where that is taken, and it is by the source itself, to the
audio track to the right that is called after the source's with `takes`, which is made when needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from .audio_files import read_sound
from .clips import Selected
from .refusal import Refusal
from .timeline import Marker, Timeline, on_grid

if TYPE_CHECKING:
    from Live.Clip import Clip
    from Live.ClipSlot import ClipSlot
    from Live.Song import Song
    from Live.Track import Track

TAKES = " takes"
_BEATS = 0  # Live.Clip.WarpMode.beats: plays samples as they are while the tempo is their own
_MAX_TAKES_TRACKS = 8
_NEAR_BEATS = 1e-3
_EXACT = 1e-9
_OF_THE_SOURCE = ("extend", "loop", "inpaint", "vary")  # its samples are in the take


class Take(NamedTuple):
    """A finished take, as the daemon tells of it.

    Attributes:
        offset_samples: where it begins, counted from the first sample of what was sent.
    """

    name: str
    path: str
    offset_samples: int


class Origin(NamedTuple):
    """What a take was made of.

    Attributes:
        start_s: where the part that was sent begins in the source's file.
        is_draft: a refined take follows.
    """

    verb: str
    of: Selected
    start_s: float
    is_draft: bool = False


class _New(NamedTuple):
    """A clip to be made.

    Attributes:
        markers: seconds of its file against its beats, from its beginning to its end.
    """

    take: Take
    origin: Origin
    markers: list[Marker]
    warp_marker: Callable[..., Any]


class Placed(NamedTuple):
    """A clip that was made.

    Attributes:
        where: in words, with what failed.
    """

    where: str
    clip: Clip
    new: _New
    cut_beats: float


def label(origin: Origin) -> str:
    """What a take is called beside its source's name."""
    return origin.verb + (" draft" if origin.is_draft else "")


def can_create(track: Track) -> bool:
    """Whether this Live lets a script make audio clips: 11.3.25 and later, 12.0.5 and later."""
    slots = list(track.clip_slots)
    return hasattr(slots[0] if slots else track, "create_audio_clip")


def place(song: Song, take: Take, origin: Origin, warp_marker: Callable[..., Any]) -> Placed:
    """Put a take into the set, as one step of the undo history.

    Args:
        warp_marker: `Live.Clip.WarpMarker`, where this Live has it.

    Raises:
        Refusal: it cannot be placed; the file is there all the same.
    """
    of = origin.of
    start_s, stop_s = _stretch(take, origin)
    # The daemon knew nothing of markers beyond the part: it went straight on.
    timeline = of.timeline.within(*of.part)
    new = _New(take, origin, timeline.part(start_s, stop_s), warp_marker)
    song.begin_undo_step()
    try:
        if of.place.slot_index is None:
            moved = timeline.beats(start_s) - timeline.beats(origin.start_s)
            return _into_arrangement(song, new, of.place.position_beats + moved)
        track, slot = _free_slot(song, origin)
        clip = slot.create_audio_clip(take.path)
        trouble = _dress(clip, new)
        return Placed(f"on {track.name}{trouble}", clip, new, 0.0)
    finally:
        song.end_undo_step()


def look_again(placed: Placed) -> str:
    """Whether a clip is still on the grid some time after it was made; says what was done.

    Live may analyse a file after it has made the clip, and then warp it as it likes.
    """
    if not placed.clip.warping or abs(_missed_beats(placed.clip, placed.new)) <= _NEAR_BEATS:
        return ""
    return "is back on the grid" + _dress(placed.clip, placed.new, placed.cut_beats)


def _stretch(take: Take, origin: Origin) -> tuple[float, float]:
    """Where the take begins and ends, in seconds of the source's file."""
    sound = read_sound(take.path)
    if sound is None:
        raise Refusal(f"{take.path} is no WAV")
    start_s = origin.start_s + take.offset_samples / sound.sample_rate_hz
    return start_s, start_s + sound.length_samples / sound.sample_rate_hz


def _free_slot(song: Song, origin: Origin) -> tuple[Track, ClipSlot]:
    at = origin.of.place
    assert at.slot_index is not None
    track, first = at.track, at.slot_index + 1
    if not _takes_audio(track):
        track, first = _takes_track(song, track, 0), at.slot_index
    return track, _slot(song, track, first)


def _slot(song: Song, track: Track, first: int) -> ClipSlot:
    slots: list[ClipSlot] = list(track.clip_slots)
    for slot in slots[first:]:
        if not slot.has_clip:
            return slot
    song.create_scene(-1)
    slots = list(track.clip_slots)
    return slots[-1]


def _into_arrangement(song: Song, new: _New, start: float) -> Placed:
    # What lies before the song's first beat is in the clip, but cannot be shown.
    cut = max(0.0, -start)
    at = start + cut
    track = _free_track(song, new.origin.of.place.track, at, start + new.markers[-1].beats)
    try:
        slot = _slot(song, track, 0)
    except Exception:  # Live's own type: an edition with few scenes, all of them full
        if not hasattr(track, "create_audio_clip"):
            raise
        clip = _directly(track, new.take.path, at)
        trouble = _dress(clip, new, cut)
    else:
        # In a slot first: a new clip has the length of the tempo that Live guesses, and could
        # write over its neighbour before it is told better.
        first = slot.create_audio_clip(new.take.path)
        trouble = _dress(first, new, cut)
        clip = track.duplicate_clip_to_arrangement(first, at)
        slot.delete_clip()
    where = f"on {track.name} at bar {_bar(new.origin, at)}{trouble}"
    return Placed(where, clip, new, cut)


def _directly(track: Track, path: str, at: float) -> Clip:
    clip: Clip | None = track.create_audio_clip(path, at)
    if clip is not None:
        return clip
    # Before Live 12.2 it is made, but not told.
    clips: list[Clip] = list(track.arrangement_clips)
    return min(clips, key=lambda other: abs(other.start_time - at))


def _bar(origin: Origin, beats: float) -> int:
    numerator, denominator = origin.of.metre
    return int(beats * denominator / (4.0 * numerator) + _NEAR_BEATS) + 1


def _free_track(song: Song, track: Track, start: float, stop: float) -> Track:
    if _takes_audio(track) and _is_free(track, start, stop):
        return track
    for number in range(_MAX_TAKES_TRACKS):
        found = _takes_track(song, track, number)
        if _is_free(found, start, stop):
            return found
    raise Refusal(f"{track.name + TAKES} has no room at this place", "move a take away")


def _is_free(track: Track, start: float, stop: float) -> bool:
    return not any(
        clip.start_time < stop - _NEAR_BEATS and clip.end_time > start + _NEAR_BEATS
        for clip in track.arrangement_clips
    )


def _takes_audio(track: Track) -> bool:
    return bool(track.has_audio_input and not track.is_frozen and not track.is_foldable)


def _takes_track(song: Song, track: Track, number: int) -> Track:
    """The audio track for takes of a track; made to the right of it where it is not there."""
    base = track.name.partition(TAKES)[0]  # a take of a take lies among the others
    name = base + TAKES + (f" {number + 1}" if number else "")
    tracks: list[Track] = list(song.tracks)
    for other in tracks:
        if other.name == name and _takes_audio(other):
            return other
    try:
        made = song.create_audio_track(tracks.index(track) + 1 + number)
    except Exception as error:  # Live's own type: some editions have few tracks
        raise Refusal(f"no track can be added ({error})", "delete one") from None
    made.name = name
    return made


def _dress(clip: Clip, new: _New, cut_beats: float = 0.0) -> str:
    """Name, beats and ends of a new clip, of which so many beats are left out; says what failed."""
    origin, of, markers = new.origin, new.origin.of, new.markers
    clip.name = f"{of.title} {label(origin)} {new.take.name}"
    # Live loops warped clips only. Else a take is as its source is: without Warp its samples are
    # heard as they are, with it they follow the song's tempo. New audio is warped in a mode that
    # leaves samples alone as long as the song keeps the tempo that they were made for.
    is_old = origin.verb in _OF_THE_SOURCE
    loops = origin.verb == "loop" or of.is_looping
    warps = of.is_warped or loops
    trouble = ""
    clip.warping = warps
    if warps:
        mode: Any = of.sounding["warp_mode"] if is_old and of.is_warped else _BEATS
        clip.warp_mode = mode
        trouble = _warp(clip, new)
    if is_old:
        clip.gain = of.sounding["gain"]
    if of.sounding:  # a transposed clip went out as its file is: what belongs to it is, too
        clip.pitch_coarse = of.sounding["pitch_coarse"]
        clip.pitch_fine = of.sounding["pitch_fine"]
    start = cut_beats if warps else Timeline(markers).seconds(cut_beats)
    clip.looping = False
    clip.start_marker = clip.loop_start = 0.0  # before the ends, which cannot pass them
    # A file ends with a whole sample, a bar may not: a loop would lose that with every round.
    clip.end_marker = clip.loop_end = on_grid(markers[-1].beats) if warps else markers[-1].seconds
    clip.start_marker = clip.loop_start = start
    if loops:
        clip.looping = True
    return trouble


def _warp(clip: Clip, new: _New) -> str:
    """Put the take's beats on the grid, whatever tempo Live has guessed; says what failed.

    The last of Live's markers is hidden. It cannot be moved: it goes on with the tempo of the two
    before it. So one marker more is needed than the take has tempos, before the end of its file.
    """
    markers = new.markers
    timeline = Timeline(markers)
    try:
        for old in list(clip.warp_markers)[-2:0:-1]:
            clip.remove_warp_marker(old.beat_time)
        first = clip.warp_markers[0]
        wanted = timeline.beats(first.sample_time)
        if abs(first.beat_time - wanted) > _EXACT:
            clip.move_warp_marker(first.beat_time, wanted - first.beat_time)
        for marker in [*markers[1:-1], _between(*markers[-2:])]:
            if marker.seconds > first.sample_time + _EXACT:
                clip.add_warp_marker(new.warp_marker(marker.seconds, marker.beats))
        missed_beats = _missed_beats(clip, new)
    except Exception as error:  # Live's own type: it does not take them
        return f", but not on the grid ({error}): look at its warp markers"
    if abs(missed_beats) > _NEAR_BEATS:
        return f", but {missed_beats:+.3f} beats off the grid: look at its warp markers"
    return ""


def _missed_beats(clip: Clip, new: _New) -> float:
    """How far the end of a warped clip's file is from its beat."""
    found = Timeline([Marker(item.sample_time, item.beat_time) for item in clip.warp_markers])
    return found.beats(new.markers[-1].seconds) - new.markers[-1].beats


def _between(one: Marker, other: Marker) -> Marker:
    return Marker((one.seconds + other.seconds) / 2.0, (one.beats + other.beats) / 2.0)
