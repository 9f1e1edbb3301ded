"""FreeDoM, guidance gradients and FlowChef against the toy's closed forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from engine.optimise.flowchef import FlowChefSettings, flowchef
from engine.optimise.freedom import FreeDomSettings, corrected_step, freedom, noised_again
from engine.optimise.guidance import loss_gradient, pull_of_estimate, rms, summed_gradient
from engine.optimise.guidance_gradients import GuidanceGradientsSettings, guidance_gradients
from engine.optimise.problem import Objective, OptimisedNoise, Problem
from tests.engine.optimise.toys import (
    SHAPE,
    Recorder,
    ToyMap,
    drawn,
    jacobian,
    mask_of,
    toy_model,
    toy_problem,
)

Gradient = Callable[[Objective, Tensor, Tensor], Tensor]


@pytest.mark.parametrize(("gradient", "summed"), [(loss_gradient, False), (summed_gradient, True)])
@pytest.mark.parametrize("level", [0.9, 0.5, 0.1])
def test_pull_of_the_estimate_is_the_closed_form(
    gradient: Gradient, summed: bool, level: float
) -> None:
    problem, model, x = toy_problem(), toy_model(), drawn(4)
    mask = mask_of(problem)
    expected = 2.0 * jacobian(level) * mask * (model(x, level) - problem.prior)
    if not summed:
        expected = expected / mask.expand_as(x).sum(dim=(1, 2), keepdim=True)
    assert torch.allclose(pull_of_estimate(problem, x, level, gradient), expected, atol=1e-12)


@pytest.mark.parametrize("level", [0.9, 0.3])
def test_pull_of_the_estimate_equals_finite_differences(level: float) -> None:
    problem, x, direction = toy_problem(), drawn(4), drawn(5)
    pull = pull_of_estimate(problem, x, level, loss_gradient)

    def loss(at: Tensor) -> Tensor:
        return problem.objective(problem.denoiser(at, level)).sum()

    step = 1e-5
    numeric = (loss(x + step * direction) - loss(x - step * direction)) / (2 * step)
    assert float((pull * direction).sum()) == pytest.approx(float(numeric), rel=1e-6)


def test_freedom_corrects_by_a_share_of_the_steps_length() -> None:
    problem, model, x, t, t_next = toy_problem(), toy_model(), drawn(4), 0.6, 0.5
    move = (t_next - t) * (x - model(x, t)) / t
    down = -jacobian(t) * mask_of(problem) * (model(x, t) - problem.prior)
    expected = x + move + 0.3 * rms(move) / rms(down) * down
    assert torch.allclose(corrected_step(problem, x, t, t_next, 0.3), expected, atol=1e-12)


def test_freedom_travels_back_to_the_distribution_of_the_level() -> None:
    generator = torch.Generator().manual_seed(0)
    clean, noise = drawn(6, (4000, 3, 8)), drawn(7, (4000, 3, 8))
    low, high = 0.3, 0.7
    back = noised_again((1.0 - low) * clean + low * noise, low, high, generator)
    left = back - (1.0 - high) * clean
    assert float(left.std()) == pytest.approx(high, rel=0.01)
    assert abs(float((left * clean).mean())) < 0.01


def test_freedom_repeats_steps_inside_the_travel_only() -> None:
    calls: list[int] = []
    problem = toy_problem(10, on_call=lambda: calls.append(1))
    settings = FreeDomSettings(repeats=3, travel=(0.75, 0.35))  # steps from 0.7, 0.6, 0.5 and 0.4
    first, second = (freedom(problem, drawn(3), settings) for _ in range(2))
    assert len(calls) == 2 * (6 + 4 * 3)
    assert torch.equal(first.latent, second.latent)
    assert first.best_loss < freedom(problem, drawn(3)).best_loss


def test_guidance_gradients_meet_the_overlap_exactly() -> None:
    problem, noise = toy_problem(), drawn(3)
    run = guidance_gradients(problem, noise)
    inside = mask_of(problem).expand_as(run.latent) == 1.0
    assert torch.equal(run.latent[inside], problem.prior[inside])
    free = problem.generate(noise, "none")  # elements of the toy know nothing of each other
    assert torch.allclose(run.latent[~inside], free[~inside], atol=1e-12)


def test_guidance_gradients_step_by_a_constant() -> None:
    model, noise, eta = toy_model(), drawn(3), 0.1
    problem = replace(toy_problem(), levels=(0.5, 0.3))
    settings = GuidanceGradientsSettings(eta, project=False)
    run = guidance_gradients(problem, noise, settings)
    x = problem.start(noise)
    estimate = model(x, 0.5)
    pull = 2.0 * jacobian(0.5) * mask_of(problem) * (estimate - problem.prior)
    expected = x + (0.3 - 0.5) * (x - estimate) / 0.5 - eta * pull
    assert torch.allclose(run.latent, expected, atol=1e-12)


def test_guidance_gradients_go_no_further_than_the_limit() -> None:
    problem, noise = replace(toy_problem(), levels=(0.5, 0.3)), drawn(3)
    plain = problem.generate(noise, "none")
    far = guidance_gradients(problem, noise, GuidanceGradientsSettings(1e6, project=False))
    length = rms(plain - problem.start(noise))
    assert torch.allclose(rms(far.latent - plain), length, rtol=1e-9)


def test_flowchef_takes_one_inner_step_as_its_formula_says() -> None:
    model, noise, rate = toy_model(), drawn(3), 0.1
    problem = replace(toy_problem(), levels=(0.5, 0.3))
    settings = FlowChefSettings(inner=1, rate=rate, rule="gradient")
    x = problem.start(noise)
    velocity = (x - model(x, 0.5)) / 0.5
    pulled = x - rate * 2.0 * mask_of(problem) * (x - 0.5 * velocity - problem.prior)
    expected = pulled + (0.3 - 0.5) * velocity
    assert torch.allclose(flowchef(problem, noise, settings).latent, expected, atol=1e-12)


def test_flowchef_with_half_a_newton_step_meets_the_overlap() -> None:
    problem = toy_problem()
    settings = FlowChefSettings(inner=1, rate=0.5, rule="gradient")
    assert flowchef(problem, drawn(3), settings).best_loss < 1e-20


@pytest.mark.parametrize("one_call", [False, True])
def test_flowchef_never_sends_a_gradient_through_the_network(one_call: bool) -> None:
    recorder = Recorder(toy_model())
    problem = toy_problem(6, recorder)
    run = flowchef(problem, drawn(3), FlowChefSettings(one_call=one_call))
    assert recorder.with_gradient == 0
    assert len(recorder.calls) == (6 if one_call else 12)
    assert not run.latent.requires_grad


@pytest.mark.parametrize("method", [freedom, guidance_gradients, flowchef])
def test_guidance_asks_a_map_for_the_expectation_and_for_the_step(
    method: Callable[[Problem, Tensor], OptimisedNoise],
) -> None:
    recorder = Recorder(ToyMap(toy_model()))
    problem = toy_problem(2, recorder)
    method(problem, drawn(3))
    asked = [(level, next_level) for _, level, next_level in recorder.calls]
    assert sorted(asked, key=str) == sorted(
        [(1.0, None), (1.0, 0.5), (0.5, None), (0.5, 0.0)], key=str
    )


@pytest.mark.parametrize("method", [freedom, guidance_gradients, flowchef])
def test_guidance_towards_nothing_is_the_maps_own_run(
    method: Callable[[Problem, Tensor], OptimisedNoise],
) -> None:
    model = toy_model()
    problem = replace(
        toy_problem(2, ToyMap(model)),
        mask=None,
        objective=lambda latent: (0.0 * latent).sum(dim=(1, 2)),
    )
    noise = drawn(3)
    exact = model.trajectory(noise, 1.0, 0.0)
    assert torch.allclose(method(problem, noise).latent, exact, atol=1e-10)
    assert exact.shape == SHAPE
