"""From a clip to noise that gives it back: the sampler run backwards (DITTO, appendix D).

A step of the sampler goes from x at t to `x + (t' - t) v(x, t, t')`. Its inverse, x from x', is the
fixed point of `x = x' + (t - t') v(x, t, t')`. DDIM inversion (Song et al., ICLR 2021) asks for v
at x' instead and is wrong to first order; going on from there with the x just found (Pan et al.,
ICCV 2023; ReNoise, Garibi et al., ECCV 2024) ends at the exact inverse wherever the step contracts.
Where it overshoots, each item goes back to its nearest guess and half as far from there (ours).
The velocity is always asked for at the higher level, since at level 0 it has no limit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import torch
from torch import Tensor

from engine.models.contracts import Denoiser
from engine.optimise.guidance import rms, towards
from engine.optimise.noise import NoiseSettings, optimise_noise
from engine.optimise.problem import Objective, OptimisedNoise, Problem, Watch
from engine.sampling.steps import asked, remembering_euler

_RETRACED = 3  # times; then a run that remembers is as near as one that does not


@dataclass(frozen=True, slots=True)
class InversionSettings:
    """How exactly a step is undone.

    Attributes:
        refinements: evaluations in each step after the first; 0 is DDIM inversion, DITTO's own
            start (appendix D).
        tolerance: a step is refined no more once a step forward misses no value by more (our
            choice).
        near_enough: nor once it misses every item by at most this share of the step's own length.
    """

    refinements: int = 0
    tolerance: float = 1e-6
    near_enough: float = 0.0


@dataclass(frozen=True, slots=True)
class ReproduceSettings:
    """Inversion, then DITTO.

    Attributes:
        inversion: 24 refinements (our choice): of a clip of the embedded model's own, 8 steps gave
            back a mean squared difference of 2.2 without, 0.04 with 8 and 4e-5 with 24.
        noise: of DITTO, the settings of its controls, as in appendix D.
    """

    inversion: InversionSettings = field(default_factory=lambda: InversionSettings(24))
    noise: NoiseSettings = field(default_factory=NoiseSettings)


def invert(
    model: Denoiser,
    latent: Tensor,
    levels: Sequence[float],
    settings: InversionSettings = InversionSettings(),
    on_call: Callable[[], None] = lambda: None,
) -> Tensor:
    """The state at `levels[0]` from which the sampler reaches `latent` at the last level.

    Args:
        latent: `[batch, channels, steps]`.
        levels: those of the sampler, falling; they are walked backwards.
        on_call: called after each step; may raise to stop.
    """
    x = latent.detach()
    with torch.no_grad():
        for lower, higher in pairwise(reversed(levels)):
            x = undone_step(model, x, lower, higher, settings)
            on_call()
    return x


@torch.no_grad()
def undone_step(
    model: Denoiser,
    x: Tensor,
    lower: float,
    higher: float,
    settings: InversionSettings,
    first: Tensor | None = None,
) -> Tensor:
    """The state at `higher` from which one step of the sampler leads to `x` at `lower`.

    Args:
        first: what to try first; the step that DDIM inversion makes where nothing is given.
    """

    def undone_at(guess: Tensor) -> Tensor:
        return x + (higher - lower) / higher * (guess - model(guess, higher, lower))

    guess = undone_at(x) if first is None else first
    best, way, least = guess, torch.zeros_like(x), torch.full_like(rms(x), float("inf"))
    share = torch.ones_like(least)
    for _ in range(settings.refinements):
        off = undone_at(guess) - guess  # what a step forward from the guess misses x by
        size = rms(off)
        nearer = size < least
        best, way = torch.where(nearer, guess, best), torch.where(nearer, off, way)
        least = torch.where(nearer, size, least)
        if float(off.abs().amax()) <= settings.tolerance:
            return guess
        there = least <= settings.near_enough * rms(best - x)
        if bool(there.all()):
            return best
        share = torch.where(nearer, share, 0.5 * share)
        # An item that is there waits for the others, so that a batch is what its items are alone.
        guess = torch.where(there, best, best + share * way)
    # A guess that was never tried is trusted only where every one so far came nearer.
    return torch.where(share == 1.0, guess, best)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run: where it began and led, before any correction, and what a denoiser that
    remembers knew of the steps before."""

    begun: Tensor = field(repr=False)
    led: Tensor = field(repr=False)
    memory: Tensor | None = field(repr=False)

    def of(self, items: slice) -> Step:
        """That step of some items."""
        memory = None if self.memory is None else self.memory[items]
        return Step(self.begun[items], self.led[items], memory)


def undone(
    problem: Problem, walk: Sequence[Step], latent: Tensor, settings: InversionSettings
) -> Tensor:
    """The state at the first level from which the walk's steps, uncorrected, lead to `latent`.

    What a denoiser remembers in them is taken from the walk: the corrections hardly change it.
    """
    x, levels = latent, list(pairwise(problem.levels))[: len(walk)]
    for step, (t, t_next) in zip(reversed(walk), reversed(levels), strict=True):
        # Nearly all of what a step moves is kept, so the correction belongs to its beginning too.
        first = step.begun + (x - step.led)
        x = undone_step(_again(problem, step), x, t_next, t, settings, first)
    return x


def _again(problem: Problem, step: Step) -> Denoiser:
    """The denoiser as it answered in that step."""

    def denoise(x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
        estimate, _ = asked(problem.denoiser, x, level, next_level, step.memory)
        problem.on_call()  # there are several to a step
        return estimate

    return denoise


def inverted(
    problem: Problem, latent: Tensor, settings: InversionSettings = InversionSettings()
) -> Tensor:
    """The state at the first level from which the problem's own sampler leads to `latent`.

    What a denoiser that remembers knows in a step depends on those before it, which are undone
    after it. So the run is undone without, walked from there, and undone again with what that walk
    remembers; each time it misses by about an eighth of what it did (of a tiny ACE-Step). An item
    that comes no nearer keeps its best.
    """
    x = invert(problem.denoiser, latent, problem.levels, settings, problem.on_call)
    if problem.rule is not remembering_euler:
        return x
    best, least = x, torch.full_like(rms(x), float("inf"))
    for _ in range(_RETRACED):
        walk = _walked(problem, x)
        off = rms(walk[-1].led - latent)
        nearer = off < least
        best, least = torch.where(nearer, x, best), torch.minimum(off, least)
        x = torch.where(nearer, undone(problem, walk, latent, settings), best)
    return x


@torch.no_grad()
def _walked(problem: Problem, x: Tensor) -> list[Step]:
    """The steps of the problem's sampler from a state at its first level."""
    walk, memory = [], None
    for t, t_next in pairwise(problem.levels):
        estimate, after = asked(problem.denoiser, x, t, t_next, memory)
        walk.append(Step(x, towards(x, estimate, t, t_next), memory))
        x, memory = walk[-1].led, after
        problem.on_call()
    return walk


def noise_of(problem: Problem, state: Tensor) -> Tensor:
    """The noise whose `problem.start` is `state`, a state at the first level."""
    level = problem.levels[0]
    return (state - (1.0 - level) * problem.origin) / level


def identity_objective(latent: Tensor) -> Objective:
    """Mean squared difference from `latent` `[batch, channels, steps]`: the feature is itself."""
    return lambda result: (result - latent).square().mean(dim=(1, 2))


def reproduce(
    problem: Problem,
    latent: Tensor,
    settings: ReproduceSettings = ReproduceSettings(),
    watch: Watch | None = None,
) -> OptimisedNoise:
    """Noise from which the problem's sampler gives `latent` back, as well as can be found.

    Args:
        problem: model, levels and prior; its objective is not asked.
        latent: `[batch, channels, steps]`.
        watch: called after every evaluation of the optimisation.

    Returns:
        The run; its losses are mean squared differences, the first that of inversion alone.
    """
    state = inverted(problem, latent, settings.inversion)
    alike = replace(problem, objective=identity_objective(latent.detach()))
    start = noise_of(problem, state)
    return optimise_noise(start, alike.generate, alike.objective, settings.noise, on_step=watch)
