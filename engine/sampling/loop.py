"""The sampling loop, and the three ways in which gradients may pass through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from engine.models.contracts import Denoiser
from engine.sampling.recompute import look_back, recomputed
from engine.sampling.steps import State, StepRule, euler

GradientPolicy = Literal["none", "full", "checkpointed"]
_KEPT = 16  # beginnings of parts that a checkpointed run keeps; in fewer steps each is its own part


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
            2024, section 3.2): memory of one model call whatever the number of steps. Of a run in
            many steps not even all the states are kept, for one more call in each of them.
        noises: what stochastic rules add, N(0, 1), `[intervals, batch, channels, steps]`; others
            leave it alone. An argument, so that it stays the same while an optimiser works, and
            can be optimised too.
        on_step: called after each step with its number; may raise to stop the run.
        on_back: called before the gradient passes each step on its way back, and after each that
            is made anew for it; may raise, too.

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
    walk = _Walk(model, rule, tuple(levels), on_step, on_back)
    state, whole = State(x), (0, len(levels) - 1)
    if gradient == "none":
        with torch.no_grad():
            return walk.follow(state, whole, noises).x
    if gradient == "full":
        return walk.follow(state, whole, noises).x
    return walk.follow_sparingly(state, whole, noises).x


_Span = tuple[int, int]  # the first interval, and the one that is no more part of it


@dataclass(frozen=True, slots=True)
class _Walk:
    """A run, of which any span can be made, and made again."""

    model: Denoiser
    rule: StepRule
    levels: tuple[float, ...]
    on_step: Callable[[int], None] | None
    on_back: Callable[[], None] | None

    def follow(self, state: State, span: _Span, noises: Tensor | None) -> State:
        """Interval by interval."""
        for index in range(*span):
            state = self._step(state, (index, index + 1), _part(noises, index, span))
            self._passed(index, state)
        return state

    def follow_sparingly(self, state: State, span: _Span, noises: Tensor | None) -> State:
        """The same, and no more than the states of `_KEPT` intervals are kept.

        A longer span is cut into parts, of which the beginnings are kept; a part is followed again
        on the way back, and only then are its own states kept.
        """
        first, last = span
        length = _part_length(last - first)
        for start in range(first, last, length):
            part = (start, min(start + length, last))
            if length == 1:
                state = _recomputed(self._step, state, part, _part(noises, start, span))
            else:
                given = None if noises is None else noises[start - first : part[1] - first]
                state = _recomputed(_Part(self), state, part, given)
            self._passed(part[1] - 1, state, told=length > 1)
        return state

    def _step(self, state: State, span: _Span, noise: Tensor | None) -> State:
        index = span[0]
        return self.rule(self.model, state, self.levels[index], self.levels[index + 1], noise)

    def _passed(self, index: int, state: State, told: bool = False) -> None:
        if self.on_step is not None and not told:
            self.on_step(index + 1)
        if self.on_back is not None:
            look_back(state.x, self.on_back)


class _Part:
    """A part of a long run: its steps are told when it is made, and not when it is made anew.

    Then it belongs to the way back, and who watches that is asked after each of them instead.
    """

    def __init__(self, walk: _Walk) -> None:
        self._walk = walk
        self._made = False

    def __call__(self, state: State, span: _Span, noises: Tensor | None) -> State:
        walk = self._walk
        if self._made:
            walk = replace(walk, on_step=_ignoring_the_number(walk.on_back))
        self._made = True
        return walk.follow_sparingly(state, span, noises)


def _ignoring_the_number(back: Callable[[], None] | None) -> Callable[[int], None] | None:
    return None if back is None else lambda _: back()


def _part(noises: Tensor | None, index: int, span: _Span) -> Tensor | None:
    return None if noises is None else noises[index - span[0]]


def _recomputed(
    run: Callable[[State, _Span, Tensor | None], State],
    state: State,
    span: _Span,
    noises: Tensor | None,
) -> State:
    """`run` over a span, of which nothing is kept but the state it begins with."""
    looked_back = state.memory is not None
    level: list[float | None] = [None]

    def step(*tensors: Tensor) -> tuple[Tensor, ...]:
        given = list(tensors)
        x = given.pop(0)
        memory = given.pop(0) if looked_back else None
        added = given.pop(0) if noises is not None else None
        after = run(State(x, memory, state.level), span, added)
        level[0] = after.level
        return (after.x,) if after.memory is None else (after.x, after.memory)

    given = [tensor for tensor in (state.x, state.memory, noises) if tensor is not None]
    x, *memory = recomputed(step, *given)
    return State(x, memory[0] if memory else None, level[0])


def _part_length(intervals: int) -> int:
    return -(-intervals // _KEPT)


def kept_states(intervals: int) -> int:
    """States that a checkpointed run of so many intervals keeps at most."""
    length = _part_length(intervals)
    if length <= 1:
        return intervals
    return -(-intervals // length) + kept_states(length)


def noised(prior: Tensor, noise: Tensor, level: float) -> Tensor:
    """The point of the straight path between `prior` (level 0) and `noise` (level 1)."""
    return (1.0 - level) * prior + level * noise
