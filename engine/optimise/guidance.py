"""What methods that steer one sampling run share: the walk, its straight step and the pull.

DITTO moves the noise through the whole run; guidance moves the state of each step by what the
objective says of the result expected from there. That expectation is the plain `model(x, t)`: a
flow map asked for a step (`model(x, t, t_next)`) answers for the step and not for x_0. The step
itself is the map's, so that a handful of steps stays exact; with a model that is no map both
answers are the same and the run is the published one.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from engine.optimise.problem import Objective, OptimisedNoise, Problem

_SMALLEST_RMS = 1e-12
GuidedStep = Callable[[Tensor, float, float], Tensor]  # (x, t, t_next) -> x at t_next


def follow(problem: Problem, noise: Tensor, step: GuidedStep) -> OptimisedNoise:
    """One run of `step` through the problem's levels, from `noise` `[batch, channels, steps]`."""
    x = problem.start(noise.detach())
    with torch.no_grad():
        for t, t_next in pairwise(problem.levels):
            x = step(x, t, t_next)
            problem.on_call()
    return OptimisedNoise.of(noise, x, problem.objective)


def towards(x: Tensor, estimate: Tensor, t: float, t_next: float) -> Tensor:
    """The point at `t_next` of the straight line from `x` at `t` to `estimate` at level 0.

    `x + (t_next - t)(x - x̂_0)/t`, written so that level 0 is the estimate to the last bit.
    """
    stays = t_next / t
    return stays * x + (1.0 - stays) * estimate


def rms(value: Tensor) -> Tensor:
    """Root mean square of each item `[batch, 1, 1]`."""
    return value.square().mean(dim=(1, 2), keepdim=True).sqrt()


def share_of_step(step: Tensor, correction: Tensor) -> Tensor:
    """What brings a correction to the length of its step, item by item `[batch, 1, 1]`."""
    return rms(step) / rms(correction).clamp_min(_SMALLEST_RMS)


def loss_gradient(objective: Objective, latent: Tensor, variable: Tensor) -> Tensor:
    """Gradient of each item's loss of `latent` by `variable`, as the objective gives it."""
    (gradient,) = torch.autograd.grad(objective(latent).sum(), variable)
    return gradient


def summed_gradient(objective: Objective, latent: Tensor, variable: Tensor) -> Tensor:
    """Gradient of each item's loss of `latent` by `variable`, the loss taken as a sum."""
    (gradient,) = torch.autograd.grad(latent, variable, summed_pull(objective, latent))
    return gradient


def summed_pull(objective: Objective, latent: Tensor) -> Tensor:
    """Gradient of each item's loss by `latent` itself, as if the loss were a sum.

    Published step sizes speak of squared norms, sums over what is compared; our objectives are
    means over it, under which plain descent would crawl the more, the longer the overlap. So each
    item's gradient counts once for every latent value that its loss depends on. For the overlap
    this is the gradient of `|mask · (latent - reference)|²` exactly.
    """
    (pull,) = torch.autograd.grad(objective(latent).sum(), latent)
    return pull * (pull != 0).sum(dim=(1, 2), keepdim=True)


def pull_of_estimate(
    problem: Problem,
    x: Tensor,
    t: float,
    gradient: Callable[[Objective, Tensor, Tensor], Tensor],
) -> Tensor:
    """Gradient by `x` of the objective of the plain x̂_0(x), back through the network."""
    with torch.enable_grad():
        variable = x.detach().requires_grad_(True)
        return gradient(problem.objective, problem.denoiser(variable, t), variable)


def required_mask(problem: Problem) -> Tensor:
    """The problem's mask.

    Raises:
        ValueError: it has none.
    """
    if problem.mask is None:
        raise ValueError("masking needs a mask: it knows nothing but the overlap")
    return problem.mask
