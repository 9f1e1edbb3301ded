"""Audio at another rate, by a polyphase windowed sinc that gradients pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from math import gcd

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

# Kaiser's design: 100 dB down where the lower rate's band ends, flat up to 0.91 of it.
_STOP_BAND_DB = 100.0
_PASSED = 0.91
_BETA = 0.1102 * (_STOP_BAND_DB - 8.7)


@dataclass(frozen=True, slots=True)
class _Bank:
    """A filter for each place that an output sample can have between two input samples.

    Attributes:
        filters: `[phases, 1, width]`, one for each of `phases` output samples in a row.
        stride_samples: input samples to so many output samples.
        before_samples: input samples that the filters see before the first.
    """

    filters: Tensor = field(repr=False)
    stride_samples: int
    before_samples: int


def resampled(audio: Tensor, from_hz: int, to_hz: int) -> Tensor:
    """Audio at another rate, without delay; silence lies beyond both ends.

    Args:
        audio: `[..., samples]`, floating point; differentiable.

    Returns:
        `[..., round(samples × to_hz / from_hz)]`, a half rounded up.

    Raises:
        ValueError: a rate is not positive.
    """
    if from_hz < 1 or to_hz < 1:
        raise ValueError(f"cannot resample from {from_hz} Hz to {to_hz} Hz")
    if from_hz == to_hz:
        return audio
    bank = _bank(from_hz, to_hz)
    phases, _, width = bank.filters.shape
    samples = audio.shape[-1]
    wanted = (2 * samples * to_hz + from_hz) // (2 * from_hz)
    rows = -(-wanted // phases)
    after = (rows - 1) * bank.stride_samples + width - bank.before_samples - samples
    flat = functional.pad(audio.reshape(-1, 1, samples), (bank.before_samples, max(0, after)))
    filters = bank.filters.to(device=audio.device, dtype=audio.dtype)
    found = functional.conv1d(flat, filters, stride=bank.stride_samples)[..., :rows]
    return found.transpose(1, 2).reshape(*audio.shape[:-1], -1)[..., :wanted]


def reach_samples(from_hz: int, to_hz: int) -> int:
    """How far around its own place an output sample hears the input, in samples of that."""
    return 0 if from_hz == to_hz else _bank(from_hz, to_hz).before_samples + 1


@lru_cache(maxsize=8)
def _bank(from_hz: int, to_hz: int) -> _Bank:
    """The filters in double precision."""
    common = gcd(from_hz, to_hz)
    phases, stride = to_hz // common, from_hz // common
    band = min(1.0, to_hz / from_hz)  # of the input's own
    transition = np.pi * (1.0 - _PASSED) * band
    reach = (_STOP_BAND_DB - 8.0) / (2.285 * transition) / 2.0  # input samples to each side
    before = int(np.ceil(reach))
    offsets = np.arange(-before, stride + before + 1)
    distance = offsets[None] - (np.arange(phases) * stride / phases)[:, None]
    inside = np.clip(1.0 - (distance / reach) ** 2, 0.0, None)
    window = np.where(np.abs(distance) < reach, np.i0(_BETA * np.sqrt(inside)) / np.i0(_BETA), 0.0)
    cutoff = band * (1.0 + _PASSED) / 2.0
    filters = cutoff * np.sinc(cutoff * distance) * window
    return _Bank(torch.from_numpy(filters)[:, None], stride, before)
