"""What a method of optimisation or guidance is given, and what it gives back.

DITTO, its fast path and every rival answer the same question in the same form, so that they can be
chosen by name and compared in one run (`engine.optimise.methods`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from engine.models.contracts import Denoiser
from engine.sampling.loop import GradientPolicy, noised, sample
from engine.sampling.steps import StepRule, euler

Objective = Callable[[Tensor], Tensor]  # latent `[batch, channels, steps]` -> loss `[batch]`


def _go_on() -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One window that is to meet an objective.

    Attributes:
        denoiser: the model under its conditions.
        levels: noise levels of the sampling run, the first of them that of the start.
        objective: what the result is measured by.
        prior: `[batch, channels, steps]`, what is noised to the first level; it says nothing at
            level 1, but where `mask` is 1 it is what the result has to agree with.
        mask: `[batch, 1, steps]`, 1 on the overlap; None where there is none.
        gradient: how gradients pass through the sampler.
        on_call: called after every sampler step; may raise to stop the run.
        on_back: called before the gradient passes a step on its way back; may raise, too.
        rule: how a step of `generate` is made. The fast path needs `euler`, with which a flow map's
            own step is exact; methods that guide a run make their own steps.
    """

    denoiser: Denoiser
    levels: tuple[float, ...]
    objective: Objective
    prior: Tensor = field(repr=False)
    mask: Tensor | None = field(default=None, repr=False)
    gradient: GradientPolicy = "checkpointed"
    on_call: Callable[[], None] = _go_on
    on_back: Callable[[], None] = _go_on
    rule: StepRule = euler

    def start(self, noise: Tensor) -> Tensor:
        """The state at the first level."""
        return noised(self.prior, noise, self.levels[0])

    def generate(self, noise: Tensor, gradient: GradientPolicy | None = None) -> Tensor:
        """The whole sampling run from `noise`; how gradients pass is the problem's own choice."""
        return sample(
            self.denoiser,
            self.start(noise),
            self.levels,
            rule=self.rule,
            gradient=self.gradient if gradient is None else gradient,
            on_step=lambda _: self.on_call(),
            on_back=self.on_back,
        )

    def in_steps(self, steps: int) -> Problem:
        """The same problem through evenly spaced levels from the same start."""
        first = self.levels[0]
        path = tuple(first * (1.0 - index / steps) for index in range(steps + 1))
        return replace(self, levels=path)


@dataclass(slots=True)
class OptimisedNoise:
    """The best noise of a run and how the run went.

    Attributes:
        noise: `[batch, channels, steps]`; each item's own best.
        latent: the result of `noise`, of its shape.
        best: loss of each item `[batch]`.
        best_step: the iteration that gave the lowest mean loss.
        losses: mean loss before each update; the last entry belongs to the final iterate.
        drift: largest relative change of an item's norm from that of its start.
    """

    noise: Tensor = field(repr=False)
    latent: Tensor = field(repr=False)
    best: Tensor
    best_step: int
    losses: list[float] = field(default_factory=list)
    drift: float = 0.0

    @property
    def best_loss(self) -> float:
        """Mean over the items of each one's best loss."""
        return float(self.best.mean())

    @classmethod
    def of(cls, noise: Tensor, latent: Tensor, objective: Objective) -> OptimisedNoise:
        """A finished result without iterations."""
        with torch.no_grad():
            loss = objective(latent)
        return cls(noise.detach(), latent.detach(), loss, 0, [float(loss.mean())])


Watch = Callable[[OptimisedNoise], None]  # after every evaluation; may raise to stop
Reached = Callable[[], bool]  # asked after every evaluation; True ends the run early
