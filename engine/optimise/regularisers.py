"""What keeps optimised noise noise, and its result music.

A model knows Gaussian noise only. An optimiser left alone can lower a loss by leaving it, and what
comes out is no music any more (reward hacking). Noise that no measure of its own tells from what is
drawn can do so, too: so the result is watched as well.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def norm_surprise(noise: Tensor) -> Tensor:
    """Negative log density of the norm of each item, 0 at its most likely (ReNO, eq. 6).

    The norm of d standard normal values follows the chi distribution, whose negative log density is
    `|x|²/2 - (d - 1) log |x|` and a constant (Eyring et al., NeurIPS 2024); divided by d, so that a
    weight means the same at any length.

    Returns:
        `[batch]`.
    """
    size = noise[0].numel()
    square = noise.flatten(1).square().sum(dim=1)
    surprise = 0.5 * square - 0.5 * (size - 1) * square.clamp_min(1e-12).log()
    lowest = 0.5 * (size - 1) * (1.0 - math.log(size - 1)) if size > 1 else 0.0
    return (surprise - lowest) / size


def unlikely_statistics(noise: Tensor, block: int = 16, generator_seed: int = 0) -> Tensor:
    """How unlikely means and covariances of blocks of each item are (DNO, section 3.3).

    For m vectors of k standard normal values, norms of their mean and of their covariance's
    difference from the identity concentrate:
    `P(|mean| > M) <= 2k exp(-m M² / 2k)` (each value, then their union) and
    `P(|cov - I| > N) <= 2 exp(-m max(sqrt(1 + N) - 1 - sqrt(k/m), 0)² / 2)`
    (Tang et al., ICML 2025). The penalty is the negative log of the smaller bound, each
    at most 1, over the values as they lie and over one random permutation of them.

    Args:
        block: values k of a vector.

    Returns:
        `[batch]`, 0 for noise as it is drawn.
    """
    flat = noise.flatten(1)
    count = flat.shape[1] // block
    generator = torch.Generator().manual_seed(generator_seed)
    order = torch.randperm(flat.shape[1], generator=generator).to(flat.device)
    total = torch.zeros_like(flat[:, 0])
    for values in (flat, flat[:, order]):
        vectors = values[:, : count * block].view(len(flat), count, block)
        mean = vectors.mean(dim=1).norm(dim=1)
        about_mean = count * mean.square() / (2 * block) - math.log(2 * block)
        covariance = vectors.transpose(1, 2) @ vectors / count
        identity = torch.eye(block, dtype=noise.dtype, device=noise.device)
        away = torch.linalg.matrix_norm(covariance - identity, ord=2)
        excess = ((1.0 + away).sqrt() - 1.0 - math.sqrt(block / count)).clamp_min(0.0)
        about_covariance = count * excess.square() / 2 - math.log(2.0)
        total = total + torch.maximum(about_mean, about_covariance).clamp_min(0.0)
    return total / flat.shape[1]


@torch.no_grad()
def drawn_back(pull: Tensor, result: Tensor, draft: Tensor, share: float) -> Tensor:
    """An objective's gradient at a result, with one back to the draft beside it (ours).

    Of all results that meet a wish, those near the one that the model gave unasked are wanted. A
    penalty on their distance would need a weight for each objective's units; the pull's length as a
    share of the objective's own needs none. Below 1 a step against the sum still lowers the
    objective, and what does not serve it goes back.

    Args:
        pull: gradient of the objective by `result` `[batch, channels, steps]`.
        draft: the result of the noise as it was drawn.
        share: of the length of `pull`, item by item.

    Returns:
        Of the shape of `pull`; the same where the result is the draft.
    """
    dims = tuple(range(1, pull.ndim))
    away = result - draft
    length, distance = (
        torch.linalg.vector_norm(value, dim=dims, keepdim=True) for value in (pull, away)
    )
    back: Tensor = share * length * away / distance.clamp_min(torch.finfo(away.dtype).tiny)
    return pull + back


@torch.no_grad()
def hold_norm(noise: Tensor, start: Tensor, drift: float) -> float:
    """Scale each item of `noise` in place so that its norm stays near that of `start`.

    Args:
        drift: largest relative change.

    Returns:
        The largest relative change that is left.
    """
    dims = tuple(range(1, noise.ndim))
    norm = torch.linalg.vector_norm(start, dim=dims, keepdim=True)
    ratio = torch.linalg.vector_norm(noise, dim=dims, keepdim=True) / norm
    held = ratio.clamp(1.0 - drift, 1.0 + drift)
    noise.mul_(held / ratio)
    return float((held - 1.0).abs().max())
