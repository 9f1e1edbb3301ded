"""What the analyses learn from: patches of random line-ups with their truth, from their own split.

A patch is three seconds. For the tagger it is a log-mel picture, for the embedding's statistics it
is the whole mix. The tempo is learned from eight seconds (`tempo_lessons`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from training_pieces import compose_training_piece, render_training_piece

from engine.analysis.spectra import ANALYSIS_RATE_HZ, log_mel, mono_at
from engine.sketch.compose import cut_piece
from engine.sketch.score import ROLES
from evaluation.material import RATE_HZ
from evaluation.measures import Audio, level_db

JUDGE_SEEDS, JUDGE_TEST_SEEDS = 7_000_000, 8_000_000  # see `material` for who has which
PATCH_S, PATCH_HOP_S = 3.0, 1.0
BANDS, _WINDOW, _HOP = 64, 2048, 1024
RANGE_DB = 70.0
PATCH_FRAMES = int(PATCH_S * ANALYSIS_RATE_HZ) // _HOP + 1
_LONGEST_PIECE_S = 24.0
_ALL_CHANCE = 0.4
_HEARD_DB, _UNHEARD_DB = -30.0, -55.0
_QUIETEST = 1e-6
ABSENT, PRESENT, UNSURE = 0, 1, 2

Picture = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Lineup:
    """Some roles of a piece together.

    Attributes:
        audio: float64 `[2, samples]` at 44.1 kHz, from the piece's start.
        stems: what was put in, by role.
        whole: whether these are all the roles there are.
    """

    tempo_bpm: float
    metre: tuple[int, int]
    style: str
    audio: Audio = field(repr=False)
    stems: dict[str, Audio] = field(repr=False)
    whole: bool

    def presence(self, start: int, stop: int) -> list[int]:
        """For each role whether it is heard in the samples: absent, present or unsure."""
        mix = level_db(self.audio[:, start:stop])
        levels = [
            level_db(self.stems[role][:, start:stop]) - mix if role in self.stems else -200.0
            for role in ROLES
        ]
        return [
            PRESENT if level > _HEARD_DB else ABSENT if level < _UNHEARD_DB else UNSURE
            for level in levels
        ]


def lineups(first_seed: int, pieces: int, per_piece: int) -> Iterator[Lineup]:
    """For every piece its mix, and `per_piece - 1` random line-ups at random balances."""
    for seed in range(first_seed, first_seed + pieces):
        rng = np.random.default_rng([20_260_001, seed])
        piece = compose_training_piece(seed)
        longest_beats = _LONGEST_PIECE_S * piece.tempo_bpm / 60.0
        piece = cut_piece(piece, min(piece.length_beats, longest_beats))
        audio = render_training_piece(piece, seed)
        stems = {role: audio[role].astype(np.float64) for role in ROLES if role in audio}
        for turn in range(per_piece):
            everybody = turn == 0 or len(stems) == 1 or rng.random() < _ALL_CHANCE
            size = len(stems) if everybody else int(rng.integers(1, len(stems)))
            chosen = [list(stems)[k] for k in sorted(rng.permutation(len(stems))[:size])]
            spread_db = 0.0 if turn == 0 else 4.0
            playing = {
                role: stems[role] * 10 ** (rng.uniform(-spread_db, spread_db) / 20)
                for role in chosen
            }
            total = np.asarray(np.sum(list(playing.values()), axis=0))
            yield Lineup(
                piece.tempo_bpm, piece.metre, piece.style, total, playing, size == len(stems)
            )


def patch_starts(samples: int, hop_s: float = PATCH_HOP_S) -> range:
    """Where the patches of a sound begin, in samples at 44.1 kHz; the last one fits whole."""
    return range(0, max(1, samples - round(PATCH_S * RATE_HZ) + 1), round(hop_s * RATE_HZ))


def patches(audio: Audio, hop_s: float = PATCH_HOP_S) -> list[Audio]:
    """Patches of `[2, samples]`; what is shorter than one is repeated until it fills it."""
    length = round(PATCH_S * RATE_HZ)
    if audio.shape[1] < length:
        audio = np.tile(audio, (1, -(-length // audio.shape[1])))[:, :length]
    return [audio[:, start : start + length] for start in patch_starts(audio.shape[1], hop_s)]


def picture(patch: Audio) -> Picture:
    """Log-mel levels of a patch `[64, frames]`, in dB below its loudest value, at most 70."""
    mono = mono_at(patch, RATE_HZ)
    if float(np.abs(mono).max(initial=0.0)) < _QUIETEST:
        return np.full((BANDS, PATCH_FRAMES), -RANGE_DB, dtype=np.float32)
    levels = log_mel(
        mono, ANALYSIS_RATE_HZ, bands=BANDS, window=_WINDOW, hop=_HOP, range_db=RANGE_DB
    )
    return np.ascontiguousarray((levels - levels.max()).T[:, :PATCH_FRAMES], dtype=np.float32)
