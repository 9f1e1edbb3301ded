"""A model without weights: what it is told is kept, what it makes is half of its prior."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from engine.models.house.model import HABITS, WINDOW_STEPS, HouseModel
from engine.models.house.network import Globals, NetworkShape
from engine.models.house.words import globals_of
from engine.models.studio import Conditioned, FrameConditions, Habits, Words
from engine.sampling.levels import levels
from engine.sketch.score import MODES
from engine.sketch.styles import MOODS, STYLES

STEP_SAMPLES = 1024
_CHANNELS = 128
VOCABULARY = {"styles": tuple(sorted(STYLES)), "moods": tuple(MOODS), "modes": tuple(MODES)}


class BlockCodec:
    """Latents are means of blocks of 16 samples, so that they are linear in the audio."""

    sample_rate_hz = 44_100
    step_samples = STEP_SAMPLES
    latent_channels = _CHANNELS
    window_samples = 2048
    frames_per_step = 2

    def encode(self, audio: Tensor) -> Tensor:
        blocks = audio.unflatten(-1, (-1, _CHANNELS // 2, 16)).mean(dim=-1)
        return blocks.transpose(-1, -2).flatten(-3, -2)

    def decode(
        self,
        latent: Tensor,
        guide: Tensor | None = None,
        on_step: Callable[[], None] = lambda: None,
        *,
        change: float = 1.0,
    ) -> Tensor:
        blocks = latent.unflatten(-2, (2, -1)).transpose(-1, -2)
        return blocks[..., None].expand(*blocks.shape, 16).flatten(-3)

    def log_mel(self, latent: Tensor) -> Tensor:
        return latent


class _Network:
    shape = NetworkShape()


class FakeModel:
    """Keeps the conditions of every window it is asked for, and counts its evaluations."""

    name = "house"
    digest = "fake"
    network = _Network()
    device = torch.device("cpu")
    habits = HABITS
    window_steps = WINDOW_STEPS
    hears_context = True
    reads_text = False
    vocabulary = VOCABULARY

    def __init__(self) -> None:
        self.codec = BlockCodec()
        self.asked: list[tuple[FrameConditions, Globals]] = []
        self.calls = 0

    def told(self, words: Words) -> Conditioned:
        conditions = globals_of(words, self.vocabulary, self.network.shape)
        return lambda frames: self.denoiser(frames, conditions)

    def told_level(self, latent: Tensor) -> Tensor:
        return latent.abs().mean(dim=1, keepdim=True)

    def told_harmony(self, latent: Tensor) -> Tensor:
        return latent[:, :12]

    def levels(self, start: float, steps: int) -> tuple[float, ...]:
        return levels(start, steps)

    def denoiser(self, frames: FrameConditions, conditions: Globals) -> Any:
        self.asked.append((frames, conditions))

        def denoise(x: Tensor, level: float, next_level: float | None = None) -> Tensor:
            self.calls += 1
            return 0.5 * frames.kept + 1e-6 * x

        return denoise


def fake_model() -> tuple[FakeModel, HouseModel]:
    """The same fake twice: as itself, and as what the engine takes it for."""
    model = FakeModel()
    return model, cast(HouseModel, model)


class FakeHost:
    """An engine with one model that keeps nothing, so that every render is made."""

    device = "cpu"

    def __init__(self, model: Any) -> None:
        self._model = model

    def model(self, name: str) -> Any:
        return self._model

    def identity_of(self, name: str) -> str:
        return str(self._model.digest)

    def habits_of(self, name: str) -> Habits:
        return HABITS

    def cached(self, key: object) -> None:
        return None

    def noises(self, latent_key: str) -> None:
        return None

    def remember(self, *kept: object) -> bool:
        return False

    def amend(self, *kept: object) -> None:
        raise AssertionError("nothing is kept")
