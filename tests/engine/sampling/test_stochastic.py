"""Rules that add noise: what they reach, and that the noise is the caller's."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from engine.sampling.levels import levels
from engine.sampling.loop import sample
from engine.sampling.steps import StepRule, ddim, ping_pong
from tests.engine.sampling.models import DEVIATION, Recorded, ToyFlowMap, mixture, toy

STOCHASTIC = {"eta 0.5": ddim(0.5), "eta 1": ddim(1.0), "ping-pong": ping_pong}


def _noises(intervals: int, x: Tensor, seed: int = 11) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(intervals, *x.shape, generator=generator, dtype=x.dtype)


def _errors(result: Tensor, mean: Tensor) -> tuple[float, float]:
    """Of the mean and of the deviation, over all elements."""
    centred = result - mean
    return abs(float(centred.mean())), abs(float(centred.square().mean().sqrt()) - DEVIATION)


@pytest.mark.parametrize("rule", STOCHASTIC.values(), ids=STOCHASTIC.keys())
def test_few_steps_of_a_flow_map_reach_the_data_distribution(rule: StepRule) -> None:
    model, noise = toy(20_000)
    path = levels(1.0, 4)
    result = sample(ToyFlowMap(model), noise, path, rule=rule, noises=_noises(4, noise))
    mean_error, deviation_error = _errors(result, model.mean)
    # the map is exact, so all that is left is chance: five standard errors of 300 000 values
    assert mean_error < 5 * DEVIATION / math.sqrt(result.numel())
    assert deviation_error < 5 * DEVIATION / math.sqrt(2 * result.numel())


@pytest.mark.parametrize(("eta", "lacking"), [(0.5, 0.0021), (1.0, 0.0040)])
def test_many_steps_of_a_plain_model_reach_the_data_distribution(
    eta: float, lacking: float
) -> None:
    """First order: what 400 steps lack follows from the recursion of the variance below."""
    model, noise = toy(1000)
    path = levels(1.0, 400)
    result = sample(model, noise, path, rule=ddim(eta), noises=_noises(400, noise))
    mean_error, deviation_error = _errors(result, model.mean)
    variance = 1.0
    for t, s in itertools.pairwise(path):
        ratio = s * (1 - t) / (t * (1 - s))
        fresh = eta * math.sqrt(1 - ratio**2)
        gain = (1 - t) * DEVIATION**2 / (((1 - t) * DEVIATION) ** 2 + t**2)
        kept = (1 - s) * gain + s * math.sqrt(1 - fresh**2) * (1 - (1 - t) * gain) / t
        variance = kept**2 * variance + (s * fresh) ** 2
    assert DEVIATION - math.sqrt(variance) == pytest.approx(lacking, abs=1e-4)
    # five standard errors of 15 000 values, beside that
    assert mean_error < 5 * DEVIATION / math.sqrt(result.numel())
    assert deviation_error < lacking + 5 * DEVIATION / math.sqrt(2 * result.numel())


def test_ping_pong_of_a_plain_expectation_lacks_deviation() -> None:
    """Near the data an interval scales the variance V by 1 - 2 t²/s² and adds t²: V → s²/2."""
    model, noise = toy(1000)
    path = levels(1.0, 400)
    result = sample(model, noise, path, rule=ping_pong, noises=_noises(400, noise))
    deviation = float((result - model.mean).square().mean().sqrt())
    assert deviation == pytest.approx(DEVIATION / math.sqrt(2), rel=0.03)


def test_ddim_asks_a_flow_map_for_the_level_below_its_noise() -> None:
    """With η = 1 u_d = u_s² / u_t; here u_t = 3 and u_s = 1, so u_d = 1/3 at level 1/4."""
    model, x = toy(2)
    recorded = Recorded(ToyFlowMap(model))
    sample(recorded, x, (1.0, 0.75, 0.5), rule=ddim(1.0), noises=_noises(2, x))
    assert recorded.calls == [(1.0, 0.0), (0.75, pytest.approx(0.25, abs=1e-15))]


@pytest.mark.parametrize("rule", STOCHASTIC.values(), ids=STOCHASTIC.keys())
def test_frozen_noise_gives_the_same_result_and_other_noise_another(rule: StepRule) -> None:
    _, x = toy(2)
    path = levels(1.0, 5)
    first, again, other = (
        sample(mixture, x, path, rule=rule, noises=_noises(5, x, seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert float((first - other).abs().max()) > 0.01


@pytest.mark.parametrize("rule", STOCHASTIC.values(), ids=STOCHASTIC.keys())
def test_a_stochastic_rule_asks_for_its_noises_before_the_model(rule: StepRule) -> None:
    _, x = toy(2)
    recorded = Recorded(mixture)
    with pytest.raises(ValueError, match=r"noises of \[intervals, batch, channels, steps\]"):
        sample(recorded, x, levels(1.0, 5), rule=rule)
    assert recorded.calls == []


def test_noises_must_fit_the_run() -> None:
    _, x = toy(2)
    for noises in (_noises(4, x), _noises(5, x[:1])):
        with pytest.raises(ValueError, match="do not fit 5 intervals"):
            sample(mixture, x, levels(1.0, 5), rule=ping_pong, noises=noises)


def test_ddim_knows_what_it_cannot_do() -> None:
    _, x = toy(2)
    for eta in (-0.1, 1.1):
        with pytest.raises(ValueError, match="outside 0 to 1"):
            ddim(eta)
    with pytest.raises(ValueError, match=r"from level 0.3 up to 0.4"):
        sample(mixture, x, (0.3, 0.4), rule=ddim(0.5), noises=_noises(1, x))
