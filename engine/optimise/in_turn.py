"""Candidates one after the other: a batch takes as many times the memory of one as it has items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest

import torch
from torch import Tensor

from engine.optimise.later import Found, Later, Noise
from engine.optimise.problem import OptimisedNoise


def in_turn(run: Callable[[Tensor, int], OptimisedNoise], noise: Tensor) -> OptimisedNoise:
    """Run each item of a batch alone and put the results together.

    The items do not know of each other, so this is the batch's own result but for rounding, and for
    runs that end early: alone, each ends when it has reached its own goals.

    Args:
        run: of one item `[1, channels, steps]`, with its number.
        noise: `[batch, channels, steps]`.
    """
    runs = [run(noise[number : number + 1], number) for number in range(len(noise))]
    if len(runs) == 1:
        return runs[0]
    losses = []
    for row in zip_longest(*(each.losses for each in runs)):
        going_on = [value for value in row if value is not None]
        losses.append(sum(going_on) / len(going_on))
    own: Noise = Later(lambda items: _noise_of(runs[items]), range(len(runs)))
    moved = 0.0
    if not any(isinstance(each.own, Later) for each in runs):
        own, moved = _noise_of(runs)
    return OptimisedNoise(
        own,
        torch.cat([each.latent for each in runs]),
        torch.cat([each.best for each in runs]),
        min(range(len(losses)), key=losses.__getitem__),
        losses,
        moved,
    )


def _noise_of(runs: Sequence[OptimisedNoise]) -> Found:
    return torch.cat([each.noise for each in runs]), max(each.drift for each in runs)
