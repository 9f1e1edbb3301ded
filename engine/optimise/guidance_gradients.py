"""Guidance gradients: a constant step down the gradient, and the overlap held (Levy et al., 2023).

"Controllable Music Production with Diffusion Models and Guidance Gradients": in every step the
state goes down `η ∇_x L(x̂_0(x))` with a constant η. Where the feature is linear, as the overlap is,
the expected result is projected on what is known before the step is made (data consistency), so the
result meets it exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.optimise.guidance import (
    follow,
    pull_of_estimate,
    share_of_step,
    summed_gradient,
    towards,
)
from engine.optimise.problem import OptimisedNoise, Problem, Watch


@dataclass(frozen=True, slots=True)
class GuidanceGradientsSettings:
    """How hard to guide.

    Attributes:
        eta: step down the gradient of the loss taken as a sum (`summed_gradient`). Our choice, for
            none is published: a squared error is lowered where `η < 1/|J|²`, J the network's
            Jacobian, so 0.1 bears slopes up to 3.
        project: hold the overlap by data consistency where the problem has a mask.
        limit: longest correction as a share of the step's own length. Our safeguard, for a constant
            η knows no unit: an objective in decibels would throw the state off the data at once.
    """

    eta: float = 0.1
    project: bool = True
    limit: float = 1.0


def guidance_gradients(
    problem: Problem,
    noise: Tensor,
    settings: GuidanceGradientsSettings = GuidanceGradientsSettings(),
    watch: Watch | None = None,
) -> OptimisedNoise:
    """Sample once with a constant step down the gradient, and the overlap projected.

    A step costs one model call with its way back, and one for the step.

    Args:
        noise: `[batch, channels, steps]`.
        watch: has nothing to see, for there are no iterations.
    """

    def step(x: Tensor, t: float, t_next: float) -> Tensor:
        pull = settings.eta * pull_of_estimate(problem, x, t, summed_gradient)
        ahead = towards(x, problem.denoiser(x, t, t_next), t, t_next)
        longest = settings.limit * share_of_step(ahead - x, pull)
        ahead = ahead - longest.clamp_max(1.0) * pull
        if problem.mask is None or not settings.project:
            return ahead
        # The line is affine in the estimate: replacing its end replaces the whole of it.
        known = towards(x, problem.prior, t, t_next)
        return torch.where(problem.mask > 0, known, ahead)

    return follow(problem, noise, step)
