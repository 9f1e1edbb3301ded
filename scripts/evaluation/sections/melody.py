"""Accompaniments: is the melody that was given in them, with no optimisation for it?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from engine.analysis.melody import melody_accuracy
from engine.files.midi import Melody, melody_pitches, read_melody
from evaluation.bench import Bench
from evaluation.material import HELD_OUT_SEEDS, RATE_HZ, Excerpt, excerpts, write_melody
from evaluation.measures import Audio, middle
from evaluation.product import key_text, render, round_trip
from evaluation.sections.text import EXCERPT_S, VARIATIONS
from evaluation.store import Figures

FIRST_SEED = HELD_OUT_SEEDS + 300_000
_FEWEST_NOTES = 6


def has_tune(excerpt: Excerpt) -> bool:
    """Whether the lead is heard, beside others, and plays a few notes."""
    enough = len(excerpt.melody) >= _FEWEST_NOTES
    return enough and "lead" in excerpt.roles and len(excerpt.roles) > 1


def accuracy(audio: Audio, melody: Melody, bpm: float, transpose: int = 0) -> float | None:
    """Share of frames whose strongest pitch class is the melody's; see `melody_accuracy`."""

    def pitches(times: Any) -> Any:
        found = melody_pitches(melody, times, bpm)
        return np.where(found >= 0, found + transpose, -1)

    return melody_accuracy(audio, RATE_HZ, pitches)


def request_for(excerpt: Excerpt, melody: Path, roles: tuple[str, ...]) -> dict[str, Any]:
    """The request whose answer the excerpt could be."""
    return {
        "task": "melody",
        "melody": str(melody),
        "prompt": excerpt.piece.style,
        "bpm": excerpt.piece.tempo_bpm,
        "key": key_text(excerpt.piece.key),
        "roles": list(roles),
        "seconds": EXCERPT_S,
        "seed": excerpt.seed,
    }


def unrelated(items: list[Excerpt], melodies: list[Melody], index: int) -> tuple[Melody, int]:
    """The next item's melody, and the semitones that bring it into this item's key."""
    other = (index + 1) % len(items)
    return melodies[other], items[index].piece.key.tonic - items[other].piece.key.tonic


def measure(bench: Bench) -> Figures:
    """Accuracy of the melody in real renders, sketches, and pieces of the model."""
    items = excerpts(FIRST_SEED, bench.plan.melodies, EXCERPT_S, has_tune)
    found: dict[str, list[float | None]] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = [write_melody(e, Path(folder) / f"{e.seed}.mid") for e in items]
        melodies = [read_melody(path) for path in paths]
        sounds = {"real": [e.mix for e in items]}
        sounds["codec"] = [round_trip(bench.engine, audio) for audio in sounds["real"]]
        for name, variation in VARIATIONS.items():
            bench.say(f"  {len(items)} accompaniments: {name}")
            sounds[name] = [
                render(bench.engine, **request_for(e, path, e.roles), variation=variation).audio
                for e, path in zip(items, paths, strict=True)
            ]
    for name, answers in sounds.items():
        found[name] = [
            accuracy(audio, melody, e.piece.tempo_bpm)
            for audio, melody, e in zip(answers, melodies, items, strict=True)
        ]
    found["unrelated"] = [
        accuracy(sounds["real"][k], melody, items[k].piece.tempo_bpm, transpose)
        for k in range(len(items))
        for melody, transpose in [unrelated(items, melodies, k)]
    ]
    return {
        "pieces": len(items),
        "mean": {name: mean_of(values) for name, values in found.items()},
        "median": {name: middle(values) for name, values in found.items()},
    }


def mean_of(values: list[float | None]) -> float | None:
    """Mean of what was measured; None where nothing was."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
