"""The refiner: bounded, symmetric, differentiable, absent where the weights have none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from engine.files.audio import read_clip
from engine.models.house.codec import (
    LATENT_CHANNELS,
    PAN_BANDS,
    SPECTRAL_CHANNELS,
    SpectralCodec,
    mel_filter_bank,
    stft,
)
from engine.models.house.model import default_weights_path
from engine.models.house.refiner import (
    BALANCE_LIMIT_NEPERS,
    PREFIX,
    REACH_STEPS,
    SPECTRUM_LIMIT_DECADES,
    Refiner,
)
from engine.render.finish import to_model

CLIPS = Path(__file__).resolve().parents[3] / "scripts" / "clips"


@pytest.fixture(scope="module")
def linear() -> SpectralCodec:
    """The shipped basis alone, as the first weights had it."""
    tensors = load_file(default_weights_path())
    return SpectralCodec.from_mapping(
        {name: value for name, value in tensors.items() if not name.startswith(PREFIX)}
    )


@pytest.fixture(scope="module")
def refiner() -> Refiner:
    """One that changes a lot: untrained, but with random last layers."""
    torch.manual_seed(0)
    made = Refiner(SPECTRAL_CHANNELS, PAN_BANDS, 384, 24, 16)
    for layer in (made.linear, made.linear_balance, made.spectrum, made.balance):
        torch.nn.init.normal_(layer.weight, std=0.1)
    return made.requires_grad_(False)


def _latent(steps: int = 12, seed: int = 3) -> Tensor:
    return torch.randn(LATENT_CHANNELS, steps, generator=torch.Generator().manual_seed(seed))


def test_weights_without_a_refiner_decode_linearly(linear: SpectralCodec) -> None:
    basis, latent = linear.basis, _latent()
    assert linear.refiner is None
    bands = (latent[:SPECTRAL_CHANNELS].T * basis.scale) @ basis.components + basis.mean
    assert torch.allclose(linear.log_mel(latent), bands.reshape(-1, 192).T, atol=1e-5)


def test_an_untrained_refiner_changes_nothing(linear: SpectralCodec) -> None:
    codec = SpectralCodec(linear.basis, Refiner(SPECTRAL_CHANNELS, PAN_BANDS, 384))
    for one, other in zip(
        codec.log_mel_and_gains(_latent()), linear.log_mel_and_gains(_latent()), strict=True
    ):
        assert torch.allclose(one, other, atol=1e-6)


def test_corrections_are_bounded(refiner: Refiner) -> None:
    spectrum, balance = refiner(100.0 * _latent())
    assert float(spectrum.abs().max()) <= SPECTRUM_LIMIT_DECADES
    assert float(balance.abs().max()) <= BALANCE_LIMIT_NEPERS


def test_swapped_sides_stay_swapped(refiner: Refiner) -> None:
    latent = _latent()
    swapped = torch.cat([latent[:SPECTRAL_CHANNELS], -latent[SPECTRAL_CHANNELS:]])
    spectrum, balance = refiner(latent)
    other_spectrum, other_balance = refiner(swapped)
    assert torch.allclose(spectrum, other_spectrum, atol=1e-6)
    assert torch.allclose(balance, -other_balance, atol=1e-6)


def test_no_pan_means_two_equal_channels(linear: SpectralCodec, refiner: Refiner) -> None:
    latent = _latent()
    latent[SPECTRAL_CHANNELS:] = 0.0
    decoded = SpectralCodec(linear.basis, refiner).decode(latent)
    assert torch.equal(decoded[0], decoded[1])


def test_a_silent_side_stays_silent(linear: SpectralCodec, refiner: Refiner) -> None:
    latent = _latent()
    latent[SPECTRAL_CHANNELS:] = 10.0  # beyond all on the left
    _, gains = SpectralCodec(linear.basis, refiner).log_mel_and_gains(latent)
    assert float(gains[1].max()) < 1e-4
    assert torch.allclose(gains[0], torch.full_like(gains[0], 2**0.5), atol=1e-5)


def test_it_sees_three_steps_either_side(refiner: Refiner) -> None:
    latent = _latent(steps=21)
    changed = latent.clone()
    changed[:, 10] += 1.0
    moved = (refiner(latent)[0] - refiner(changed)[0]).abs().amax(dim=0) > 0
    assert torch.nonzero(moved).flatten().tolist() == list(
        range(10 - REACH_STEPS, 10 + REACH_STEPS + 1)
    )


def test_log_mel_is_differentiable(linear: SpectralCodec, refiner: Refiner) -> None:
    codec = SpectralCodec(linear.basis, refiner)
    latent = _latent(steps=6).double().requires_grad_(True)
    direction = _latent(steps=6, seed=4).double()

    def loss(value: Tensor) -> Tensor:
        log_mel, gains = codec.log_mel_and_gains(value)
        return log_mel.square().mean() + gains.mean()

    (gradient,) = torch.autograd.grad(loss(latent), latent)
    step = 1e-6
    with torch.no_grad():
        numeric = (loss(latent + step * direction) - loss(latent - step * direction)) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(float(numeric), rel=1e-5)


def test_it_comes_back_from_its_tensors(refiner: Refiner) -> None:
    again = Refiner.from_mapping(refiner.to_mapping())
    assert again is not None
    for one, other in zip(again(_latent()), refiner(_latent()), strict=True):
        assert torch.allclose(one, other, atol=5e-3)
    assert Refiner.from_mapping({"codec.mean": torch.zeros(1)}) is None


@pytest.mark.parametrize("deviation", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("name", ["drums", "harmonic"])
def test_the_shipped_refiner_is_never_worse(name: str, deviation: float) -> None:
    codec = SpectralCodec.from_mapping(load_file(default_weights_path()))
    if codec.refiner is None:
        pytest.skip("these weights have no refiner")
    linear = SpectralCodec(codec.basis)
    audio = torch.from_numpy(to_model(read_clip(CLIPS / f"{name}.flac").samples, 44_100))
    truth = torch.log10((mel_filter_bank() @ stft(audio).abs()).clamp_min(0.1))
    latent = codec.encode(audio)
    latent = latent + deviation * _latent(latent.shape[-1])
    errors = []
    for one in (codec, linear):
        log_mel, gains = one.log_mel_and_gains(latent)
        found = (log_mel + torch.log10(gains.clamp_min(1e-4))).clamp_min(-1.0)
        frames = min(found.shape[-1], truth.shape[-1])
        errors.append(float((found[..., :frames] - truth[..., :frames]).abs().mean()))
    assert errors[0] <= errors[1]
