"""What goals ask about one latent is worked out once, and never remembered for longer."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from engine.controls.control import Goal
from engine.controls.once import once, one_evaluation
from engine.controls.together import Together
from tests.engine.controls.scopes import latents, scope, spectrum
from tests.engine.controls.test_objectives import CASES


def test_goals_of_one_window_decode_it_once() -> None:
    asked: list[tuple[int, int] | None] = []

    def listening(latent: Tensor, span: tuple[int, int] | None = None) -> Tensor:
        asked.append(span)
        return spectrum(latent, span)

    names = ("intensity", "melody", "structure")
    for made in (None, slice(0, 7)):
        window = replace(scope(made=made), log_mel=once(listening))
        goals = [Goal.of(CASES[name][0], window) for name in names]
        known = [goal for goal in goals if goal is not None]
        assert len(known) == 3
        asked.clear()
        latent = latents(2).requires_grad_(True)
        total = Together(known)(latent)
        assert len(asked) == 1
        apart = sum(goal.weight * goal.loss(latent) for goal in known)
        assert isinstance(apart, Tensor)
        assert torch.allclose(total, apart, rtol=1e-12)
        (gradient,) = torch.autograd.grad(total.sum(), latent)
        (wanted,) = torch.autograd.grad(apart.sum(), latent)
        assert torch.allclose(gradient, wanted, rtol=1e-9, atol=1e-12)


def test_nothing_is_remembered_beyond_an_evaluation() -> None:
    asked: list[float] = []

    def scaled(latent: Tensor, by: float = 1.0) -> Tensor:
        asked.append(by)
        return by * latent

    remembering = once(scaled)
    latent = latents(1)
    assert torch.equal(remembering(latent), remembering(latent))
    assert len(asked) == 2, "outside an evaluation nothing is remembered at all"
    with one_evaluation():
        first = remembering(latent)
        assert remembering(latent) is first
        assert torch.equal(remembering(latent, 3.0), 3.0 * latent), "another question"
        assert torch.equal(remembering(latent.clone()), first), "an equal latent is another one"
        assert asked[2:] == [1.0, 3.0, 1.0]
    latent += 1.0
    with one_evaluation():
        assert torch.equal(remembering(latent), latent)


def test_latents_that_are_gone_are_not_taken_for_new_ones() -> None:
    remembering = once(lambda latent: latent.sum())
    with one_evaluation():
        sums = [float(remembering(torch.full((4,), float(k)))) for k in range(50)]
    assert sums == [4.0 * k for k in range(50)]
