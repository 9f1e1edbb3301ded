"""DITTO: the initial noise is optimised through the sampler (Novack et al., ICML 2024).

Adam on the noise as published; beyond the paper, the best iterate is what counts (the paper returns
the last), and the norm of the noise is held near the Gaussian shell it started on, so that a
control cannot be bought with noise the model has never seen. Where `proximity` is asked for, the
result is drawn back towards what the start alone would give (`engine.optimise.regularisers`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.optimise.keeper import Keeper
from engine.optimise.problem import Objective, OptimisedNoise, Reached, Watch
from engine.optimise.regularisers import (
    drawn_back,
    hold_norm,
    norm_surprise,
    unlikely_statistics,
)

_RESULT = ("noise", "latent", "best")
_STATE = frozenset({"variable", "start", "draft", *_RESULT, "losses", "counts", "drifts"})


@dataclass(frozen=True, slots=True)
class NoiseSettings:
    """How to optimise.

    Attributes:
        steps: iterations of Adam at most (the paper: 70, and 150 for melody).
        rate: step of Adam (the paper: 5e-3 from pure noise through 20 steps; the shorter chain
            from a prior bears more).
        tolerance: stop once the loss is at most this.
        norm_drift: largest relative change of an item's norm.
        likelihood: weight of `norm_surprise` (ReNO: 0.01 on the undivided sum).
        statistics: weight of `unlikely_statistics`.
        proximity: how strongly the result is drawn back to that of the start, as a share of the
            objective's own pull; 0 as published.
    """

    steps: int = 70
    rate: float = 5e-3
    tolerance: float = 0.0
    norm_drift: float = 0.03
    likelihood: float = 0.0
    statistics: float = 0.0
    proximity: float = 0.0


class NoiseOptimiser:
    """One run of Adam on the noise that can be stopped, kept and gone on with.

    Args:
        noise: start, `[batch, channels, steps]` float32.
        generate: the whole sampling run, differentiable in its argument.
        objective: per-item losses of the result.
        reached: asked after each evaluation; True ends the run early.
        draft: what the result is drawn back to; that of the start where it is not said.
    """

    def __init__(
        self,
        noise: Tensor,
        generate: Callable[[Tensor], Tensor],
        objective: Objective,
        settings: NoiseSettings,
        *,
        reached: Reached | None = None,
        draft: Tensor | None = None,
    ) -> None:
        self.settings = settings
        self.run: OptimisedNoise | None = None
        self._generate, self._objective, self._reached = generate, objective, reached
        self._start = noise.detach().clone()
        self._variable = noise.detach().clone().requires_grad_(True)
        self._draft = draft
        self._adam = torch.optim.Adam([self._variable], lr=settings.rate)
        self._drift = 0.0
        self.step = 0

    @property
    def finished(self) -> bool:
        """Whether there is nothing more to do."""
        if self.run is None:
            return False
        enough = self.run.best_loss <= self.settings.tolerance
        return enough or self.step > self.settings.steps

    def advance(self) -> OptimisedNoise:
        """Evaluate the noise, then update it unless this was the last iterate."""
        last = self.step == self.settings.steps
        with torch.set_grad_enabled(not last):
            latent = self._generate(self._variable)
            losses = self._objective(latent)
        if self._draft is None:
            self._draft = latent.detach()
        self._note(latent.detach(), losses.detach())
        met = self._reached is not None and self._reached()
        self.step = self.settings.steps + 1 if last or met else self.step + 1
        run = self.run
        assert run is not None
        if self.finished:
            return run
        self._variable.grad = self._gradient(latent, losses)
        self._adam.step()
        self._drift = hold_norm(self._variable, self._start, self.settings.norm_drift)
        return run

    def _gradient(self, latent: Tensor, losses: Tensor) -> Tensor:
        """Of the mean loss by the noise, drawn back towards the draft on its way there."""
        assert self._draft is not None
        (pull,) = torch.autograd.grad(losses.mean(), latent)
        pull = drawn_back(pull, latent.detach(), self._draft, self.settings.proximity)
        (gradient,) = torch.autograd.grad(latent, self._variable, pull)
        penalty = self._penalty()
        if penalty.requires_grad:
            gradient = gradient + torch.autograd.grad(penalty, self._variable)[0]
        return gradient

    def _penalty(self) -> Tensor:
        settings, total = self.settings, self._variable.new_zeros(())
        if settings.likelihood:
            total = total + settings.likelihood * norm_surprise(self._variable).mean()
        if settings.statistics:
            total = total + settings.statistics * unlikely_statistics(self._variable).mean()
        return total

    def _note(self, latent: Tensor, losses: Tensor) -> None:
        """Keep each item's best."""
        noise, run, mean = self._variable.detach(), self.run, float(losses.mean())
        if run is None:
            self.run = OptimisedNoise(noise.clone(), latent, losses, self.step, [mean], self._drift)
            return
        if mean < min(run.losses):
            run.best_step = self.step
        run.losses.append(mean)
        run.moved = max(run.moved, self._drift)
        better = losses < run.best
        if bool(better.any()):
            chosen = better.view(-1, *[1] * (noise.ndim - 1))
            run.own = torch.where(chosen, noise, run.noise)
            run.latent = torch.where(chosen, latent, run.latent)
            run.best = torch.where(better, losses, run.best)

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on later, as tensors for a safetensors file."""
        assert self.run is not None
        assert self._draft is not None
        moments = self._adam.state.get(self._variable, {})
        kept = {
            "variable": self._variable.detach(),
            "start": self._start,
            "draft": self._draft,
            "noise": self.run.noise,
            "latent": self.run.latent,
            "best": self.run.best,
            "losses": torch.tensor(self.run.losses, dtype=torch.float64),
            "counts": torch.tensor([self.step, self.run.best_step]),
            "drifts": torch.tensor([self._drift, self.run.drift], dtype=torch.float64),
        }
        kept |= {f"adam.{name}": value for name, value in moments.items()}
        return {name: value.clone() for name, value in kept.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from `state()`: what follows equals the run that was never interrupted.

        Args:
            state: on any device; the run goes on where the noise lies.

        Raises:
            ValueError: the state is not whole, or it belongs to noise of another shape.
        """
        if missing := _STATE - state.keys():
            raise ValueError(f"the state lacks {', '.join(sorted(missing))}")
        if state["variable"].shape != self._variable.shape:
            raise ValueError(
                f"the state is of noise {tuple(state['variable'].shape)}, "
                f"not {tuple(self._variable.shape)}"
            )
        with torch.no_grad():
            self._variable.copy_(state["variable"])
        device = self._variable.device
        self._start, self._draft = (
            state[name].to(device, copy=True) for name in ("start", "draft")
        )
        # Adam counts its steps on the CPU, wherever the noise lies.
        moments = {
            name.removeprefix("adam."): value.to(device if value.ndim else "cpu", copy=True)
            for name, value in state.items()
            if name.startswith("adam.")
        }
        if moments:
            self._adam.state[self._variable] = moments
        self.step, best_step = (int(value) for value in state["counts"])
        self._drift, drift = (float(value) for value in state["drifts"])
        losses = [float(value) for value in state["losses"]]
        noise, latent, best = (state[name].to(device, copy=True) for name in _RESULT)
        self.run = OptimisedNoise(noise, latent, best, best_step, losses, drift)


def optimise_noise(
    noise: Tensor,
    generate: Callable[[Tensor], Tensor],
    objective: Objective,
    settings: NoiseSettings,
    *,
    on_step: Watch | None = None,
    reached: Reached | None = None,
    keeper: Keeper | None = None,
) -> OptimisedNoise:
    """Lower `objective(generate(noise))` by moving `noise`; see `NoiseOptimiser`.

    Args:
        on_step: called after every evaluation with the run so far; may raise to stop.
        keeper: holds the run, which goes on from what an earlier one left there.
    """
    optimiser = NoiseOptimiser(noise, generate, objective, settings, reached=reached)
    if keeper is not None:
        keeper.restore(optimiser.restore)
    while not optimiser.finished:
        run = optimiser.advance()
        if on_step is not None:
            on_step(run)
        if keeper is not None:
            keeper.keep(optimiser.state, finished=optimiser.finished)
    assert optimiser.run is not None
    return optimiser.run
