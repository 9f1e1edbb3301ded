"""The sampling loop, and the three ways in which gradients may pass through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from engine.models.contracts import Denoiser
from engine.sampling.recompute import look_back, recomputed
from engine.sampling.steps import State, StepRule, euler

GradientPolicy = Literal["none", "full", "checkpointed"]


def sample(
    model: Denoiser,
    x: Tensor,
    levels: Sequence[float],
    *,
    rule: StepRule = euler,
    gradient: GradientPolicy = "none",
    noises: Tensor | None = None,
    on_step: Callable[[int], None] | None = None,
    on_back: Callable[[], None] | None = None,
) -> Tensor:
    """Follow the flow from `levels[0]` to `levels[-1]`.

    Args:
        x: state at the first level `[batch, channels, steps]`.
        gradient: "none" keeps nothing; "full" keeps every activation; "checkpointed" keeps the
            state of each step and computes the rest anew on the way back (DITTO, Novack et al.
            2024, section 3.2): memory of one model call whatever the number of steps.
        noises: what stochastic rules add, N(0, 1), `[intervals, batch, channels, steps]`; others
            leave it alone. An argument, so that it stays the same while an optimiser works, and
            can be optimised too.
        on_step: called after each step with its number; may raise to stop the run.
        on_back: called before the gradient passes each step on its way back; may raise, too.

    Returns:
        the state at the last level, of the shape of `x`.

    Raises:
        ValueError: the rule is stochastic and there are no `noises`, or they have another shape.
    """
    if noises is not None and noises.shape != (len(levels) - 1, *x.shape):
        raise ValueError(
            f"noises of {tuple(noises.shape)} do not fit {len(levels) - 1} intervals of "
            f"{tuple(x.shape)}"
        )
    if gradient == "none":
        with torch.no_grad():
            return _follow(model, x, levels, rule, False, noises, on_step, None)
    return _follow(model, x, levels, rule, gradient == "checkpointed", noises, on_step, on_back)


def _follow(
    model: Denoiser,
    x: Tensor,
    levels: Sequence[float],
    rule: StepRule,
    checkpointed: bool,
    noises: Tensor | None,
    on_step: Callable[[int], None] | None,
    on_back: Callable[[], None] | None,
) -> Tensor:
    state = State(x)
    for index, (t, t_next) in enumerate(pairwise(levels)):
        noise = None if noises is None else noises[index]
        if checkpointed:
            state = _recomputed(model, state, t, t_next, rule, noise)
        else:
            state = rule(model, state, t, t_next, noise)
        if on_step is not None:
            on_step(index + 1)
        if on_back is not None:
            look_back(state.x, on_back)
    return state.x


def _recomputed(
    model: Denoiser, state: State, t: float, t_next: float, rule: StepRule, noise: Tensor | None
) -> State:
    """One step of the rule that keeps nothing but the state it begins with."""
    looked_back = state.estimate is not None
    level: list[float | None] = [None]

    def step(*tensors: Tensor) -> tuple[Tensor, ...]:
        given = list(tensors)
        x = given.pop(0)
        estimate = given.pop(0) if looked_back else None
        added = given.pop(0) if noise is not None else None
        after = rule(model, State(x, estimate, state.level), t, t_next, added)
        level[0] = after.level
        return (after.x,) if after.estimate is None else (after.x, after.estimate)

    given = [tensor for tensor in (state.x, state.estimate, noise) if tensor is not None]
    x, *estimate = recomputed(step, *given)
    return State(x, estimate[0] if estimate else None, level[0])


def noised(prior: Tensor, noise: Tensor, level: float) -> Tensor:
    """The point of the straight path between `prior` (level 0) and `noise` (level 1)."""
    return (1.0 - level) * prior + level * noise
