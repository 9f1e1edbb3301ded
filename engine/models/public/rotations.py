"""Rotary positions of the transformers of Stable Audio Open."""

from __future__ import annotations

import torch
from torch import Tensor

_BASE = 10_000.0


class Rotations:
    """Cosines and sines by position, kept for each length."""

    def __init__(self, frequencies: Tensor) -> None:
        """Prepare.

        Args:
            frequencies: `[channels of a head that are rotated / 2]`, in radians to a position.
        """
        self._frequencies = frequencies.float()
        self._known: dict[int, tuple[Tensor, Tensor]] = {}

    def __call__(self, length: int) -> tuple[Tensor, Tensor]:
        """Of so many positions, the frequencies twice: `[length, channels that are rotated]`."""
        if length not in self._known:
            positions = torch.arange(length, device=self._frequencies.device).float()
            angles = torch.outer(positions, self._frequencies)
            angles = torch.cat([angles, angles], dim=-1)
            self._known[length] = angles.cos(), angles.sin()
        return self._known[length]


def rotary_frequencies(width: int, device: torch.device) -> Tensor:
    """Those of a head of which so many channels are rotated, `[width / 2]`."""
    exponents = torch.arange(0, width, 2, dtype=torch.float32) / width
    return (_BASE**-exponents).to(device)
