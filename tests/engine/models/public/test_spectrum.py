"""The mel spectrum of decoded latents against that of the embedded codec, and its gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.models.house.codec import MEL_BANDS, log_mel_and_pan
from engine.models.public.ace_step import AceStep
from engine.models.public.audioldm import AudioLDM2
from engine.models.public.folder import ModelFolder
from engine.models.public.resampling import resampled
from engine.models.public.spectrum import DecodedMel
from engine.models.public.stable_audio_3 import StableAudio3
from engine.models.public.stable_audio_open import StableAudioOpen
from tests.engine.models.public.test_models import double_precision

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")  # theirs


class _Plain:
    """Audio as its own latent: a step holds the samples of both sides."""

    def __init__(self, sample_rate_hz: int, step_samples: int) -> None:
        self.sample_rate_hz, self.step_samples = sample_rate_hz, step_samples
        self.latent_channels = 2 * step_samples

    def encode(self, audio: Tensor) -> Tensor:
        rows = audio.reshape(*audio.shape[:-1], -1, self.step_samples)
        return rows.transpose(-3, -2).flatten(-2).transpose(-1, -2)

    def decode(
        self,
        latent: Tensor,
        guide: Tensor | None = None,
        on_step: Callable[[], None] = lambda: None,
        *,
        change: float = 1.0,
    ) -> Tensor:
        return self.decode_part(latent, (0, latent.shape[-1]))

    def decode_part(
        self, latent: Tensor, span: tuple[int, int], on_step: Callable[[], None] = lambda: None
    ) -> Tensor:
        part = latent[..., span[0] : span[1]]
        rows = part.transpose(-1, -2).unflatten(-1, (2, self.step_samples))
        return rows.transpose(-3, -2).flatten(-2)


def _music(rate_hz: int, samples: int) -> Tensor:
    """A chord that swells, louder to the left, with silence before it: `[1, 2, samples]`."""
    time = torch.arange(samples, dtype=torch.float64) / rate_hz
    pitches_hz = torch.tensor([[110.0], [277.2], [1318.5], [5274.0]], dtype=torch.float64)
    tones = 0.2 * torch.sin(2 * math.pi * pitches_hz * time + pitches_hz) * (time > 0.2) * time
    return torch.stack([tones.sum(dim=0), 0.4 * tones[:2].sum(dim=0)])[None]


def test_the_terms_are_the_embedded_codec_s() -> None:
    """At its own rate and hop nothing differs at all."""
    audio = _music(44_100, 40 * 1024).float()
    codec = _Plain(44_100, 4096)
    found = DecodedMel(codec, 8)(codec.encode(audio))
    pairs, _ = log_mel_and_pan(audio)
    wanted = pairs.reshape(1, -1, MEL_BANDS).transpose(-1, -2)
    assert found.shape == wanted.shape == (1, 192, 80)
    assert torch.allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("rate_hz", "step_samples", "frames"), [(48_000, 1_920, 4), (16_000, 640, 4), (44_100, 2048, 4)]
)
def test_other_rates_sound_the_same(rate_hz: int, step_samples: int, frames: int) -> None:
    """The same music at the codec's rate is the same spectrum, at the codec's distance."""
    codec = _Plain(rate_hz, step_samples)
    mel = DecodedMel(codec, frames)
    steps = 30
    found = mel(codec.encode(_music(rate_hz, steps * step_samples)))
    samples = steps * step_samples * 44_100 // rate_hz
    wanted = mel.of_audio(_music(44_100, samples), steps * frames)
    assert mel.hop_samples in (441, 512)
    assert found.shape == wanted.shape == (1, 192, steps * frames)
    # the chord's switching on and its end have more treble at a higher rate
    inside = slice(40, -10)
    assert float((found - wanted)[..., inside].abs().max()) < 0.02


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 16_000])
def test_a_part_is_that_of_the_whole(rate_hz: int) -> None:
    """Frames see beyond their steps; the ends of the music are the whole's own ends."""
    step_samples, frames = rate_hz // 25, 3
    codec = _Plain(rate_hz, step_samples)
    latent = codec.encode(_music(rate_hz, 30 * step_samples))
    mel = DecodedMel(codec, frames)
    whole = mel(latent)
    for first, last in ((0, 30), (0, 4), (11, 12), (9, 23), (27, 30)):
        part = mel(latent, (first, last))
        assert part.shape[-1] == frames * (last - first)
        assert torch.allclose(part, whole[..., frames * first : frames * last], atol=1e-9)


def test_frames_between_samples_are_the_nearest() -> None:
    """64 samples at 8 kHz are 352.8 at 44.1 kHz, 176.4 to a frame."""
    codec = _Plain(8_000, 64)
    mel = DecodedMel(codec, 2)
    assert mel.hop_samples == Fraction(882, 5)
    audio = _music(8_000, 64 * 50)
    found = mel(codec.encode(audio))
    high = resampled(audio, 8_000, 44_100)
    for frame in (0, 1, 30, 77, 99):
        centre = round(frame * 176.4)
        padded = torch.nn.functional.pad(high, (1024, 2048))[..., centre : centre + 2048]
        alone = DecodedMel(_Plain(44_100, 2048), 1).of_audio(
            torch.nn.functional.pad(padded, (1024, 0)), 2
        )
        assert torch.allclose(found[..., frame], alone[..., 1], atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "opened", "frames"),
    [
        ("sa3", StableAudio3, 2),
        ("sao", StableAudioOpen, 1),
        ("ace", AceStep, 4),
        ("ldm2", AudioLDM2, 1),
    ],
)
def test_gradients_reach_the_latent(
    library: Path, kind: str, opened: Callable[[ModelFolder], Any], frames: int
) -> None:
    """Against central differences, through the public codecs."""
    model = opened(ModelFolder.open(library / kind))
    double_precision(model)
    mel = DecodedMel(_Unrounded(model.codec), frames)
    generator = torch.Generator().manual_seed(3)
    shape = (1, model.codec.latent_channels, 12)
    latent = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    along = torch.randn(shape, generator=generator, dtype=torch.float64)
    assert mel(latent).shape == (1, 192, 12 * frames)

    def loudness(latent: Tensor) -> Tensor:
        return mel(latent).sum(dim=1).square().mean()

    (gradient,) = torch.autograd.grad(loudness(latent), latent)
    found = float((gradient * along).sum())
    step = 1e-4
    with torch.no_grad():
        ahead, behind = (loudness(latent + sign * step * along) for sign in (1, -1))
    wanted = float(ahead - behind) / (2.0 * step)
    assert abs(found - wanted) < 2e-3 * abs(wanted)
    assert abs(wanted) > 1e-6


class _Unrounded:
    """A codec without the rounding to single precision at its end."""

    def __init__(self, codec: Any) -> None:
        self._codec = codec
        self.sample_rate_hz, self.step_samples = codec.sample_rate_hz, codec.step_samples
        self.latent_channels = codec.latent_channels
        self.encode = codec.encode

    def decode(self, latent: Tensor, *_: Any, **__: Any) -> Tensor:
        return self.decode_part(latent, (0, latent.shape[-1]))

    def decode_part(self, latent: Tensor, span: tuple[int, int], *_: Any) -> Tensor:
        assert span == (0, latent.shape[-1])
        codec = self._codec
        if not hasattr(codec, "_vocoder"):
            audio: Tensor = codec._network.decode(latent).sample
            return audio
        picture = codec._autoencoder.decode(codec.to_picture(latent) / codec._scale).sample
        mono: Tensor = codec._vocoder(picture[:, 0])
        return mono[:, None].expand(-1, 2, -1)


def test_a_step_has_frames() -> None:
    with pytest.raises(ValueError, match="cannot have 0 frames"):
        DecodedMel(_Plain(44_100, 4096), 0)
    with pytest.raises(ValueError, match="less than a sample apart"):
        DecodedMel(_Plain(44_100, 4), 8)
