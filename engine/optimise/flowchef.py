"""FlowChef: guidance that skips the network's gradient (Patel et al., ICCV 2025).

The velocity is found once in a step and taken as constant, `x̂_0 = x_t - t v`; then x_t itself
takes a few steps down the gradient of L(x̂_0) and moves on with the same v. The
gradient is that of the objective alone, so a run costs what sampling costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from engine.optimise.guidance import follow, summed_gradient
from engine.optimise.problem import OptimisedNoise, Problem, Watch


@dataclass(frozen=True, slots=True)
class FlowChefSettings:
    """How far a step goes down the gradient.

    Attributes:
        inner: steps down the gradient in each step of the sampler (the authors' Flux editing: 4;
            their inverse problems: 1).
        rate: length of an inner step. Adam on inverse problems takes 0.02 once in each of 100
            steps, a way of 2 at most; 0.05 four times goes that way in 10 steps (our choice).
        rule: "adam" knows no unit; "gradient" is plain descent on the loss taken as a sum
            (`summed_gradient`), as in the Flux editing.
        one_call: move on with the velocity of x̂_0, as published. False, our default, asks a flow
            map for its own step, too: a second call, and few steps stay exact.
    """

    inner: int = 4
    rate: float = 0.05
    rule: Literal["adam", "gradient"] = "adam"
    one_call: bool = False


def flowchef(
    problem: Problem,
    noise: Tensor,
    settings: FlowChefSettings = FlowChefSettings(),
    watch: Watch | None = None,
) -> OptimisedNoise:
    """Sample once; each state goes down the objective's gradient without the network.

    Args:
        noise: `[batch, channels, steps]`.
        watch: has nothing to see, for there are no iterations.
    """
    model = problem.denoiser

    def step(x: Tensor, t: float, t_next: float) -> Tensor:
        guess = model(x, t)
        ends = guess if settings.one_call else model(x, t, t_next)
        pulled = pulled_state(problem, x, (x - guess) / t, t, settings)
        return pulled + (t_next - t) / t * (x - ends)

    return follow(problem, noise, step)


def pulled_state(
    problem: Problem, x: Tensor, velocity: Tensor, t: float, settings: FlowChefSettings
) -> Tensor:
    """`x` after the inner steps, with the velocity held."""
    variable = x.detach().clone().requires_grad_(True)
    plain = settings.rule == "gradient"
    optimiser: torch.optim.Optimizer
    if plain:
        optimiser = torch.optim.SGD([variable], lr=settings.rate)
    else:
        optimiser = torch.optim.Adam([variable], lr=settings.rate)
    for _ in range(settings.inner):
        with torch.enable_grad():
            estimate = variable - t * velocity
            variable.grad = summed_gradient(problem.objective, estimate, variable)
        optimiser.step()
    return variable.detach()
