"""DITTO-2 on a flow map whose every step is exact, and on one that gets worse with steps."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from engine.controls.overlap import overlap_objective
from engine.models.toy import GaussianModel
from engine.optimise.methods import run_method
from engine.optimise.problem import OptimisedNoise, Problem
from engine.optimise.surrogate import (
    AS_GOOD,
    SurrogateSettings,
    decoded,
    optimise_through_surrogate,
)

MEAN = torch.linspace(-1.0, 1.0, 12, dtype=torch.float64).view(1, 3, 4)


@dataclass
class ExactMap:
    """The toy's own flow map, off by `error` for every step but one from 1 to 0."""

    error: float = 0.0
    calls: int = 0

    def __call__(self, x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
        self.calls += 1
        toy = GaussianModel(MEAN, 0.5)
        if next_level is None:
            return toy(x, level)
        end = toy.trajectory(x, level, next_level)
        short = 0.0 if (level, next_level) == (1.0, 0.0) else self.error
        return x - level * (x - end) / (level - next_level) + short


def _problem(model: ExactMap) -> Problem:
    wanted = MEAN + 0.6
    objective = overlap_objective(wanted, torch.ones(1, 1, 4, dtype=torch.float64))
    levels = tuple(1.0 - i / 20 for i in range(21))
    return Problem(model, levels, objective, torch.zeros(1, 3, 4, dtype=torch.float64))


def _noise(batch: int = 1) -> Tensor:
    return torch.randn(batch, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_the_noise_found_through_one_step_serves_the_whole_sampler() -> None:
    problem = _problem(ExactMap())
    run = optimise_through_surrogate(
        problem, _noise(), SurrogateSettings(400, 0.02, norm_drift=1.0)
    )
    assert run.best_loss < 1e-3
    assert float(problem.objective(problem.generate(run.noise, "none")).mean()) < 1e-3


def test_one_iteration_costs_one_call_and_polishing_two() -> None:
    model = ExactMap()
    optimise_through_surrogate(_problem(model), _noise(), SurrogateSettings(12, polish=0.0))
    assert model.calls == 13 + 1 + 2 + 4 + 8 + 20
    model.calls = 0
    optimise_through_surrogate(_problem(model), _noise(), SurrogateSettings(12, polish=0.25))
    assert model.calls == 10 + 2 + 2 * 4 + 1 + 2 + 4 + 8 + 20  # 2 for the draft to stay near


@pytest.mark.parametrize(("error", "steps"), [(0.0, 8), (-0.3, 1)])
def test_of_results_as_good_as_the_best_the_one_of_most_steps_is_kept(
    error: float, steps: int
) -> None:
    problem = _problem(ExactMap(error))
    noise = _noise()
    start = OptimisedNoise.of(noise, problem.generate(noise, "none"), problem.objective)
    run = decoded(problem, start)
    assert torch.allclose(run.latent, problem.in_steps(steps).generate(noise, "none"))
    losses = [
        float(problem.objective(problem.in_steps(count).generate(noise, "none")).mean())
        for count in (1, 2, 4, 8)
    ]
    assert run.best_loss <= AS_GOOD * min(losses) + 1e-12


def test_every_candidate_keeps_its_own_best_decode() -> None:
    problem = _problem(ExactMap(0.05))
    run = optimise_through_surrogate(problem, _noise(3), SurrogateSettings(8))
    apart = [
        optimise_through_surrogate(problem, _noise(3)[k : k + 1], SurrogateSettings(8))
        for k in range(3)
    ]
    assert run.latent.shape == (3, 3, 4)
    for k, alone in enumerate(apart):
        assert torch.allclose(run.latent[k], alone.latent[0])
        assert torch.allclose(run.best[k], alone.best[0])


def test_a_wish_that_is_met_ends_the_run() -> None:
    model = ExactMap()
    seen: list[OptimisedNoise] = []
    run = run_method("ditto-2", _problem(model), _noise(), 40, seen.append, reached=lambda: True)
    assert len(seen) == 2  # the first evaluation of either stage
    assert len(run.losses) == 3


def test_where_nothing_is_won_the_draft_stays() -> None:
    problem = _problem(ExactMap())
    misled = Problem(ExactMap(0.4), problem.levels, problem.objective, problem.prior)
    run = optimise_through_surrogate(misled, _noise(2), SurrogateSettings(2, rate=1e-9))
    draft = misled.generate(_noise(2), "none")
    assert bool((run.best <= misled.objective(draft)).all())
    lost = run.best == misled.objective(draft)
    assert torch.equal(run.noise[lost], _noise(2)[lost])
