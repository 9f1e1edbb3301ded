"""The differentiable resampler against closed forms and soxr."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
import torch
from torch import Tensor

from engine.models.public.resampling import resampled

RATES_HZ = [(48_000, 44_100), (16_000, 44_100), (44_100, 16_000)]


def _tone(hz: float, rate_hz: int, samples: int) -> Tensor:
    time = torch.arange(samples, dtype=torch.float64) / rate_hz
    return torch.sin(2 * np.pi * hz * time + 0.3)


def _inside(audio: Tensor, rate_hz: int) -> Tensor:
    """Without 20 ms at both ends, where what is beyond them counts."""
    edge = rate_hz // 50
    return audio[..., edge:-edge]


def _level_db(audio: Tensor) -> float:
    return float(10 * torch.log10(2 * audio.square().mean() + 1e-30))


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES_HZ)
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_a_tone_keeps_its_place_and_level(from_hz: int, to_hz: int, share: float) -> None:
    hz = share * min(from_hz, to_hz) / 2
    found = resampled(_tone(hz, from_hz, from_hz // 2), from_hz, to_hz)
    error = _inside(found - _tone(hz, to_hz, to_hz // 2), to_hz)
    assert _level_db(error) < -90.0


@pytest.mark.parametrize("above", [1.001, 1.05, 1.3])
def test_what_the_lower_rate_cannot_hold_is_gone(above: float) -> None:
    tone = _tone(above * 8_000, 44_100, 22_050)
    assert _level_db(_inside(resampled(tone, 44_100, 16_000), 16_000)) < -95.0


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_a_higher_rate_has_no_images(share: float) -> None:
    found = _inside(resampled(_tone(share * 8_000, 16_000, 16_000), 16_000, 44_100), 44_100)
    window = torch.hann_window(len(found), dtype=torch.float64) ** 4
    spectrum = (found * window).numpy()
    power = np.abs(np.fft.rfft(spectrum)) ** 2
    hz = np.fft.rfftfreq(len(spectrum), 1 / 44_100)
    assert 10 * np.log10(power[hz > 8_000].max() / power.max()) < -95.0


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES_HZ)
def test_it_agrees_with_soxr(from_hz: int, to_hz: int) -> None:
    """On noise well inside of what both let pass: soxr is less exact near the end of its band."""
    rng = np.random.default_rng(1)
    spectrum = np.fft.rfft(rng.standard_normal(from_hz))
    hz = np.fft.rfftfreq(from_hz, 1 / from_hz)
    spectrum[hz > 0.7 * min(from_hz, to_hz) / 2] = 0.0
    noise = np.fft.irfft(spectrum, from_hz)
    wanted = torch.from_numpy(soxr.resample(noise, from_hz, to_hz, quality="VHQ"))
    found = resampled(torch.from_numpy(noise), from_hz, to_hz)
    error = _inside(found - wanted, to_hz)
    assert _level_db(error) - _level_db(_inside(wanted, to_hz)) < -90.0


@pytest.mark.parametrize(
    ("samples", "from_hz", "to_hz", "wanted"),
    [
        (1_920, 48_000, 44_100, 1_764),
        (640, 16_000, 44_100, 1_764),
        (641, 16_000, 44_100, 1_767),
        (64, 8_000, 44_100, 353),
        (1, 16_000, 8_000, 1),
        (5_000, 44_100, 44_100, 5_000),
    ],
)
def test_the_length_is_exact(samples: int, from_hz: int, to_hz: int, wanted: int) -> None:
    audio = torch.randn(3, 2, samples)
    found = resampled(audio, from_hz, to_hz)
    assert found.shape == (3, 2, wanted)
    assert found.dtype == torch.float32
    for index in np.ndindex(3, 2):
        assert torch.allclose(found[index], resampled(audio[index], from_hz, to_hz), atol=1e-6)


def test_gradients_are_those_of_differences() -> None:
    audio = torch.randn(2, 40, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: resampled(given, 160, 147), audio)
    assert torch.autograd.gradcheck(lambda given: resampled(given, 16, 44), audio)


@pytest.mark.parametrize("rates_hz", [(0, 44_100), (44_100, -1)])
def test_a_rate_has_to_be_one(rates_hz: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="cannot resample"):
        resampled(torch.zeros(10), *rates_hz)
