"""What the audio of a latent looks like: the mel spectrum that controls measure, through a codec.

The terms are those of the embedded codec (`engine.models.house.codec.log_mel_and_pan`): Hann of
2048 samples at 44.1 kHz, energy mean of both channels, 192 mel bands, log10 with a floor.
"""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor
from torch.nn import functional

from engine.models.house.spectra import (
    LOG_FLOOR,
    SAMPLE_RATE_HZ,
    WINDOW_SAMPLES,
    mel_filter_bank,
)
from engine.models.public.contract import PublicCodec
from engine.models.public.resampling import reach_samples, resampled
from engine.models.studio import Span

_SMALLEST_POWER = 1e-14  # where the root of a silent bin still has a slope


class DecodedMel:
    """Log10 mel amplitudes of decoded audio; gradients reach the latent.

    Attributes:
        frames_per_step: frames to a latent step.
        hop_samples: distance of frames at 44.1 kHz; not whole for every codec.
    """

    def __init__(self, codec: PublicCodec, frames_per_step: int) -> None:
        """Prepare.

        Args:
            codec: one whose `decode` is differentiable, at any rate.

        Raises:
            ValueError: no frame to a step, or frames less than a sample apart.
        """
        if frames_per_step < 1:
            raise ValueError(f"a step cannot have {frames_per_step} frames")
        step_samples = Fraction(codec.step_samples * SAMPLE_RATE_HZ, codec.sample_rate_hz)
        self.hop_samples = step_samples / frames_per_step
        if self.hop_samples < 1:
            raise ValueError(f"{frames_per_step} frames to a step are less than a sample apart")
        self.frames_per_step = frames_per_step
        self._codec = codec
        self._bank = mel_filter_bank()
        seen_samples = reach_samples(codec.sample_rate_hz, SAMPLE_RATE_HZ) + Fraction(
            WINDOW_SAMPLES // 2 * codec.sample_rate_hz, SAMPLE_RATE_HZ
        )
        self._beside_steps = math.ceil(seen_samples / codec.step_samples)

    def __call__(self, latent: Tensor, span: Span | None = None) -> Tensor:
        """`[batch, channels, steps]` to `[batch, 192, frames_per_step × steps]`.

        Frame k is centred on the sample nearest to `k × hop_samples`.

        Args:
            span: the steps whose frames are wanted, all of them where it is None; the others are
                decoded only as far as these frames and the codec see.
        """
        steps, frames = latent.shape[-1], self.frames_per_step
        first, last = span or (0, steps)
        start, stop = max(0, first - self._beside_steps), min(steps, last + self._beside_steps)
        audio = self._codec.decode_part(latent, (start, stop))
        audio = resampled(audio, self._codec.sample_rate_hz, SAMPLE_RATE_HZ)
        found = self.of_audio(audio, frames * (stop - start))
        return found[..., frames * (first - start) : frames * (last - start)]

    def of_audio(self, audio: Tensor, frames: int) -> Tensor:
        """The first frames of audio at 44.1 kHz: `[..., 2, samples]` to `[..., 192, frames]`."""
        power = self._spectrum(audio, frames).abs().square()
        middle = (power.mean(dim=-3) + _SMALLEST_POWER).sqrt()
        self._bank = self._bank.to(middle)  # there once, and not copied for every evaluation
        return torch.log10((self._bank @ middle).clamp_min(LOG_FLOOR))

    def _spectrum(self, audio: Tensor, frames: int) -> Tensor:
        """Complex spectra `[..., 1025, frames]`, silence beyond both ends."""
        flat = audio.reshape(-1, audio.shape[-1])
        centres = [round(index * self.hop_samples) for index in range(frames)]
        after = max(0, centres[-1] + WINDOW_SAMPLES // 2 - audio.shape[-1])
        flat = functional.pad(flat, (WINDOW_SAMPLES // 2, after))
        window = torch.hann_window(WINDOW_SAMPLES, dtype=audio.dtype, device=audio.device)
        if self.hop_samples.denominator == 1:
            hop = int(self.hop_samples)
            spectrum = torch.stft(
                flat, WINDOW_SAMPLES, hop, window=window, center=False, return_complex=True
            )[..., :frames]
        else:
            starts = torch.tensor(centres, device=audio.device)
            at = starts[:, None] + torch.arange(WINDOW_SAMPLES, device=audio.device)
            spectrum = torch.fft.rfft(flat[:, at] * window).transpose(-1, -2)
        return spectrum.reshape(*audio.shape[:-1], *spectrum.shape[-2:])
