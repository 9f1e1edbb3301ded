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
from dataclasses import dataclass, replace
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
_VELOCITY, _PITCHES = 80, range(48, 97)
_BRIGHT = ("major", "mixolydian")


@dataclass(frozen=True, slots=True)
class Tune:
    """A melody in whole bars from beat 0; velocities are all alike, times are as written."""

    name: str
    metre: tuple[int, int]
    key: Key
    bars: int
    notes: tuple[Note, ...]


def load_tunes(path: Path = CACHE) -> tuple[Tune, ...]:
    """The tunes of the cache, none where there is no cache."""
    return _read(path) if path.is_file() else ()


@lru_cache(maxsize=2)
def _read(path: Path) -> tuple[Tune, ...]:
    rows = json.loads(path.read_text(encoding="utf-8"))
    return tuple(
        Tune(
            row["name"],
            (row["metre"][0], row["metre"][1]),
            Key(row["tonic"], row["mode"]),
            row["bars"],
            tuple(Note(start, length, pitch, _VELOCITY) for start, length, pitch in row["notes"]),
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
    for path in sorted(path for path in corpus.getComposer("bach") if path.suffix == ".mxl"):
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
    placed, count = _placed(measures, bar_beats(metre))
    # Two bars of 2/4 are one of 4/4.
    bars, metre = (count // 2, (4, 4)) if metre == (2, 4) else (count, metre)
    notes = _notes(placed, bars * bar_beats(metre))
    understood = 0.8 * len(measures) <= count <= len(measures)
    if bars < _MIN_BARS or not understood or len(notes) < 2 * bars:
        return None
    if any(note.pitch not in _PITCHES for note in notes):
        return None
    return Tune(name, metre, _key(measures, notes), bars, tuple(notes))


def _placed(measures: Iterable[Any], length: float) -> tuple[list[tuple[float, Any]], int]:
    """Where each measure begins, in beats, once all bars are whole; and how many bars there are.

    A pickup in the middle, after the short last bar of a strain, completes that bar. The one that
    opens the tune is left out, so that beat 0 is a bar line, and so are empty measures.
    """
    placed: list[tuple[float, Any]] = []
    bars, missing = 0, 0.0
    for measure in measures:
        beats = float(sum(item.quarterLength for item in measure.notesAndRests))
        if beats <= 0.0 or beats > length + 1e-6 or (bars == 0 and beats < length - 1e-6):
            continue
        if beats <= missing + 1e-6:
            placed.append((bars * length - beats, measure))
            missing = 0.0
            continue
        placed.append((bars * length, measure))
        bars, missing = bars + 1, length - beats
    return placed, bars


def _notes(placed: Iterable[tuple[float, Any]], length_beats: float) -> list[Note]:
    """The notes before `length_beats`; grace notes, of no length, are left out, ties joined."""
    notes: list[Note] = []
    for begin, measure in placed:
        for item in measure.notes:
            start, beats = begin + float(item.offset), float(item.quarterLength)
            if beats <= 0.0 or start >= length_beats - 1e-6:
                continue
            pitch = int(max(pitch.midi for pitch in item.pitches))
            before = notes[-1] if notes else None
            tied = item.tie is not None and item.tie.type in ("stop", "continue")
            if tied and before and before.pitch == pitch and abs(before.end_beats - start) < 1e-6:
                notes[-1] = replace(before, duration_beats=before.duration_beats + beats)
            else:
                notes.append(Note(start, beats, pitch, _VELOCITY))
    return notes


def _key(measures: Iterable[Any], notes: list[Note]) -> Key:
    """The key a tune sounds in: signatures of the time name the scale, hardly ever the mode.

    The notes decide where they agree with the signature on the tonic, or end on their own.
    """
    heard = estimate_key(notes)
    signature = next((m.keySignature for m in measures if m.keySignature is not None), None)
    mode = getattr(signature, "mode", None)
    if mode not in MODES or signature is None:
        return heard
    written = Key(int(signature.tonic.pitchClass), mode)
    alike = (heard.mode in _BRIGHT) == (written.mode in _BRIGHT)
    if heard.tonic == written.tonic:
        return heard if alike else written
    return heard if heard.tonic == notes[-1].pitch % 12 else written


if __name__ == "__main__":
    print(f"{write_tunes()} tunes in {CACHE}")
