"""Pitch classes of mel bands: what a melody is held against, what a model is told of harmony."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

HIGH_PASS_HZ = 261.2  # below middle C bands are cut as in Music ControlNet (Wu et al. 2023)
TOP_HZ = 4200.0
_SEMITONES = 12
_TOLERANCE_SEMITONES = 0.6


@lru_cache(maxsize=4)
def chroma_filters(bands: int, sample_rate_hz: int, low_hz: float) -> Tensor:
    """Weights `[12, bands]` from mel bands to pitch classes.

    Bands are centred as on Slaney's scale from `low_hz`; each spreads over the pitch classes near
    its centre. Above middle C the bands of the codec are narrower than a semitone or close to it.
    """
    from librosa import mel_frequencies

    centres = mel_frequencies(n_mels=bands + 2, fmin=low_hz, fmax=sample_rate_hz / 2)[1:-1]
    filters = torch.zeros(_SEMITONES, bands)
    for band, centre_hz in enumerate(centres):
        if not HIGH_PASS_HZ * 0.97 <= centre_hz <= TOP_HZ:
            continue
        pitch = 69.0 + 12.0 * math.log2(centre_hz / 440.0)
        for pitch_class in range(_SEMITONES):
            away = (pitch - pitch_class + 6.0) % 12.0 - 6.0
            filters[pitch_class, band] = math.exp(-0.5 * (away / _TOLERANCE_SEMITONES) ** 2)
    return filters


def mel_chroma(log_mel: Tensor, sample_rate_hz: int, low_hz: float = 20.0) -> Tensor:
    """Pitch-class probabilities `[..., 12, frames]` of log10 mel bands `[..., bands, frames]`."""
    filters = chroma_filters(log_mel.shape[-2], sample_rate_hz, low_hz).to(log_mel)
    energy = filters @ (10.0 ** (2.0 * log_mel))
    energy = energy + 1e-6
    return energy / energy.sum(dim=-2, keepdim=True)
