"""Models with known answers, beside `engine.models.toy`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from engine.models.toy import GaussianModel

MEAN = 0.7  # of the mixture's two halves, with either sign
DEVIATION = 0.4


def toy(items: int) -> tuple[GaussianModel, Tensor]:
    """Gaussian data of mean N(0, 1) and deviation 0.4, and noise `[items, 3, 5]`."""
    generator = torch.Generator().manual_seed(3)
    mean = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    noise = torch.randn(items, 3, 5, generator=generator, dtype=torch.float64)
    return GaussianModel(mean, DEVIATION), noise


@dataclass(frozen=True)
class ToyFlowMap:
    """The toy's exact flow map: where the step's end is known, the line through its true point."""

    toy: GaussianModel

    def __call__(self, x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
        if next_level is None:
            return self.toy(x, level)
        slope = (x - self.toy.trajectory(x, level, next_level)) / (level - next_level)
        return x - level * slope


def mixture(x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
    """E[x_0 | x_t] for data of two Gaussians at ±MEAN: not linear in the state.

    With r² = (1 - t)² s² + t², the halves' odds have the logarithm 2 (1 - t) MEAN x / r².
    """
    keep = 1.0 - level
    spread = (keep * DEVIATION) ** 2 + level**2
    side = torch.tanh(keep * MEAN * x / spread)
    return side * MEAN + keep * DEVIATION**2 / spread * (x - keep * side * MEAN)


@dataclass
class Recorded:
    """A denoiser that writes down what it is asked: (level, next level)."""

    model: Callable[..., Tensor]
    calls: list[tuple[float, float | None]] = field(default_factory=list)

    def __call__(self, x: Tensor, level: float, next_level: float | None = None, /) -> Any:
        self.calls.append((level, next_level))
        return self.model(x, level, next_level)
