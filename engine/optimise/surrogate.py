"""DITTO-2: the noise is optimised through one step of the flow map.

Novack et al., ISMIR 2024: a distilled model that makes the whole way in one step stands in for the
sampler while the noise is optimised, and the noise found is then sampled in a few more steps. The
embedded network is its own surrogate: told that the step ends at 0, it answers for the whole way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from engine.optimise.noise import NoiseOptimiser, NoiseSettings
from engine.optimise.problem import OptimisedNoise, Problem, Reached, Watch

DECODES = (1, 2, 4, 8)  # sampler steps that are tried with the noise found, as published
POLISH_STEPS = 2  # of the map, in the last iterations
AS_GOOD = 1.05  # of the losses within so much of the lowest, that of the most steps is taken


@dataclass(frozen=True, slots=True)
class SurrogateSettings:
    """How to optimise through the surrogate.

    Attributes:
        steps: iterations of Adam at most.
        rate: Adam's step from pure noise; from a prior noised to level t it is `rate / t`, since
            the state moves by t times the noise's step. The paper's 5e-3 is for 70 iterations, ours
            are fewer; with far longer steps the latents leave the range of music.
        polish: share of the iterations, the last ones, that go through two steps of the map: what
            is right in one step is not always right in several.
        norm_drift, likelihood, proximity: as in `NoiseSettings`.
    """

    steps: int = 48
    rate: float = 1e-2
    polish: float = 0.25
    norm_drift: float = 0.03
    likelihood: float = 0.0
    proximity: float = 0.2


def optimise_through_surrogate(
    problem: Problem,
    noise: Tensor,
    settings: SurrogateSettings,
    watch: Watch | None = None,
    *,
    reached: Reached | None = None,
) -> OptimisedNoise:
    """Optimise through the surrogate, then decode in more steps.

    Returns:
        the noise, and its result in the most steps that lose nothing against the best of them;
        the start and its own sampling where that is better still.
    """
    polish = round(settings.polish * settings.steps)
    adam = NoiseSettings(
        settings.steps - polish,
        settings.rate / problem.levels[0],
        norm_drift=settings.norm_drift,
        likelihood=settings.likelihood,
        proximity=settings.proximity,
    )
    run = _through(problem.in_steps(1), noise, adam, watch, reached)
    if polish:
        finer, closer = replace(adam, steps=polish), problem.in_steps(POLISH_STEPS)
        with torch.no_grad():
            draft = closer.generate(noise, "none")
        run = _continued(run, _through(closer, run.noise, finer, watch, reached, draft))
    return _no_worse_than_the_draft(problem, noise, decoded(problem, run))


def _no_worse_than_the_draft(
    problem: Problem, noise: Tensor, run: OptimisedNoise
) -> OptimisedNoise:
    """What is right in few steps may not be in more: where all came to nothing, the draft stays."""
    with torch.no_grad():
        latent = problem.draft(noise)
        loss = problem.objective(latent)
    better = run.best < loss
    chosen = better.view(-1, *[1] * (noise.ndim - 1))
    return replace(
        run,
        own=torch.where(chosen, run.noise, noise),
        latent=torch.where(chosen, run.latent, latent),
        best=torch.where(better, run.best, loss),
    )


def _through(
    problem: Problem,
    noise: Tensor,
    settings: NoiseSettings,
    watch: Watch | None,
    reached: Reached | None,
    draft: Tensor | None = None,
) -> OptimisedNoise:
    optimiser = NoiseOptimiser(
        noise,
        lambda value: problem.generate(value, "full"),
        problem.objective,
        settings,
        reached=reached,
        draft=draft,
    )
    while not optimiser.finished:
        run = optimiser.advance()
        if watch is not None:
            watch(run)
    return run


def _continued(before: OptimisedNoise, after: OptimisedNoise) -> OptimisedNoise:
    losses = before.losses + after.losses
    drift = max(before.drift, after.drift)
    step = len(before.losses) + after.best_step
    return replace(after, losses=losses, moved=drift, best_step=step)


def decoded(problem: Problem, run: OptimisedNoise) -> OptimisedNoise:
    """The run's noise sampled in 1, 2, 4 and 8 steps; what is best is kept.

    More steps sound better at the same loss, so of the results that are as good as the best within
    `AS_GOOD` the one of the most steps is taken.
    """
    found: list[tuple[Tensor, Tensor]] = []
    with torch.no_grad():
        for steps in DECODES:
            latent = problem.in_steps(steps).generate(run.noise, "none")
            found.append((latent, problem.objective(latent)))
    losses = torch.stack([loss for _, loss in found])  # [decodes, batch]
    good = losses <= AS_GOOD * losses.min(dim=0).values
    rank = torch.arange(1, len(DECODES) + 1, device=losses.device)[:, None]
    chosen = (good * rank).argmax(dim=0)
    rows = range(len(chosen))
    latent = torch.stack([found[int(chosen[row])][0][row] for row in rows])
    best = torch.stack([losses[int(chosen[row]), row] for row in rows])
    return replace(run, latent=latent, best=best, losses=[*run.losses, float(best.mean())])
