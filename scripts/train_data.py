"""Training pieces with their truth: our composer's scores on a General MIDI soundfont.

    python scripts/train_data.py --count 10 --seed 0 --out pieces --stems

writes FLAC files and one JSON of truth for each. `render` and `frame_truth` are what the
training itself imports.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from functools import lru_cache
from pathlib import Path
from typing import Literal, overload

import numpy as np
import soundfile
from numpy.typing import NDArray

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from _fluidsynth import BLOCK_SAMPLES, FluidSynth, SoundFont  # noqa: E402

from engine.sketch.compose import compose  # noqa: E402
from engine.sketch.levels import levelled  # noqa: E402
from engine.sketch.score import ROLES, Part, Piece  # noqa: E402

DEFAULT_SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
# General MIDI counts channels from 0 and drums are channel 9; each channel is its own group
# modulo four.
_CHANNEL = {"drums": 9, "bass": 0, "chords": 2, "lead": 3}
_GROUP = {role: channel % 4 for role, channel in _CHANNEL.items()}
_SEND = {"drums": 0.35, "bass": 0.15, "chords": 0.8, "lead": 0.8}
_PEAK = 0.95
_CC_PAN, _CC_REVERB, _CC_CHORUS = 10, 91, 93


@lru_cache(maxsize=2)
def _font(soundfont: Path, sample_rate_hz: int) -> SoundFont:
    return SoundFont(soundfont, sample_rate_hz)


@overload
def render(
    piece: Piece,
    sample_rate_hz: int = ...,
    *,
    stems: Literal[False] = ...,
    reverb: bool = ...,
    tail_s: float = ...,
    soundfont: Path = ...,
) -> NDArray[np.float32]: ...


@overload
def render(
    piece: Piece,
    sample_rate_hz: int = ...,
    *,
    stems: Literal[True],
    reverb: bool = ...,
    tail_s: float = ...,
    soundfont: Path = ...,
) -> dict[str, NDArray[np.float32]]: ...


def render(
    piece: Piece,
    sample_rate_hz: int = 44100,
    *,
    stems: bool = False,
    reverb: bool = True,
    tail_s: float = 0.0,
    soundfont: Path = DEFAULT_SOUNDFONT,
) -> NDArray[np.float32] | dict[str, NDArray[np.float32]]:
    """The piece as float stereo [2, n], n = round(length_beats * 60 / bpm * rate) + the tail.

    With `stems`, a dict of every part's role and "mix", their exact sum. Peaks stay at or below
    0.95. The soundfont stays loaded between calls. Raises `RuntimeError` where libfluidsynth or
    the soundfont is missing.
    """
    length = piece.length_samples(sample_rate_hz) + round(tail_s * sample_rate_hz)
    with FluidSynth(_font(Path(soundfont), sample_rate_hz)) as synth:
        synth.room(piece.space, reverb)
        for part in piece.parts:
            _set_up(synth, part, piece.space if reverb else 0.0)
        groups = synth.render(_events(piece, sample_rate_hz), length)
    audio = {part.role: levelled(groups[_GROUP[part.role]], part.role, part.gain_db, sample_rate_hz)
             for part in piece.parts}  # fmt: skip
    mix = np.zeros((2, length), dtype=np.float32)
    for stem in audio.values():
        mix += stem
    peak = max([float(np.abs(wave).max(initial=0.0)) for wave in (mix, *audio.values())])
    scale = np.float32(min(1.0, _PEAK / peak)) if peak > 0.0 else np.float32(1.0)
    if not stems:
        return mix * scale
    audio = {role: wave * scale for role, wave in audio.items()}
    audio["mix"] = np.sum(list(audio.values()), axis=0, dtype=np.float32)
    return audio


def _set_up(synth: FluidSynth, part: Part, space: float) -> None:
    channel = _CHANNEL[part.role]
    synth.instrument(channel, part.program, part.role == "drums")
    synth.control(channel, _CC_PAN, 0.5 + 0.5 * part.pan)
    synth.control(channel, _CC_REVERB, space * _SEND[part.role])
    synth.control(channel, _CC_CHORUS, part.chorus)


def _events(piece: Piece, sample_rate_hz: int) -> list[tuple[int, int, int, int]]:
    """(sample, channel, pitch, velocity), releases before attacks on the same block."""
    per_beat = 60.0 * sample_rate_hz / piece.tempo_bpm
    events = []
    for part in piece.parts:
        channel = _CHANNEL[part.role]
        for note in part.notes:
            begin = round(note.start_beats * per_beat)
            end = max(round(note.end_beats * per_beat), begin + BLOCK_SAMPLES)
            events.append((begin, channel, note.pitch, note.velocity))
            events.append((end, channel, note.pitch, 0))
    return sorted(events, key=lambda event: (round(event[0] / BLOCK_SAMPLES), event[3] > 0))


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


def _below_one(phase: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.minimum(phase.astype(np.float32), np.nextafter(np.float32(1), np.float32(0)))


def main(arguments: list[str] | None = None) -> int:
    """Write pieces for people to look at; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bars", type=int, default=16)
    parser.add_argument("--style", default=None)
    parser.add_argument("--stems", action="store_true", help="write every part as well")
    parser.add_argument("--soundfont", type=Path, default=DEFAULT_SOUNDFONT)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    rate = 44100
    try:
        for index in range(options.count):
            rng = np.random.default_rng([options.seed, index])
            piece = compose(rng, style=options.style, bars=options.bars)
            audio = render(piece, rate, stems=True, soundfont=options.soundfont)
            name = f"{options.seed:04d}-{index:05d}-{piece.style}"
            for role, wave in audio.items():
                if role == "mix" or options.stems:
                    suffix = "" if role == "mix" else f"-{role}"
                    soundfile.write(options.out / f"{name}{suffix}.flac", wave.T, rate)
            truth = json.dumps(dataclasses.asdict(piece), indent=1)
            (options.out / f"{name}.json").write_text(truth, encoding="utf-8")
    except (RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
