"""What the analyses themselves can do: their trial on a split of their own, and the embedding's."""

from __future__ import annotations

import numpy as np

from evaluation.baselines import noise_like, shuffled, silence
from evaluation.bench import Bench
from evaluation.embedding import PARTS, columns_of
from evaluation.frechet import frechet_distance
from evaluation.material import HELD_OUT_SEEDS, RATE_HZ, excerpts
from evaluation.measures import Audio, Matrix
from evaluation.product import round_trip
from evaluation.store import Figures

FIRST_SEED = HELD_OUT_SEEDS + 100_000
_EXCERPT_S = 6.0


def _points(bench: Bench, sounds: list[Audio]) -> Matrix:
    return np.concatenate([bench.judges.embedding(audio) for audio in sounds])


def measure(bench: Bench) -> Figures:
    """The trial of the analyses, and Fréchet distances whose order is known beforehand."""
    sounds = [e.mix for e in excerpts(FIRST_SEED, bench.plan.crowd, _EXCERPT_S)]
    rng = np.random.default_rng(FIRST_SEED)
    middle = len(sounds) // 2
    first, second = _points(bench, sounds[:middle]), _points(bench, sounds[middle:])
    length = sounds[0].shape[1]
    others = {
        "the other half": second,
        "the same half through the codec": _points(
            bench, [round_trip(bench.engine, audio) for audio in sounds[:middle]]
        ),
        "the same half, shuffled": _points(
            bench, [shuffled(audio, length, RATE_HZ, rng) for audio in sounds[:middle]]
        ),
        "the other half, shuffled": _points(
            bench, [shuffled(audio, length, RATE_HZ, rng) for audio in sounds[middle:]]
        ),
        "white noise at its level": _points(bench, [noise_like(s, rng) for s in sounds[middle:]]),
        "silence": _points(bench, [silence(length)] * (len(sounds) - middle)),
    }
    return {
        "trial": bench.judges.trial,
        "pieces": len(sounds),
        "points": len(first),
        "dimensions": int(first.shape[1]),
        "distances": {name: frechet_distance(first, cloud) for name, cloud in others.items()},
        "by_part": {
            name: {
                part: frechet_distance(first[:, columns_of(part)], cloud[:, columns_of(part)])
                for part in PARTS
            }
            for name, cloud in others.items()
        },
    }
