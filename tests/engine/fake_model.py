"""A model without weights: what it is told is kept, what it makes is half of its prior."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from engine.models.house.conditions import FrameConditions
from engine.models.house.model import HouseModel
from engine.models.house.network import Globals, NetworkShape

STEP_SAMPLES = 1024
_CHANNELS = 128


class BlockCodec:
    """Latents are means of blocks of 16 samples, so that they are linear in the audio."""

    sample_rate_hz = 44_100
    step_samples = STEP_SAMPLES
    latent_channels = _CHANNELS

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
    """Keeps the conditions of every window it is asked for."""

    name = "house"
    digest = "fake"
    network = _Network()
    device = torch.device("cpu")

    def __init__(self) -> None:
        self.codec = BlockCodec()
        self.vocabulary: dict[str, tuple[str, ...]] = {}
        self.told: list[tuple[FrameConditions, Globals]] = []

    def denoiser(self, frames: FrameConditions, conditions: Globals) -> Any:
        self.told.append((frames, conditions))

        def denoise(x: Tensor, level: float, next_level: float | None = None) -> Tensor:
            return 0.5 * frames.kept + 1e-6 * x

        return denoise


def fake_model() -> tuple[FakeModel, HouseModel]:
    """The same fake twice: as itself, and as what the engine takes it for."""
    model = FakeModel()
    return model, cast(HouseModel, model)
