"""Masking: what is in the overlap after each step, and at the end."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from engine.optimise.masking import (
    MULTIDIFFUSION,
    MULTIDIFFUSION_HALF,
    NAIVE,
    MaskingSettings,
    masking,
)
from engine.sampling.loop import noised
from tests.engine.optimise.toys import Recorder, drawn, mask_of, toy_model, toy_problem


@pytest.mark.parametrize(
    ("settings", "weights"),
    [
        (NAIVE, [1.0, 1.0, 1.0, 1.0]),
        (MULTIDIFFUSION, [0.5, 0.5, 0.5, 0.5]),
        (MULTIDIFFUSION_HALF, [0.5, 0.5, 0.0, 0.0]),
    ],
)
def test_the_reference_gets_its_weight_after_each_step(
    settings: MaskingSettings, weights: list[float]
) -> None:
    model, noise = toy_model(), drawn(3)
    recorder = Recorder(model)
    problem = toy_problem(4, recorder)
    run = masking(problem, noise, replace(settings, fresh_noise=False))
    states = [x for x, _, _ in recorder.calls] + [run.latent]
    for number, (t, t_next) in enumerate(pairwise(problem.levels)):
        x = states[number]
        free = x + (t_next - t) * (x - model(x, t)) / t
        reference = noised(problem.prior, noise, t_next)
        weight = weights[number] * mask_of(problem)
        expected = free + weight * (reference - free)
        assert torch.allclose(states[number + 1], expected, atol=1e-12)


def test_naive_masking_ends_on_the_reference_exactly() -> None:
    problem = toy_problem()
    run = masking(problem, drawn(3), NAIVE)
    inside = mask_of(problem).expand_as(run.latent) == 1.0
    assert torch.equal(run.latent[inside], problem.prior[inside])
    assert run.best_loss == 0.0


def test_multidiffusion_ends_half_way_to_the_reference() -> None:
    problem = toy_problem(1)  # one step from pure noise leads to the model's mean
    run = masking(problem, drawn(3), MULTIDIFFUSION)
    mean = toy_model().mean.expand_as(run.latent)
    inside = mask_of(problem).expand_as(mean) == 1.0
    half = 0.5 * (mean + problem.prior)
    assert torch.allclose(run.latent[inside], half[inside], atol=1e-12)
    assert torch.allclose(run.latent[~inside], mean[~inside], atol=1e-12)


def test_fresh_noise_repeats_by_its_seed() -> None:
    problem, noise = toy_problem(), drawn(3)
    runs = [masking(problem, noise, MaskingSettings(0.5, seed=seed)) for seed in (1, 1, 2)]
    assert torch.equal(runs[0].latent, runs[1].latent)
    assert not torch.allclose(runs[0].latent, runs[2].latent)


def test_without_a_mask_there_is_nothing_to_do() -> None:
    with pytest.raises(ValueError, match="needs a mask"):
        masking(replace(toy_problem(), mask=None), drawn(3), NAIVE)
