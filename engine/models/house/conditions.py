"""What the embedded model can be told about each frame, as one stack of input channels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from engine.models.house.codec import LATENT_CHANNELS, SpectralCodec
from engine.models.house.network import BEAT_CHANNELS, CHROMA_CHANNELS

LEVEL_SMOOTHING_STEPS = 43  # one second
_LEVEL_CENTRE_DB = 0.0
_LEVEL_SPREAD_DB = 12.0


@dataclass(frozen=True, slots=True)
class FrameConditions:
    """Per-frame conditions of a batch of windows; `None` means not said.

    Attributes:
        kept: latent to keep `[batch, 128, steps]`.
        kept_mask: 1 where `kept` is given, 0 where the model is free `[batch, 1, steps]`.
        melody_chroma: 0/1 pitch classes of the melody `[batch, 12, steps]`.
        beat: sines and cosines of the beat and bar phases `[batch, 4, steps]`.
        level: output of `level_curve` `[batch, 1, steps]`.
        melody_onsets: 1 where a note of the melody begins `[batch, 12, steps]`; heard only beside
            `melody_chroma`.
        context: latent of what sounds beside the part to be made `[batch, 128, steps]`.
    """

    kept: Tensor
    kept_mask: Tensor
    melody_chroma: Tensor | None = None
    beat: Tensor | None = None
    level: Tensor | None = None
    melody_onsets: Tensor | None = None
    context: Tensor | None = None

    def stack(self) -> Tensor:
        """Input channels `[batch, FRAME_CHANNELS, steps]`, with a flag beside each condition."""
        parts = [self.kept * self.kept_mask, self.kept_mask]
        for value, channels in (
            (self.melody_chroma, CHROMA_CHANNELS),
            (self.beat, BEAT_CHANNELS),
            (self.level, 1),
        ):
            parts += [self._or_zeros(value, channels), self._said(value)]
        parts += [self._or_zeros(self.melody_onsets, CHROMA_CHANNELS)]
        parts += [self._or_zeros(self.context, LATENT_CHANNELS), self._said(self.context)]
        return torch.cat(parts, dim=1)

    def _or_zeros(self, value: Tensor | None, channels: int) -> Tensor:
        batch, _, steps = self.kept.shape
        return self.kept.new_zeros(batch, channels, steps) if value is None else value

    def _said(self, value: Tensor | None) -> Tensor:
        return torch.full_like(self.kept_mask, float(value is not None))


def beat_channels(beat_phase: Tensor, bar_phase: Tensor) -> Tensor:
    """Phases in [0, 1) `[..., steps]` as `[..., 4, steps]`."""
    angles = 2 * torch.pi * torch.stack([beat_phase, bar_phase], dim=-2)
    return torch.cat([angles.sin(), angles.cos()], dim=-2)


def level_curve(codec: SpectralCodec, latent: Tensor) -> Tensor:
    """Loudness over time, smoothed over a second: `[batch, 1, steps]`, in units of 12 dB."""
    power = (10.0 ** (2 * codec.log_mel(latent))).mean(dim=-2)
    level_db = 10 * torch.log10(power.clamp_min(1e-6))
    level_db = functional.avg_pool1d(level_db[:, None], 2)
    kernel, half = LEVEL_SMOOTHING_STEPS, LEVEL_SMOOTHING_STEPS // 2
    padded = functional.pad(level_db, (half, half), mode="replicate")
    smooth = functional.avg_pool1d(padded, kernel, 1)
    return (smooth - _LEVEL_CENTRE_DB) / _LEVEL_SPREAD_DB
