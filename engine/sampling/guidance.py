"""Denoisers around denoisers: classifier-free guidance and dynamic thresholding.

Both stay differentiable in the state, so an optimiser sees the model as it is sampled.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.models.contracts import Denoiser

EVERYWHERE = (0.0, 1.0)


def guided(
    conditional: Denoiser,
    unconditional: Denoiser,
    scale: float,
    interval: tuple[float, float] = EVERYWHERE,
) -> Denoiser:
    """Classifier-free guidance (Ho & Salimans 2022): away from the unconditional estimate.

    Args:
        scale: 1 is the conditional model itself, at its price.
        interval: `(low, high]`, the levels in which guidance acts (Kynkäänniemi et al. 2024);
            outside it costs nothing and the estimate is the conditional one. A step of a flow map
            counts as the level it starts from.

    Raises:
        ValueError: the interval is not within 0 to 1 or holds no level.
    """
    low, high = interval
    if not 0.0 <= low < high <= 1.0:
        raise ValueError(f"guidance cannot act from level {low} to {high}")
    if scale == 1.0:
        return conditional

    def denoise(x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
        with_condition = conditional(x, level, next_level)
        if not low < level <= high:
            return with_condition
        without = unconditional(x, level, next_level)
        return without + scale * (with_condition - without)

    return denoise


def thresholded(denoiser: Denoiser, limit: float, percentile: float = 0.995) -> Denoiser:
    """Dynamic thresholding (Imagen, Saharia et al. 2022, section 2.3): no outliers from guidance.

    Per item of the batch, with `s = max(percentile of |x̂_0|, limit)`: clamped to ±s, then scaled by
    `limit / s`, so that a saturated estimate comes back into ±limit as a whole.

    Args:
        limit: the largest value that data has; 1 in the paper, whose pixels end there.
        percentile: part of an item's values that may stay unclamped, in (0, 1].

    Raises:
        ValueError: `limit` is not positive, or `percentile` outside (0, 1].
    """
    if limit <= 0.0 or not 0.0 < percentile <= 1.0:
        raise ValueError(f"cannot threshold at {limit} and percentile {percentile}")

    def denoise(x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
        estimate = denoiser(x, level, next_level)
        size = estimate.flatten(1).abs()
        # quantiles exist in single and double precision only
        size = size if size.dtype == torch.float64 else size.float()
        bound = torch.quantile(size, percentile, dim=1).clamp(min=limit).to(estimate.dtype)
        bound = bound.view(-1, *[1] * (estimate.dim() - 1))
        return torch.clamp(estimate, -bound, bound) * (limit / bound)

    return denoise
