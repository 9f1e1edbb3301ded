"""EDICT's exact inverse and DOODL's way of moving the noise."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from engine.optimise.doodl import DoodlSettings, doodl, edict, edict_inverse, mixing_of
from engine.optimise.methods import ditto
from engine.optimise.noise import NoiseSettings
from engine.optimise.problem import OptimisedNoise, Problem
from engine.sampling.levels import levels
from engine.sampling.loop import GradientPolicy
from tests.engine.optimise.toys import Recorder, drawn, mask_of, toy_model, toy_problem


@pytest.mark.parametrize("steps", [1, 5, 20, 50])
def test_inverse_of_the_chains_is_exact(steps: int) -> None:
    model, path, p = toy_model(), levels(1.0, steps), mixing_of(steps)
    pair = drawn(3), drawn(4)
    ahead = edict(model, pair, path, p)
    back = edict_inverse(model, ahead, path, p)
    assert not torch.allclose(ahead[0], pair[0], atol=0.1)
    for found, wanted in zip(back, pair, strict=True):
        assert float((found - wanted).abs().max()) < 1e-10


def test_the_chains_take_turns_and_are_mixed_one_after_the_other() -> None:
    model, path, p = toy_model(), levels(1.0, 3), 0.8
    states = [drawn(3), drawn(4)]
    found = edict(model, (states[0], states[1]), path, p)
    for number, (t, t_next) in enumerate(pairwise(path)):
        for turn in range(2):
            mine = (turn + number) % 2
            other = states[1 - mine]
            states[mine] = states[mine] + (t_next - t) * (other - model(other, t)) / t
        states[0] = p * states[0] + (1.0 - p) * states[1]
        states[1] = p * states[1] + (1.0 - p) * states[0]
    assert torch.allclose(found[0], states[0], atol=1e-12)
    assert torch.allclose(found[1], states[1], atol=1e-12)


def test_chains_follow_the_flow_as_steps_grow() -> None:
    model, noise = toy_model(), drawn(3)
    exact = model.trajectory(noise, 1.0, 0.0)
    errors = []
    for steps in (100, 400):
        first, second = edict(model, (noise, noise), levels(1.0, steps), mixing_of(steps))
        errors.append(max(float((x - exact).abs().max()) for x in (first, second)))
    assert errors[1] < 0.35 * errors[0] < 0.1


def test_mixing_is_as_published() -> None:
    assert mixing_of(20) == pytest.approx(0.83)
    assert mixing_of(50) == pytest.approx(0.93)
    assert mixing_of(35) == pytest.approx(0.88)
    assert (mixing_of(1), mixing_of(200)) == (mixing_of(20), mixing_of(50))


def _affine(problem: Problem, p: float) -> tuple[list[Tensor], list[Tensor]]:
    """Slope and offset of both chains' results in the tied noise: the toy is affine, diagonal."""
    zero, one = (torch.full_like(problem.prior, value) for value in (0.0, 1.0))
    low = edict(problem.denoiser, (zero, zero), problem.levels, p)
    high = edict(problem.denoiser, (one, one), problem.levels, p)
    return [b - a for a, b in zip(low, high, strict=True)], list(low)


@pytest.mark.parametrize("policy", ["checkpointed", "full"])
def test_first_update_is_the_published_one(policy: GradientPolicy) -> None:
    problem, noise = replace(toy_problem(6), gradient=policy), drawn(3)
    slopes, offsets = _affine(problem, mixing_of(6))
    summed = torch.zeros_like(noise)
    for slope, offset in zip(slopes, offsets, strict=True):
        error = slope * noise + offset - problem.prior
        summed = summed + 2.0 * slope * mask_of(problem) * error
    clipped = (0.25 * 1e-3 * summed).clamp(-1e-3, 1e-3)
    assert bool((clipped.abs() == 1e-3).any())
    assert bool(((clipped.abs() < 1e-3) & (clipped != 0.0)).any())
    moved = noise - clipped
    norm = noise.flatten(1).norm(dim=1) / moved.flatten(1).norm(dim=1)
    run = doodl(problem, noise, DoodlSettings(steps=1, rate=1e-3, perturbation=0.0))
    assert run.best_step == 1
    assert torch.allclose(run.noise, moved * norm.view(-1, 1, 1), atol=1e-12)


def test_norm_is_kept_the_two_stay_tied_and_losses_fall() -> None:
    problem, noise = toy_problem(6), drawn(3)
    norms: list[Tensor] = []

    def watch(run: OptimisedNoise) -> None:
        norms.append(run.noise.flatten(1).norm(dim=1))

    run = doodl(problem, noise, DoodlSettings(steps=20), watch)
    for norm in norms:
        assert torch.allclose(norm, noise.flatten(1).norm(dim=1), rtol=1e-12)
    assert run.drift < 1e-12
    assert len(run.losses) == len(norms) == 21
    assert run.best_loss <= min(run.losses) < 0.95 * run.losses[0]
    again, _ = edict(problem.denoiser, (run.noise, run.noise), problem.levels, mixing_of(6))
    assert torch.allclose(again, run.latent, atol=1e-12)


def test_added_noise_repeats_by_its_seed() -> None:
    problem, noise = toy_problem(3), drawn(3)
    runs = [doodl(problem, noise, DoodlSettings(steps=3, seed=seed)) for seed in (1, 1, 2)]
    assert torch.equal(runs[0].noise, runs[1].noise)
    assert not torch.equal(runs[0].noise, runs[2].noise)


def test_a_met_goal_ends_the_run() -> None:
    asked: list[bool] = []

    def reached() -> bool:
        asked.append(True)
        return len(asked) == 3

    run = doodl(toy_problem(3), drawn(3), DoodlSettings(steps=10), reached=reached)
    assert len(run.losses) == 3


@pytest.mark.parametrize("policy", ["checkpointed", "full"])
def test_an_iteration_costs_twice_that_of_ditto(policy: GradientPolicy) -> None:
    model, noise, iterations = toy_model(), drawn(3), 4

    def bent(x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
        return model(x, level) + 0.1 * torch.sin(x)  # a linear one would keep nothing to compute

    counts = {}
    for name in ("doodl", "ditto"):
        recorder = Recorder(bent)
        problem = replace(toy_problem(5, recorder), gradient=policy)
        if name == "doodl":
            doodl(problem, noise, DoodlSettings(steps=iterations))
        else:
            ditto(problem, noise, NoiseSettings(steps=iterations))
        counts[name] = len(recorder.calls) / iterations
    last = 5 / iterations  # the final iterate is sampled once more, without a gradient
    assert counts["ditto"] == (10 if policy == "checkpointed" else 5) + last
    assert counts["doodl"] >= 1.8 * counts["ditto"]
