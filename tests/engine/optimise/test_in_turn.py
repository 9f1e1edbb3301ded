"""Candidates one after the other give what the batch gives, in the memory of one."""

from __future__ import annotations

import pytest
import torch

from engine.optimise.methods import run_method
from engine.optimise.problem import Problem
from tests.engine.optimise.toys import drawn, toy_problem

SHAPE = (1, 3, 8)


def problem_of_one() -> Problem:
    """The toy for any number of candidates: one prior for all of them."""
    from dataclasses import replace

    from engine.controls.overlap import overlap_objective

    whole = toy_problem(4)
    prior, mask = whole.prior[:1], whole.mask[:1] if whole.mask is not None else None
    assert mask is not None
    return replace(whole, prior=prior, mask=mask, objective=overlap_objective(prior, mask))


@pytest.mark.parametrize("method", ["ditto", "fast", "flowchef", "draft"])
def test_the_result_is_the_batch_s_own(method: str) -> None:
    problem, noise = problem_of_one(), drawn(5, (3, 3, 8))
    together = run_method(method, problem, noise, 6)
    apart = run_method(method, problem, noise, 6, sparing=True)
    for name in ("noise", "latent", "best"):
        assert torch.allclose(getattr(apart, name), getattr(together, name), atol=1e-4), name
    assert apart.losses == pytest.approx(together.losses, abs=1e-4)


@pytest.mark.parametrize("sparing", [False, True])
def test_the_noise_of_one_is_looked_for_alone(sparing: bool) -> None:
    """Of guided runs, together and in turn; and what it is does not hang on the others."""
    asked: list[int] = []
    problem, noise = problem_of_one(), drawn(5, (3, 3, 8))
    denoiser = problem.denoiser

    def counted(x: torch.Tensor, t: float, t_next: float | None = None, /) -> torch.Tensor:
        asked.append(len(x))
        return denoiser(x, t, t_next)

    from dataclasses import replace

    watched = replace(problem, denoiser=counted)
    run = run_method("fast", watched, noise, 8, sparing=sparing)
    asked.clear()
    one = run.only(slice(1, 2))
    assert torch.equal(one.latent, run.latent[1:2])
    assert asked == []
    found = one.noise
    assert set(asked) == {1}
    alone = run_method("fast", watched, noise[1:2], 8)
    torch.testing.assert_close(found, alone.noise)
    assert one.drift == pytest.approx(alone.drift)
    asked.clear()
    assert one.noise is found
    assert asked == [], "it was looked for again"
    torch.testing.assert_close(run.noise[1:2], found)


def test_no_more_than_one_candidate_is_held_at_a_time() -> None:
    problem = problem_of_one()
    widths = set()
    objective = problem.objective

    def measured(latent: torch.Tensor) -> torch.Tensor:
        widths.add(latent.shape[0])
        return objective(latent)

    from dataclasses import replace

    run_method("ditto", replace(problem, objective=measured), drawn(5, (3, 3, 8)), 2, sparing=True)
    assert widths == {1}
