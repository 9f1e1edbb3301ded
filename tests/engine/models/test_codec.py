"""The spectral codec against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.models.house.codec import (
    MEL_BANDS,
    SPECTRAL_CHANNELS,
    STEP_SAMPLES,
    SpectralCodec,
    fit_basis,
    istft,
    log_mel_and_pan,
    mel_filter_bank,
    mel_to_magnitude,
    stft,
)
from engine.models.house.model import load_house


@pytest.fixture(scope="module")
def codec() -> SpectralCodec:
    return load_house().codec


def _music(steps: int = 60, seed: int = 1) -> Tensor:
    """Decaying chords over soft noise, a little to the left."""
    rng = np.random.default_rng(seed)
    time = np.arange(steps * STEP_SAMPLES) / 44_100
    wave = 0.01 * rng.standard_normal(len(time))
    for onset in np.arange(0.0, time[-1], 0.35):
        since = np.maximum(time - onset, 0.0)
        for pitch in rng.choice([220.0, 261.6, 329.6, 392.0, 523.3], 3, replace=False):
            tone = np.sin(2 * math.pi * pitch * since) * np.exp(-4 * since)
            wave += 0.12 * tone * (time >= onset)
    return torch.tensor(np.stack([wave, 0.6 * wave]), dtype=torch.float32)


def _snr_db(reference: Tensor, other: Tensor) -> float:
    return float(10 * torch.log10(reference.square().sum() / (reference - other).square().sum()))


def test_stft_inverts() -> None:
    audio = _music()
    assert _snr_db(audio, istft(stft(audio), audio.shape[-1])) > 100


def test_an_unchanged_latent_gives_the_guide_back(codec: SpectralCodec) -> None:
    audio = _music()
    assert _snr_db(audio, codec.decode(codec.encode(audio), guide=audio)) > 25


def test_without_a_guide_the_spectrum_comes_back(codec: SpectralCodec) -> None:
    audio = _music()
    latent = codec.encode(audio)
    again = codec.encode(codec.decode(latent))
    inner = slice(2, -2)
    heard = codec.log_mel(latent)[..., 4:-4]
    returned = codec.log_mel(again)[..., 4:-4]
    loud = heard > heard.max() - 2.5
    assert float((heard - returned)[loud].abs().mean()) < 0.12
    assert again[..., inner].shape == latent[..., inner].shape


def test_a_side_stays_a_side(codec: SpectralCodec) -> None:
    audio = _music()
    audio[1] *= 0.05
    decoded = codec.decode(codec.encode(audio))
    difference_db = 20 * math.log10(float(decoded[0].std() / decoded[1].std()))
    assert difference_db > 12


def test_silence_stays_silent(codec: SpectralCodec) -> None:
    decoded = codec.decode(codec.encode(torch.zeros(2, 20 * STEP_SAMPLES)))
    assert float(decoded.abs().max()) < 1e-3


@pytest.mark.parametrize("samples", [1, 1000, 1024, 1025, 40_000])
def test_any_length_becomes_whole_steps(codec: SpectralCodec, samples: int) -> None:
    latent = codec.encode(torch.zeros(2, samples))
    assert latent.shape == (128, -(-samples // STEP_SAMPLES))
    assert codec.decode(latent).shape == (2, latent.shape[-1] * STEP_SAMPLES)


def test_mel_inverse_keeps_what_already_fits() -> None:
    torch.manual_seed(0)
    magnitude = torch.rand(1025, 9) + 0.1
    mel = mel_filter_bank() @ magnitude
    assert torch.allclose(mel_to_magnitude(mel, magnitude, 30), magnitude, rtol=1e-3)


def test_mel_inverse_converges_from_anywhere() -> None:
    torch.manual_seed(0)
    mel = mel_filter_bank() @ (torch.rand(1025, 9) + 0.1)
    found = mel_filter_bank() @ mel_to_magnitude(mel, None, 200)
    assert float(((found - mel).abs() / mel).mean()) < 0.01


def test_every_mel_band_hears_something() -> None:
    bank = mel_filter_bank()
    assert bank.shape == (MEL_BANDS, 1025)
    assert bool((bank.sum(dim=1) > 0).all())
    assert bool((bank >= 0).all())


def test_basis_is_exact_for_data_of_its_rank() -> None:
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(SPECTRAL_CHANNELS - 2, 2 * MEL_BANDS, generator=generator)
    pairs = torch.randn(600, SPECTRAL_CHANNELS - 2, generator=generator) @ factors
    codec = SpectralCodec(fit_basis(pairs))
    latent = codec.project(pairs[:50], torch.zeros(50, 16))
    frames = codec.log_mel(latent).transpose(0, 1).reshape(50, -1)
    assert torch.allclose(frames, pairs[:50], atol=1e-2)


def test_encoding_is_differentiable(codec: SpectralCodec) -> None:
    audio = _music(steps=6).double()
    basis = codec.basis
    direction = torch.randn(audio.shape, generator=torch.Generator().manual_seed(1)).double()

    def loss(value: Tensor) -> Tensor:
        bands, pan = log_mel_and_pan(value)
        return codec.project(bands, pan).square().mean()

    audio.requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss(audio), audio)
    step = 1e-7
    with torch.no_grad():
        numeric = (loss(audio + step * direction) - loss(audio - step * direction)) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(float(numeric), rel=1e-3)
    assert basis.components.shape == (SPECTRAL_CHANNELS, 2 * MEL_BANDS)
