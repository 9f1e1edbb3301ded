"""The fast path on a model whose every step is known in closed form."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from engine.controls.overlap import overlap_objective
from engine.models.toy import GaussianModel
from engine.optimise.fast import FastSettings, _Pull, _pull, better_of, optimise_fast
from engine.optimise.freedom import FreeDomSettings, freedom
from engine.optimise.guidance import towards
from engine.optimise.inversion import InversionSettings
from engine.optimise.later import Later
from engine.optimise.methods import run_method
from engine.optimise.problem import OptimisedNoise, Problem
from engine.sampling.levels import levels

MEAN = torch.linspace(-1.0, 1.0, 12, dtype=torch.float64).view(1, 3, 4)
ONCE = FastSettings(iterations=8)
EXACT = replace(ONCE, undoing=InversionSettings(60, 1e-12), norm_drift=1.0)


def _problem(level: float = 1.0, shift: float = 0.6) -> Problem:
    objective = overlap_objective(MEAN + shift, torch.ones(1, 1, 4, dtype=torch.float64))
    prior = torch.full((1, 3, 4), 0.3, dtype=torch.float64)
    return Problem(GaussianModel(MEAN, 0.5), levels(level, 8), objective, prior)


def _noise(batch: int = 1) -> Tensor:
    return torch.randn(batch, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("level", [1.0, 0.4])
@pytest.mark.parametrize("iterations", [8, 16])
def test_the_plain_sampler_gives_from_the_noise_what_the_guided_run_gave(
    level: float, iterations: int
) -> None:
    problem = _problem(level)
    run = optimise_fast(problem, _noise(2), replace(EXACT, iterations=iterations))
    plain = problem.generate(_noise(2), "none")
    assert bool((run.best < 0.9 * problem.objective(plain)).all())
    again = problem.generate(run.noise, "none")
    torch.testing.assert_close(again, run.latent, rtol=0.0, atol=1e-9)


def test_a_run_is_that_of_freedom() -> None:
    problem = _problem().in_steps(8)
    run = optimise_fast(problem, _noise(), replace(EXACT, strength=0.2))
    published = freedom(problem, _noise(), FreeDomSettings(strength=0.2))
    torch.testing.assert_close(run.latent, published.latent)


@pytest.mark.parametrize("mean", [False, True])
def test_a_correction_goes_no_further_than_a_squared_error_asks_for(mean: bool) -> None:
    """It ends where the error is 0, whatever the size of the step; far from there it is short."""
    away = _noise(2)
    losses, gradient = away.square().sum(dim=(1, 2)), 2.0 * away
    if mean:
        losses, gradient = losses / 12.0, gradient / 12.0
    pull = _Pull(gradient, losses)
    torch.testing.assert_close(pull.correction(1e3 * away, 0.5, 2.0), away)
    short = pull.correction(0.1 * away, 0.5, 2.0)
    torch.testing.assert_close(short, 0.05 * away)


def test_balanced_pulls_say_nothing_of_how_far_it_is() -> None:
    x = _noise(2)
    pulls = [
        _pull(replace(_problem(), balanced=balanced), x, 0.5, None, lambda *_: None, lambda: False)
        for balanced in (False, True)
    ]
    assert pulls[0] is not None
    assert pulls[1] is not None
    assert pulls[0].losses is not None
    assert pulls[1].losses is None
    torch.testing.assert_close(pulls[0].gradient, pulls[1].gradient)
    step = torch.full_like(x, 1e3)
    whole = pulls[1].correction(step, 0.5, 2.0)
    assert float(whole.norm()) > 10.0 * float(pulls[0].correction(step, 0.5, 2.0).norm())


def test_a_second_run_goes_on_from_the_first() -> None:
    problem = _problem()
    once = optimise_fast(problem, _noise(), EXACT)
    twice = optimise_fast(problem, _noise(), replace(EXACT, iterations=16))
    weaker = replace(EXACT, strength=EXACT.fall * EXACT.strength)
    begun = optimise_fast(problem, once.noise, weaker)
    assert twice.best_loss < once.best_loss
    torch.testing.assert_close(twice.latent, begun.latent)


@pytest.mark.parametrize("iterations", [8, 24])
def test_the_norm_is_held(iterations: int) -> None:
    held = replace(ONCE, norm_drift=0.01, iterations=iterations)
    run = optimise_fast(_problem(shift=4.0), _noise(), held)
    assert abs(float(run.noise.norm() / _noise().norm()) - 1.0) == pytest.approx(0.01)
    assert run.drift == pytest.approx(0.01)


def test_candidates_are_what_each_is_alone() -> None:
    run = optimise_fast(_problem(), _noise(3))
    for row in range(3):
        alone = optimise_fast(_problem(), _noise(3)[row : row + 1])
        torch.testing.assert_close(run.noise[row], alone.noise[0])
        torch.testing.assert_close(run.latent[row], alone.latent[0])


@pytest.mark.parametrize(("answers", "seen"), [([True], 0), ([False] * 9 + [True], 9)])
def test_a_wish_that_is_met_ends_the_run(answers: list[bool], seen: int) -> None:
    """By the draft, and by the result of the first run."""
    asked = iter(answers)
    watched: list[OptimisedNoise] = []
    run = run_method("fast", _problem(), _noise(), 40, watched.append, reached=lambda: next(asked))
    assert len(watched) == seen
    assert len(run.losses) == max(seen, 1)


def test_no_step_is_corrected_while_what_is_expected_meets_the_wish() -> None:
    problem = _problem()
    asked = iter([False, *[True] * 9])
    run = optimise_fast(problem, _noise(), EXACT, reached=lambda: next(asked))
    plain = problem.in_steps(8).generate(_noise(), "none")
    torch.testing.assert_close(run.latent, plain)
    torch.testing.assert_close(run.noise, _noise())


def test_no_gradient_is_made_where_what_is_expected_meets_the_wish() -> None:
    problem, backward = _problem(), []

    def denoiser(x: Tensor, level: float, next_level: float | None = None) -> Tensor:
        answer = problem.denoiser(x, level, next_level)
        if answer.requires_grad:
            answer.register_hook(lambda _: backward.append(level))
        return answer

    watched: list[OptimisedNoise] = []
    optimise_fast(
        replace(problem, denoiser=denoiser),
        _noise(),
        EXACT,
        watched.append,
        reached=lambda: len(watched) in (2, 3),
    )
    levels = problem.in_steps(8).levels[:-1]
    assert backward == [level for number, level in enumerate(levels) if number not in (1, 2)]


def test_steps_after_the_last_correction_need_no_undoing() -> None:
    """The wish is met from the fifth evaluation on: four of eight steps are undone."""
    undone: list[int] = []
    watched: list[OptimisedNoise] = []
    problem = replace(_problem(), on_call=lambda: undone.append(len(watched)))
    run = optimise_fast(problem, _noise(), EXACT, watched.append, reached=lambda: len(watched) > 4)
    undone.clear()
    torch.testing.assert_close(_again(problem, run), run.latent, rtol=0.0, atol=1e-9)
    calls_of_four = len(undone)
    assert calls_of_four > 0
    whole = optimise_fast(problem, _noise(), EXACT)
    undone.clear()
    assert whole.noise.isfinite().all()
    assert len(undone) > 1.7 * calls_of_four


def test_what_is_kept_for_the_undoing_holds_no_goals() -> None:
    class Goals:
        def __call__(self, latent: Tensor) -> Tensor:
            return (latent - MEAN - 0.6).square().mean(dim=(1, 2))

    goals = Goals()
    kept = weakref.ref(goals)
    problem = replace(_problem(), objective=goals)
    own = optimise_fast(problem, _noise(), EXACT).own
    del goals, problem
    assert kept() is None
    assert isinstance(own, Later)
    noise, drift = own.find()
    assert not noise.requires_grad
    assert drift == pytest.approx(float((noise.norm() / _noise().norm() - 1.0).abs()))


def _again(problem: Problem, run: OptimisedNoise) -> Tensor:
    """What the plain sampler gives from the run's noise, seen by nobody."""
    noise = run.noise
    return replace(problem, on_call=lambda: None).generate(noise, "none")


def _run_from_near(
    problem: Problem, settings: FastSettings, met: Callable[[], bool] | None = None
) -> tuple[OptimisedNoise, list[OptimisedNoise]]:
    watched: list[OptimisedNoise] = []
    run = optimise_fast(problem, _noise(), settings, watched.append, reached=met, near=True)
    return run, watched


def test_noise_that_is_near_is_mended_by_two_short_corrections() -> None:
    """A state that is corrected in two of eight steps, by hand, and nothing more once that does."""
    problem = _problem().in_steps(8)
    path = list(pairwise(problem.levels))
    x = problem.start(_noise())
    for number, (t, t_next) in enumerate(path):
        led = towards(x, problem.denoiser(x, t, t_next), t, t_next)
        if number in EXACT.mended:
            pull = _pull(problem, x, t, None, lambda *_: None, lambda: False)
            assert pull is not None
            led = led - pull.correction(led - x, EXACT.mending, EXACT.locally)
        x = led
    asked = iter([False, False, False, True])  # of the draft, of two expectations, of the result
    run, watched = _run_from_near(problem, EXACT, lambda: next(asked))
    torch.testing.assert_close(run.latent, x)
    assert len(watched) == len(EXACT.mended) + 1
    torch.testing.assert_close(problem.generate(run.noise, "none"), run.latent, rtol=0.0, atol=1e-9)


def test_where_mending_is_not_enough_a_whole_run_goes_on_from_it() -> None:
    problem = _problem()
    run, watched = _run_from_near(problem, replace(EXACT, iterations=10))
    mended, _ = _run_from_near(problem, replace(EXACT, iterations=2))
    on = optimise_fast(problem, mended.noise, EXACT)
    torch.testing.assert_close(run.latent, on.latent)
    assert len(watched) == 2 + 1 + 8 + 1
    assert run.best_loss < mended.best_loss
    _, watched = _run_from_near(problem, EXACT)
    assert len(watched) == 2 + 1 + 6 + 1  # no more evaluations with a gradient than were allowed


def test_where_nothing_is_won_the_draft_stays() -> None:
    problem = _problem()
    backwards = replace(EXACT, strength=-0.3)
    run = optimise_fast(problem, _noise(2), backwards)
    assert torch.equal(run.noise, _noise(2))
    assert torch.equal(run.latent, problem.generate(_noise(2), "none"))


def test_of_two_runs_each_item_keeps_its_better_one() -> None:
    ones, twos = torch.ones(2, 3, 4), torch.full((2, 3, 4), 2.0)
    first = OptimisedNoise(ones, ones, torch.tensor([0.1, 0.9]), 0, [0.5], 0.01)
    second = OptimisedNoise(twos, twos, torch.tensor([0.2, 0.3]), 1, [0.5, 0.4, 0.25], 0.02)
    both = better_of(first, second)
    assert both.noise[:, 0, 0].tolist() == both.latent[:, 0, 0].tolist() == [1.0, 2.0]
    assert both.best.tolist() == pytest.approx([0.1, 0.3])
    assert (both.losses, both.best_step, both.drift) == ([0.5, 0.4, 0.25], 2, 0.02)


def test_a_wish_for_one_moment_is_not_bought_there_with_all_of_the_correction() -> None:
    """The step is equally long everywhere, the pull is at one moment of four."""
    step, pull = torch.ones(1, 3, 4), torch.zeros(1, 3, 4)
    pull[..., 1] = 5.0
    far = torch.full((1,), 1e3)
    moved = _Pull(pull, far).correction(step, 1.0, locally=1.5)
    assert float(moved[..., 1].square().mean().sqrt()) == pytest.approx(1.5)
    assert float(moved.abs().sum()) == pytest.approx(float(moved[..., 1].abs().sum()))
    dense = _Pull(torch.full((1, 3, 4), 5.0), far).correction(step, 1.0, locally=1.5)
    torch.testing.assert_close(dense, step)
