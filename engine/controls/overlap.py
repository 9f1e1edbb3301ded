"""Overlap: the result must agree with audio that is already there (DITTO, section 4.1).

Outpainting gives one edge, inpainting both. The loop of the paper maps the edges of the reference
to opposite ends of the result, so that the result, placed after the reference, leads back into it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.controls.control import ALL, Comparison, Objective, Samples, Scope, Span


@dataclass(frozen=True, slots=True)
class Overlap:
    """The result must be what is there already, wherever something is: any mask."""

    weight: float = 1.0
    tolerance: float = 0.0
    name: str = "overlap"
    unit: str = "squared latent"

    def objective(self, scope: Scope) -> Objective | None:
        made = scope.cut(scope.made)
        return overlap_objective(scope.cut(scope.latent), made) if bool(made.any()) else None

    def compare(
        self, samples: Samples, sample_rate_hz: int, starts_s: float = 0.0, new_s: Span = ALL
    ) -> Comparison | None:
        """The seam figures of the report judge the seams."""
        return None


def overlap_objective(reference: Tensor, mask: Tensor) -> Callable[[Tensor], Tensor]:
    """Mean squared latent difference where `mask` is 1.

    Args:
        reference: `[batch, channels, steps]`.
        mask: `[batch, 1, steps]` of 0 and 1; the mean over the masked values makes the step size
            independent of the overlap's length.

    Returns:
        latent -> loss `[batch]`, in squared latent units.

    Raises:
        ValueError: the mask keeps nothing, so there is nothing to agree with.
    """
    weight = mask.expand_as(reference)
    total = weight.sum(dim=(1, 2))
    if not bool((total > 0).all()):
        raise ValueError("the overlap mask is empty; give at least one kept step")

    def loss(latent: Tensor) -> Tensor:
        return ((latent - reference).square() * weight).sum(dim=(1, 2)) / total

    return loss


def wrap_reference(clip: Tensor, steps: int, overlap: int) -> tuple[Tensor, Tensor]:
    """Reference and mask of a result that joins the end of `clip` to its start.

    Args:
        clip: latent of the clip `[batch, channels, clip steps]`.
        steps: length of the result.
        overlap: steps matched at either end.

    Returns:
        `[batch, channels, steps]` with the clip's end first and its start last, and its mask.

    Raises:
        ValueError: the overlaps do not fit into the clip or the result.
    """
    if not 0 < overlap <= clip.shape[-1] or 2 * overlap > steps:
        raise ValueError(f"an overlap of {overlap} steps does not fit {steps} steps twice")
    reference = clip.new_zeros(*clip.shape[:-1], steps)
    reference[..., :overlap] = clip[..., -overlap:]
    reference[..., -overlap:] = clip[..., :overlap]
    mask = torch.zeros_like(reference[:, :1])
    mask[..., :overlap] = 1.0
    mask[..., -overlap:] = 1.0
    return reference, mask
