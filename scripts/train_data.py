"""Training pieces with their truth: our composer's scores on a General MIDI soundfont.

    python scripts/train_data.py --count 10 --seed 0 --out pieces --stems

writes the pieces from number 0 on as FLAC files, with one JSON of truth for each: the score and
`piece_tags`. `frame_truth` and `piece_tags` are what the training itself imports. Needs the
Debian packages libfluidsynth3 and fluid-soundfont-gm; a part of the pieces sounds on
musescore-general-soundfont where that is installed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from _fluidsynth import DEFAULT_SOUNDFONT, render  # noqa: E402
from training_pieces import compose_training_piece, render_training_piece  # noqa: E402

from engine.sketch.score import ROLES, Piece  # noqa: E402

__all__ = ["DEFAULT_SOUNDFONT", "frame_truth", "main", "piece_tags", "render"]


def frame_truth(
    piece: Piece, frames: int, frame_rate_hz: float, offset_s: float = 0.0
) -> dict[str, NDArray[np.generic]]:
    """What sounds at the times offset_s + k / frame_rate_hz, k = 0 .. frames - 1.

    - `beat_phase` [frames] float32 in [0, 1): quarter notes counted from each bar line, so in
      7/8 the last beat of the bar is half a beat long;
    - `bar_phase` [frames] float32 in [0, 1);
    - `melody_chroma` [frames, 12] float32, 1 where the lead sounds that pitch class;
    - `melody_onsets` [frames, 12] float32, 1 on the first frame at or after the start of a lead
      note of that pitch class, which is the first that `melody_chroma` has of it;
    - `roles` [frames, 4] bool in the order of `ROLES`: a note within one beat either side.
    """
    beats = (offset_s + np.arange(frames) / frame_rate_hz) * piece.tempo_bpm / 60.0
    # A frame that falls on a bar line by arithmetic must not fall before it by rounding.
    bar_position = np.mod(beats + 1e-9, piece.bar_beats)
    roles = np.zeros((frames, len(ROLES)), dtype=bool)
    chroma = np.zeros((frames, 12), dtype=np.float32)
    onsets = np.zeros((frames, 12), dtype=np.float32)
    frame_beats = piece.tempo_bpm / 60.0 / frame_rate_hz
    for part in piece.parts:
        column = ROLES.index(part.role)
        for note in part.notes:
            near = slice(*np.searchsorted(beats, (note.start_beats - 1.0, note.end_beats + 1.0)))
            roles[near, column] = True
            if part.role == "lead":
                held = slice(*np.searchsorted(beats, (note.start_beats, note.end_beats)))
                chroma[held, note.pitch % 12] = 1.0
                # What began before the frame before the first is not begun here.
                if held.start < frames and note.start_beats > beats[0] - frame_beats:
                    onsets[held.start, note.pitch % 12] = 1.0
    return {
        "beat_phase": _below_one(np.mod(bar_position, 1.0)),
        "bar_phase": _below_one(bar_position / piece.bar_beats),
        "melody_chroma": chroma,
        "melody_onsets": onsets,
        "roles": roles,
    }


def piece_tags(piece: Piece) -> dict[str, Any]:
    """What holds for the whole piece, ready for JSON.

    `style`, `mood` and `mode` are names, `tempo_bpm` counts quarter notes, `metre` reads "7/8",
    `key` is the tonic's pitch class (0 is C), `programs` has the General MIDI program of every
    role that plays (of the drums, the kit), and `swing` is where off-beats fall (0.5 is straight).
    """
    return {
        "style": piece.style,
        "mood": piece.mood,
        "tempo_bpm": piece.tempo_bpm,
        "metre": f"{piece.metre[0]}/{piece.metre[1]}",
        "key": piece.key.tonic,
        "mode": piece.key.mode,
        "programs": {part.role: part.program for part in piece.parts},
        "swing": piece.swing,
        "length_s": piece.length_s,
    }


def _below_one(phase: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.minimum(phase.astype(np.float32), np.nextafter(np.float32(1), np.float32(0)))


def main(arguments: list[str] | None = None) -> int:
    """Write pieces for people to look at; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="number of the first piece")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bars", type=int, default=None)
    parser.add_argument("--style", default=None)
    parser.add_argument("--stems", action="store_true", help="write every part as well")
    parser.add_argument("--soundfont", type=Path, default=None, help="for every piece")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    rate = 44100
    try:
        for seed in range(options.seed, options.seed + options.count):
            piece = compose_training_piece(seed, style=options.style, bars=options.bars)
            audio = render_training_piece(piece, seed, rate, soundfont=options.soundfont)
            name = f"{seed:07d}-{piece.style}"
            for role, wave in audio.items():
                if role == "mix" or options.stems:
                    suffix = "" if role == "mix" else f"-{role}"
                    soundfile.write(options.out / f"{name}{suffix}.flac", wave.T, rate)
            truth = {**dataclasses.asdict(piece), "tags": piece_tags(piece)}
            text = json.dumps(truth, indent=1)
            (options.out / f"{name}.json").write_text(text, encoding="utf-8")
    except (RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
