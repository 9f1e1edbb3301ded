"""Do stems sum to the mix, is each its role, and is a backing free of the melody?"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.files.midi import Melody, read_melody
from engine.sketch.score import ROLES
from engine.spec import FIELD_BY_NAME
from evaluation.bench import Bench
from evaluation.material import HELD_OUT_SEEDS, Excerpt, excerpts, write_melody
from evaluation.measures import Audio, error_of_difference, mean_auc, residual_db
from evaluation.product import Rendered, render
from evaluation.sections.melody import accuracy, has_tune, mean_of, request_for, unrelated
from evaluation.store import Figures
from evaluation.tagger import role_scores

FIRST_SEED = HELD_OUT_SEEDS + 500_000
VARIATIONS: dict[str, float | None] = {"default": None, "noise": 1.0}
BACKINGS: dict[str, float | None] = {"sketch": 0.0, **VARIATIONS}


def rendered_stems(answer: Rendered) -> dict[str, Audio]:
    """The stems of a render by role; empty where the product gives none."""
    return {name: audio for name, audio in answer.stems.items() if name in ROLES}


@dataclass(slots=True)
class _Told:
    """What the tagger says of stems that are known to be one role."""

    scores: list[list[float]] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)

    def add(self, bench: Bench, stems: dict[str, Audio]) -> None:
        for role, audio in stems.items():
            self.scores.append(role_scores(bench.judges.tagger, audio))
            self.roles.append(role)

    @property
    def area(self) -> float | None:
        """Mean over the roles of the area under the curve."""
        if not self.roles:
            return None
        labels = np.array([[own == role for role in ROLES] for own in self.roles])
        return mean_auc(np.array(self.scores), labels)


def measure_stems(bench: Bench, items: list[Excerpt], paths: list[Path]) -> Figures:
    """Stems of accompaniments and of pieces from words, beside those of real renders."""
    if "stems" not in FIELD_BY_NAME:
        return {"available": False}
    real = _Told()
    for e in items:
        real.add(bench, {role: e.stems[role] for role in e.roles})
    figures: Figures = {"available": True, "real": {"auc": real.area, "stems": len(real.roles)}}
    for name, variation in VARIATIONS.items():
        bench.say(f"  stems of {len(items)} accompaniments: {name}")
        told, residuals = _Told(), []
        for e, path in zip(items, paths, strict=True):
            wanted: dict[str, Any] = {**request_for(e, path, e.roles), "stems": True}
            answer = render(bench.engine, **wanted, variation=variation)
            stems = rendered_stems(answer)
            if not stems:
                return {"available": False}
            told.add(bench, stems)
            residuals.append(residual_db(stems, answer.audio))
        figures[name] = {
            "auc": told.area,
            "stems": len(told.roles),
            "residual_db": max(residuals),
        }
    return figures


def measure_backings(
    bench: Bench, items: list[Excerpt], paths: list[Path], melodies: list[Melody]
) -> Figures:
    """How much of the melody is in backings, against unrelated melodies and real backings."""
    own: dict[str, list[float | None]] = {"real": []}
    foreign: dict[str, list[float | None]] = {"real": []}
    for k, (e, path) in enumerate(zip(items, paths, strict=True)):
        backing = tuple(role for role in e.roles if role != "lead")
        real = np.asarray(np.sum([a for r, a in e.stems.items() if r != "lead"], axis=0))
        answers = {"real": real}
        for name, variation in BACKINGS.items():
            wanted = request_for(e, path, backing)
            answers[name] = render(bench.engine, **wanted, variation=variation).audio
        other, transpose = unrelated(items, melodies, k)
        for name, audio in answers.items():
            own.setdefault(name, []).append(accuracy(audio, melodies[k], e.piece.tempo_bpm))
            foreign.setdefault(name, []).append(
                accuracy(audio, other, e.piece.tempo_bpm, transpose)
            )
    return {
        name: {
            "own": mean_of(own[name]),
            "unrelated": mean_of(foreign[name]),
            "error": error_of_difference(own[name], foreign[name]),
        }
        for name in own
    }


def measure(bench: Bench) -> Figures:
    """Stems and backings of a few held-out tunes."""
    items = excerpts(FIRST_SEED, bench.plan.stems, 8.0, has_tune)
    tunes = excerpts(items[-1].seed + 1, bench.plan.backings, 8.0, _has_pitched_backing)
    with tempfile.TemporaryDirectory() as folder:
        paths = [write_melody(e, Path(folder) / f"{e.seed}.mid") for e in items]
        figures = {"pieces": len(items), "stems": measure_stems(bench, items, paths)}
        paths = [write_melody(e, Path(folder) / f"{e.seed}.mid") for e in tunes]
        melodies = [read_melody(path) for path in paths]
        bench.say(f"  backings of {len(tunes)} tunes")
        figures["backings"] = measure_backings(bench, tunes, paths, melodies)
        figures["tunes"] = len(tunes)
    return figures


def _has_pitched_backing(excerpt: Excerpt) -> bool:
    return has_tune(excerpt) and "chords" in excerpt.roles
