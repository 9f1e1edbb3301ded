"""Projected guidance: as published, its gradients, and the fast path under it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.controls.overlap import overlap_objective
from engine.models.contracts import Denoiser, Remembering
from engine.models.public.ace_step import AceStep
from engine.models.public.contract import Projection
from engine.models.public.folder import ModelFolder
from engine.models.public.guided import ProjectedGuidance, guided_at_once
from engine.models.studio import Words
from engine.optimise.fast import FastSettings, optimise_fast
from engine.optimise.inversion import InversionSettings, invert, inverted, noise_of
from engine.optimise.problem import Problem
from engine.sampling.levels import levels
from engine.sampling.loop import GradientPolicy, sample
from engine.sampling.steps import State, euler, remembering_euler

SHAPE = (2, 2, 5)
COUNT = 40  # latents of the tiny checkpoint
pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")  # theirs


def _drawn(seed: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _wanted(x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
    return torch.tanh(1.3 * x.roll(1, dims=-1) + 0.4) * (1.0 - 0.3 * level)


def _unwanted(x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
    return torch.sin(x) - 0.2 * level


def _both(x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
    one, other = x.chunk(2)
    return torch.cat([_wanted(one, level), _unwanted(other, level)])


def _guided(longest: float, interval: tuple[float, float] = (0.0, 1.0)) -> ProjectedGuidance:
    return ProjectedGuidance(_wanted, _both, 4.0, Projection(-0.75, longest, interval))


@pytest.mark.parametrize("longest", [0.5, 2.5, 100.0])
def test_each_step_is_what_diffusers_makes_of_it(longest: float) -> None:
    guidance = pytest.importorskip("diffusers.guiders.adaptive_projected_guidance")
    buffer, memory, model = guidance.MomentumBuffer(-0.75), None, _guided(longest)
    for number, level in enumerate((1.0, 0.7, 0.3)):
        x = _drawn(number)
        wanted, unwanted = ((x - side(x, level)) / level for side in (_wanted, _unwanted))
        velocity = guidance.normalized_guidance(
            *(wanted, unwanted, 3.0, buffer),
            eta=0.0,
            norm_threshold=longest,
            use_original_formulation=True,
            norm_dim=(-1,),
        )
        estimate, memory = model.recalling(x, level, memory)
        torch.testing.assert_close((x - estimate) / level, velocity, rtol=0.0, atol=1e-12)
    first = _guided(longest).recalling(x, 0.3, None)[0]
    assert torch.equal(model(x, 0.3), first)
    assert not torch.allclose(first, estimate, atol=1e-3)


def test_outside_its_interval_the_average_waits_and_one_side_is_asked() -> None:
    model, memory = _guided(2.5, (0.2, 0.6)), _drawn(3)
    for level in (0.7, 0.1):
        estimate, after = model.recalling(_drawn(0), level, memory)
        assert torch.equal(estimate, _wanted(_drawn(0), level))
        assert after is memory


@pytest.mark.parametrize("longest", [0.5, 100.0])
@pytest.mark.parametrize("policy", ["full", "checkpointed"])
def test_gradients_are_the_finite_differences(longest: float, policy: GradientPolicy) -> None:
    model, path = _guided(longest, (0.0, 0.9)), levels(1.0, 5)

    def run(x: Tensor) -> Tensor:
        return sample(model, x, path, rule=remembering_euler, gradient=policy)

    assert torch.autograd.gradcheck(run, _drawn(1).requires_grad_())


@pytest.mark.parametrize("steps", [5, 40])  # 40 in parts of three
def test_checkpointed_and_full_runs_agree(steps: int) -> None:
    def run(policy: GradientPolicy) -> tuple[Tensor, Tensor]:
        x = _drawn(1).requires_grad_()
        end = sample(_guided(0.8), x, levels(1.0, steps), rule=remembering_euler, gradient=policy)
        (gradient,) = torch.autograd.grad((end * _drawn(2)).sum(), x)
        return end.detach(), gradient

    (plain, expected), (same, found) = run("full"), run("checkpointed")
    assert torch.equal(plain, same)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_sides_that_agree_have_a_gradient() -> None:
    """The norm of nothing is where a careless one is not a number."""
    model = ProjectedGuidance(_wanted, lambda x, *_: _wanted(x, 0.5), 4.0, Projection(-0.75, 2.5))
    x = _drawn(1).requires_grad_()
    (gradient,) = torch.autograd.grad(model(x, 0.5).sum(), x)
    (plain,) = torch.autograd.grad(_wanted(x, 0.5).sum(), x)
    assert bool(gradient.isfinite().all())
    torch.testing.assert_close(model(x, 0.5), _wanted(x, 0.5))
    assert plain.shape == gradient.shape


def test_a_denoiser_that_remembers_nothing_is_stepped_as_by_euler() -> None:
    state = State(_drawn(1))
    assert torch.equal(
        remembering_euler(_wanted, state, 0.8, 0.5).x, euler(_wanted, state, 0.8, 0.5).x
    )
    assert isinstance(_guided(1.0), Remembering)
    assert not isinstance(_wanted, Remembering)


def _tiny(library: Path) -> tuple[AceStep, Denoiser]:
    """A base checkpoint, and its denoiser under projected guidance."""
    model = AceStep(ModelFolder.open(library / "ace-base"))
    words = Words("warm slow piano", COUNT * 32 / 800)
    return model, guided_at_once(model, model.tell(words), model.tell_nothing(words), 7.0)


def _noise(seed: int) -> Tensor:
    return torch.randn(1, 3, COUNT, generator=torch.Generator().manual_seed(seed))


def test_a_run_that_remembers_is_undone(library: Path) -> None:
    """Nearly to what its own sampler begins with; undone as if it remembered nothing it is not."""
    model, denoiser = _tiny(library)
    latent = sample(denoiser, _noise(7), model.levels(8), rule=remembering_euler)
    problem = Problem(
        denoiser, model.levels(8, 0.6), lambda x: x.sum((1, 2)), latent, rule=remembering_euler
    )
    settings = InversionSettings(refinements=12)

    def missed(state: Tensor) -> float:
        again = problem.generate(noise_of(problem, state), "none")
        return float((again - latent).norm() / latent.norm())

    assert missed(invert(denoiser, latent, problem.levels, settings)) > 0.1
    assert missed(inverted(problem, latent, settings)) < 0.001


def test_the_fast_paths_noise_gives_the_guided_run_again(library: Path) -> None:
    """As nearly as with plain guidance, where a step is undone to 2 % of its length."""
    model, remembering = _tiny(library)
    mask = (torch.arange(COUNT) < 13).float().view(1, 1, COUNT)
    noise, wished = _noise(7), _noise(8)

    def missed(denoiser: Denoiser) -> float:
        problem = Problem(
            denoiser,
            model.levels(32),
            overlap_objective(wished, mask),
            wished,
            mask,
            rule=remembering_euler,
            spacing=lambda start, steps: model.levels(steps, start),
            fewest_steps=32,  # eight of which are corrected
        )
        run = optimise_fast(problem, noise, FastSettings(norm_drift=1.0))
        assert run.best_loss < 0.95 * float(problem.objective(problem.generate(noise, "none")))
        again = replace(problem, denoiser=remembering).generate(run.noise, "none")
        return float((again - run.latent).norm() / run.latent.norm())

    assert missed(remembering) < 0.02
    assert missed(lambda x, level, *_: remembering(x, level)) > 0.05, (
        "what is remembered makes no difference"
    )
