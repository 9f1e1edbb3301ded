"""The melody of a request: a MIDI file, or a recording of somebody who hums or plays it."""

from __future__ import annotations

from dataclasses import replace

from engine.analysis.pitch_track import track_notes
from engine.analysis.tempo import COMMON_TIME, estimate_grid
from engine.files.audio import read_clip
from engine.files.midi import Melody, MelodyNote, read_melody
from engine.musical_time import MetreMap, TempoMap
from engine.opening import open_named
from engine.spec import BridgeError
from engine.units import Metre

_CONTAINERS = (b"RIFF", b"RIFX", b"RF64", b"riff", b"caff", b"fLaC", b"OggS", b"FORM", b"ID3")
_MPEG_FRAMES = (b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2")  # layer 3, with a CRC or not
_RIFF_MIDI = b"RMID"
_USUAL_BPM = 120.0
_LOUDEST, _SOFTEST = 110, 40
LONGEST_S = 300.0


def read_tune(path: str, tempo: float | TempoMap | None, metre: Metre | None) -> Melody:
    """The melody at a path, whatever kind of file it is.

    Args:
        tempo: in which a recording is counted, fixed or as a map; where it is None, the one that is
            heard, or 120 where none is. A MIDI file knows its own.

    Raises:
        BridgeError: `bad_midi` or `bad_audio` where there is no melody in it.
    """
    return _heard(path, tempo, metre) if is_recording(path) else read_melody(path)


def counted_at(melody: Melody, bpm: float) -> Melody:
    """A recording's melody, sounding when it did, in the beats of another tempo."""
    ratio = bpm / melody.bpm
    notes = (
        replace(n, start_beats=ratio * n.start_beats, duration_beats=ratio * n.duration_beats)
        for n in melody.notes
    )
    length = ratio * melody.length_beats
    return replace(
        melody, notes=tuple(notes), tempo_map=TempoMap.constant(bpm), length_beats=length
    )


def is_recording(path: str) -> bool:
    """Whether a melody's file holds sound and no notes."""
    try:
        with open_named(path) as file:
            start = file.read(12)
    except OSError:  # for the reader to say
        return False
    return start.startswith(_CONTAINERS + _MPEG_FRAMES) and start[8:12] != _RIFF_MIDI


def _heard(path: str, tempo: float | TempoMap | None, metre: Metre | None) -> Melody:
    clip = read_clip(path)
    if clip.seconds > LONGEST_S:
        raise BridgeError(
            "too_large",
            f"{clip.name} lasts {clip.seconds:.0f} s",
            f"a melody to listen to may last {LONGEST_S:.0f} s",
        )
    notes = track_notes(clip.samples, clip.sample_rate_hz)
    if not notes:
        raise BridgeError(
            "bad_audio",
            f"no melody is heard in {clip.name}",
            "one voice or instrument alone is understood; else give a MIDI file",
        )
    metre = metre or COMMON_TIME
    if tempo is None:
        grid = estimate_grid(clip.samples, clip.sample_rate_hz, bpm=None, metre=metre)
        tempo = grid.bpm if grid.trusted else _USUAL_BPM
    heard = tuple(
        MelodyNote(
            *_in_beats(note.start_s, note.end_s, tempo),
            note.pitch,
            int(max(_SOFTEST, min(_LOUDEST, _LOUDEST + 2 * note.level_db))),
        )
        for note in notes
    )
    tempo_map = tempo if isinstance(tempo, TempoMap) else TempoMap.constant(tempo)
    return Melody(heard, tempo_map, MetreMap.constant(metre), heard[-1].end_beats, clip.digest)


def _in_beats(start_s: float, end_s: float, tempo: float | TempoMap) -> tuple[float, float]:
    """Start and duration in beats of what sounds so many seconds after the start."""
    if isinstance(tempo, TempoMap):
        start = tempo.beats_at(start_s)
        return float(start), float(tempo.beats_at(end_s) - start)
    beats = tempo / 60.0
    return start_s * beats, (end_s - start_s) * beats
