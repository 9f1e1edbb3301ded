"""Windows of a timeline: whose noise is kept, what the wishes hear, by which rule they are met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import pytest
import torch
from torch import Tensor

from engine import window_task
from engine.chain import render_timeline, timeline_noise
from engine.controls.control import Objective, Scope
from engine.controls.together import Together
from engine.models.house.model import HouseModel
from engine.models.studio import Words
from engine.optimise.problem import OptimisedNoise, Problem
from engine.sampling.steps import StepRule, dpm_solver_2m, euler, ping_pong
from engine.timeline import Timeline
from engine.window_task import RenderSettings, WindowOutcome, WindowTask
from engine.windows import Window, fade_in
from tests.engine.fake_model import FakeModel, fake_model

CHANNELS, STEPS = 128, 40
SETTINGS = RenderSettings(variation=0.5, steps=2, refine=2)


class Quiet:
    """The new steps should be silent; judged by the latent that a decoded one begins with."""

    name, unit, weight, tolerance = "quiet", "squared latent", 1.0, 0.0

    def objective(self, scope: Scope) -> Objective | None:
        free = scope.free
        return lambda latent: (latent.square() * free).mean(dim=(1, 2))

    def compare(self, *_: object) -> None:
        return None


@dataclass(frozen=True)
class Loud:
    """The decoded spectrum should be loud: a wish that has to decode."""

    name: str
    unit, weight, tolerance = "latent", 1.0, 0.0

    def objective(self, scope: Scope) -> Objective | None:
        return lambda latent: -scope.log_mel(latent).mean(dim=(1, 2))

    def compare(self, *_: object) -> None:
        return None


def timeline(model: FakeModel, known_steps: int = 10) -> Timeline:
    generator = torch.Generator().manual_seed(1)
    prior = torch.randn(1, CHANNELS, STEPS, generator=generator)
    known = torch.zeros(1, 1, STEPS)
    known[..., :known_steps] = 1.0
    return Timeline(prior, known, model.told(Words("", 1.0)), 1024 / 44_100, controls=(Quiet(),))


def noises(count: int = 1) -> Tensor:
    return torch.randn(count, CHANNELS, STEPS, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("backwards", [False, True])
def test_the_noise_of_a_step_is_that_of_the_window_which_made_it(backwards: bool) -> None:
    """A later window goes on from what an earlier one made; its own noise there made nothing."""
    windows = [Window(0, 24), Window(18, 40)]
    if backwards:
        windows.reverse()
    outcomes = [
        WindowOutcome(
            window, torch.empty(0), torch.full((1, 3, window.stop - window.start), at), {}
        )
        for at, window in enumerate(windows, start=1)
    ]
    used = timeline_noise(torch.zeros(1, 3, STEPS), outcomes)
    assert bool((windows[0].of(used) == 1.0).all())
    rest = slice(0, 18) if backwards else slice(24, 40)
    assert bool((used[..., rest] == 2.0).all())


def task(model: FakeModel, settings: RenderSettings, blend: Tensor | None = None) -> WindowTask:
    made, window = timeline(model), Window(0, STEPS)
    return WindowTask(
        cast(HouseModel, model), made, window, made.prior, made.known, settings, blend=blend
    )


def test_wishes_hear_what_is_let_in_and_the_overlap_what_is_made() -> None:
    model, _ = fake_model()
    blend = fade_in(timeline(model).known[0, 0], 12.0)
    plain, blended = task(model, SETTINGS), task(model, SETTINGS, blend)
    latent = noises()
    heard = blended.let_in(latent)
    assert torch.equal(heard[..., :10], blended.prior[..., :10])
    torch.testing.assert_close(heard[..., 24:], latent[..., 24:])
    losses = [{goal.name: goal.loss for goal in one.goals} for one in (plain, blended)]
    assert torch.equal(losses[0]["overlap"](latent), losses[1]["overlap"](latent))
    assert torch.equal(losses[1]["quiet"](latent), losses[0]["quiet"](heard))
    assert not torch.equal(losses[1]["quiet"](latent), losses[0]["quiet"](latent))


def test_wishes_of_a_window_decode_what_is_let_in_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, house = fake_model()
    asked: list[Tensor] = []

    def log_mel(latent: Tensor) -> Tensor:
        asked.append(latent)
        return latent

    monkeypatch.setattr(model.codec, "log_mel", log_mel)
    made = replace(timeline(model), controls=(Loud("loud"), Loud("louder")))
    window = Window(0, STEPS)
    for blend in (None, fade_in(made.known[0, 0], 12.0)):
        task = WindowTask(house, made, window, made.prior, made.known, SETTINGS, blend=blend)
        asked.clear()
        total = Together(task.goals)(latent := noises())
        assert len(asked) == 1
        assert torch.equal(asked[0], task.let_in(latent))
        assert torch.allclose(total, sum(goal.loss(latent) for goal in task.goals))


def test_the_losses_told_are_those_of_what_is_kept() -> None:
    model, house = fake_model()
    latent, outcomes = render_timeline(house, timeline(model), noises(), SETTINGS)
    free = (timeline(model).known == 0).float()
    assert outcomes[0].losses["quiet"] == pytest.approx(
        float((latent.square() * free).mean()), rel=1e-5
    )


@pytest.mark.parametrize(
    ("rule", "method", "wanted"),
    [
        ("ping-pong", "ditto-2", euler),
        ("ping-pong", "fast", euler),
        ("sde-dpm-solver-2m", "ditto", dpm_solver_2m),
        ("sde-dpm-solver-2m", "fast", euler),
    ],
)
def test_noise_is_optimised_by_a_rule_that_adds_none(
    monkeypatch: pytest.MonkeyPatch, rule: str, method: str, wanted: StepRule
) -> None:
    """Under what a stochastic rule adds the initial noise hardly counts, and is lost for good."""
    model, _ = fake_model()
    model.habits = replace(model.habits, rule=rule, added_noise=True)
    asked: list[Problem] = []

    def run(_: str, problem: Problem, noise: Tensor, **__: object) -> OptimisedNoise:
        asked.append(problem)
        return OptimisedNoise.of(noise, problem.generate(noise, "none"), problem.objective)

    monkeypatch.setattr(window_task, "run_method", run)
    one = task(model, replace(SETTINGS, method=method))
    one.added = torch.zeros(8, CHANNELS, STEPS)
    outcome = one.refine(noises(), lambda _: None, None)
    assert (asked[0].rule, asked[0].added) == (wanted, None)
    again = asked[0].generate(torch.as_tensor(outcome.noise), "none")
    assert torch.equal(again, outcome.latent)
    drafts = one.problem(lambda _: None)
    assert (drafts.rule is ping_pong) == (rule == "ping-pong"), "drafts are the model's own"


def test_a_models_own_draft_stays_where_its_refinement_is_worse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, _ = fake_model()
    model.habits = replace(model.habits, rule="ping-pong", added_noise=True)

    def run(_: str, problem: Problem, noise: Tensor, **__: object) -> OptimisedNoise:
        return OptimisedNoise.of(noise, torch.full_like(noise, 9.0), problem.objective)

    monkeypatch.setattr(window_task, "run_method", run)
    one = task(model, SETTINGS)
    one.added = torch.zeros(8, CHANNELS, STEPS)
    own = one.draft(noises(), lambda _: None)
    kept = one.refine(noises(), lambda _: None, None)
    assert torch.equal(kept.latent, own.latent)
    assert kept.losses == own.losses
    known = torch.zeros(1, CHANNELS, STEPS)
    assert one.refine(noises(), lambda _: None, None, known).latent is known, "not made again"


def test_the_draft_of_a_variation_is_the_variation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own noise under a rule that adds more would be another piece, and no goal would mind."""
    model, _ = fake_model()
    model.habits = replace(model.habits, rule="ping-pong", added_noise=True)

    def run(_: str, problem: Problem, noise: Tensor, **__: object) -> OptimisedNoise:
        return OptimisedNoise.of(noise, torch.full_like(noise, 9.0), problem.objective)

    monkeypatch.setattr(window_task, "run_method", run)
    plain, wished = (task(model, replace(SETTINGS, refine=refine)) for refine in (0, 2))
    for one in (plain, wished):
        one.inverted, one.added = True, torch.full((8, CHANNELS, STEPS), 5.0)
    varied = plain.make(noises(2), lambda _: None, None)
    assert torch.equal(wished.make(noises(2), lambda _: None, None).latent, varied.latent)


def test_candidates_are_judged_as_they_will_be_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """By other means where those know a wish, by its loss where they do not; what is known is the
    musician's own audio whatever a run makes of it."""
    model, _ = fake_model()
    heard: list[tuple[tuple[int, int], Tensor]] = []
    latents = noises(3)

    def run(_: str, problem: Problem, noise: Tensor, **__: object) -> OptimisedNoise:
        return OptimisedNoise.of(noise, latents, problem.objective)

    def score(_: Window, new: tuple[int, int], told: Tensor) -> Mapping[str, Tensor]:
        heard.append((new, told))
        return {"quiet": torch.tensor([3.0, 1e3, 2.0])}

    monkeypatch.setattr(window_task, "run_method", run)
    latents[2, :, :10] += 100.0  # far from what is known there, which the overlap minds
    one = task(model, replace(SETTINGS, candidates=3))
    chosen = one.refine(noises(3), lambda _: None, score)
    assert torch.equal(chosen.latent, latents[:1])
    ((new, told),) = heard
    assert new == (10, STEPS)
    assert torch.equal(told[:, :, :10], one.prior[..., :10].expand(3, -1, -1))
    assert torch.equal(told[:, :, 10:], latents[:, :, 10:])
