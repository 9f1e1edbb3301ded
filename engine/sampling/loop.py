"""The sampling loop, and the three ways in which gradients may pass through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from engine.models.contracts import Denoiser
from engine.sampling.steps import StepRule, euler

GradientPolicy = Literal["none", "full", "checkpointed"]


def sample(
    model: Denoiser,
    x: Tensor,
    levels: Sequence[float],
    *,
    rule: StepRule = euler,
    gradient: GradientPolicy = "none",
    on_step: Callable[[int], None] | None = None,
) -> Tensor:
    """Follow the flow from `levels[0]` to `levels[-1]`.

    Args:
        x: state at the first level `[batch, channels, steps]`.
        gradient: "none" keeps nothing; "full" keeps every activation; "checkpointed" keeps the
            state of each step and computes the rest anew on the way back (DITTO, Novack et al.
            2024, section 3.2): memory of one model call whatever the number of steps.
        on_step: called after each step with its number; may raise to stop the run.
    """
    if gradient == "none":
        with torch.no_grad():
            return _follow(model, x, levels, rule, False, on_step)
    return _follow(model, x, levels, rule, gradient == "checkpointed", on_step)


def _follow(
    model: Denoiser,
    x: Tensor,
    levels: Sequence[float],
    rule: StepRule,
    checkpointed: bool,
    on_step: Callable[[int], None] | None,
) -> Tensor:
    for number, (t, t_next) in enumerate(pairwise(levels), start=1):
        if checkpointed:
            x = checkpoint(rule, model, x, t, t_next, use_reentrant=False)
        else:
            x = rule(model, x, t, t_next)
        if on_step is not None:
            on_step(number)
    return x


def noised(prior: Tensor, noise: Tensor, level: float) -> Tensor:
    """The point of the straight path between `prior` (level 0) and `noise` (level 1)."""
    return (1.0 - level) * prior + level * noise
