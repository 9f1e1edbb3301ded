"""What the embedded model can be told about each frame, as one stack of input channels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engine.chroma import mel_chroma
from engine.models.house.codec import FRAMES_PER_STEP, LATENT_CHANNELS
from engine.models.house.network import BEAT_CHANNELS, CHROMA_CHANNELS
from engine.models.house.spectra import SAMPLE_RATE_HZ
from engine.models.studio import FrameConditions

LEVEL_SMOOTHING_STEPS = 43  # one second
_LEVEL_CENTRE_DB = 0.0
_LEVEL_SPREAD_DB = 12.0
HARMONY_SMOOTHING_STEPS = 21  # half a second: chords, and not the notes that they are played as


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
    for value, channels in (
        (frames.context, LATENT_CHANNELS),
        (frames.harmony, CHROMA_CHANNELS),
    ):
        parts += [_or_zeros(frames, value, channels), _said(frames, value)]
    return torch.cat(parts, dim=1)


def _or_zeros(frames: FrameConditions, value: Tensor | None, channels: int) -> Tensor:
    batch, _, steps = frames.kept.shape
    return frames.kept.new_zeros(batch, channels, steps) if value is None else value


def _said(frames: FrameConditions, value: Tensor | None) -> Tensor:
    return torch.full_like(frames.kept_mask, float(value is not None))


def level_curve(log_mel: Tensor) -> Tensor:
    """Loudness over time, smoothed over a second: `[batch, 1, steps]`, in units of 12 dB.

    Args:
        log_mel: as the codec gives them `[batch, bands, 2 steps]`.
    """
    power = (10.0 ** (2 * log_mel)).mean(dim=-2, keepdim=True)
    level_db = 10 * torch.log10(power.clamp_min(1e-6))
    smooth = _smoothed(level_db, LEVEL_SMOOTHING_STEPS)
    return (smooth - _LEVEL_CENTRE_DB) / _LEVEL_SPREAD_DB


def harmony_curve(log_mel: Tensor) -> Tensor:
    """Pitch classes over time `[batch, 12, steps]`: how far each one's share lies above an equal
    one, in equal shares, smoothed over half a second.

    Args:
        log_mel: as the codec gives them `[batch, bands, 2 steps]`.
    """
    # Half the decades: amplitudes, so that the loudest partial does not drown the others.
    shares = mel_chroma(0.5 * log_mel, SAMPLE_RATE_HZ)
    return CHROMA_CHANNELS * _smoothed(shares, HARMONY_SMOOTHING_STEPS) - 1.0


def _smoothed(values: Tensor, steps: int) -> Tensor:
    """Frames `[batch, channels, 2 steps]` as steps, their running mean over `steps` (odd)."""
    each = functional.avg_pool1d(values, FRAMES_PER_STEP)
    padded = functional.pad(each, (steps // 2, steps // 2), mode="replicate")
    return functional.avg_pool1d(padded, steps, 1)
