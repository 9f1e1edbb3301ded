"""Problems with closed forms, and a denoiser that counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from engine.controls.overlap import overlap_objective
from engine.models.contracts import Denoiser
from engine.models.toy import GaussianModel
from engine.optimise.problem import Problem
from engine.sampling.levels import levels

SHAPE = (2, 3, 8)
OVERLAP = slice(0, 3)


def drawn(seed: int, shape: tuple[int, ...] = SHAPE) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def toy_model() -> GaussianModel:
    """Data around means of about 1, deviation 0.6."""
    return GaussianModel(1.0 + 0.2 * drawn(1, SHAPE[1:]), 0.6)


def toy_problem(
    steps: int = 8,
    denoiser: Denoiser | None = None,
    on_call: Callable[[], None] = lambda: None,
) -> Problem:
    """Pure noise in `steps` steps; the reference lies around -1, away from the model's mean."""
    reference = -1.0 + 0.2 * drawn(2)
    mask = torch.zeros(SHAPE[0], 1, SHAPE[2], dtype=torch.float64)
    mask[..., OVERLAP] = 1.0
    return Problem(
        toy_model() if denoiser is None else denoiser,
        levels(1.0, steps),
        overlap_objective(reference, mask),
        reference,
        mask,
        on_call=on_call,
    )


def mask_of(problem: Problem) -> Tensor:
    assert problem.mask is not None
    return problem.mask


def jacobian(level: float, deviation: float = 0.6) -> float:
    """Of the toy's plain estimate, the same for every element."""
    keep = 1.0 - level
    return keep * deviation**2 / ((keep * deviation) ** 2 + level**2)


def no_calls() -> list[tuple[Tensor, float, float | None]]:
    return []


@dataclass(slots=True)
class Recorder:
    """A denoiser that remembers what it was asked, and how often gradients were to pass it."""

    model: Denoiser
    calls: list[tuple[Tensor, float, float | None]] = field(default_factory=no_calls)
    with_gradient: int = 0

    def __call__(self, x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
        self.calls.append((x.detach(), level, next_level))
        self.with_gradient += int(x.requires_grad and torch.is_grad_enabled())
        return self.model(x, level, next_level)


@dataclass(frozen=True, slots=True)
class ToyMap:
    """The toy as a flow map: asked for a step, it ends on the flow's own point."""

    model: GaussianModel

    def __call__(self, x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
        if next_level is None:
            return self.model(x, level)
        ahead = self.model.trajectory(x, level, next_level)
        return x - level * (x - ahead) / (level - next_level)
