"""DOODL: the noise is optimised through EDICT's invertible chains (Wallace et al., ICCV 2023).

EDICT (Wallace et al., CVPR 2023) keeps two states that step by each other's velocity in turn and
are then mixed; every operation can be undone exactly:

    x'  <- x'  + (t' - t) v(x'')         x'  <- p x'  + (1 - p) x''
    x'' <- x'' + (t' - t) v(x')          x'' <- p x'' + (1 - p) x'

EDICT writes the step as `a x' + b ε(x'')` in a variance-preserving model, whose level 1 is never
quite noise. On the straight path `a` has no limit there and, written with x̂_0, none of x' would be
left at level 0; with the velocity both ends can be undone. As published, the second state asks for
v at a level that the first has left already; with few steps the results have too much deviation
(the embedded model: 1.9 against 1.4 of its own run in 8 steps, 1.74 against 1.50 in 20).

DOODL takes both states from one noise and moves that by momentum. Its code checkpoints instead of
inverting (DITTO, appendix B), so a step costs twice the model calls of DITTO's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from engine.models.contracts import Denoiser
from engine.optimise.guidance import summed_pull
from engine.optimise.problem import OptimisedNoise, Problem, Reached, Watch
from engine.sampling.recompute import look_back, recomputed

Pair = tuple[Tensor, Tensor]
_PUBLISHED_MIXING = ((20, 0.83), (50, 0.93))  # steps, p: DITTO, appendix B; "higher diverges"


@dataclass(frozen=True, slots=True)
class DoodlSettings:
    """How the noise moves; the authors' code where nothing else is said.

    Attributes:
        steps: updates of the noise (the code: 50 traversal steps).
        rate: factor of the gradient of the loss taken as a sum (DITTO's authors: 5e-3).
        momentum: of the gradient.
        clip: largest value of an element of the gradient.
        perturbation: deviation of the noise added in every update.
        mixing: p of EDICT; None goes by the number of sampler steps, see `mixing_of`.
        seed: of the added noise, so that runs repeat.
    """

    steps: int = 50
    rate: float = 5e-3
    momentum: float = 0.9
    clip: float = 1e-3
    perturbation: float = 1e-4
    mixing: float | None = None
    seed: int = 0


def mixing_of(steps: int) -> float:
    """p for a number of sampler steps: 0.83 at 20, 0.93 at 50, as published.

    Between them by a straight line, outside as at the nearer of them (our choice).
    """
    (few, p_few), (many, p_many) = _PUBLISHED_MIXING
    share = min(1.0, max(0.0, (steps - few) / (many - few)))
    return p_few + share * (p_many - p_few)


def edict_step(
    model: Denoiser, pair: Pair, t: float, t_next: float, p: float, swapped: bool
) -> Pair:
    """One coupled step and its mixing; `swapped` lets the second state go first."""
    goes, follows = reversed(pair) if swapped else pair
    goes = goes + (t_next - t) * _velocity(model, follows, t, t_next)
    follows = follows + (t_next - t) * _velocity(model, goes, t, t_next)
    first, second = (follows, goes) if swapped else (goes, follows)
    first = p * first + (1.0 - p) * second
    return first, (1.0 - p) * first + p * second


def edict_step_back(
    model: Denoiser, pair: Pair, t: float, t_next: float, p: float, swapped: bool
) -> Pair:
    """Undoes `edict_step` with the same arguments: from `t_next` back to `t`."""
    first, second = pair
    second = (second - (1.0 - p) * first) / p
    first = (first - (1.0 - p) * second) / p
    goes, follows = (second, first) if swapped else (first, second)
    follows = follows - (t_next - t) * _velocity(model, goes, t, t_next)
    goes = goes - (t_next - t) * _velocity(model, follows, t, t_next)
    return (follows, goes) if swapped else (goes, follows)


def _velocity(model: Denoiser, x: Tensor, t: float, t_next: float) -> Tensor:
    return (x - model(x, t, t_next)) / t


def edict(
    model: Denoiser,
    pair: Pair,
    levels: Sequence[float],
    p: float,
    *,
    checkpointed: bool = False,
    on_call: Callable[[], None] = lambda: None,
    on_back: Callable[[], None] | None = None,
) -> Pair:
    """Both states from `levels[0]` to the last level; the order flips from step to step.

    Args:
        pair: two states `[batch, channels, steps]`.
        p: mixing, in (0, 1].
        on_call: called after each step.
        on_back: called before the gradient passes each step on its way back; may raise.
    """
    for number, (t, t_next) in enumerate(pairwise(levels)):
        swapped = number % 2 == 1
        if checkpointed:
            pair = _recomputed(model, pair, t, t_next, p, swapped)
        else:
            pair = edict_step(model, pair, t, t_next, p, swapped)
        on_call()
        if on_back is not None:
            look_back(pair[0], on_back)
    return pair


def _recomputed(
    model: Denoiser, pair: Pair, t: float, t_next: float, p: float, swapped: bool
) -> Pair:
    def step(*both: Tensor) -> Pair:
        return edict_step(model, (both[0], both[1]), t, t_next, p, swapped)

    one, other = recomputed(step, *pair)
    return one, other


def edict_inverse(model: Denoiser, pair: Pair, levels: Sequence[float], p: float) -> Pair:
    """Undoes `edict` with the same `levels`: both states back to `levels[0]`."""
    for number, (t, t_next) in reversed(list(enumerate(pairwise(levels)))):
        pair = edict_step_back(model, pair, t, t_next, p, number % 2 == 1)
    return pair


def doodl(
    problem: Problem,
    noise: Tensor,
    settings: DoodlSettings = DoodlSettings(),
    watch: Watch | None = None,
    *,
    reached: Reached | None = None,
) -> OptimisedNoise:
    """Lower the objective of both chains' results by moving the noise they share.

    The result is the first chain's, as in the code, which keeps every iterate; the best of each
    item counts, as with DITTO, and an update more is evaluated than the code does. Activations are
    kept where the problem says "full" and checkpointed otherwise.

    Args:
        noise: start, `[batch, channels, steps]`.
        watch: called after every evaluation; may raise to stop.
        reached: asked after every evaluation; True ends the run early.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    start, current = noise.detach(), noise.detach().clone()
    norm = _norm(start)
    moving = torch.zeros_like(current)
    run: OptimisedNoise | None = None
    for step in range(settings.steps + 1):
        last = step == settings.steps
        latent, losses, gradient = _evaluate(problem, current, settings, with_gradient=not last)
        run = _noted(run, current, latent, losses, float((_norm(current) / norm - 1.0).abs().max()))
        if watch is not None:
            watch(run)
        if last or (reached is not None and reached()):
            break
        moving = settings.momentum * moving + gradient.clamp(-settings.clip, settings.clip)
        drawn = torch.randn(noise.shape, generator=generator, dtype=noise.dtype)
        current = current - moving + settings.perturbation * drawn.to(noise.device)
        current = current * (norm / _norm(current))
    assert run is not None
    return run


def _evaluate(
    problem: Problem, noise: Tensor, settings: DoodlSettings, *, with_gradient: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The first chain's result, its losses, and what an update goes against."""
    mixing = settings.mixing
    p = mixing_of(len(problem.levels) - 1) if mixing is None else mixing
    with torch.set_grad_enabled(with_gradient):
        tied = noise.detach().requires_grad_(with_gradient)
        state = problem.start(tied)
        checkpointed = with_gradient and problem.gradient != "full"
        pair = edict(
            problem.denoiser,
            (state, state),
            problem.levels,
            p,
            checkpointed=checkpointed,
            on_call=problem.on_call,
            on_back=problem.on_back,
        )
        gradient = torch.zeros_like(noise)
        if with_gradient:
            pulls = [summed_pull(problem.objective, state) for state in pair]
            (gradient,) = torch.autograd.grad(pair, tied, pulls)
    with torch.no_grad():
        first = pair[0].detach()
        # The code halves the gradient of the summed losses, then averages it over the two states.
        return first, problem.objective(first), 0.25 * settings.rate * gradient


def _noted(
    run: OptimisedNoise | None, noise: Tensor, latent: Tensor, losses: Tensor, drift: float
) -> OptimisedNoise:
    """The run with one more evaluation; each item keeps its best."""
    mean = float(losses.mean())
    if run is None:
        return OptimisedNoise(noise.clone(), latent, losses, 0, [mean], drift)
    if mean < min(run.losses):
        run.best_step = len(run.losses)
    run.losses.append(mean)
    run.moved = max(run.moved, drift)
    better = losses < run.best
    chosen = better.view(-1, 1, 1)
    run.own = torch.where(chosen, noise, run.noise)
    run.latent = torch.where(chosen, latent, run.latent)
    run.best = torch.where(better, losses, run.best)
    return run


def _norm(noise: Tensor) -> Tensor:
    """Norm of each item `[batch, 1, 1]`."""
    return noise.square().sum(dim=(1, 2), keepdim=True).sqrt()
