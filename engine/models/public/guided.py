"""Classifier-free guidance of public models: one call of the network for both sides."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.models.contracts import Denoiser
from engine.models.public.contract import Kept, PublicModel, Told


def guided_at_once(
    model: PublicModel, told: Told, other: Told, scale: float, kept: Kept | None = None
) -> Denoiser:
    """As `engine.sampling.guidance.guided` of two denoisers, with both sides in one batch.

    A network is asked half as often for batches twice as large, which a GPU does in little more
    time, and a CPU in somewhat less.

    Args:
        told: what is wanted.
        other: what it is to go away from, in as many tokens.
        scale: 1 is the model told what is wanted, at its price.

    Raises:
        ValueError: the two are told in different numbers of tokens, or there is something to keep
            and the model does not edit.
    """
    if scale == 1.0:
        return model.denoiser(told, kept)
    if told.tokens.shape != other.tokens.shape:
        raise ValueError(
            f"tokens of {tuple(told.tokens.shape)} and {tuple(other.tokens.shape)} make no batch"
        )
    both = model.denoiser(told.beside(other), kept)

    def denoise(x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
        wanted, unwanted = both(torch.cat([x, x]), level, next_level).chunk(2)
        return unwanted + scale * (wanted - unwanted)

    return denoise
