"""The analyses that had to be trained, kept on disk: made anew when they or their music change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

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
from evaluation.measures import Audio, Matrix, auc, share, tempo_verdict
from evaluation.store import code_digest
from evaluation.tagger import Tagger, train_tagger
from evaluation.tempo import (
    Novelty,
    TempoNetwork,
    chosen_bpm,
    estimate_tempo_bpm,
    novelty,
    train_tempo,
)

PIECES, TEST_PIECES, LINEUPS = 160, 40, 3
EXCERPT_S = 8.0  # of a sound whose tempo is learned
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
    tempo: TempoNetwork = field(repr=False)
    embedding: Embedding = field(repr=False)
    trial: dict[str, Any]

    def tempo_bpm(self, audio: Audio, metre: tuple[int, int]) -> float:
        """Tempo of `[2, samples]` at 44.1 kHz in quarter notes a minute."""
        return estimate_tempo_bpm(self.tempo, audio, RATE_HZ, metre)


@dataclass(slots=True)
class _Lessons:
    """What one split has: pictures with presence, figures of whole mixes, tempos."""

    pictures: list[Picture] = field(default_factory=list)
    presence: list[list[int]] = field(default_factory=list)
    whole: list[int] = field(default_factory=list)
    plain: dict[str, list[Matrix]] = field(default_factory=lambda: {part: [] for part in PLAIN})
    heard: list[Novelty] = field(default_factory=list)
    mixes: list[bool] = field(default_factory=list)
    tempos_bpm: list[float] = field(default_factory=list)


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
        sound = lineup.audio[:, -round(EXCERPT_S * RATE_HZ) :]
        if float(np.abs(sound).max()) > 0.0:
            lessons.mixes.append(lineup.whole)
            lessons.heard.append(novelty(sound, RATE_HZ, lineup.metre))
            lessons.tempos_bpm.append(lineup.tempo_bpm)
    return lessons


def _tensors(lessons: _Lessons) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(np.stack(lessons.pictures)), torch.tensor(lessons.presence)


@torch.no_grad()
def _trial(tagger: Tagger, tempo: TempoNetwork, lessons: _Lessons) -> dict[str, Any]:
    """Area under the curve by role, and how often the tempo is right on whole mixes."""
    pictures, presence = _tensors(lessons)
    chances = torch.sigmoid(tagger(pictures)).numpy()
    areas = {}
    for column, role in enumerate(ROLES):
        known = (presence[:, column] != UNSURE).numpy()
        labels = (presence[:, column] == PRESENT).numpy()
        areas[role] = auc(chances[known, column], labels[known])
    return {"auc": areas, "patches": len(pictures), **_tempo_trial(tempo, lessons)}


def _tempo_trial(tempo: TempoNetwork, lessons: _Lessons) -> dict[str, Any]:
    learned, plain = [], []
    rows = zip(lessons.heard, lessons.mixes, lessons.tempos_bpm, strict=True)
    for heard, is_mix, asked_bpm in rows:
        if not is_mix:
            continue
        learned.append(tempo_verdict(chosen_bpm(tempo, heard), asked_bpm) == "right")
        plain.append(tempo_verdict(heard.pulse_bpm, asked_bpm) == "right")
    return {"tempo_right": share(learned), "pulse_right": share(plain), "sounds": len(learned)}


def train_judges(say: Say, pieces: int = PIECES, test_pieces: int = TEST_PIECES) -> Judges:
    """Train them all on their split; a few minutes on one core."""
    say(f"training the analyses on {pieces} pieces of their own split")
    lessons = _lessons(JUDGE_SEEDS, pieces, say)
    pictures, presence = _tensors(lessons)
    tagger = train_tagger(pictures, presence)
    tempo = train_tempo(lessons.heard, lessons.tempos_bpm)
    whole = [lessons.pictures[index] for index in lessons.whole]
    plain = {part: np.array(rows) for part, rows in lessons.plain.items()}
    embedding = fit_embedding(tagger, whole, plain)
    trial = _trial(tagger, tempo, _lessons(JUDGE_TEST_SEEDS, test_pieces, say))
    return Judges(tagger, tempo, embedding, {"pieces": pieces, **trial})


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
    tempo = TempoNetwork(len(data["tempo"]["mean"]))
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
    own = ("corpus", "tagger", "tempo", "embedding", "judges")
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
