"""Eight seconds of many pieces with their tempo, from the split of the analyses.

The octave of a tempo takes more music to learn than which roles play, so every core renders some.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from engine.analysis.tempo import estimate_grid
from engine.units import Metre
from evaluation.corpus import JUDGE_TEST_SEEDS, lineups
from evaluation.material import RATE_HZ
from evaluation.measures import share, tempo_is_usual, tempo_verdict
from evaluation.tempo import Heard, listen

EXCERPT_S = 8.0
_PER_PIECE = 3
_TOLD_PIECES = 100


@dataclass(frozen=True, slots=True)
class TempoLesson:
    """A sound as the network hears it, with the truth.

    Attributes:
        usual: whether the tempo is usual for the style.
        whole: whether all roles of the piece play.
        pulse_bpm: what the product's own estimator finds; of the test split only.
    """

    heard: Heard
    tempo_bpm: float
    usual: bool
    whole: bool
    pulse_bpm: float | None


def lessons_of(seed: int) -> list[TempoLesson]:
    """One stretch each of a piece's mix and of other line-ups of it, where anything is heard."""
    rng = np.random.default_rng([20_260_002, seed])
    length = round(EXCERPT_S * RATE_HZ)
    found = []
    for lineup in lineups(seed, 1, _PER_PIECE):
        start = int(rng.integers(0, max(1, lineup.audio.shape[1] - length + 1)))
        sound = lineup.audio[:, start : start + length]
        if not sound.any():
            continue
        pulse_bpm = None
        if seed >= JUDGE_TEST_SEEDS:
            pulse_bpm = estimate_grid(sound, RATE_HZ, metre=Metre(*lineup.metre)).bpm
        usual = tempo_is_usual(lineup.style, lineup.metre, lineup.tempo_bpm)
        heard = listen(sound, RATE_HZ, lineup.metre)
        found.append(TempoLesson(heard, lineup.tempo_bpm, usual, lineup.whole, pulse_bpm))
    return found


def tempo_lessons(first_seed: int, pieces: int, say: Callable[[str], None]) -> list[TempoLesson]:
    """Those of many pieces, rendered on as many cores as torch may use."""
    found: list[TempoLesson] = []
    # Not forked: a forked process inherits locks of the threads that torch has.
    context = multiprocessing.get_context("spawn")
    workers = torch.get_num_threads()
    with ProcessPoolExecutor(workers, context, torch.set_num_threads, (1,)) as pool:
        seeds = range(first_seed, first_seed + pieces)
        for number, lessons in enumerate(pool.map(lessons_of, seeds, chunksize=4)):
            if number % _TOLD_PIECES == 0:
                say(f"  tempo: piece {number} of {pieces}")
            found += lessons
    return found


def tempo_trial(lessons: Sequence[TempoLesson], chosen_bpm: Sequence[float]) -> dict[str, object]:
    """How often the tempo is right on whole mixes, of all and of those that are usual."""
    rows = [(one, bpm) for one, bpm in zip(lessons, chosen_bpm, strict=True) if one.whole]
    right = [tempo_verdict(bpm, one.tempo_bpm) == "right" for one, bpm in rows]
    usual = [one.usual for one, _ in rows]
    pulses = [(one.pulse_bpm, one.tempo_bpm) for one, _ in rows if one.pulse_bpm is not None]
    return {
        "tempo_right": share(right),
        "usual_right": share([good for good, plain in zip(right, usual, strict=True) if plain]),
        "usual_sounds": sum(usual),
        "pulse_right": share([tempo_verdict(*pair) == "right" for pair in pulses]),
        "sounds": len(rows),
    }
