"""Networks of ε, v, x_0 and velocity made from one model are that model again."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from engine.models.parametrisation import (
    AlphaBars,
    Network,
    Prediction,
    variance_preserving,
    velocity,
)
from engine.sampling.levels import levels
from engine.sampling.loop import sample
from engine.sampling.steps import STEP_RULES
from tests.engine.sampling.models import mixture, toy

PREDICTIONS: tuple[Prediction, ...] = ("eps", "v", "x0")


def _linear_table() -> AlphaBars:
    """The schedule of Ho et al. 2020: 1000 steps, β from 1e-4 to 0.02."""
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    return AlphaBars(tuple((1.0 - betas).cumprod(0).tolist()))


TABLE = _linear_table()


def _network(prediction: Prediction, asked: list[float] | None = None) -> Network:
    """The mixture as a variance-preserving network of that prediction."""

    def predict(state: Tensor, timestep: float) -> Tensor:
        if asked is not None:
            asked.append(timestep)
        level = TABLE.level(timestep)
        scale = math.hypot(1.0 - level, level)
        alpha, sigma = (1.0 - level) / scale, level / scale
        x0 = mixture(state * scale, level)
        eps = (state - alpha * x0) / sigma
        return {"eps": eps, "v": alpha * eps - sigma * x0, "x0": x0}[prediction]

    return predict


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("rule", ["euler", "heun", "dpm-solver-2m"])
def test_every_form_gives_the_models_own_trajectory(prediction: Prediction, rule: str) -> None:
    _, x = toy(2)
    path = TABLE.levels([999, 700.3, 500, 250, 99.5, 10])
    result = sample(
        variance_preserving(_network(prediction), TABLE, prediction),
        x,
        path,
        rule=STEP_RULES[rule],
    )
    expected = sample(mixture, x, path, rule=STEP_RULES[rule])
    assert float((result - expected).abs().max()) < 1e-11


def test_a_velocity_gives_the_models_own_trajectory() -> None:
    _, x = toy(2)
    network = velocity(lambda x, level: (x - mixture(x, level)) / level)
    result, expected = (sample(model, x, levels(1.0, 6)) for model in (network, mixture))
    assert float((result - expected).abs().max()) < 1e-14


def test_levels_and_timesteps_are_each_others_inverse() -> None:
    for timestep in (0.0, 0.25, 1.0, 17.5, 500.0, 998.0, 998.75, 999.0):
        assert TABLE.timestep(TABLE.level(timestep)) == pytest.approx(timestep, abs=1e-9)
    for level in (0.011, 0.2, 0.5, 0.9, 0.99):
        assert TABLE.level(TABLE.timestep(level)) == pytest.approx(level, abs=1e-13)


def test_levels_are_those_of_the_table_and_in_between_the_log_snr_is_linear() -> None:
    table = AlphaBars((0.9, 0.5, 0.1))  # α/σ is 3, 1 and 1/3
    assert [table.level(k) for k in range(3)] == pytest.approx([0.25, 0.5, 0.75], abs=1e-15)
    halfway = 1.0 / (1.0 + math.sqrt(3.0))  # α/σ = sqrt(3 · 1)
    assert table.level(0.5) == pytest.approx(halfway, abs=1e-15)
    assert table.timestep(halfway) == pytest.approx(0.5, abs=1e-15)
    assert table.levels([2, 0.5]) == pytest.approx((0.75, halfway, 0.0), abs=1e-15)
    assert table.last_level == pytest.approx(0.75, abs=1e-15)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_beyond_the_last_timestep_the_network_says_what_it_knows_there(
    prediction: Prediction,
) -> None:
    _, noise = toy(2)
    asked: list[float] = []
    denoise = variance_preserving(_network(prediction, asked), TABLE, prediction)
    last = TABLE.last_level
    alpha = math.sqrt(TABLE.values[-1])
    at_noise = denoise(noise, 1.0)
    assert asked == [999.0]
    # noise enters as the unit variance it has, and the mixture at the last timestep answers
    assert torch.allclose(at_noise, mixture(noise * math.hypot(1 - last, last), last), atol=1e-10)
    # E[x_0] = 0 is the truth at level 1; the network is off by the order of its last α
    assert 0.0 < float(at_noise.abs().max()) < alpha * float(noise.abs().max())
    # and nothing jumps where the table ends
    beside = denoise(noise, last + 1e-9) - denoise(noise, last - 1e-9)
    assert float(beside.abs().max()) < 1e-7


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_run_from_pure_noise_is_off_by_the_order_of_the_last_alpha(
    prediction: Prediction,
) -> None:
    _, noise = toy(2)
    denoise = variance_preserving(_network(prediction), TABLE, prediction)
    result, expected = (sample(model, noise, levels(1.0, 20)) for model in (denoise, mixture))
    alpha = math.sqrt(TABLE.values[-1])
    assert float((result - expected).abs().max()) < alpha * float(noise.abs().max())


def test_below_the_first_timestep_the_estimate_becomes_the_state() -> None:
    _, x = toy(2)
    asked: list[float] = []
    for prediction in ("eps", "v"):
        denoise = variance_preserving(_network(prediction, asked), TABLE, prediction)
        assert torch.equal(denoise(x, 0.0), x)
        # by the size of the noise that is left, a few deviations of 1e-4
        assert float((denoise(x, 1e-4) - x).abs().max()) < 1e-3
    assert set(asked) == {0.0}


@pytest.mark.parametrize("values", [(0.5,), (0.9, 0.9), (0.5, 0.6), (1.0, 0.5), (0.9, 0.0)])
def test_a_table_that_is_none_is_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="fall within"):
        AlphaBars(values)


@pytest.mark.parametrize("timestep", [-0.5, 999.5])
def test_a_timestep_outside_the_table_is_refused(timestep: float) -> None:
    with pytest.raises(ValueError, match="outside 0 to 999"):
        TABLE.level(timestep)
