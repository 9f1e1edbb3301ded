"""Samplers against the closed form of the Gaussian model."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from engine.sampling.levels import levels
from engine.sampling.loop import noised, sample
from engine.sampling.steps import STEP_RULES, State, ddim, euler
from tests.engine.sampling.models import DEVIATION, Recorded, ToyFlowMap, mixture, toy

WITHOUT_A_MAP = sorted(set(STEP_RULES) - {"ping-pong"})  # it wants samples of the data


@pytest.mark.parametrize(
    ("rule", "order"), [("ddim", 1), ("dpm-solver-2m", 2), ("euler", 1), ("heun", 2)]
)
@pytest.mark.parametrize("start", [1.0, 0.9])
def test_order_of_convergence(rule: str, order: int, start: float) -> None:
    model, x = toy(2)
    target = 0.1
    exact = model.trajectory(x, start, target)
    errors = []
    for count in (32, 64, 128, 256):
        path = [start + (target - start) * index / count for index in range(count + 1)]
        result = sample(model, x, path, rule=STEP_RULES[rule])
        errors.append(float((result - exact).abs().max()))
    slopes = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert slopes == pytest.approx([order] * 3, abs=0.06)


@pytest.mark.parametrize("rule", WITHOUT_A_MAP)
def test_whole_run_reaches_the_data_distribution(rule: str) -> None:
    model, noise = toy(4000)
    generator = torch.Generator().manual_seed(5)
    noises = torch.randn(60, *noise.shape, generator=generator, dtype=noise.dtype)
    result = sample(model, noise, levels(1.0, 60), rule=STEP_RULES[rule], noises=noises)
    wanted = torch.full((3, 5), DEVIATION, dtype=torch.float64)
    # 4000 items: standard errors of 0.0063 and 0.0045; first order lacks 0.011 of the deviation
    assert torch.allclose(result.mean(0), model.mean, rtol=0, atol=0.03)
    assert torch.allclose(result.std(0), wanted, rtol=0, atol=0.03)


def test_ddim_without_noise_is_euler() -> None:
    _, x = toy(2)
    path = levels(1.0, 7, shift=2.0)
    difference = sample(mixture, x, path, rule=ddim(0.0)) - sample(mixture, x, path, rule=euler)
    assert float(difference.abs().max()) < 1e-14


def test_a_flow_map_is_exact_in_one_step_and_the_same_for_euler_and_ddim() -> None:
    model, x = toy(2)
    for rule in (euler, ddim(0.0)):
        result = sample(ToyFlowMap(model), x, (1.0, 0.6, 0.0), rule=rule)
        assert torch.allclose(result, model.trajectory(x, 1.0, 0.0), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        ("euler", [(1.0, 0.5), (0.5, 0.0)]),
        ("heun", [(1.0, None), (0.5, None), (0.5, None)]),
        ("dpm-solver-2m", [(1.0, None), (0.5, None)]),
        ("sde-dpm-solver-2m", [(1.0, None), (0.5, None)]),
        ("ddim", [(1.0, 0.5), (0.5, 0.0)]),
        ("ping-pong", [(1.0, 0.0), (0.5, 0.0)]),
    ],
)
def test_what_each_rule_asks_a_flow_map(rule: str, asked: list[tuple[float, float | None]]) -> None:
    model, x = toy(2)
    recorded = Recorded(ToyFlowMap(model))
    noises = torch.zeros(2, *x.shape, dtype=torch.float64)
    sample(recorded, x, (1.0, 0.5, 0.0), rule=STEP_RULES[rule], noises=noises)
    assert recorded.calls == asked


def test_the_solver_leads_the_estimate_on_in_log_snr() -> None:
    x = torch.ones(1, 1, 1, dtype=torch.float64)
    first = State(x, torch.full_like(x, 2.0), 0.9)

    def model(x: torch.Tensor, level: float, next_level: float | None = None, /) -> torch.Tensor:
        return torch.full_like(x, 3.0)

    after = STEP_RULES["dpm-solver-2m"](model, first, 0.75, 0.5)
    # λ is -log 9, -log 3 and 0: both intervals are log 3 long, so half of the change is added
    assert float(after.x) == pytest.approx(1.0 + (1.0 - 0.5 / 0.75) * (3.5 - 1.0), abs=1e-14)
    assert after.level == 0.75
    assert after.memory is not None
    assert float(after.memory) == 3.0


def test_a_noised_prior_lies_on_the_models_path() -> None:
    model, noise = toy(2)
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


def test_a_shift_keeps_pure_noise_and_favours_it() -> None:
    for hundredths in range(10, 1000):
        assert levels(1.0, 2, hundredths / 100)[0] == 1.0
    assert levels(1.0, 2, 3.0)[1] == pytest.approx(0.75, abs=1e-15)
    assert levels(0.9, 9) == tuple(0.9 * (1.0 - index / 9) for index in range(10))
