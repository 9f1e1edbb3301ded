"""Guidance of public models: one call of the network for both sides.

Of the plain kind, classifier-free guidance (Ho & Salimans 2022), and adaptive projected guidance
(APG): "Eliminating Oversaturation and Artifacts of High Guidance Scales in Diffusion Models" (Sadat
et al., ICLR 2025, section 4). That takes a running average of the difference between both sides,
whose negative momentum turns it away from where the steps before went; shortens it to a norm; and
leaves out what lies along the side that is wanted, from which oversaturation comes:

    m_k = d_k + β m_{k-1},   d = v_wanted - v_unwanted
    v = v_wanted + (w - 1) [m_k min(1, r / |m_k|)]⊥,   ⊥ to v_wanted

This is the paper with η = 0, as `AceStepPipeline` of diffusers has it: of velocities in place of
estimates of x_0, and with norms and products over time, for each channel by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import normalize

from engine.models.contracts import Denoiser
from engine.models.public.contract import Kept, Projection, PublicModel, Told


def guided_at_once(
    model: PublicModel, told: Told, other: Told, scale: float, kept: Kept | None = None
) -> Denoiser:
    """As `engine.sampling.guidance.guided` of two denoisers, with both sides in one batch; where
    the model's usage says so, with projected guidance.

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
    wanted = model.denoiser(told, kept)
    if scale == 1.0:
        return wanted
    if told.tokens.shape != other.tokens.shape:
        raise ValueError(
            f"tokens of {tuple(told.tokens.shape)} and {tuple(other.tokens.shape)} make no batch"
        )
    both = model.denoiser(told.beside(other), kept)
    if model.usage.projection is not None:
        return ProjectedGuidance(wanted, both, scale, model.usage.projection)

    def denoise(x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
        with_words, without = _sides(both, x, level, next_level)
        return without + scale * (with_words - without)

    return denoise


@dataclass(frozen=True, slots=True)
class ProjectedGuidance:
    """A denoiser under projected guidance, which remembers the running average (`Remembering`).

    Attributes:
        wanted: told what is wanted.
        both: told that, and what it is to go away from, for a batch of two halves.
        scale: w; 1 is the side that is wanted.
        projection: β, r, and where guidance acts.
    """

    wanted: Denoiser = field(repr=False)
    both: Denoiser = field(repr=False)
    scale: float
    projection: Projection

    def __call__(self, x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
        """As in the first step of a run."""
        return self.recalling(x, level, None)[0]

    def recalling(
        self, x: Tensor, level: float, memory: Tensor | None, /
    ) -> tuple[Tensor, Tensor | None]:
        """The estimate after the running average `memory`, and the average that follows it."""
        low, high = self.projection.interval
        if not low <= level <= high:
            return self.wanted(x, level), memory
        wanted, unwanted = _sides(self.both, x, level)
        average = (unwanted - wanted) / level
        if memory is not None:
            average = average + self.projection.momentum * memory
        update = _shortened(average, self.projection.longest)
        along = normalize(x - wanted, dim=-1)  # where the wanted velocity points
        update = update - (update * along).sum(dim=-1, keepdim=True) * along
        return wanted - level * (self.scale - 1.0) * update, average


def _sides(
    both: Denoiser, x: Tensor, level: float, next_level: float | None = None
) -> tuple[Tensor, Tensor]:
    """What is wanted and what is not, by one call."""
    wanted, unwanted = both(torch.cat([x, x]), level, next_level).chunk(2)
    return wanted, unwanted


def _shortened(update: Tensor, longest: float) -> Tensor:
    """Each channel's update over time, no longer than that; its direction stays."""
    norm = torch.linalg.vector_norm(update, dim=-1, keepdim=True)
    shorter: Tensor = update * (longest / norm.clamp_min(longest))
    return shorter
