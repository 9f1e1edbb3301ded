"""Public-domain tunes cut to a window: what the melody control is asked for."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from _tunes import Tune, load_tunes
from torch import Tensor

from engine.sketch.score import Key, Note

HELD_OUT_PART = 5  # one tune in so many, by the hash of its name
_SEED = 20_261_000
_TEMPO_BPM = (84.0, 132.0)
_SHORTEST_NOTE_S = 0.14  # of the quick notes; faster ones are shorter than the checks can resolve
_FEWEST_NOTES = 6
EXACTLY = 1e-6  # of a step: a note that begins at one is not to be missed by rounding

Times = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cut:
    """The beginning of a tune.

    Attributes:
        notes: in beats from the window's start; all begin inside it.
    """

    name: str
    key: Key
    tempo_bpm: float
    notes: tuple[Note, ...] = field(repr=False)

    def pitches_at(self, times_s: Times) -> npt.NDArray[np.int64]:
        """MIDI pitch sounding at times in seconds, -1 in rests."""
        beats = np.asarray(times_s) * self.tempo_bpm / 60.0
        found = np.full(beats.shape, -1, dtype=np.int64)
        for note in self.notes:
            found[(beats >= note.start_beats) & (beats < note.end_beats)] = note.pitch
        return found

    def chroma(self, steps: int, step_s: float, place: float = 0.5) -> Tensor:
        """0/1 pitch classes at a place of each step, its middle by itself `[1, 12, steps]`."""
        pitches = self.pitches_at((np.arange(steps) + place) * step_s)
        chroma = torch.zeros(1, 12, steps)
        for step in np.flatnonzero(pitches >= 0):
            chroma[0, pitches[step] % 12, step] = 1.0
        return chroma

    def onsets(self, steps: int, step_s: float) -> Tensor:
        """1 at the first step of each note `[1, 12, steps]`."""
        onsets = torch.zeros(1, 12, steps)
        for note in self.notes:
            step = math.ceil(note.start_beats * 60.0 / self.tempo_bpm / step_s - EXACTLY)
            onsets[0, note.pitch % 12, min(step, steps - 1)] = 1.0
        return onsets


def is_held_out(name: str) -> bool:
    """Whether a tune belongs to the part that the benchmark takes."""
    return _hash(name) % HELD_OUT_PART == 0


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def cut(tune: Tune, tempo_bpm: float, seconds: float) -> Cut:
    """The first `seconds` of a tune from its first note on, slower where it would be a blur."""
    quick = float(np.percentile([note.duration_beats for note in tune.notes], 20.0))
    tempo_bpm = round(min(tempo_bpm, 60.0 * quick / _SHORTEST_NOTE_S), 2)
    first = tune.notes[0].start_beats
    end_beats = seconds * tempo_bpm / 60.0
    notes = []
    for note in tune.notes:
        start = note.start_beats - first
        if start < end_beats:
            length = min(note.duration_beats, end_beats - start)
            notes.append(Note(start, length, note.pitch, note.velocity))
    return Cut(tune.name, tune.key, tempo_bpm, tuple(notes))


def cuts(tunes: Sequence[Tune], seconds: float) -> tuple[Cut, ...]:
    """Every held-out tune with enough notes, in the order of the hashes."""
    held = sorted((tune for tune in tunes if is_held_out(tune.name)), key=lambda t: _hash(t.name))
    found = []
    for number, tune in enumerate(held):
        rng = np.random.default_rng([_SEED, number])
        piece = cut(tune, float(rng.uniform(*_TEMPO_BPM)), seconds)
        if len(piece.notes) >= _FEWEST_NOTES:
            found.append(piece)
    return tuple(found)


@lru_cache(maxsize=2)
def held_out_cuts(seconds: float) -> tuple[Cut, ...]:
    """The cuts of the collection; none where it has not been extracted."""
    return cuts(load_tunes(), seconds)
