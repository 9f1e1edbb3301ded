"""Audio comes from files and lies on the CPU; a network may lie anywhere."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

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
