"""Real tunes in the public domain, as leads of training pieces.

    python scripts/_tunes.py

reads O'Neill's "Music of Ireland" (1903) and the sopranos of Bach's chorales out of the corpus
that comes with music21 (the `train` extra), and keeps their pitches, times, metres and keys in
`.training/tunes.json`. `load_tunes` reads that file and never needs music21.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from engine.sketch.keyfinding import estimate_key  # noqa: E402
from engine.sketch.score import MODES, Key, Note, bar_beats  # noqa: E402

CACHE = Path(__file__).resolve().parents[1] / ".training" / "tunes.json"
_METRES = {"4/4": (4, 4), "2/2": (4, 4), "2/4": (2, 4), "3/4": (3, 4), "6/8": (6, 8)}
_MIN_BARS = 8
# Bars that are not full are pickups and the two halves of a repeat; more than that is a tune the
# notation of which was not understood.
_MAX_BROKEN = 0.3
_SOFTEST, _PITCHES = 80, range(48, 97)


@dataclass(frozen=True, slots=True)
class Tune:
    """A melody in whole bars from beat 0; velocities are all alike, times are as written."""

    name: str
    metre: tuple[int, int]
    key: Key
    bars: int
    notes: tuple[Note, ...]


@lru_cache(maxsize=4)
def load_tunes(path: Path = CACHE) -> tuple[Tune, ...]:
    """The tunes of the cache, none where there is no cache."""
    if not path.is_file():
        return ()
    rows = json.loads(path.read_text(encoding="utf-8"))
    return tuple(
        Tune(
            row["name"],
            (row["metre"][0], row["metre"][1]),
            Key(row["tonic"], row["mode"]),
            row["bars"],
            tuple(Note(start, length, pitch, _SOFTEST) for start, length, pitch in row["notes"]),
        )
        for row in rows
    )


def write_tunes(path: Path = CACHE) -> int:
    """Extract every usable tune into the cache, whole or not at all; returns how many."""
    rows = [
        {
            "name": tune.name, "metre": tune.metre, "tonic": tune.key.tonic,
            "mode": tune.key.mode, "bars": tune.bars,
            "notes": [
                [round(note.start_beats, 4), round(note.duration_beats, 4), note.pitch]
                for note in tune.notes
            ],
        }
        for tune in _extracted()
    ]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(rows), encoding="utf-8")
    partial.rename(path)
    return len(rows)


def _extracted() -> Iterator[Tune]:
    converter, corpus = import_module("music21.converter"), import_module("music21.corpus")
    for path in sorted(corpus.getComposer("oneills1850")):
        opus = converter.parse(str(path))
        for number, score in enumerate(getattr(opus, "scores", [opus])):
            tune = _tune(f"{path.stem}/{number}", score.parts[0])
            if tune is not None:
                yield tune
    for path in sorted(corpus.getComposer("bach", "mxl")):
        score = converter.parse(str(path))
        sopranos = [part for part in score.parts if "sopr" in str(part.partName).lower()]
        tune = _tune(path.stem, sopranos[0]) if sopranos else None
        if tune is not None:
            yield tune


def _tune(name: str, part: Any) -> Tune | None:
    """A music21 part as a tune, None where its metre or its bars are no use."""
    measures = list(part.getElementsByClass("Measure"))
    signatures = {str(m.timeSignature.ratioString) for m in measures if m.timeSignature}
    if len(signatures) != 1 or not signatures <= set(_METRES):
        return None
    metre = _METRES[signatures.pop()]
    full = [m for m in measures if abs(_written_beats(m) - bar_beats(metre)) < 1e-6]
    if metre == (2, 4):
        metre, full = (4, 4), full[: len(full) // 2 * 2]
        bars = len(full) // 2
    else:
        bars = len(full)
    if bars < _MIN_BARS or len(full) < (1.0 - _MAX_BROKEN) * len(measures):
        return None
    notes = _notes(full, bars * bar_beats(metre) / len(full))
    if len(notes) < 2 * bars or any(note.pitch not in _PITCHES for note in notes):
        return None
    return Tune(name, metre, _key(measures, notes), bars, tuple(notes))


def _written_beats(measure: Any) -> float:
    return float(sum(item.quarterLength for item in measure.notesAndRests))


def _notes(measures: Iterable[Any], measure_beats: float) -> list[Note]:
    """The notes of full measures one after another; grace notes, of no length, are left out."""
    notes: list[Note] = []
    for index, measure in enumerate(measures):
        for item in measure.notes:
            if not item.quarterLength:
                continue
            start = index * measure_beats + float(item.offset)
            length = float(item.quarterLength)
            pitch = int(max(pitch.midi for pitch in item.pitches))
            before = notes[-1] if notes else None
            tied = item.tie is not None and item.tie.type in ("stop", "continue")
            if tied and before and before.pitch == pitch and abs(before.end_beats - start) < 1e-6:
                notes[-1] = Note(before.start_beats, before.duration_beats + length, pitch, 80)
            else:
                notes.append(Note(start, length, pitch, _SOFTEST))
    return notes


def _key(measures: Iterable[Any], notes: list[Note]) -> Key:
    """The written key where it says its mode, else the one the notes suggest."""
    for measure in measures:
        written = measure.keySignature
        if written is not None:
            mode = getattr(written, "mode", None)
            if mode in MODES:
                return Key(int(written.tonic.pitchClass), mode)
            break
    return estimate_key(notes)


if __name__ == "__main__":
    print(f"{write_tunes()} tunes in {CACHE}")
