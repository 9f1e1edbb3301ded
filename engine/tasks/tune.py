"""The melody of a request: a MIDI file, or a recording of somebody who hums or plays it."""

from __future__ import annotations

from pathlib import Path

from engine.analysis.pitch_track import track_notes
from engine.analysis.tempo import COMMON_TIME, estimate_grid
from engine.files.audio import read_clip
from engine.files.midi import Melody, MelodyNote, read_melody
from engine.files.tempo_map import TempoMap
from engine.spec import BridgeError
from engine.units import Metre

_AUDIO_STARTS = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"FORM", b"ID3", b"\xff\xfb")
_RIFF_MIDI = b"RMID"
_USUAL_BPM = 120.0
_LOUDEST, _SOFTEST = 110, 40
LONGEST_S = 300.0


def read_tune(path: str, bpm: float | None, metre: Metre | None) -> Melody:
    """The melody at a path, whatever kind of file it is.

    Args:
        bpm: tempo in which a recording is counted; where it is None, the one that is heard, or 120
            where none is. A MIDI file knows its own.

    Raises:
        BridgeError: `bad_midi` or `bad_audio` where there is no melody in it.
    """
    return _heard(path, bpm, metre) if _is_recording(path) else read_melody(path)


def _is_recording(path: str) -> bool:
    try:
        with Path(path).open("rb") as file:
            start = file.read(12)
    except OSError:  # for the reader to say
        return False
    return start.startswith(_AUDIO_STARTS) and start[8:12] != _RIFF_MIDI


def _heard(path: str, bpm: float | None, metre: Metre | None) -> Melody:
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
    if bpm is None:
        grid = estimate_grid(clip.samples, clip.sample_rate_hz, bpm=None, metre=metre)
        bpm = grid.bpm if grid.trusted else _USUAL_BPM
    beats = bpm / 60.0
    heard = tuple(
        MelodyNote(
            note.start_s * beats,
            (note.end_s - note.start_s) * beats,
            note.pitch,
            int(max(_SOFTEST, min(_LOUDEST, _LOUDEST + 2 * note.level_db))),
        )
        for note in notes
    )
    tempo_map = TempoMap(((0.0, bpm),))
    return Melody(heard, tempo_map, metre, heard[-1].end_beats, bpm, clip.digest)
