"""Inversion against the toy's exact trajectory, and back again."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from engine.optimise.inversion import (
    InversionSettings,
    ReproduceSettings,
    invert,
    noise_of,
    reproduce,
)
from engine.optimise.noise import NoiseSettings
from engine.sampling.levels import levels
from engine.sampling.loop import sample
from tests.engine.optimise.toys import Recorder, ToyMap, drawn, toy_model, toy_problem

EXACT = InversionSettings(refinements=200, tolerance=1e-13)


@pytest.mark.parametrize("settings", [InversionSettings(), EXACT])
@pytest.mark.parametrize("target", [1.0, 0.6])
def test_inversion_converges_to_the_flow_in_first_order(
    settings: InversionSettings, target: float
) -> None:
    model, latent = toy_model(), 1.0 + 0.6 * drawn(3)
    exact = model.trajectory(latent, 0.0, target)
    errors = []
    for steps in (16, 32, 64, 128):
        found = invert(model, latent, levels(target, steps), settings)
        errors.append(float((found - exact).abs().max()))
    slopes = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert slopes[-1] == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("steps", [1, 4, 20])
def test_forward_of_the_refined_inverse_is_the_start(steps: int) -> None:
    model, latent, path = toy_model(), drawn(3), levels(0.7, steps)
    there = invert(model, latent, path, EXACT)
    assert torch.allclose(sample(model, there, path), latent, atol=1e-10)
    rough = sample(model, invert(model, latent, path), path)
    assert float((rough - latent).abs().max()) > 1e-3


def test_inversion_of_a_map_is_exact_in_one_step() -> None:
    model, latent = toy_model(), drawn(3)
    found = invert(ToyMap(model), latent, (0.8, 0.0), EXACT)
    assert torch.allclose(found, model.trajectory(latent, 0.0, 0.8), atol=1e-9)


def test_refinement_stops_at_the_tolerance() -> None:
    recorder = Recorder(toy_model())
    invert(recorder, drawn(3), levels(1.0, 4), InversionSettings(50, 1e-4))
    assert 4 < len(recorder.calls) < 4 * 51


def test_a_step_that_overshoots_is_undone_too() -> None:
    """Fixed point x/3 of g -> x - 2g, from which plain iteration runs away."""
    latent = drawn(3)
    found = invert(lambda x, t, t_next=None: 3.0 * x, latent, (1.0, 0.0), EXACT)
    assert torch.allclose(found, latent / 3.0, atol=1e-10)


def test_an_item_whose_step_cannot_be_undone_keeps_its_best_guess() -> None:
    """The first item runs away in every share of g -> x + 3g, the second contracts."""
    latent = drawn(3)
    slope = torch.tensor([-2.0, 0.5], dtype=torch.float64).view(-1, 1, 1)

    def model(x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
        return slope * x

    found = invert(model, latent, (1.0, 0.0), EXACT)
    assert torch.equal(found[0], invert(model, latent, (1.0, 0.0))[0])
    assert torch.allclose(found[1], 2.0 * latent[1], atol=1e-10)


def test_every_step_is_told() -> None:
    calls: list[int] = []
    invert(toy_model(), drawn(3), levels(1.0, 6), EXACT, lambda: calls.append(1))
    assert len(calls) == 6


@pytest.mark.parametrize("first", [1.0, 0.5])
def test_the_noise_of_a_state_starts_there(first: float) -> None:
    problem, state = replace(toy_problem(), levels=(first, 0.0)), drawn(3)
    assert torch.allclose(problem.start(noise_of(problem, state)), state, atol=1e-12)


def test_a_clip_is_reproduced_better_than_by_inversion_or_search_alone() -> None:
    problem = toy_problem(6)
    clip = 1.0 + 0.6 * drawn(8)
    adam = NoiseSettings(steps=60, rate=2e-2, norm_drift=0.2)
    run = reproduce(problem, clip, ReproduceSettings(InversionSettings(), adam))
    assert run.best_loss < 0.05 * run.losses[0]
    again = problem.generate(run.noise, "none")
    assert float((again - clip).square().mean()) == pytest.approx(run.best_loss)
    searched = reproduce(
        problem, clip, ReproduceSettings(InversionSettings(), replace(adam, steps=0))
    )
    assert searched.losses == run.losses[:1]
    exact = reproduce(problem, clip, ReproduceSettings(EXACT, replace(adam, steps=0)))
    assert exact.best_loss < 1e-20
