"""Looping without a reference: the result's own edges must agree (DITTO, appendix E).

The result is rendered a little longer than the loop, and what lies beyond the loop's end has to be
what its beginning is. Both sides move, so neither is bent to the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.controls.control import ALL, Comparison, Objective, Samples, Scope, Span

OVERLAP_S = 0.5  # as published


@dataclass(frozen=True, slots=True)
class Loop:
    """The steps from `period` on must be the timeline's first ones.

    Attributes:
        period: length of the loop in latent steps, whole or not; it may be shorter than the
            timeline.
        overlap: steps that are compared.
    """

    period: float
    overlap: int
    weight: float = 1.0
    tolerance: float = 0.0
    name: str = "loop"
    unit: str = "squared latent"

    def objective(self, scope: Scope) -> Objective | None:
        end = math.ceil(self.period)
        first, last = max(end, scope.start), min(end + self.overlap, scope.stop)
        if first >= last or not bool(scope.free[first - scope.start : last - scope.start].any()):
            return None
        return loop_objective(scope, first, last, self.period)

    def compare(
        self, samples: Samples, sample_rate_hz: int, starts_s: float = 0.0, new_s: Span = ALL
    ) -> Comparison | None:
        """The seam figures of the report judge the wrap."""
        return None


def places_in_round(count: int, period: float) -> Tensor:
    """For each of `count` places of a loop of `period` places, which one of the first round it is.

    Returns:
        int64 `[count]`.
    """
    places = torch.arange(count).double()
    return (places - period * torch.floor(places / period + 1e-9)).long()


def loop_objective(scope: Scope, first: int, last: int, period: float) -> Objective:
    """Mean squared difference of steps `[first, last)` and those one period before.

    Between two steps the latent is taken to lie on the straight line.

    Returns:
        latent of the window -> loss `[batch]`; the earlier steps are the window's own where it
        reaches back to them, and what is finished otherwise.
    """
    whole_steps = math.ceil(period)
    between = whole_steps - period

    def loss(latent: Tensor) -> Tensor:
        finished = scope.latent.to(latent).expand(latent.shape[0], -1, -1)
        whole = torch.cat(
            [finished[..., : scope.start], latent, finished[..., scope.stop :]], dim=-1
        )
        behind = whole[..., first - whole_steps : last - whole_steps]
        if between > 0.0:
            after = whole[..., first - whole_steps + 1 : last - whole_steps + 1]
            behind = torch.lerp(behind, after, between)
        return (whole[..., first:last] - behind).square().mean(dim=(1, 2))

    return loss
