"""Continuations of held-out renders and of real recordings, beside what needs no model."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.analysis.grid import grid_figures
from engine.files.audio import write_audio
from evaluation.baselines import repeat_last_bar, shuffled, silence
from evaluation.bench import Bench, pictured
from evaluation.frechet import frechet_distance
from evaluation.material import (
    HELD_OUT_SEEDS,
    RATE_HZ,
    excerpts,
    recording_audio,
    recordings,
)
from evaluation.measures import Audio, Matrix, level_gaps_db
from evaluation.product import Rendered, render
from evaluation.store import Figures

FIRST_SEED = HELD_OUT_SEEDS + 400_000
SOURCE_S = NEW_S = 6.0
LEVEL_LIMIT_DB = 6.0
_BAR_BEATS = 4.0  # of a recording, whose metre nobody says


@dataclass(frozen=True, slots=True)
class Case:
    """Something to continue, with what really follows.

    Attributes:
        bpm: of the source; None where it has no clear beat.
    """

    name: str
    source: Audio = field(repr=False)
    truth: Audio = field(repr=False)
    made: Audio = field(repr=False)
    bar_samples: int
    bpm: float | None


def render_cases(bench: Bench) -> list[Case]:
    """Held-out renders, cut after six seconds and continued from pure noise."""
    cases = []
    edge, length = round(SOURCE_S * RATE_HZ), round(NEW_S * RATE_HZ)
    for e in excerpts(FIRST_SEED, bench.plan.extensions, SOURCE_S + NEW_S):
        source, truth = e.mix[:, :edge], e.mix[:, edge : edge + length]
        metre = f"{e.piece.metre[0]}/{e.piece.metre[1]}"
        with tempfile.TemporaryDirectory() as folder:
            path = write_audio(Path(folder) / "source.wav", source, RATE_HZ, "PCM_24")
            made = _extended(
                bench, path, bpm=e.piece.tempo_bpm, metre=metre, variation=1.0, seed=e.seed
            )
        name = f"{e.piece.style}, number {e.seed}"
        bpm = e.piece.tempo_bpm
        cases.append(Case(name, source, truth, made.new[:, :length], e.bar_samples, bpm))
    return cases


def recording_cases(bench: Bench) -> list[Case]:
    """Real loops, continued with the defaults; what follows a loop is the loop."""
    cases = []
    length = round(NEW_S * RATE_HZ)
    for path in recordings(bench.recordings, bench.plan.recordings):
        source, made = recording_audio(path), _extended(bench, path)
        grid = made.report["grid"]
        bar = round(_BAR_BEATS * 60.0 / grid["bpm"] * RATE_HZ)
        trusted = "tempo_error_percent" in grid
        truth = np.tile(source, (1, -(-length // source.shape[1])))[:, :length]
        bpm = grid["bpm"] if trusted else None
        cases.append(Case(path.stem, source, truth, made.new[:, :length], bar, bpm))
    return cases


def _extended(bench: Bench, path: Path, **wanted: Any) -> Rendered:
    return render(bench.engine, task="extend", source=str(path), seconds=NEW_S, **wanted)


def continuations(cases: Sequence[Case]) -> dict[str, list[Audio]]:
    """By name what follows each case: the truth, the model's, and what needs no model."""
    rng = np.random.default_rng(FIRST_SEED)
    length = round(NEW_S * RATE_HZ)
    return {
        "truth": [c.truth for c in cases],
        "model": [c.made for c in cases],
        "repeat": [repeat_last_bar(c.source, c.bar_samples, length) for c in cases],
        "shuffled": [shuffled(c.source, length, RATE_HZ, rng) for c in cases],
        "exchanged": [cases[k - 1].truth for k in range(len(cases))],
        "silence": [silence(length)] * len(cases),
    }


@dataclass(frozen=True, slots=True)
class Clouds:
    """Points `[cases × patches, 24]` of one way to continue, against three things.

    Attributes:
        music: where the continuations lie.
        fit: how far each lies from the middle of its source.
        variety: how far each patch lies from that of a verbatim repeat of the last bar.
    """

    music: Matrix
    fit: Matrix
    variety: Matrix


def clouds(bench: Bench, cases: Sequence[Case]) -> dict[str, Clouds]:
    """The points of every way to continue."""
    embedding = bench.judges.embedding
    points = {
        name: np.array([embedding(audio) for audio in sounds])
        for name, sounds in continuations(cases).items()
    }
    middles = np.array([embedding(case.source).mean(axis=0) for case in cases])
    width = middles.shape[1]
    return {
        name: Clouds(
            where.reshape(-1, width),
            (where - middles[:, None]).reshape(-1, width),
            (where - points["repeat"]).reshape(-1, width),
        )
        for name, where in points.items()
    }


def distances(found: dict[str, Clouds]) -> dict[str, dict[str, float]]:
    """Fréchet distances to what really follows, and the mean lengths behind fit and variety."""
    truth = found["truth"]
    return {
        name: {
            "music": frechet_distance(cloud.music, truth.music),
            "fit": frechet_distance(cloud.fit, truth.fit),
            "variety": frechet_distance(cloud.variety, truth.variety),
            "from_source": float(np.mean(np.linalg.norm(cloud.fit, axis=1))),
            "from_repeat": float(np.mean(np.linalg.norm(cloud.variety, axis=1))),
        }
        for name, cloud in found.items()
    }


def tempo_errors(cases: Sequence[Case], sounds: Sequence[Audio]) -> list[float | None]:
    """Percent by which the tempo that the onsets keep differs from the source's; see `grid`."""
    return [
        None if case.bpm is None else grid_figures(audio, RATE_HZ, case.bpm)["tempo_error_percent"]
        for case, audio in zip(cases, sounds, strict=True)
    ]


def measure_cases(bench: Bench, cases: Sequence[Case]) -> Figures:
    """Everything about one set of continuations."""
    ways = continuations(cases)
    return {
        "cases": [case.name for case in cases],
        "tempo_errors_percent": {
            name: tempo_errors(cases, ways[name]) for name in ("truth", "model")
        },
        "level_gaps_db": {
            name: [level_gaps_db(audio, case.source, RATE_HZ)
                   for case, audio in zip(cases, ways[name], strict=True)]
            for name in ("truth", "model")
        },
        "distances": distances(clouds(bench, cases)),
    }  # fmt: skip


def _row(case: Case) -> list[tuple[str, Audio]]:
    """Source with what really follows, beside source with what the model makes of it."""
    return [
        (f"{case.name}: what follows", np.concatenate([case.source, case.truth], axis=1)),
        ("continued by the model", np.concatenate([case.source, case.made], axis=1)),
    ]


def measure(bench: Bench) -> Figures:
    """Held-out renders at variation 1, and recordings with the defaults."""
    bench.say(f"  {bench.plan.extensions} continuations of held-out renders")
    cases = render_cases(bench)
    figures: Figures = {"renders": measure_cases(bench, cases), "recordings": None}
    bench.draw("extensions", [_row(cases[k]) for k in pictured(len(cases))])
    real = recording_cases(bench)
    if len(real) > 1:
        bench.say(f"  {len(real)} continuations of real recordings")
        figures["recordings"] = measure_cases(bench, real)
        bench.draw("recordings", [_row(real[k]) for k in pictured(len(real))])
    return figures
