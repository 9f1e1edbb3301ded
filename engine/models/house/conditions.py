"""What the embedded model can be told about each frame, as one stack of input channels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engine.models.house.codec import LATENT_CHANNELS, SpectralCodec
from engine.models.house.network import BEAT_CHANNELS, CHROMA_CHANNELS
from engine.models.studio import FrameConditions

LEVEL_SMOOTHING_STEPS = 43  # one second
_LEVEL_CENTRE_DB = 0.0
_LEVEL_SPREAD_DB = 12.0


def stack(frames: FrameConditions) -> Tensor:
    """Input channels `[batch, FRAME_CHANNELS, steps]`, with a flag beside each condition."""
    parts = [frames.kept * frames.kept_mask, frames.kept_mask]
    for value, channels in (
        (frames.melody_chroma, CHROMA_CHANNELS),
        (frames.beat, BEAT_CHANNELS),
        (frames.level, 1),
    ):
        parts += [_or_zeros(frames, value, channels), _said(frames, value)]
    parts += [_or_zeros(frames, frames.melody_onsets, CHROMA_CHANNELS)]
    parts += [_or_zeros(frames, frames.context, LATENT_CHANNELS), _said(frames, frames.context)]
    return torch.cat(parts, dim=1)


def _or_zeros(frames: FrameConditions, value: Tensor | None, channels: int) -> Tensor:
    batch, _, steps = frames.kept.shape
    return frames.kept.new_zeros(batch, channels, steps) if value is None else value


def _said(frames: FrameConditions, value: Tensor | None) -> Tensor:
    return torch.full_like(frames.kept_mask, float(value is not None))


def level_curve(codec: SpectralCodec, latent: Tensor) -> Tensor:
    """Loudness over time, smoothed over a second: `[batch, 1, steps]`, in units of 12 dB."""
    power = (10.0 ** (2 * codec.log_mel(latent))).mean(dim=-2)
    level_db = 10 * torch.log10(power.clamp_min(1e-6))
    level_db = functional.avg_pool1d(level_db[:, None], 2)
    kernel, half = LEVEL_SMOOTHING_STEPS, LEVEL_SMOOTHING_STEPS // 2
    padded = functional.pad(level_db, (half, half), mode="replicate")
    smooth = functional.avg_pool1d(padded, kernel, 1)
    return (smooth - _LEVEL_CENTRE_DB) / _LEVEL_SPREAD_DB
