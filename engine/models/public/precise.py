"""What half precision must not round: tables of frequencies, and the noise level.

A network whose weights are rounded to 8 bits of mantissa still knows what it has learned. A table
of frequencies up to 10 000 does not survive that, since the angles are whole turns, and a noise
level is told apart from its neighbours by less.
"""

from __future__ import annotations

import math

import torch
from safetensors import safe_open
from torch import Tensor, nn

from engine.models.public.folder import ModelFolder


class LevelFeatures(nn.Module):
    """Fourier features of a noise level, in single precision whatever the network has.

    Stands where the network has its own, which is given the level in the network's precision; the
    exact one is said beforehand.

    Attributes:
        level: exact, `[1]`; set before every call of the network.
    """

    frequencies: Tensor

    def __init__(self, frequencies: Tensor) -> None:
        """Prepare.

        Args:
            frequencies: whole turns to a level of 1, `[features / 2]`.
        """
        super().__init__()
        # No parameter: by its parameters the network says of what precision it is.
        self.register_buffer("frequencies", frequencies.float(), persistent=False)
        self.level: Tensor | None = None

    def forward(self, rounded: Tensor) -> Tensor:
        """Cosines and sines `[1, features]` in the precision of what the network gives."""
        assert self.level is not None, "the exact level is said first"
        angles = 2.0 * math.pi * self.level.float()[:, None] * self.frequencies
        return torch.cat([angles.cos(), angles.sin()], dim=-1).to(rounded.dtype)


def stored_weight(folder: ModelFolder, part: str, name: str) -> Tensor | None:
    """One weight of a part as it is stored, in single precision; None where there is none."""
    variant = folder.variant(part)
    for file in sorted(folder.place(part).glob("*.safetensors")):
        if variant is not None and f".{variant}" not in file.name:
            continue
        with safe_open(file, "pt") as weights:
            if name in weights.keys():  # noqa: SIM118 - it is no mapping
                found: Tensor = weights.get_tensor(name).float()
                return found
    return None


def exponential_frequencies(lowest: float, highest: float, count: int) -> Tensor:
    """`[count]` evenly spaced on a logarithmic scale, in single precision."""
    ramp = torch.linspace(0.0, 1.0, count)
    return torch.exp(ramp * (math.log(highest) - math.log(lowest)) + math.log(lowest))
