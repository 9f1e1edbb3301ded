"""A small convolutional network that hears which roles play, trained on a split of its own.

Its input are three-second log-mel pictures (`corpus.picture`), its output the probability of each
role. What it has before its last layer is half of the embedding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from engine.sketch.score import ROLES
from evaluation.corpus import BANDS, RANGE_DB, UNSURE, Picture, patches, picture
from evaluation.measures import Audio, Matrix

EMBEDDED = 32
_CHANNELS = (16, 32, 32)
EPOCHS = 8
_BATCH, _RATE = 64, 3e-3
_TILT_DB, _CURVE_DB = 8.0, 5.0


class Tagger(nn.Module):
    """Pictures `[batch, 64, frames]` in dB to logits `[batch, 4]`."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for channels in _CHANNELS:
            layers += [
                nn.Conv2d(before, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            before = channels
        self.hearing = nn.Sequential(*layers)
        features = 2 * _CHANNELS[-1] * (BANDS // 2 ** len(_CHANNELS))
        self.summary = nn.Sequential(
            nn.Dropout(0.3), nn.Linear(features, EMBEDDED), nn.ReLU(), nn.Dropout(0.2)
        )
        self.decision = nn.Linear(EMBEDDED, len(ROLES))

    def embedded(self, pictures: Tensor) -> Tensor:
        """What it has before its last layer, `[batch, 32]`."""
        heard = self.hearing((pictures[:, None] + RANGE_DB / 2) / (RANGE_DB / 4)).flatten(1, 2)
        return torch.as_tensor(self.summary(torch.cat([heard.mean(-1), heard.amax(-1)], dim=1)))

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits `[batch, 4]` in the order of `ROLES`."""
        return torch.as_tensor(self.decision(self.embedded(pictures)))


def _coloured(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Random tone and noise floor: recordings and codecs differ in them, the roles do not."""
    size = len(pictures)
    place = torch.linspace(-1.0, 1.0, BANDS)
    tilt = torch.empty(size, 1).uniform_(-_TILT_DB, _TILT_DB, generator=generator) * place
    curve = torch.empty(size, 1).uniform_(-_CURVE_DB, _CURVE_DB, generator=generator) * place**2
    toned = pictures + (tilt + curve)[:, :, None]
    floor = torch.empty(size, 1, 1).uniform_(-RANGE_DB, -RANGE_DB + 25.0, generator=generator)
    return (toned - toned.amax((1, 2), keepdim=True)).maximum(floor)


def train_tagger(pictures: Tensor, presence: Tensor, seed: int = 0, epochs: int = EPOCHS) -> Tagger:
    """Train on pictures `[n, 64, frames]` with presence `[n, 4]` (absent, present, unsure)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tagger = Tagger().train()
        updates = epochs * -(-len(pictures) // _BATCH)
        optimiser = torch.optim.AdamW(tagger.parameters(), lr=_RATE, weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=updates)
        for _ in range(epochs):
            order = torch.randperm(len(pictures), generator=generator)
            for rows in torch.split(order, _BATCH):
                logits = tagger(_coloured(pictures[rows].float(), generator))
                labels = presence[rows]
                known = (labels != UNSURE).float()
                loss = nn.functional.binary_cross_entropy_with_logits(
                    logits, (labels == 1).float(), weight=known
                )
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
    return tagger.eval()


def _stack(pictures: Sequence[Picture]) -> Tensor:
    return torch.from_numpy(np.stack(pictures))


@torch.no_grad()
def role_scores(tagger: Tagger, audio: Audio) -> list[float]:
    """Probability of each role in a sound `[2, samples]`: the mean over its patches."""
    chances = torch.sigmoid(tagger(_stack([picture(patch) for patch in patches(audio)])))
    return [float(value) for value in chances.mean(dim=0)]


@torch.no_grad()
def embedded_patches(tagger: Tagger, pictures: Sequence[Picture]) -> Matrix:
    """The tagger's inner representation of patches, `[patches, 32]`."""
    return tagger.embedded(_stack(pictures)).numpy().astype(np.float64)
