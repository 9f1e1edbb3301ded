"""Pieces from words: do they keep to tempo, grid, key and roles, and are they music of the kind?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from engine.analysis.grid import grid_figures
from engine.sketch.score import ROLES
from evaluation.baselines import repeat_last_bar, shuffled, silence
from evaluation.bench import Bench, pictured
from evaluation.frechet import frechet_distance
from evaluation.material import HELD_OUT_SEEDS, RATE_HZ, Excerpt, excerpts
from evaluation.measures import (
    Audio,
    Matrix,
    key_is,
    mean_auc,
    middle,
    share,
    tempo_is_usual,
    tempo_verdict,
)
from evaluation.product import key_text, render, round_trip
from evaluation.store import Figures
from evaluation.tagger import role_scores

FIRST_SEED = HELD_OUT_SEEDS + 200_000
EXCERPT_S = 8.0
VARIATIONS: dict[str, float | None] = {"sketch": 0.0, "default": None, "noise": 1.0}


def request_for(excerpt: Excerpt) -> dict[str, Any]:
    """The request whose answer the excerpt could be."""
    piece = excerpt.piece
    return {
        "task": "generate",
        "prompt": piece.style,
        "bpm": piece.tempo_bpm,
        "metre": f"{piece.metre[0]}/{piece.metre[1]}",
        "key": key_text(piece.key),
        "roles": list(excerpt.roles),
        "seconds": EXCERPT_S,
        "seed": excerpt.seed,
    }


def heard_in(bench: Bench, excerpt: Excerpt, audio: Audio) -> dict[str, Any]:
    """The analyses of one answer; the key is None where nothing of it has one."""
    piece = excerpt.piece
    pitched = bool({"chords", "lead"} & set(excerpt.roles))
    grid = grid_figures(audio, RATE_HZ, piece.tempo_bpm)
    return {
        "tempo": tempo_verdict(bench.judges.tempo_bpm(audio, piece.metre), piece.tempo_bpm),
        "usual": tempo_is_usual(piece.style, piece.metre, piece.tempo_bpm),
        "onsets_ms": grid["onset_deviation_ms_median"],
        "key": key_is(audio, RATE_HZ, piece.key) if pitched else None,
        "roles": role_scores(bench.judges.tagger, audio),
    }


def summed_up(heard: list[dict[str, Any]], asked: list[tuple[str, ...]]) -> Figures:
    """Shares and medians over all answers."""
    labels = np.array([[role in roles for role in ROLES] for roles in asked])
    scores = np.array([row["roles"] for row in heard])
    tempos = [row["tempo"] for row in heard]
    return {
        **{f"tempo_{name}": share([t == name for t in tempos])
           for name in ("right", "double", "half", "other")},
        "usual_right": share([row["tempo"] == "right" for row in heard if row["usual"]]),
        "usual_known": sum(row["usual"] for row in heard),
        "onsets_ms": middle([row["onsets_ms"] for row in heard]),
        "onsets_known": sum(row["onsets_ms"] is not None for row in heard),
        "key_right": share([row["key"] for row in heard if row["key"] is not None]),
        "keys_known": sum(row["key"] is not None for row in heard),
        "roles_auc": mean_auc(scores, labels),
    }  # fmt: skip


def _baselines(others: list[Excerpt]) -> dict[str, list[Audio]]:
    """Answers that need no model: of other real renders, for the real answer is not at hand."""
    rng = np.random.default_rng(FIRST_SEED)
    length = round(EXCERPT_S * RATE_HZ)
    return {
        "repeat the last bar": [repeat_last_bar(e.mix, e.bar_samples, length) for e in others],
        "shuffled clips": [shuffled(e.mix, length, RATE_HZ, rng) for e in others],
        "silence": [silence(length)] * len(others),
    }


def distances(bench: Bench, sets: dict[str, list[Audio]], real: list[Audio]) -> dict[str, float]:
    """Fréchet distance of each set to the real renders."""

    def points(sounds: list[Audio]) -> Matrix:
        return np.concatenate([bench.judges.embedding(audio) for audio in sounds])

    wanted = points(real)
    return {name: frechet_distance(points(sounds), wanted) for name, sounds in sets.items()}


def measure(bench: Bench) -> Figures:
    """Adherence and Fréchet distance of the text-conditioned pieces beside real renders."""
    items = excerpts(FIRST_SEED, bench.plan.texts, EXCERPT_S)
    others = excerpts(items[-1].seed + 1, bench.plan.texts, EXCERPT_S)
    makers: dict[str, Callable[[Excerpt], Audio]] = {
        "real": lambda e: e.mix,
        "codec": lambda e: round_trip(bench.engine, e.mix),
    }
    sets: dict[str, list[Audio]] = {
        name: [make(excerpt) for excerpt in items] for name, make in makers.items()
    }
    for name, variation in VARIATIONS.items():
        bench.say(f"  {len(items)} pieces from words: {name}")
        sets[name] = [
            render(bench.engine, **request_for(excerpt), variation=variation).audio
            for excerpt in items
        ]
    asked = [excerpt.roles for excerpt in items]
    adherence = {
        name: summed_up([heard_in(bench, *pair) for pair in zip(items, sounds, strict=True)], asked)
        for name, sounds in sets.items()
    }
    compared = {name: sounds for name, sounds in sets.items() if name != "real"}
    compared["other real renders"] = [excerpt.mix for excerpt in others]
    bench.draw(
        "text",
        [
            [
                (f"{items[index].piece.style}: real render", sets["real"][index]),
                ("from words, default variation", sets["default"][index]),
                ("from words, variation 1", sets["noise"][index]),
            ]
            for index in pictured(len(items))
        ],
    )
    return {
        "pieces": len(items),
        "adherence": adherence,
        "distances": distances(bench, compared | _baselines(others), sets["real"]),
    }
