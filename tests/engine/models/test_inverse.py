"""The inverse of the spectrum against the plain formulas, and pieces against the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from engine.models.house.codec import STEP_SAMPLES, SpectralCodec, istft, mel_filter_bank, stft
from engine.models.house.inverse import griffin_lim, linear_phases, mel_to_magnitude
from engine.models.house.model import default_weights_path


@pytest.fixture(scope="module")
def codec() -> SpectralCodec:
    return SpectralCodec.from_mapping(load_file(default_weights_path()))


def _chirps(samples: int, seed: int = 1) -> Tensor:
    """A falling tone in the middle, bursts of noise to the right; float32 `[2, samples]`."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(samples) / 44_100
    tone = 0.3 * np.sin(2 * np.pi * (600 * time_s - 40 * time_s**2))
    noise = 0.1 * rng.standard_normal(samples) * (time_s % 0.3 < 0.05)
    return torch.tensor(np.stack([tone, tone + noise]), dtype=torch.float32)


def _snr_db(reference: Tensor, other: Tensor) -> float:
    noise = (reference - other).square().sum().clamp_min(1e-30)
    return float(10 * torch.log10(reference.square().sum() / noise))


@pytest.mark.parametrize("momentum", [0.0, 0.99])
def test_griffin_lim_is_the_published_iteration(momentum: float) -> None:
    audio = _chirps(20 * STEP_SAMPLES).double()
    magnitude = stft(audio).abs()
    estimate = previous = magnitude * linear_phases(magnitude)
    for _ in range(4):
        rebuilt = stft(istft(estimate, audio.shape[-1]))
        estimate = rebuilt + momentum * (rebuilt - previous)
        estimate = magnitude * estimate / estimate.abs().clamp_min(1e-9)
        previous = rebuilt
    expected = istft(estimate, audio.shape[-1])
    phases = linear_phases(magnitude)
    found = griffin_lim(magnitude, phases, audio.shape[-1], 4, momentum)
    assert _snr_db(expected, found) > 80


def test_the_last_iterations_bring_the_bands_nearer() -> None:
    mel = mel_filter_bank() @ stft(_chirps(40 * STEP_SAMPLES)).abs()
    magnitude = mel_to_magnitude(mel, None, 10)
    errors = []
    for last in (0, 6):
        found = griffin_lim(
            magnitude,
            linear_phases(magnitude),
            40 * STEP_SAMPLES,
            16 - last,
            0.99,
            mel=mel,
            mel_iterations=last,
        )
        heard = mel_filter_bank() @ stft(found).abs()
        distance = torch.log10(heard.clamp_min(0.1)) - torch.log10(mel.clamp_min(0.1))
        errors.append(float(distance.abs().mean()))
    assert errors[1] < 0.9 * errors[0]


@pytest.mark.parametrize("guided", [False, True])
def test_pieces_equal_the_whole(codec: SpectralCodec, guided: bool) -> None:
    """Exactly so: in float64, because rounding grows over the iterations where nothing guides."""
    audio = _chirps(131 * STEP_SAMPLES).double()
    latent = codec.encode(audio)
    latent = latent + 0.1 * torch.randn(latent.shape, generator=torch.Generator().manual_seed(1))
    guide = audio if guided else None
    in_pieces = SpectralCodec(codec.basis, codec.refiner, piece_steps=40)
    assert _snr_db(codec.decode(latent, guide), in_pieces.decode(latent, guide)) > 100


def test_pieces_sound_as_the_whole_in_float32(codec: SpectralCodec) -> None:
    audio = _chirps(131 * STEP_SAMPLES)
    latent = codec.encode(audio)
    whole = codec.decode(latent)
    pieces = SpectralCodec(codec.basis, codec.refiner, piece_steps=40).decode(latent)
    bands = [
        torch.log10((mel_filter_bank() @ stft(wave).abs()).clamp_min(0.1))
        for wave in (whole, pieces)
    ]
    assert float((bands[0] - bands[1]).abs().mean()) < 0.01


def test_steps_are_counted_and_can_stop_the_work(codec: SpectralCodec) -> None:
    latent = codec.encode(_chirps(4 * STEP_SAMPLES))

    class StoppedError(Exception):
        pass

    def stop() -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        codec.decode(latent, on_step=stop)
