"""What a flow map learns from: its own average makes a step of the flow in two halves.

Shortcut models (Frans et al. 2024, "One Step Diffusion via Shortcut Models"): the mean velocity
over a span is the mean of those over its halves, the shortest spans are the flow itself. The flow
here is guided by the words (classifier-free guidance, Ho & Salimans 2022), so whole steps need no
second evaluation when rendering. Guided by what is told frame by frame, too, it is music less often
and no nearer to the key.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from _muon import fast_bfloat16
from torch import Tensor, nn
from training_windows import Batch

from engine.models.house.model import level_path

GUIDANCE = 1.75  # more of it leaves the music: the network is far from knowing either flow exactly
LOWEST_START = 0.1  # variations below it change nothing to speak of
SHORTEST_SPAN = 1 / 16  # halves below this are taken from the velocity itself
STEP_COUNTS = (1, 2, 3, 4, 6, 8, 12, 20)  # of the runs that a span may be a step of
_FROM_NOISE = 0.5  # part of those runs that begin with pure noise


def autocast(device_type: str) -> AbstractContextManager[None]:
    """bfloat16 for the linear layers where the device is faster with it."""
    context: AbstractContextManager[None] = torch.autocast(
        device_type, torch.bfloat16, enabled=fast_bfloat16(device_type)
    )
    return context


@dataclass(frozen=True, slots=True)
class Teacher:
    """The averaged network as its own teacher.

    Attributes:
        rows: how many rows at the end of each batch learn whole steps.
    """

    network: nn.Module
    rows: int
    generator: torch.Generator

    def steps(self) -> tuple[Tensor, Tensor]:
        """Level and span `[rows]` of random steps of runs as they are made when rendering."""
        pairs = [self._step(*draws) for draws in self._draws(3).T.tolist()]
        times = torch.tensor([first for first, _ in pairs], device=self.generator.device)
        ends = torch.tensor([last for _, last in pairs], device=self.generator.device)
        return times, times - ends

    def _step(self, start: float, count: float, place: float) -> tuple[float, float]:
        """One step's levels, from three uniform numbers."""
        from_noise = start < _FROM_NOISE
        first = 1.0 if from_noise else (start - _FROM_NOISE) / (1.0 - _FROM_NOISE)
        steps = STEP_COUNTS[int(count * len(STEP_COUNTS))]
        path = level_path(max(first, LOWEST_START), steps)
        index = int(place * steps)
        return path[index], path[index + 1]

    def _draws(self, kinds: int) -> Tensor:
        """Uniform numbers in [0, 1): `[kinds, rows]`."""
        size, device = (kinds, self.rows), self.generator.device
        return torch.rand(size, generator=self.generator, device=device)

    @torch.no_grad()
    def mean_velocity(
        self, batch: Batch, rows: slice, x: Tensor, time: Tensor, span: Tensor
    ) -> Tensor:
        """Mean of the velocities over the two halves of `span` from `x` `[rows, 128, steps]`."""
        half = span / 2
        first = self._velocity(batch, rows, x, time, half)
        middle = x - half[:, None, None] * first
        return (first + self._velocity(batch, rows, middle, time - half, half)) / 2

    def _velocity(self, batch: Batch, rows: slice, x: Tensor, time: Tensor, span: Tensor) -> Tensor:
        short = span < SHORTEST_SPAN
        span = span.masked_fill(short, 0.0)
        with autocast(x.device.type):
            velocity: Tensor = self.network(
                x, time, span, batch.frames[rows], batch.conditions.rows(rows)
            )
            if not bool(short.any()):
                return velocity.float()
            untold: Tensor = self.network(
                x, time, span, batch.frames[rows], batch.untold.rows(rows)
            )
        guided = untold.float() + GUIDANCE * (velocity.float() - untold.float())
        return torch.where(short[:, None, None], guided, velocity.float())
