"""Looping without a reference: the result's own edges must agree (DITTO, appendix E).

The result is rendered a little longer than the loop, and what lies beyond the loop's end has to be
what its beginning is. Both sides move, so neither is bent to the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.controls.control import Comparison, Objective, Samples, Scope

OVERLAP_S = 0.5  # as published


@dataclass(frozen=True, slots=True)
class Loop:
    """The steps from `period` on must be the timeline's first ones.

    Attributes:
        period: length of the loop in latent steps; it may be shorter than the timeline.
        overlap: steps that are compared.
    """

    period: int
    overlap: int
    weight: float = 1.0
    tolerance: float = 0.0
    name: str = "loop"
    unit: str = "squared latent"

    def objective(self, scope: Scope) -> Objective | None:
        first = max(self.period, scope.start)
        last = min(self.period + self.overlap, scope.stop)
        if first >= last or not bool(scope.free[first - scope.start : last - scope.start].any()):
            return None
        return loop_objective(scope, first, last, self.period)

    def compare(
        self, samples: Samples, sample_rate_hz: int, starts_s: float = 0.0
    ) -> Comparison | None:
        """The seam figures of the report judge the wrap."""
        return None


def loop_objective(scope: Scope, first: int, last: int, period: int) -> Objective:
    """Mean squared difference of steps `[first, last)` and those one period before.

    Returns:
        latent of the window -> loss `[batch]`; the earlier steps are the window's own where it
        reaches back to them, and what is finished otherwise.
    """

    def loss(latent: Tensor) -> Tensor:
        finished = scope.latent.to(latent).expand(latent.shape[0], -1, -1)
        whole = torch.cat(
            [finished[..., : scope.start], latent, finished[..., scope.stop :]], dim=-1
        )
        ahead, behind = whole[..., first:last], whole[..., first - period : last - period]
        return (ahead - behind).square().mean(dim=(1, 2))

    return loss
