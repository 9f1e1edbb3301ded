"""MIDI files as one melody: notes in beats, the tempo and metre changes that put them in time.

A melody is one voice. Where several notes sound, the highest is the melody (the skyline); channel
10, the drums of General MIDI, has no pitch and is left out.
"""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import heappop, heappush
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import mido
import numpy as np
import numpy.typing as npt

from engine.files.midi_guard import MAX_FILE_BYTES, check_midi_bytes, check_midi_ticks
from engine.files.read import read_bytes, shown_name
from engine.musical_time import MetreMap, TempoMap
from engine.spec import BridgeError
from engine.units import Metre

MAX_NOTES = 50_000
MAX_SECONDS = 3600.0
LOW_BPM, HIGH_BPM = 5.0, 1000.0
_DRUM_CHANNEL = 9
_DEFAULT_BPM = Fraction(120)
_HINT = "export the melody again as a standard MIDI file"


@dataclass(frozen=True, slots=True)
class MelodyNote:
    """One note; times in quarter notes from the file's start, pitch 0 to 127 (60 is middle C)."""

    start_beats: float
    duration_beats: float
    pitch: int
    velocity: int

    @property
    def end_beats(self) -> float:
        """Where the note ends."""
        return self.start_beats + self.duration_beats


@dataclass(frozen=True, slots=True)
class Melody:
    """A monophonic melody.

    Attributes:
        notes: in order, never overlapping.
        tempo_map, metres: from the file's start on, which is beat 0.
        length_beats: end of the last note.
        digest: SHA-256 of the file's bytes, in hexadecimal.
    """

    notes: tuple[MelodyNote, ...] = field(repr=False)
    tempo_map: TempoMap
    metres: MetreMap
    length_beats: float
    digest: str

    @property
    def bpm(self) -> float:
        """The tempo at the start, in quarter notes a minute."""
        return float(self.tempo_map.bpm_at(0))

    @property
    def metre(self) -> Metre:
        """The metre at the start."""
        return self.metres.first

    @property
    def seconds(self) -> float:
        """End of the last note through the tempo map, in seconds."""
        return float(self.tempo_map.seconds_at(self.length_beats))


def read_melody(path: str | Path) -> Melody:
    """Read a MIDI file of any type as one melody.

    Raises:
        BridgeError: `bad_midi` when it is missing, not MIDI, damaged, without pitched notes or of
            an absurd tempo; `too_large` when it is over a limit.
    """
    source = Path(path)
    data = read_bytes(source, code="bad_midi", wanted="a MIDI file", max_bytes=MAX_FILE_BYTES)
    return melody_from_bytes(data, shown_name(source))


def melody_from_bytes(data: bytes, name: str = "the melody") -> Melody:
    """Like `read_melody`, from the file's bytes."""
    file = _parsed(data, name)
    tracks = _tracks(file)
    division, fixed_bpm = _division(file.ticks_per_beat, name)
    tempo_map = _tempo_map(tracks, division, fixed_bpm, name)
    raw, drums = _sounding(tracks, division, name)
    if not raw:
        found = "only drums (channel 10)" if drums else "no notes"
        raise BridgeError("bad_midi", f"{name} holds {found}", "export the track with the melody")
    notes = tuple(_skyline(raw))
    length = notes[-1].end_beats
    seconds = float(tempo_map.seconds_at(length))
    if seconds > MAX_SECONDS:
        raise BridgeError(
            "too_large", f"{name} lasts {seconds:.0f} s", f"at most {MAX_SECONDS:.0f} s are taken"
        )
    digest = hashlib.sha256(data).hexdigest()
    return Melody(notes, tempo_map, _metres(tracks, division, name), length, digest)


def read_time(path: str | Path) -> tuple[TempoMap, MetreMap]:
    """Tempo and metre changes of a MIDI file, whether it holds notes or not.

    Raises:
        BridgeError: `bad_midi` or `too_large` as `read_melody`.
    """
    source = Path(path)
    name = shown_name(source)
    data = read_bytes(source, code="bad_midi", wanted="a MIDI file", max_bytes=MAX_FILE_BYTES)
    file = _parsed(data, name)
    tracks = _tracks(file)
    division, fixed_bpm = _division(file.ticks_per_beat, name)
    return _tempo_map(tracks, division, fixed_bpm, name), _metres(tracks, division, name)


def melody_chroma(
    melody: Melody,
    frames: int,
    frame_rate_hz: float,
    tempo: float | TempoMap | None = None,
    *,
    place: float = 0.5,
) -> npt.NDArray[np.float32]:
    """One-hot pitch class of the melody per frame, `[frames, 12]`, C first; rests are all zero.

    Args:
        frame_rate_hz: frame i is judged at (i + `place`) / frame_rate_hz seconds.
        tempo: quarter notes a minute, fixed or as a map, in place of the file's own.
        place: where in each frame, by itself at its middle.
    """
    pitches = melody_pitches(melody, np.asarray((np.arange(frames) + place) / frame_rate_hz), tempo)
    chroma = np.zeros((frames, 12), dtype=np.float32)
    sounding = np.flatnonzero(pitches >= 0)
    chroma[sounding, pitches[sounding] % 12] = 1.0
    return chroma


def melody_pitches(
    melody: Melody, seconds: npt.NDArray[np.floating], tempo: float | TempoMap | None = None
) -> npt.NDArray[np.int64]:
    """MIDI pitch sounding at each time in seconds, -1 in rests; `tempo` as in `melody_chroma`."""
    own = melody.tempo_map if tempo is None else tempo
    if isinstance(own, TempoMap):
        beats = np.array([float(own.beats_at(float(at))) for at in seconds])
    else:
        beats = np.asarray(seconds * own / 60.0)
    starts = np.array([note.start_beats for note in melody.notes])
    ends = np.array([note.end_beats for note in melody.notes])
    pitches = np.array([note.pitch for note in melody.notes])
    index = np.searchsorted(starts, beats, side="right") - 1
    inside = (index >= 0) & (beats < ends[np.maximum(index, 0)])
    return np.where(inside, pitches[np.maximum(index, 0)], -1)


def _parsed(data: bytes, name: str) -> Any:
    check_midi_bytes(data, name)
    try:
        file = mido.MidiFile(file=io.BytesIO(data), clip=True)
    except Exception as error:  # the parser meets hostile bytes: anything may be raised
        kind = "is damaged or truncated" if data.startswith(b"MThd") else "is not a MIDI file"
        raise BridgeError("bad_midi", f"{name} {kind}", str(error) or _HINT) from None
    check_midi_ticks(file.tracks, name)
    return file


def _tracks(file: Any) -> list[list[tuple[int, Any]]]:
    """Messages of each track with absolute ticks. Type 2 holds separate songs: the first counts."""
    tracks = []
    for track in file.tracks:
        ticks, messages = 0, []
        for message in track:
            ticks += message.time
            messages.append((ticks, message))
        tracks.append(messages)
    if file.type == 2:
        with_notes = [t for t in tracks if any(m.type == "note_on" for _, m in t)]
        return with_notes[:1] or tracks[:1]
    return tracks


def _division(division: int, name: str) -> tuple[Fraction, Fraction | None]:
    """Ticks to the beat; for SMPTE time also the fixed tempo that makes beats of its seconds.

    A negative division is frames a second (the upper byte) and ticks a frame (the lower one).
    """
    if division > 0:
        return Fraction(division), None
    frames, ticks = -(division >> 8), division & 0xFF
    rates = {24: Fraction(24), 25: Fraction(25), 29: Fraction(30000, 1001), 30: Fraction(30)}
    if frames not in rates or ticks == 0:
        raise BridgeError("bad_midi", f"{name} has a time division of {division}", _HINT)
    return rates[frames] * ticks * 60 / _DEFAULT_BPM, _DEFAULT_BPM


def _meta(tracks: list[list[tuple[int, Any]]], kind: str) -> list[tuple[int, Any]]:
    """Meta messages of a kind over all tracks, in the order of time."""
    found = [(ticks, m) for track in tracks for ticks, m in track if m.type == kind]
    return sorted(found, key=lambda event: event[0])


def _tempo_map(
    tracks: list[list[tuple[int, Any]]], division: Fraction, fixed_bpm: Fraction | None, name: str
) -> TempoMap:
    if fixed_bpm is not None:
        return TempoMap.constant(fixed_bpm)
    changes = {Fraction(0): _DEFAULT_BPM}
    for ticks, message in _meta(tracks, "set_tempo"):
        shown = 60e6 / message.tempo if message.tempo else float("inf")
        if not LOW_BPM <= shown <= HIGH_BPM:
            raise BridgeError(
                "bad_midi",
                f"{name} has a tempo of {shown:.0f} bpm at beat {float(ticks / division):g}",
                f"{LOW_BPM:g} to {HIGH_BPM:g} bpm are taken",
            )
        changes[ticks / division] = Fraction(60_000_000, message.tempo)
    runs = groupby(sorted(changes.items()), key=lambda change: change[1])
    return TempoMap(tuple(next(run) for _, run in runs))


def _metres(tracks: list[list[tuple[int, Any]]], division: Fraction, name: str) -> MetreMap:
    """The time signatures; 4/4 before the first one, as the format says, and without any."""
    changes = {Fraction(0): Metre(4, 4)}
    for ticks, message in _meta(tracks, "time_signature"):
        try:
            metre = Metre(message.numerator, message.denominator)
        except ValueError as error:
            raise BridgeError("bad_midi", f"{name} has an unusable metre: {error}", _HINT) from None
        changes[ticks / division] = metre
    return MetreMap.of(sorted(changes.items(), key=lambda change: change[0]))


def _sounding(
    tracks: list[list[tuple[int, Any]]], division: Fraction, name: str
) -> tuple[list[MelodyNote], bool]:
    """All pitched notes of all tracks, and whether there were drums.

    A key that is struck again before its release counts twice; releases go to the oldest. A note
    never released lasts to the end of its track.
    """
    notes: list[MelodyNote] = []
    drums = False
    for track in tracks:
        pressed: dict[tuple[int, int], deque[tuple[int, int]]] = defaultdict(deque)
        end = track[-1][0] if track else 0
        for ticks, message in track:
            if message.type not in ("note_on", "note_off"):
                continue
            if message.channel == _DRUM_CHANNEL:
                drums = True
                continue
            keys = pressed[message.channel, message.note]
            if message.type == "note_on" and message.velocity > 0:
                keys.append((ticks, message.velocity))
            elif keys:
                start, velocity = keys.popleft()
                _add(notes, start, ticks, message.note, velocity, division)
        for (_, pitch), keys in pressed.items():
            for start, velocity in keys:
                _add(notes, start, end, pitch, velocity, division)
        if len(notes) > MAX_NOTES:
            raise BridgeError("too_large", f"{name} has over {MAX_NOTES} notes", "shorten it")
    return notes, drums


def _add(
    notes: list[MelodyNote], start: int, end: int, pitch: int, velocity: int, division: Fraction
) -> None:
    if end > start:
        at, length = float(start / division), float((end - start) / division)
        notes.append(MelodyNote(at, length, pitch, velocity))


def _skyline(notes: Iterable[MelodyNote]) -> list[MelodyNote]:
    """The highest note at every moment; of equal ones the latest struck.

    A lower note that sounds on after a higher one is heard again, but not for less than a 32nd:
    such a scrap is an imprecise release and no part of the tune.
    """
    ordered = sorted(notes, key=lambda note: note.start_beats)
    edges = sorted({edge for n in ordered for edge in (n.start_beats, n.end_beats)})
    line: list[MelodyNote] = []
    # A heap by what wins, so that a chord of thousands of notes costs no square of them.
    active: list[tuple[int, float, int]] = []
    upcoming = deque(enumerate(ordered))
    for low, high in pairwise(edges):
        while upcoming and upcoming[0][1].start_beats <= low:
            index, note = upcoming.popleft()
            heappush(active, (-note.pitch, -note.start_beats, index))
        while active and ordered[active[0][2]].end_beats <= low:
            heappop(active)
        if not active:
            continue
        top = ordered[active[0][2]]
        last = line[-1] if line else None
        if last and last.end_beats == low and last.pitch == top.pitch and top.start_beats < low:
            line[-1] = MelodyNote(
                last.start_beats, high - last.start_beats, last.pitch, last.velocity
            )
        else:
            line.append(MelodyNote(low, high - low, top.pitch, top.velocity))
    starts = {(note.start_beats, note.pitch) for note in ordered}
    return [
        note
        for note in line
        if note.duration_beats >= 0.125 or (note.start_beats, note.pitch) in starts
    ]
