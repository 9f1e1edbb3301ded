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
from engine.optimise.later import Later, Noise
from engine.sampling.loop import GradientPolicy, noised, sample
from engine.sampling.steps import StepRule, euler

Objective = Callable[[Tensor], Tensor]  # latent `[batch, channels, steps]` -> loss `[batch]`


def _evenly(first: float, steps: int) -> tuple[float, ...]:
    return tuple(first * (1.0 - index / steps) for index in range(steps + 1))


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
            own step is exact, or `remembering_euler`; other methods that guide a run make their own
            steps, in each of which nothing is remembered.
        added: what a stochastic rule adds `[intervals, channels, steps]`, one after the other and
            the same for every item; it stays as it is while the noise is optimised. None for
            rules that add nothing.
        spacing: levels of another number of steps from the same start, as the model likes them.
        fewest_steps: in fewer the model makes nothing of use.
        drafted: what `generate` gives of the noise that a method begins with, where that is known.
        balanced: the objective's gradient is a sum of shares, and no slope of its value.
        from_prior: whether the first level holds some of the prior; without, the start is noise
            alone even where the model's noise begins below level 1.
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
    added: Tensor | None = field(default=None, repr=False)
    spacing: Callable[[float, int], tuple[float, ...]] = _evenly
    from_prior: bool = True
    fewest_steps: int = 1
    drafted: Tensor | None = field(default=None, repr=False)
    balanced: bool = False

    @property
    def origin(self) -> Tensor:
        """What the first level holds beside noise `[batch, channels, steps]`."""
        return self.prior if self.from_prior else torch.zeros_like(self.prior)

    def start(self, noise: Tensor) -> Tensor:
        """The state at the first level."""
        return noised(self.origin, noise, self.levels[0])

    def generate(self, noise: Tensor, gradient: GradientPolicy | None = None) -> Tensor:
        """The whole sampling run from `noise`; how gradients pass is the problem's own choice."""
        return sample(
            self.denoiser,
            self.start(noise),
            self.levels,
            rule=self.rule,
            gradient=self.gradient if gradient is None else gradient,
            noises=self._added_to(noise),
            on_step=lambda _: self.on_call(),
            on_back=self.on_back,
        )

    def draft(self, noise: Tensor) -> Tensor:
        """The plain run from the noise that a method begins with."""
        return self.generate(noise, "none") if self.drafted is None else self.drafted

    def _added_to(self, noise: Tensor) -> Tensor | None:
        if self.added is None:
            return None
        intervals = len(self.levels) - 1
        return self.added[:intervals, None].expand(-1, noise.shape[0], -1, -1)

    def in_steps(self, steps: int) -> Problem:
        """The same problem in so many steps from the same start."""
        return replace(self, levels=self.spacing(self.levels[0], steps), drafted=None)


@dataclass(slots=True)
class OptimisedNoise:
    """The best noise of a run and how the run went.

    Attributes:
        own: each item's own best noise `[batch, channels, steps]`, or what finds it.
        latent: the result of that noise, of its shape.
        best: loss of each item `[batch]`.
        best_step: the iteration that gave the lowest mean loss.
        losses: mean loss before each update; the last entry belongs to the final iterate.
        moved: `drift` of noise that is there.
    """

    own: Noise = field(repr=False)
    latent: Tensor = field(repr=False)
    best: Tensor
    best_step: int
    losses: list[float] = field(default_factory=list)
    moved: float = 0.0

    @property
    def noise(self) -> Tensor:
        """The noise; where it is not there yet it is looked for, once, which takes its time."""
        if isinstance(self.own, Later):
            self.own, self.moved = self.own.find()
        return self.own

    @property
    def drift(self) -> float:
        """Largest relative change of an item's norm from that of its start; as `noise`."""
        _ = self.noise
        return self.moved

    def only(self, items: slice) -> OptimisedNoise:
        """Some items of the batch; the losses and iterations stay those of all."""
        return replace(self, own=self.own[items], latent=self.latent[items], best=self.best[items])

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
