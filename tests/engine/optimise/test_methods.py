"""The table of methods: each runs by its name and does better than a draft."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine.fields import METHODS as FIELD_METHODS
from engine.optimise.methods import METHODS, run_method
from engine.optimise.problem import OptimisedNoise
from tests.engine.optimise.toys import SHAPE, ToyMap, drawn, toy_model, toy_problem

RIVALS = sorted(set(METHODS) - {"draft"})


@pytest.mark.parametrize("name", RIVALS)
def test_each_method_lowers_the_loss_of_the_draft(name: str) -> None:
    problem, noise = toy_problem(8, ToyMap(toy_model())), drawn(3)
    draft = run_method("draft", problem, noise)
    run = run_method(name, problem, noise)
    assert run.best_loss < 0.9 * draft.best_loss
    assert run.latent.shape == run.noise.shape == SHAPE
    assert torch.allclose(problem.objective(run.latent), run.best)
    assert not run.latent.requires_grad


@pytest.mark.parametrize("name", sorted(METHODS))
def test_each_method_tells_of_its_steps_and_can_be_stopped(name: str) -> None:
    calls: list[int] = []

    def on_call() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    problem = toy_problem(5, on_call=on_call)
    with pytest.raises(KeyboardInterrupt):
        run_method(name, problem, drawn(3), iterations=1)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_each_method_repeats_bit_for_bit(name: str) -> None:
    problem, noise = toy_problem(4), drawn(3)
    kept = noise.clone()
    first, second = (run_method(name, problem, noise, iterations=2) for _ in range(2))
    assert torch.equal(first.latent, second.latent)
    assert torch.equal(noise, kept)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_several_noises_share_one_prior(name: str) -> None:
    whole = toy_problem(4)
    assert whole.mask is not None
    problem = replace(
        whole,
        prior=whole.prior[:1],
        mask=whole.mask[:1],
        objective=lambda x: (x - whole.prior[:1])[..., :3].square().mean(dim=(1, 2)),
    )
    run = run_method(name, problem, drawn(9, (3, *SHAPE[1:])), iterations=2)
    assert run.latent.shape == (3, *SHAPE[1:])
    assert run.best.shape == (3,)


@pytest.mark.parametrize("name", ["fast", "ditto", "doodl"])
def test_iterations_watch_and_goal_reach_the_methods_that_iterate(name: str) -> None:
    problem, noise = toy_problem(2), drawn(3)
    seen: list[OptimisedNoise] = []
    run_method(name, problem, noise, iterations=3, watch=seen.append)
    assert len(seen) >= 4
    early = run_method(name, problem, noise, iterations=3, reached=lambda: True)
    assert len(early.losses) < len(seen)


def test_masks_are_needed_where_the_table_says_so() -> None:
    problem = replace(toy_problem(2), mask=None)
    for name, method in METHODS.items():
        if method.needs_mask:
            with pytest.raises(ValueError, match="needs a mask"):
                run_method(name, problem, drawn(3))
        else:
            run_method(name, problem, drawn(3), iterations=1)


def test_unknown_names_are_told_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'nonsense'") as told:
        run_method("nonsense", toy_problem(), drawn(3))
    assert all(name in str(told.value) for name in METHODS)


def test_a_request_can_name_every_method_but_the_draft() -> None:
    assert {*FIELD_METHODS, "draft"} == set(METHODS)


def test_each_row_is_one_line() -> None:
    required = {"draft", "ditto", "doodl", "freedom", "guidance-gradients", "flowchef"}
    assert required | {"naive", "multidiffusion", "multidiffusion-half"} <= set(METHODS)
    descriptions = [method.description for method in METHODS.values()]
    assert len(set(descriptions)) == len(descriptions)
    assert all(text and "\n" not in text and len(text) < 90 for text in descriptions)
