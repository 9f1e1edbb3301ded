"""Samplers against the closed form of the Gaussian model."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from engine.models.contracts import guided
from engine.models.toy import GaussianModel
from engine.sampling.levels import levels
from engine.sampling.loop import noised, sample
from engine.sampling.steps import STEP_RULES

SHAPE = (2, 3, 5)


def _toy() -> tuple[GaussianModel, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    mean = torch.randn(SHAPE[1:], generator=generator, dtype=torch.float64)
    noise = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
    return GaussianModel(mean, 0.4), noise


@pytest.mark.parametrize(("rule", "order"), [("euler", 1), ("heun", 2)])
def test_order_of_convergence(rule: str, order: int) -> None:
    model, x = _toy()
    target = 0.1
    exact = model.trajectory(x, 1.0, target)
    counts = (16, 32, 64, 128)
    errors = []
    for count in counts:
        path = [1.0 + (target - 1.0) * index / count for index in range(count + 1)]
        result = sample(model, x, path, rule=STEP_RULES[rule])
        errors.append(float((result - exact).abs().max()))
    slopes = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert slopes[-1] == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("rule", sorted(STEP_RULES))
def test_whole_run_reaches_the_data_distribution(rule: str) -> None:
    model, _ = _toy()
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(4000, 3, 5, generator=generator, dtype=torch.float64)
    result = sample(model, noise, levels(1.0, 60), rule=STEP_RULES[rule])
    assert torch.allclose(result.mean(0), model.mean.double(), atol=0.03)
    assert float(result.std()) > 0
    assert torch.allclose(result.std(0), torch.full((3, 5), 0.4, dtype=torch.float64), atol=0.03)


def test_a_noised_prior_lies_on_the_models_path() -> None:
    model, noise = _toy()
    prior = model.trajectory(noise, 1.0, 0.0)
    assert torch.allclose(noised(prior, noise, 1.0), noise)
    assert torch.allclose(noised(prior, noise, 0.0), prior)


def test_levels_end_at_zero_and_fall() -> None:
    for shift in (1.0, 3.0):
        path = levels(0.6, 7, shift)
        assert len(path) == 8
        assert path[-1] == 0.0
        assert all(a > b for a, b in itertools.pairwise(path))
    assert levels(0.6, 7)[0] == 0.6
    with pytest.raises(ValueError, match="level 0"):
        levels(0.0, 4)


def test_guidance_extrapolates_and_scale_one_is_free() -> None:
    def one(x: torch.Tensor, level: float, next_level: float | None = None, /) -> torch.Tensor:
        return torch.ones_like(x)

    def zero(x: torch.Tensor, level: float, next_level: float | None = None, /) -> torch.Tensor:
        return torch.zeros_like(x)

    x = torch.zeros(1, 1, 1)
    assert guided(one, zero, 3.0)(x, 0.5).item() == 3.0
    assert guided(one, zero, 1.0) is one
