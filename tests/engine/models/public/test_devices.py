"""Audio comes from files and lies on the CPU; a network may lie anywhere."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from engine.models.public.mel_latents import MelCodec
from engine.models.public.pieces import PieceCodec, Pieces

_DEVICE = torch.device("meta")  # computes shapes and nothing else, and mixes with no other


class _Codec(PieceCodec):
    """One channel of means; what it is given has to be where its network is."""

    def __init__(self) -> None:
        network = SimpleNamespace(device=_DEVICE, dtype=torch.float16)
        super().__init__(network, 44_100, 1, Pieces(4, 1, 8))
        self.given: list[Tensor] = []

    def _latent(self, audio: Tensor) -> Tensor:
        self.given.append(audio)
        return torch.zeros(audio.shape[0], 1, audio.shape[-1] // 8)


@pytest.mark.parametrize("shape", [(2, 100), (3, 2, 64)])
def test_audio_is_taken_to_the_network_and_the_latent_back(shape: tuple[int, ...]) -> None:
    codec = _Codec()
    latent = codec.encode(torch.zeros(shape))
    assert {(given.device, given.dtype) for given in codec.given} == {(_DEVICE, torch.float16)}
    assert latent.device == torch.device("cpu")
    assert latent.shape == (*shape[:-2], 1, -(-shape[-1] // 8))


def test_a_mel_picture_is_made_where_the_network_is() -> None:
    given: list[Tensor] = []

    def encode(picture: Tensor) -> SimpleNamespace:
        given.append(picture)
        latent = torch.zeros(picture.shape[0], 8, picture.shape[2] // 4, picture.shape[3] // 4)
        return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: latent))

    config = SimpleNamespace(block_out_channels=(1, 2, 3), latent_channels=8, scaling_factor=1.0)
    network = SimpleNamespace(device=_DEVICE, dtype=torch.float32, config=config, encode=encode)
    vocoder = SimpleNamespace(
        config=SimpleNamespace(
            sampling_rate=16_000, upsample_rates=(5, 4, 2, 2, 2), model_in_dim=64
        )
    )
    codec = MelCodec(network, vocoder)
    latent = codec.encode(torch.zeros(2, 16_000))
    assert [picture.device for picture in given] == [_DEVICE]
    assert (latent.device, latent.shape) == (torch.device("cpu"), (8 * 16, 25))
