"""FreeDoM: every step is followed by one down the gradient of what is expected (Yu et al., 2023).

    x_{t'} = step(x_t) - ρ_t ∇_{x_t} L(x̂_0(x_t))        (ICCV 2023, algorithm 1)

The authors' code sets ρ_t so that the correction's root mean square is a share of what the network
itself says in that step: 0.2 of the guidance term in Stable Diffusion, `cfg · rms(ε_c - ε_u)`, and
0.02 of the noise's part in the step without a text (their face and ImageNet samplers). The straight
path starts at level 1, where the latter has no limit, and a network with guidance built in knows no
`ε_u`; the step's own length `rms((t - t') v)` is what remains of both and is what we take.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.optimise.guidance import follow, loss_gradient, pull_of_estimate, share_of_step, towards
from engine.optimise.problem import OptimisedNoise, Problem, Watch


@dataclass(frozen=True, slots=True)
class FreeDomSettings:
    """How hard to guide.

    Attributes:
        strength: length of a correction as a share of the step's own (0.2: the authors' Stable
            Diffusion code; of the step's length: our choice, see above).
        repeats: how often a step inside `travel` is made; above 1 the state travels back in time
            by fresh noise and the step is made again (time travel; the code: 3). 1, no travel, is
            our default, as in the authors' face sampler.
        travel: levels `(highest, lowest)` whose steps are repeated (the code: 70 to 40 of 100).
        seed: of the noise of the travels, so that runs repeat.
    """

    strength: float = 0.2
    repeats: int = 1
    travel: tuple[float, float] = (0.7, 0.4)
    seed: int = 0


def freedom(
    problem: Problem,
    noise: Tensor,
    settings: FreeDomSettings = FreeDomSettings(),
    watch: Watch | None = None,
) -> OptimisedNoise:
    """Sample once, each step corrected down the gradient of the expected result's loss.

    A step costs one model call with its way back, and one for the step.

    Args:
        noise: `[batch, channels, steps]`.
        watch: has nothing to see, for there are no iterations.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    highest, lowest = settings.travel

    def step(x: Tensor, t: float, t_next: float) -> Tensor:
        repeats = settings.repeats if lowest <= t <= highest else 1
        for left in reversed(range(repeats)):
            ahead = corrected_step(problem, x, t, t_next, settings.strength)
            if left:
                problem.on_call()
                x = noised_again(ahead, t_next, t, generator)
        return ahead

    return follow(problem, noise, step)


def corrected_step(problem: Problem, x: Tensor, t: float, t_next: float, strength: float) -> Tensor:
    """The step from `x` and its correction, `strength` times as long as the step itself."""
    gradient = pull_of_estimate(problem, x, t, loss_gradient)
    ahead = towards(x, problem.denoiser(x, t, t_next), t, t_next)
    return ahead - strength * share_of_step(ahead - x, gradient) * gradient


def noised_again(x: Tensor, t: float, t_back: float, generator: torch.Generator) -> Tensor:
    """A draw of x at the higher level `t_back`, given `x` at `t` on the straight path.

    The clean part shrinks by `k = (1 - t_back)/(1 - t)` and what is missing of the variance is
    drawn anew: `k x + sqrt(t_back² - k² t²) n`.
    """
    keep = (1.0 - t_back) / (1.0 - t)
    spread = math.sqrt(t_back**2 - (keep * t) ** 2)
    drawn = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
    return keep * x + spread * drawn
