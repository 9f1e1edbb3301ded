"""Make the clips and the tune that the demonstration works on, with our own composer.

    python scripts/make_clips.py [--out scripts/clips]

Writes drums.flac, harmonic.flac and tune.mid. Needs libfluidsynth and the FluidR3 GM soundfont
(MIT); the files are part of the repository, so nobody has to run this to use the project.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import mido
import numpy as np
import soundfile

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from train_data import render  # noqa: E402

from engine.sketch.compose import compose  # noqa: E402
from engine.sketch.score import Key, Piece  # noqa: E402

RATE_HZ = 44100
PEAK = 0.5  # the headroom of a track in a session; it keeps the files small, too
TICKS_PER_BEAT = 480
_TONICS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_ELECTRIC_PIANO, _FINGERED_BASS = 4, 33


def drums(seed: int = 4) -> Piece:
    """Four bars of a plain pop beat at 126 bpm."""
    return compose(
        np.random.default_rng(seed),
        style="pop",
        tempo_bpm=126.0,
        metre=(4, 4),
        bars=4,
        roles=("drums",),
        steady=True,
    )


def harmony(seed: int = 2) -> Piece:
    """Four bars of electric piano and bass, in A minor at 116 bpm."""
    return compose(
        np.random.default_rng(seed),
        style="ballad",
        tempo_bpm=116.0,
        metre=(4, 4),
        key=Key(9, "minor"),
        bars=4,
        roles=("bass", "chords"),
        programs={"chords": _ELECTRIC_PIANO, "bass": _FINGERED_BASS},
        steady=True,
    )


def tune(seed: int = 7) -> Piece:
    """Eight bars of melody in D major at 108 bpm."""
    return compose(
        np.random.default_rng(seed),
        style="pop",
        tempo_bpm=108.0,
        metre=(4, 4),
        key=Key(2, "major"),
        bars=8,
        roles=("lead",),
        programs={"lead": _ELECTRIC_PIANO},
        steady=True,
    )


def write_midi(piece: Piece, path: Path) -> None:
    """Write the lead as a MIDI file with tempo, metre and key."""
    lead = piece.part("lead")
    assert lead is not None
    events = []
    for note in lead.notes:
        start, end = (round(t * TICKS_PER_BEAT) for t in (note.start_beats, note.end_beats))
        events.append((start, 1, mido.Message("note_on", note=note.pitch, velocity=note.velocity)))
        events.append((end, 0, mido.Message("note_off", note=note.pitch)))
    events.sort(key=lambda event: event[:2])  # releases first, so that repeated notes sound
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("track_name", name="Melody"))
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(piece.tempo_bpm)))
    beats, unit = piece.metre
    track.append(mido.MetaMessage("time_signature", numerator=beats, denominator=unit))
    minor = "m" if piece.key.mode == "minor" else ""
    track.append(mido.MetaMessage("key_signature", key=_TONICS[piece.key.tonic] + minor))
    now = 0
    for at, _, message in events:
        track.append(message.copy(time=at - now))
        now = at
    total = round(piece.length_beats * TICKS_PER_BEAT)
    track.append(mido.MetaMessage("end_of_track", time=max(0, total - now)))
    mido.MidiFile(type=0, ticks_per_beat=TICKS_PER_BEAT, tracks=[track]).save(path)


def main(arguments: list[str] | None = None) -> int:
    """Write the three files; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "clips")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, piece in (("drums", drums()), ("harmonic", harmony())):
        audio = render(piece, RATE_HZ, reverb=False)
        audio *= PEAK / np.abs(audio).max()
        path = options.out / f"{name}.flac"
        soundfile.write(path, audio.T, RATE_HZ, subtype="PCM_16", compression_level=1.0)
    write_midi(tune(), options.out / "tune.mid")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
