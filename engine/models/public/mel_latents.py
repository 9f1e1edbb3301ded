"""Latents of mel spectrograms: a picture's autoencoder, and a vocoder behind it. One channel."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from engine.models.studio import Span

# Of the spectrograms that the public autoencoders and vocoders were trained on.
WINDOW_SAMPLES = 1024
_SMALLEST = 1e-5


class MelCodec:
    """Autoencoder and vocoder as one; a step holds every latent bin of its frames.

    Latent `[batch, channels × bins, steps]`: that of the picture `[batch, channels, steps, bins]`,
    scaled to unit variance as the network knows it.
    """

    def __init__(self, autoencoder: Any, vocoder: Any) -> None:
        self._autoencoder, self._vocoder = autoencoder, vocoder
        self.sample_rate_hz = int(vocoder.config.sampling_rate)
        self._hop_samples = math.prod(vocoder.config.upsample_rates)
        self._mel_bins = int(vocoder.config.model_in_dim)
        frames = 2 ** (len(autoencoder.config.block_out_channels) - 1)
        self.step_samples = frames * self._hop_samples
        self.latent_bins = self._mel_bins // frames
        self.latent_channels = int(autoencoder.config.latent_channels) * self.latent_bins
        self._scale = float(autoencoder.config.scaling_factor)
        import librosa  # takes a while

        filters = librosa.filters.mel(
            sr=self.sample_rate_hz, n_fft=WINDOW_SAMPLES, n_mels=self._mel_bins
        )
        self._filters = torch.from_numpy(filters).to(autoencoder.device)

    def encode(self, audio: Tensor) -> Tensor:
        """`[..., 2, samples]` to `[..., channels, steps]` of the mean of both sides.

        The audio may be on another device than the network; the latent comes back to it.
        """
        mono = audio.to(self._autoencoder.device).mean(dim=-2).reshape(-1, audio.shape[-1])
        mono = functional.pad(mono, (0, -mono.shape[-1] % self.step_samples))
        mel = self.log_mel(mono)[:, None].to(self._autoencoder.dtype)
        picture = self._autoencoder.encode(mel).latent_dist.mode() * self._scale
        latent = self.from_picture(picture.float()).to(audio.device)
        return latent.reshape(*audio.shape[:-2], *latent.shape[-2:])

    def decode(
        self,
        latent: Tensor,
        guide: Tensor | None = None,
        on_step: Callable[[], None] = lambda: None,
        *,
        change: float = 1.0,
    ) -> Tensor:
        """`[..., channels, steps]` to `[..., 2, samples]`, the same on both sides.

        As a whole: the autoencoder attends to all of it. Windows are no longer than ten seconds.
        """
        batch = latent.reshape(-1, *latent.shape[-2:]).to(self._autoencoder.dtype)
        picture = self.to_picture(batch) / self._scale
        mel = self._autoencoder.decode(picture).sample[:, 0]
        on_step()
        # public vocoders end 32 samples late: a kernel of 16 does not divide by its rate of 5
        mono = self._vocoder(mel).float()[..., : batch.shape[-1] * self.step_samples]
        audio: Tensor = mono[..., None, :].expand(-1, 2, -1)
        return audio.reshape(*latent.shape[:-2], *audio.shape[-2:])

    def decode_part(
        self, latent: Tensor, span: Span, on_step: Callable[[], None] = lambda: None
    ) -> Tensor:
        """The audio of some steps of a latent, of which all is decoded."""
        whole = self.decode(latent, None, on_step)
        return whole[..., span[0] * self.step_samples : span[1] * self.step_samples]

    def to_picture(self, latent: Tensor) -> Tensor:
        """`[batch, channels × bins, steps]` as `[batch, channels, steps, bins]`."""
        channels = latent.shape[1] // self.latent_bins
        shape = (latent.shape[0], channels, self.latent_bins, latent.shape[-1])
        return latent.reshape(shape).transpose(2, 3)

    def from_picture(self, picture: Tensor) -> Tensor:
        """The inverse of `to_picture`."""
        return picture.transpose(2, 3).flatten(1, 2)

    def log_mel(self, mono: Tensor) -> Tensor:
        """`[batch, samples]` to `[batch, frames, bins]`: magnitudes on Slaney's mel scale."""
        frames = mono.shape[-1] // self._hop_samples
        # what mirrors itself at its edges has to be longer than half a window
        mono = functional.pad(mono, (0, max(0, WINDOW_SAMPLES // 2 + 1 - mono.shape[-1])))
        window = torch.hann_window(WINDOW_SAMPLES, device=mono.device, dtype=mono.dtype)
        spectrum = torch.stft(
            mono, WINDOW_SAMPLES, self._hop_samples, window=window, return_complex=True
        ).abs()
        mel = torch.einsum("mf,bft->btm", self._filters.to(mono), spectrum[..., :frames])
        return mel.clamp_min(_SMALLEST).log()
