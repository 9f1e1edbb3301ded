"""Every control's gradient against finite differences, and its loss where the answer is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from engine.controls.control import Control, Goal, Objective, Scope
from engine.controls.intensity import Intensity
from engine.controls.loop import Loop
from engine.controls.melody import Tune
from engine.controls.overlap import Overlap
from engine.controls.structure import Structure
from engine.controls.table import TABLE
from engine.controls.together import Together
from tests.engine.controls.scopes import STEPS, latents, scope, spectrum

STEP_S = 0.125


def _tune() -> Tune:
    chroma = torch.zeros(1, 12, STEPS, dtype=torch.float64)
    chroma[0, 4, : STEPS // 2] = 1.0
    chroma[0, 9, STEPS // 2 + 2 :] = 1.0
    return Tune(chroma)


def _intensity(match: str = "level") -> Intensity:
    target = torch.linspace(-40.0, -10.0, 2 * STEPS)
    return Intensity(target, 0.0, STEP_S / 2, STEPS * STEP_S, match)  # type: ignore[arg-type]


def _structure() -> Structure:
    target = torch.rand(STEPS, STEPS, generator=torch.Generator().manual_seed(5))
    return Structure(target, torch.ones(STEPS), 1.0, 0.0, STEP_S)


CASES: dict[str, tuple[Control, Scope]] = {
    "overlap": (Overlap(), scope(made=slice(0, 7))),
    "loop": (Loop(18, 5), scope()),
    "loop-between-steps": (Loop(17.6, 5), scope()),
    "loop-chained": (Loop(18, 5), scope(12, STEPS, made=slice(0, 14))),
    "melody": (_tune(), scope()),
    "melody-made": (_tune(), scope(made=slice(0, 6))),
    "intensity": (_intensity(), scope(made=slice(0, 5))),
    "intensity-shape": (_intensity("shape"), scope()),
    "structure": (_structure(), scope()),
    "structure-chained": (_structure(), scope(8, STEPS, made=slice(0, 12))),
}


def _objective(name: str) -> tuple[Objective, Tensor]:
    control, window = CASES[name]
    objective = control.objective(window)
    assert objective is not None
    return objective, latents(2, window.steps)


@pytest.mark.parametrize("name", CASES)
def test_the_gradient_equals_finite_differences(name: str) -> None:
    objective, latent = _objective(name)
    latent.requires_grad_(True)
    (gradient,) = torch.autograd.grad(objective(latent).sum(), latent)
    assert float(gradient.norm()) > 0.0
    generator = torch.Generator().manual_seed(9)
    for _ in range(3):
        direction = torch.randn(latent.shape, generator=generator, dtype=torch.float64)
        step = 1e-6
        with torch.no_grad():
            ahead, behind = (
                objective(latent + step * direction),
                objective(latent - step * direction),
            )
        numeric = float((ahead - behind).sum()) / (2 * step)
        exact = float((gradient * direction).sum())
        assert abs(numeric - exact) < 1e-3 * abs(exact) + 1e-9


@pytest.mark.parametrize("name", ["intensity", "melody-made", "structure-chained"])
def test_what_is_finished_is_heard_as_it_is(name: str) -> None:
    """A run may make what it likes of it: the finished audio is what will be there."""
    window = CASES[name][1]
    asked: list[tuple[int, int] | None] = []

    def listening(latent: Tensor, span: tuple[int, int] | None = None) -> Tensor:
        asked.append(span)
        return spectrum(latent, span)

    objective = CASES[name][0].objective(replace(window, log_mel=listening))
    assert objective is not None
    asked.clear()
    other = latents(2, window.steps)
    kept = 1.0 - window.free
    loss = objective(other)
    assert torch.equal(loss, objective(torch.lerp(other, window.cut(window.latent), kept)))
    assert asked == [(int(kept.sum()), window.steps)] * 2
    assert not torch.equal(loss, objective(latents(2, window.steps, seed=4)))


@pytest.mark.parametrize("name", CASES)
def test_items_of_a_batch_do_not_know_each_other(name: str) -> None:
    objective, latent = _objective(name)
    together = objective(latent)
    assert together.shape == (2,)
    apart = torch.cat([objective(latent[:1]), objective(latent[1:])])
    assert torch.allclose(together, apart, rtol=1e-10)


def test_every_control_of_the_table_is_among_the_cases() -> None:
    assert {row.name for row in TABLE} == {control.name for control, _ in CASES.values()}
    for row in TABLE:
        control = next(control for control, _ in CASES.values() if control.name == row.name)
        assert control.unit == row.unit


@pytest.mark.parametrize(
    ("control", "window"),
    [
        (Overlap(), scope()),
        (Loop(18, 5), scope(0, 12)),
        (_tune(), scope(0, 12, made=slice(0, 12))),
        (_intensity(), scope(0, 12, made=slice(0, STEPS))),
        (_structure(), scope(0, 12, made=slice(0, STEPS))),
    ],
)
def test_a_wish_that_says_nothing_about_a_window_has_no_goal(
    control: Control, window: Scope
) -> None:
    assert Goal.of(control, window) is None


def test_a_loop_pulls_at_both_ends_and_is_met_by_a_periodic_result() -> None:
    objective = Loop(18, 5).objective(scope())
    assert objective is not None
    latent = latents(1)
    latent[..., 18:23] = latent[..., :5]
    assert float(objective(latent)) == 0.0
    moved = latents(1).requires_grad_(True)
    (gradient,) = torch.autograd.grad(objective(moved).sum(), moved)
    assert torch.allclose(gradient[..., :5], -gradient[..., 18:23])
    assert float(gradient[..., 5:18].abs().max()) == 0.0


def test_balanced_goals_pull_with_their_shares_and_keep_the_value() -> None:
    window = scope(made=slice(0, 7))
    goals = [Goal.of(control, window) for control in (Overlap(), _intensity())]
    known = [goal for goal in goals if goal is not None]
    plain, balanced = Together(known), Together(known, balanced=True)
    latent = latents(2).requires_grad_(True)
    assert torch.allclose(plain(latent), balanced(latent))
    (pull,) = torch.autograd.grad(balanced(latent).sum(), latent)
    wanted = torch.zeros_like(latent)
    for goal in known:
        (gradient,) = torch.autograd.grad(goal.loss(latent).sum(), latent)
        wanted += goal.weight * gradient / gradient.flatten(1).norm(dim=1)[:, None, None]
    assert torch.allclose(pull, wanted, rtol=1e-9)


def test_balanced_goals_are_evaluated_once() -> None:
    """The codec's spectrum behind them may be the dearest part of an iteration."""
    calls: list[str] = []

    def goal(name: str) -> Goal:
        def loss(latent: Tensor) -> Tensor:
            calls.append(name)
            return latent.square().mean(dim=(1, 2))

        return Goal(name, "", 1.0, 0.0, loss)

    balanced = Together([goal("a"), goal("b")], balanced=True)
    latent = latents(2).requires_grad_(True)
    torch.autograd.grad(balanced(latent).sum(), latent)
    assert calls == ["a", "b"]


def test_goals_are_reached_in_their_own_units() -> None:
    def at(value: float) -> Objective:
        return lambda latent: latent.new_full((latent.shape[0],), value)

    level, tune = (
        Goal("level", "dB²", 1 / 40, 2.0, at(1.9)),
        Goal("tune", "nats", 1.0, 0.6, at(0.7)),
    )
    met = Together([level])
    total = met(latents())
    assert torch.allclose(total, torch.full_like(total, 1.9 / 40))
    assert met.reached()
    both = Together([level, tune])
    both(latents())
    assert not both.reached()
    endless = Together([Goal("overlap", "", 1.0, 0.0, at(0.0))])
    endless(latents())
    assert not endless.reached()
    with pytest.raises(ValueError, match="nothing to optimise"):
        Together([])
