"""An optimisation that is kept and gone on with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.optimise.noise import NoiseOptimiser, NoiseSettings
from engine.optimise.problem import Problem
from tests.engine.optimise.toys import drawn, toy_problem

SETTINGS = NoiseSettings(steps=15, rate=0.05, likelihood=0.01, statistics=0.01, proximity=0.25)


def _optimiser(problem: Problem, seed: int = 3) -> NoiseOptimiser:
    noise = drawn(seed, (2, 3, 8))
    return NoiseOptimiser(noise, problem.generate, problem.objective, SETTINGS)


def _finished(optimiser: NoiseOptimiser) -> NoiseOptimiser:
    while not optimiser.finished:
        optimiser.advance()
    return optimiser


@pytest.mark.parametrize("stop", [1, 7, 15])
def test_a_run_gone_on_with_equals_one_never_interrupted(stop: int, tmp_path: Path) -> None:
    problem = toy_problem(4)
    whole = _finished(_optimiser(problem)).run
    first = _optimiser(problem)
    for _ in range(stop):
        first.advance()
    save_file(first.state(), tmp_path / "kept.safetensors")
    second = _optimiser(problem, seed=11)  # its own noise must not matter
    second.restore(load_file(tmp_path / "kept.safetensors"))
    assert second.step == stop
    continued = _finished(second).run
    assert whole is not None
    assert continued is not None
    for name in ("noise", "latent", "best"):
        assert torch.equal(getattr(continued, name), getattr(whole, name))
    assert continued.losses == whole.losses
    assert (continued.best_step, continued.drift) == (whole.best_step, whole.drift)


def test_a_kept_state_is_a_copy() -> None:
    optimiser = _optimiser(toy_problem(4))
    optimiser.advance()
    state = optimiser.state()
    before = {name: value.clone() for name, value in state.items()}
    optimiser.advance()
    assert all(torch.equal(value, before[name]) for name, value in state.items())


def test_a_state_of_another_shape_is_refused() -> None:
    first = _optimiser(toy_problem(4))
    first.advance()
    state = first.state()
    state["variable"] = state["variable"][..., :5]
    with pytest.raises(ValueError, match=r"\(2, 3, 5\)"):
        _optimiser(toy_problem(4)).restore(state)


def _away(proximity: float) -> tuple[float, float, float]:
    """The loss, how far the result is from the draft, and the least that the wish takes.

    The first values of a result are asked for, and every value of the noise moves them.
    """
    mixing = torch.eye(24, dtype=torch.float64) + 0.2 * drawn(5, (24, 24))
    noise, asked = drawn(6, (1, 3, 8)), 1.0 + drawn(7, (4,))

    def generate(value: Tensor) -> Tensor:
        return (value.flatten(1) @ mixing).view_as(value)

    def objective(latent: Tensor) -> Tensor:
        return (latent.flatten(1)[:, :4] - asked).square().mean(dim=1)

    settings = NoiseSettings(
        steps=400, rate=0.01, tolerance=1e-3, norm_drift=1.0, proximity=proximity
    )
    run = _finished(NoiseOptimiser(noise, generate, objective, settings)).run
    assert run is not None
    draft = generate(noise)
    least = (draft.flatten(1)[:, :4] - asked).norm()
    return run.best_loss, float((run.latent - draft).norm()), float(least)


def test_a_result_held_near_the_draft_goes_little_further_than_the_wish_takes() -> None:
    free_loss, free, _ = _away(0.0)
    held_loss, held, least = _away(0.5)
    assert max(free_loss, held_loss) <= 1e-3
    assert free - least > 0.5 * least  # the fewest values are changed by far more
    assert held - least < (free - least) / 3.0
