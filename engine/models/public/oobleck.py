"""The autoencoder Oobleck, of Stable Audio Open and ACE-Step."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from engine.models.public.pieces import PieceCodec, Pieces

_PIECE_STEPS = 256  # about 11 s


class OobleckCodec(PieceCodec):
    """The autoencoder Oobleck; a latent is the mean of its posterior, so it is always the same."""

    def __init__(self, network: Any) -> None:
        settings = network.config
        margin = oobleck_margin_steps(settings.downsampling_ratios)
        pieces = Pieces(_PIECE_STEPS, margin, int(network.hop_length))
        channels = int(settings.decoder_input_channels)
        super().__init__(network, int(settings.sampling_rate), channels, pieces)

    def _latent(self, audio: Tensor) -> Tensor:
        mean: Tensor = self._network.encode(audio).latent_dist.mode()
        return mean


def oobleck_margin_steps(ratios: list[int]) -> int:
    """Latent steps to each side that a step of the codec's output can depend on.

    Every convolution of width 7 reaches 3 samples of its own rate, dilated by 1, 3 and 9 in the
    residual units; changing the rate reaches one sample of the lower rate. Encoder and decoder
    mirror each other.
    """
    reach, to_a_step = 3.0, 1.0
    for ratio in reversed(ratios):
        reach += 1.0 / to_a_step
        to_a_step *= ratio
        reach += 3.0 * (1 + 3 + 9) / to_a_step
    return math.ceil(reach + 3.0 / to_a_step)
