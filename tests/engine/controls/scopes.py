"""Small windows in float64 whose spectrum is linear in the latent."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.controls.control import Scope

CHANNELS, BANDS, STEPS = 6, 192, 24


def spectrum(latent: Tensor, span: tuple[int, int] | None = None) -> Tensor:
    """Log10 mel amplitudes `[batch, 192, 2 steps]`, linear in the latent, about 40 dB wide."""
    first, last = span or (0, latent.shape[-1])
    generator = torch.Generator().manual_seed(11)
    weights = torch.randn(2, BANDS, CHANNELS, generator=generator, dtype=torch.float64) * 0.3
    frames = torch.einsum("fbc,ncs->nbsf", weights, latent[..., first:last].double())
    return frames.flatten(2) + 0.5


def scope(start: int = 0, stop: int = STEPS, made: slice | None = None, seed: int = 1) -> Scope:
    """A window of a timeline of `STEPS`, finished at `made`."""
    generator = torch.Generator().manual_seed(seed)
    latent = torch.randn(1, CHANNELS, STEPS, generator=generator, dtype=torch.float64)
    finished = torch.zeros(1, 1, STEPS, dtype=torch.float64)
    if made is not None:
        finished[..., made] = 1.0
    return Scope(start, stop, latent, finished, spectrum)


def latents(batch: int = 2, steps: int = STEPS, seed: int = 3) -> Tensor:
    """Random latents `[batch, 6, steps]`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, CHANNELS, steps, generator=generator, dtype=torch.float64)
