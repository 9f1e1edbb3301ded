"""The analyses that had to be trained, kept on disk: made anew when they or their music change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.sketch.score import ROLES
from evaluation.corpus import (
    JUDGE_SEEDS,
    JUDGE_TEST_SEEDS,
    PATCH_S,
    PRESENT,
    UNSURE,
    Picture,
    lineups,
    patch_starts,
    picture,
)
from evaluation.embedding import PLAIN, Basis, Embedding, fit_embedding
from evaluation.material import RATE_HZ
from evaluation.measures import Audio, Matrix, auc
from evaluation.store import code_digest
from evaluation.tagger import Tagger, train_tagger
from evaluation.tempo import NETWORKS, TempoNetwork, chosen_bpm, listen, train_tempo
from evaluation.tempo_lessons import tempo_lessons, tempo_trial

PIECES, TEST_PIECES, LINEUPS = 160, 40, 3
TEMPO_PIECES, TEMPO_TEST_PIECES = 1000, 150
_HOP_S = 3.0
_TOLD_PIECES = 40

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Judges:
    """The trained analyses.

    Attributes:
        trial: how they do on music of their test split.
    """

    tagger: Tagger = field(repr=False)
    tempo: nn.ModuleList = field(repr=False)
    embedding: Embedding = field(repr=False)
    trial: dict[str, Any]

    def tempo_bpm(self, audio: Audio, metre: tuple[int, int]) -> float:
        """Tempo of `[2, samples]` at 44.1 kHz in quarter notes a minute."""
        return chosen_bpm(self.tempo, listen(audio, RATE_HZ, metre))


@dataclass(slots=True)
class _Lessons:
    """What one split has: pictures with presence, and figures of whole mixes."""

    pictures: list[Picture] = field(default_factory=list)
    presence: list[list[int]] = field(default_factory=list)
    whole: list[int] = field(default_factory=list)
    plain: dict[str, list[Matrix]] = field(default_factory=lambda: {part: [] for part in PLAIN})


def _lessons(first_seed: int, pieces: int, say: Say) -> _Lessons:
    lessons = _Lessons()
    length = round(PATCH_S * RATE_HZ)
    for number, lineup in enumerate(lineups(first_seed, pieces, LINEUPS)):
        if number % (LINEUPS * _TOLD_PIECES) == 0:
            say(f"  piece {number // LINEUPS} of {pieces}")
        samples = lineup.audio.shape[1]
        for start in patch_starts(samples, _HOP_S):
            patch = lineup.audio[:, start : start + length]
            if lineup.whole:
                lessons.whole.append(len(lessons.pictures))
                for part, tell in PLAIN.items():
                    lessons.plain[part].append(tell(patch))
            lessons.pictures.append(picture(patch))
            lessons.presence.append(lineup.presence(start, start + length))
    return lessons


def _tensors(lessons: _Lessons) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(np.stack(lessons.pictures)), torch.tensor(lessons.presence)


@torch.no_grad()
def _roles_trial(tagger: Tagger, lessons: _Lessons) -> dict[str, Any]:
    """Area under the curve by role."""
    pictures, presence = _tensors(lessons)
    chances = torch.sigmoid(tagger(pictures)).numpy()
    areas = {}
    for column, role in enumerate(ROLES):
        known = (presence[:, column] != UNSURE).numpy()
        labels = (presence[:, column] == PRESENT).numpy()
        areas[role] = auc(chances[known, column], labels[known])
    return {"auc": areas, "patches": len(pictures)}


def _learned_tempo(say: Say, pieces: int, test_pieces: int) -> tuple[nn.ModuleList, dict[str, Any]]:
    """The networks, and how they do on the test split."""
    lessons = tempo_lessons(JUDGE_SEEDS, pieces, say)
    say(f"  tempo: learning from {len(lessons)} sounds")
    networks = train_tempo([one.heard for one in lessons], [one.tempo_bpm for one in lessons])
    tried = tempo_lessons(JUDGE_TEST_SEEDS, test_pieces, say)
    trial = tempo_trial(tried, [chosen_bpm(networks, one.heard) for one in tried])
    return networks, {"tempo_pieces": pieces, **trial}


def train_judges(say: Say) -> Judges:
    """Train them all on their split; a quarter of an hour on two cores."""
    say(f"training the analyses on {PIECES} pieces of their own split, the tempo on {TEMPO_PIECES}")
    tempo, tempo_figures = _learned_tempo(say, TEMPO_PIECES, TEMPO_TEST_PIECES)
    lessons = _lessons(JUDGE_SEEDS, PIECES, say)
    pictures, presence = _tensors(lessons)
    tagger = train_tagger(pictures, presence)
    whole = [lessons.pictures[index] for index in lessons.whole]
    plain = {part: np.array(rows) for part, rows in lessons.plain.items()}
    embedding = fit_embedding(tagger, whole, plain)
    trial = _roles_trial(tagger, _lessons(JUDGE_TEST_SEEDS, TEST_PIECES, say))
    return Judges(tagger, tempo, embedding, {"pieces": PIECES, **trial, **tempo_figures})


def _packed(judges: Judges) -> dict[str, Any]:
    bases = {
        part: {"mean": torch.from_numpy(basis.mean), "spread": torch.from_numpy(basis.spread),
               "components": torch.from_numpy(basis.components), "scale": basis.scale}
        for part, basis in judges.embedding.bases.items()
    }  # fmt: skip
    return {
        "tagger": judges.tagger.state_dict(),
        "tempo": judges.tempo.state_dict(),
        "bases": bases,
        "trial": judges.trial,
    }


def _unpacked(data: dict[str, Any]) -> Judges:
    tagger = Tagger()
    tagger.load_state_dict(data["tagger"])
    tempo = nn.ModuleList(TempoNetwork() for _ in range(NETWORKS))
    tempo.load_state_dict(data["tempo"])
    bases = {
        part: Basis(
            kept["mean"].numpy(), kept["spread"].numpy(), kept["components"].numpy(), kept["scale"]
        )
        for part, kept in data["bases"].items()
    }
    embedding = Embedding(tagger.eval(), bases)
    return Judges(tagger, tempo.eval(), embedding, data["trial"])


def _sources() -> Sequence[str]:
    """The code whose change makes the kept analyses worthless."""
    own = ("corpus", "tagger", "tempo", "tempo_lessons", "embedding", "judges")
    return (
        *(f"scripts/evaluation/{name}.py" for name in own),
        *(f"engine/analysis/{name}.py" for name in ("spectra", "constant_q", "tempo")),
        "engine/sketch",
        *(
            f"scripts/{name}.py"
            for name in ("training_pieces", "_effects", "_fluidsynth", "_tunes")
        ),
    )


def judges_digest() -> str:
    """What tells analyses that were trained by other code or on other music apart."""
    return code_digest(_sources())[:12]


def load_judges(folder: Path, say: Say) -> Judges:
    """The judges of this folder, trained when they are not there or not of today's code."""
    path = folder / f"judges-{judges_digest()}.pt"
    if path.exists():
        return _unpacked(torch.load(path, weights_only=True))
    judges = train_judges(say)
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(_packed(judges), partial)
    partial.rename(path)
    return judges
