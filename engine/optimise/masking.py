"""Overlap without an objective: naive masking and MultiDiffusion, rivals of DITTO.

After each step the overlap is overwritten by the reference, noised to the level just reached, or
averaged with it (Bar-Tal et al., ICML 2023). DITTO's "MD-50" averages in the first half of the
steps only and leaves the rest to the model. There is nothing to optimise and no gradient: a run
costs what a draft costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.optimise.guidance import follow, required_mask, towards
from engine.optimise.problem import OptimisedNoise, Problem, Watch
from engine.sampling.loop import noised


@dataclass(frozen=True, slots=True)
class MaskingSettings:
    """How the reference is put into the overlap.

    Attributes:
        weight: share of the reference after a step; 1 overwrites (naive), 0.5 averages
            (MultiDiffusion: equal weights of all views).
        until: share of the steps that do so; 0.5 is MD-50.
        fresh_noise: noise the reference anew at every step, as published: DITTO writes `n`, drawn,
            and the latent diffusion code draws it in every step (`q_sample` in its DDIM sampler).
            False keeps the run's own noise, on whose straight line the reference then lies.
        seed: of the fresh noise, so that runs repeat.
    """

    weight: float = 1.0
    until: float = 1.0
    fresh_noise: bool = True
    seed: int = 0


NAIVE = MaskingSettings()
MULTIDIFFUSION = MaskingSettings(weight=0.5)
MULTIDIFFUSION_HALF = MaskingSettings(weight=0.5, until=0.5)


def masking(
    problem: Problem, noise: Tensor, settings: MaskingSettings = NAIVE, watch: Watch | None = None
) -> OptimisedNoise:
    """Sample once with the reference put into the overlap after each step.

    Args:
        noise: `[batch, channels, steps]`.
        watch: has nothing to see, for there are no iterations.

    Returns:
        The run; at weight 1 its overlap is `problem.prior` exactly.

    Raises:
        ValueError: the problem has no mask.
    """
    weight = settings.weight * required_mask(problem)
    lasts = settings.until * (len(problem.levels) - 1)
    generator = torch.Generator().manual_seed(settings.seed)
    done = 0

    def step(x: Tensor, t: float, t_next: float) -> Tensor:
        nonlocal done
        x, done = towards(x, problem.denoiser(x, t, t_next), t, t_next), done + 1
        if done > lasts:
            return x
        drawn = noise
        if settings.fresh_noise:  # on the CPU, so that every device draws the same
            drawn = torch.randn(noise.shape, generator=generator, dtype=noise.dtype)
        reference = noised(problem.prior, drawn.to(noise.device), t_next)
        return (1.0 - weight) * x + weight * reference

    return follow(problem, noise, step)
