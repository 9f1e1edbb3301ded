"""Several goals as one loss: by fixed weights, or as shares of the gradient (DITTO, appendix H)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.controls.control import Goal
from engine.controls.once import one_evaluation

_SMALLEST_NORM = 1e-12


class Together:
    """The weighted sum of goals; remembers what each of them last said.

    Balanced, each goal pulls at the latent with its weight as its share: its loss is divided by the
    norm of its own gradient there, so that no unit outweighs another. The value is the same sum as
    without, and only the gradient is balanced, so that losses stay comparable between iterations.

    Args:
        goals: at least one.
        balanced: see above.

    Raises:
        ValueError: there is no goal.
    """

    def __init__(self, goals: Sequence[Goal], *, balanced: bool = False) -> None:
        if not goals:
            raise ValueError("there is nothing to optimise for")
        self.goals = tuple(goals)
        self.balanced = balanced and len(goals) > 1
        self.last: dict[str, Tensor] = {}

    def __call__(self, latent: Tensor) -> Tensor:
        """Loss of each item `[batch]`."""
        with one_evaluation():
            losses = [goal.loss(latent) for goal in self.goals]
        names = [goal.name for goal in self.goals]
        self.last = {name: loss.detach() for name, loss in zip(names, losses, strict=True)}
        weighted = [goal.weight * loss for goal, loss in zip(self.goals, losses, strict=True)]
        total = torch.stack(weighted).sum(dim=0)
        if self.balanced and torch.is_grad_enabled() and latent.requires_grad:
            pulls = torch.stack(
                [
                    goal.weight * loss / norm
                    for goal, loss, norm in zip(
                        self.goals, losses, _gradient_norms(losses, latent), strict=True
                    )
                ]
            ).sum(dim=0)
            return pulls + (total - pulls).detach()
        return total

    def reached(self) -> bool:
        """Whether every goal was within its tolerance at the last evaluation, in its own unit."""
        if any(goal.tolerance <= 0.0 for goal in self.goals):
            return False
        return all(bool((self.last[goal.name] <= goal.tolerance).all()) for goal in self.goals)


def _gradient_norms(losses: Sequence[Tensor], latent: Tensor) -> list[Tensor]:
    """Norm of each loss's gradient at the latent, item by item `[batch]`."""
    found = []
    for loss in losses:
        (gradient,) = torch.autograd.grad(loss.sum(), latent, retain_graph=True)
        found.append(gradient.flatten(1).norm(dim=1).clamp_min(_SMALLEST_NORM))
    return found
