"""DITTO: the initial noise is optimised through the sampler (Novack et al., ICML 2024).

Adam on the noise as published; beyond the paper, the best iterate is what counts (the paper returns
the last), and the norm of the whole noise is held near the Gaussian shell it started on, so that a
control cannot be bought with noise the model has never seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

Objective = Callable[[Tensor], Tensor]  # latent `[batch, channels, steps]` -> loss `[batch]`


@dataclass(frozen=True, slots=True)
class NoiseSettings:
    """How to optimise.

    Attributes:
        steps: iterations of Adam at most (the paper: 70, and 150 for melody).
        rate: step of Adam (the paper: 5e-3 from pure noise through 20 steps; the shorter chain
            from a prior bears more).
        tolerance: stop once the loss is at most this.
        norm_drift: largest relative change of the noise's norm.
    """

    steps: int = 70
    rate: float = 5e-3
    tolerance: float = 0.0
    norm_drift: float = 0.03


@dataclass(slots=True)
class OptimisedNoise:
    """The best noise of the run and how it went.

    Attributes:
        losses: mean loss before each update; the last entry belongs to the final iterate.
        latent: the sampled result of the best noise.
    """

    noise: Tensor
    latent: Tensor
    best_loss: float
    best_step: int
    losses: list[float] = field(default_factory=list)


def optimise_noise(
    noise: Tensor,
    generate: Callable[[Tensor], Tensor],
    objective: Objective,
    settings: NoiseSettings,
    *,
    on_step: Callable[[OptimisedNoise], None] | None = None,
) -> OptimisedNoise:
    """Lower `objective(generate(noise))` by moving `noise`.

    Args:
        noise: start, `[batch, channels, steps]` float32.
        generate: the whole sampling run, differentiable in its argument.
        objective: per-item losses of the result.
        on_step: called after every evaluation with the run so far; may raise to stop.
    """
    norm = noise.norm()
    variable = noise.detach().clone().requires_grad_(True)
    adam = torch.optim.Adam([variable], lr=settings.rate)
    run: OptimisedNoise | None = None
    for step in range(settings.steps + 1):
        last = step == settings.steps
        with torch.set_grad_enabled(not last):
            latent = generate(variable)
            loss = objective(latent).mean()
        run = _keep_best(run, variable, latent, float(loss.detach()), step)
        if on_step is not None:
            on_step(run)
        if last or run.best_loss <= settings.tolerance:
            break
        (variable.grad,) = torch.autograd.grad(loss, variable)
        adam.step()
        _bound_norm(variable, norm, settings.norm_drift)
    assert run is not None
    return run


def _keep_best(
    run: OptimisedNoise | None, noise: Tensor, latent: Tensor, loss: float, step: int
) -> OptimisedNoise:
    losses = [] if run is None else run.losses
    losses.append(loss)
    if run is None or loss < run.best_loss:
        return OptimisedNoise(noise.detach().clone(), latent.detach(), loss, step, losses)
    return run


@torch.no_grad()
def _bound_norm(noise: Tensor, norm: Tensor, drift: float) -> None:
    ratio = noise.norm() / norm
    noise.mul_(ratio.clamp(1.0 - drift, 1.0 + drift) / ratio)
