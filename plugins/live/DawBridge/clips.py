"""What Live says of the selected clip: file, part, beats, tempo, metre, key and place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .audio_files import Sound, read_sound
from .midi_files import Note
from .refusal import Refusal
from .timeline import Marker, Timeline, shown_bpm

if TYPE_CHECKING:
    from Live.Clip import Clip
    from Live.Song import Song
    from Live.Track import Track

MAX_NOTES = 50_000
SOUNDING = ("warp_mode", "gain", "pitch_coarse", "pitch_fine")
_TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_SCALES = {"Major": "major", "Minor": "minor", "Dorian": "dorian", "Mixolydian": "mixolydian"}


class Part(NamedTuple):
    """A stretch of a clip, on the clip's own axis of beats."""

    start_beats: float
    stop_beats: float

    @property
    def length_beats(self) -> float:
        """How long it is."""
        return self.stop_beats - self.start_beats


class Place(NamedTuple):
    """Where a clip is in the set.

    Attributes:
        slot_index: its row in the Session; None in the Arrangement.
        position_beats: where its part begins, in quarter notes from the song's start; in the
            Session from the clip's own bar 1.
    """

    track: Track
    slot_index: int | None
    position_beats: float


class Selected(NamedTuple):
    """The clip that something is wanted of.

    Attributes:
        sound: header of its file, where it is a WAV or AIFF; None for MIDI and other files.
        timeline: seconds of the file against beats of the clip.
        part: what is heard of it: the loop, or from start to end.
        region: inside of `part`, what the brace marks; None where it marks nothing.
        sounding: settings of an audio clip that a take of it is to have, too, by name.
    """

    clip: Clip
    is_midi: bool
    title: str
    place: Place
    part: Part
    region: Part | None
    timeline: Timeline
    sound: Sound | None
    metre: tuple[int, int]
    key: str | None
    is_looping: bool
    is_warped: bool
    sounding: dict[str, Any]


def selected_clip(song: Song) -> Clip | None:
    """The clip in the clip view, else the one in the highlighted slot."""
    clip: Clip | None = song.view.detail_clip
    if clip is not None:
        return clip
    slot = song.view.highlighted_clip_slot
    return slot.clip if slot is not None and slot.has_clip else None


def still_there(clip: Clip | None) -> Clip | None:
    """The clip, unless it has been deleted: such a one equals None, or raises when looked at."""
    try:
        gone = clip is None or clip == None or clip.canonical_parent is None  # noqa: E711
    except Exception:  # Live's own type
        return None
    return None if gone else clip


def read_selected(song: Song, clip: Clip, title: str, replaces: bool) -> Selected:
    """Everything about a clip that a request needs.

    Args:
        title: its name.
        replaces: whether the brace marks what is to be replaced; else it marks what is meant.

    Raises:
        Refusal: the clip cannot be used.
    """
    if clip.is_recording:
        raise Refusal("the clip is being recorded", "stop the recording first")
    warped = bool(clip.is_midi_clip or clip.warping)
    if not warped and (clip.pitch_coarse or clip.pitch_fine):
        raise Refusal("the clip is transposed without Warp", "switch Warp on, or consolidate it")
    timeline = _timeline(clip, song, warped)
    in_arrangement = bool(clip.is_arrangement_clip)
    beats = _Edges(clip, timeline, warped)
    look = _in_arrangement if in_arrangement else _in_session
    place, part, region = look(clip, song, beats, replaces)
    sound = None if clip.is_midi_clip else read_sound(clip.file_path)
    if sound is not None:
        inside = _inside(part, timeline, sound)
        later = place.position_beats + inside.start_beats - part.start_beats
        place, part = place._replace(position_beats=later), inside
    metre = song if in_arrangement else clip
    return Selected(
        clip=clip,
        is_midi=bool(clip.is_midi_clip),
        title=title or ("MIDI" if clip.is_midi_clip else "clip"),
        place=place,
        part=part,
        region=region,
        timeline=timeline,
        sound=sound,
        metre=(metre.signature_numerator, metre.signature_denominator),
        key=_key(song, 0 if clip.is_midi_clip else clip.pitch_coarse),
        is_looping=bool(clip.looping),
        is_warped=warped,
        # Read now: the clip may be gone when its take comes.
        sounding={} if clip.is_midi_clip else {name: getattr(clip, name) for name in SOUNDING},
    )


def read_notes(clip: Clip, part: Part) -> list[Note]:
    """The notes that begin in a part of a MIDI clip, from its start; muted ones are left out.

    Raises:
        Refusal: there are none, or too many.
    """
    notes = [
        Note(
            note.start_time - part.start_beats,
            min(note.duration, part.stop_beats - note.start_time),
            note.pitch,
            round(note.velocity),
        )
        for note in clip.get_notes_extended(0, 128, part.start_beats, part.length_beats)
        if not note.mute
    ]
    if not notes:
        raise Refusal("the MIDI clip has no notes here", "draw some, or move its loop")
    if len(notes) > MAX_NOTES:
        raise Refusal(f"the MIDI clip has {len(notes)} notes", "select a shorter part")
    return notes


def _timeline(clip: Clip, song: Song, warped: bool) -> Timeline:
    if clip.is_midi_clip or not warped:
        return Timeline.steady(shown_bpm(song.tempo))
    # The last marker is Live's own and hidden: it holds the tempo behind the last visible one.
    markers = [Marker(marker.sample_time, marker.beat_time) for marker in clip.warp_markers]
    try:
        return Timeline(markers)
    except (ValueError, IndexError):
        raise Refusal("the clip's warp markers cannot be read", "switch Warp off and on") from None


class _Edges:
    """A clip's markers and loop in beats; Live gives them in seconds where Warp is off.

    For a clip that does not loop, Live calls its start and end those of the loop.
    """

    def __init__(self, clip: Clip, timeline: Timeline, warped: bool) -> None:
        beats = float if warped else timeline.beats
        self.loop = Part(beats(clip.loop_start), beats(clip.loop_end))
        self.markers = Part(beats(clip.start_marker), beats(clip.end_marker))


def _inside(part: Part, timeline: Timeline, sound: Sound) -> Part:
    """What of a part lies in the file: a loop brace may reach beyond it."""
    end = timeline.beats(sound.length_samples / sound.sample_rate_hz)
    start = max(part.start_beats, timeline.beats(0.0))
    stop = min(part.stop_beats, end)
    if stop <= start:
        raise Refusal("there is no sound in the clip's loop", "move its brace")
    return Part(start, stop)


def _in_session(
    clip: Clip, song: Song, edges: _Edges, replaces: bool
) -> tuple[Place, Part, Part | None]:
    """In the Session the clip's own loop brace marks a region between its markers."""
    slot: Any = clip.canonical_parent
    track = _track_of(slot)
    loop, markers = edges.loop, edges.markers
    part, region = loop, None
    if replaces:
        part = markers
        inside = markers.start_beats <= loop.start_beats and loop.stop_beats <= markers.stop_beats
        if clip.looping and inside and loop.length_beats < markers.length_beats:
            region = loop
    # Nobody knows when it will be launched, but bars begin where the clip's do.
    bar_beats = clip.signature_numerator * 4.0 / clip.signature_denominator
    return (
        Place(track, list(track.clip_slots).index(slot), part.start_beats % bar_beats),
        part,
        region,
    )


def _in_arrangement(
    clip: Clip, song: Song, edges: _Edges, replaces: bool
) -> tuple[Place, Part, Part | None]:
    """In the Arrangement the song's loop brace marks it, as far as it covers the clip."""
    # A looped clip begins with its start marker, and the brace may cover many rounds of it.
    edge = edges.markers.start_beats if clip.looping else edges.loop.start_beats
    origin_beats = clip.start_time - edge
    whole, brace = edges.loop, None
    if song.loop and not clip.looping:
        start = max(song.loop_start - origin_beats, whole.start_beats)
        stop = min(song.loop_start + song.loop_length - origin_beats, whole.stop_beats)
        if 0.0 < stop - start < whole.length_beats:
            brace = Part(start, stop)
    part, region = (whole, brace) if replaces else (brace or whole, None)
    track = _track_of(clip.canonical_parent)
    return Place(track, None, origin_beats + part.start_beats), part, region


def _track_of(parent: Any) -> Any:
    """The track above a slot, or above a take lane of Live 12.2."""
    while not hasattr(parent, "clip_slots"):
        parent = parent.canonical_parent
    return parent


def _key(song: Song, transposed: int) -> str | None:
    """The song's scale, where somebody has chosen one that the daemon knows.

    Args:
        transposed: semitones that the clip sounds above its file, which is what the daemon hears.
    """
    scale, root = _SCALES.get(song.scale_name), song.root_note
    if hasattr(song, "scale_mode"):  # Live 12 says whether the scale is in use
        chosen = song.scale_mode
    else:
        chosen = (root, song.scale_name) != (0, "Major")
    return f"{_TONICS[(root - transposed) % 12]} {scale}" if chosen and scale else None
