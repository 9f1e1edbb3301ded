"""The spectral codec: stereo audio at 44.1 kHz to 128 values, 43 times a second.

Forward: magnitude STFT (Hann 2048, hop 512) of the energy mean of both channels, 192 mel bands,
log10, two frames a step, projected to the leading principal components of music; beside them the
level difference of left and right in 16 bands. Everything forward is closed-form and
differentiable.

Backward: components to mel bands, corrected by a learned refiner from neighbouring steps
(`refiner`; weights without one decode linearly); mel bands to linear bins by non-negative
multiplicative updates (Lee & Seung 2001, "Algorithms for non-negative matrix factorization", with
the filter bank held fixed); phases by the fast Griffin-Lim algorithm (Perraudin, Balazs &
Søndergaard 2013), whose last iterations hold the mel bands alone (`inverse`).

Decoding accepts a *guide*: audio known to be close to the answer, such as the prior that a
draft starts from. Where the latent agrees with the guide the multiplicative update is at its fixed
point and the guide's phases are consistent already, so unchanged music comes back as it was, with
its transients and its stereo field, and only what the model changed is estimated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.models.house.inverse import (
    OnStep,
    bands_to_bins,
    carry_on,
    griffin_lim,
    linear_phases,
    mel_to_magnitude,
)
from engine.models.house.refiner import REACH_STEPS, Refiner
from engine.models.house.spectra import (
    FRAMES_PER_STEP,
    HOP_SAMPLES,
    LOG_FLOOR,
    MEL_BANDS,
    SAMPLE_RATE_HZ,
    STEP_SAMPLES,
    WINDOW_SAMPLES,
    istft,
    mel_filter_bank,
    stft,
)

__all__ = [
    "FRAMES_PER_STEP",
    "HOP_SAMPLES",
    "LATENT_CHANNELS",
    "LOG_FLOOR",
    "MEL_BANDS",
    "PAN_BANDS",
    "SAMPLE_RATE_HZ",
    "SPECTRAL_CHANNELS",
    "STEP_SAMPLES",
    "WINDOW_SAMPLES",
    "CodecBasis",
    "SpectralCodec",
    "fit_basis",
    "griffin_lim",
    "istft",
    "log_mel_and_pan",
    "mel_filter_bank",
    "mel_to_magnitude",
    "stft",
]

PAN_BANDS = 16
LATENT_CHANNELS = 128
# Decoded at a time. The spectra of twice as many exceed 32 MiB, the largest blocks that glibc keeps
# for the next one who asks; all others are faulted in anew each time, and take longer.
PIECE_STEPS = 512
SPECTRAL_CHANNELS = LATENT_CHANNELS - PAN_BANDS
_PAN_SCALE = 0.35  # brings the level differences of typical mixes to about unit variance
_TRUST_LOG10 = 0.4  # change beyond which the guide's own detail no longer applies
_MOMENTUM = 0.99  # as published for fast Griffin-Lim
_EPSILON = 1e-9
_SILENT_SIDE = 1e-12  # energy against the mean of both sides


@dataclass(frozen=True, slots=True)
class CodecBasis:
    """The learned part: the principal components, fitted once on the training pieces.

    Attributes:
        mean: `[384]` mean log-mel pair of frames.
        components: `[112, 384]` orthonormal rows.
        scale: `[112]` divisor that brings each component near unit variance.
    """

    mean: Tensor
    components: Tensor
    scale: Tensor

    @classmethod
    def from_mapping(cls, tensors: Mapping[str, Tensor]) -> CodecBasis:
        """Take the basis out of the weights file."""
        return cls(*(tensors[f"codec.{name}"].float() for name in ("mean", "components", "scale")))

    def to(self, device: torch.device | str) -> CodecBasis:
        """The same on a device."""
        return CodecBasis(*(part.to(device) for part in (self.mean, self.components, self.scale)))

    def to_mapping(self) -> dict[str, Tensor]:
        """Names as in the weights file."""
        return {
            "codec.mean": self.mean,
            "codec.components": self.components,
            "codec.scale": self.scale,
        }


class SpectralCodec:
    """Codec of the embedded model; see the module's text.

    Shapes: audio `[..., 2, samples]` float32 at 44.1 kHz, latent `[..., 128, steps]` where a step
    is 1024 samples.
    """

    sample_rate_hz = SAMPLE_RATE_HZ
    step_samples = STEP_SAMPLES
    latent_channels = LATENT_CHANNELS
    window_samples = WINDOW_SAMPLES
    frames_per_step = FRAMES_PER_STEP

    def __init__(
        self,
        basis: CodecBasis,
        refiner: Refiner | None = None,
        *,
        magnitude_iterations: int = 15,
        phase_iterations: int = 24,
        mel_iterations: int = 8,
        guided_iterations: int = 12,
        piece_steps: int = PIECE_STEPS,
    ) -> None:
        self.basis = basis
        self.refiner = refiner
        self.magnitude_iterations = magnitude_iterations
        self.phase_iterations = phase_iterations
        self.mel_iterations = mel_iterations
        self.guided_iterations = guided_iterations
        self.piece_steps = 2 * -(-piece_steps // 2)

    @classmethod
    def from_mapping(
        cls, tensors: Mapping[str, Tensor], device: torch.device | str = "cpu"
    ) -> SpectralCodec:
        """The codec of a weights file; one without a refiner decodes linearly."""
        refiner = Refiner.from_mapping(tensors)
        return cls(
            CodecBasis.from_mapping(tensors).to(device),
            None if refiner is None else refiner.to(device),
        )

    def to_mapping(self) -> dict[str, Tensor]:
        """Names as in the weights file."""
        refiner = {} if self.refiner is None else self.refiner.to_mapping()
        return self.basis.to_mapping() | refiner

    def encode(self, audio: Tensor) -> Tensor:
        """Latent of `audio`; the length is padded with silence to whole steps."""
        bands, pan = log_mel_and_pan(audio)
        return self.project(bands, pan)

    def project(self, bands: Tensor, pan: Tensor) -> Tensor:
        """Log-mel pairs `[..., steps, 384]` and pan `[..., steps, 16]` to a latent."""
        basis = self.basis
        spectral = (bands - basis.mean.to(bands)) @ basis.components.to(bands).T
        spectral = spectral / basis.scale.to(bands)
        return torch.cat([spectral, pan / _PAN_SCALE], dim=-1).transpose(-1, -2)

    def log_mel(self, latent: Tensor, span: tuple[int, int] | None = None) -> Tensor:
        """Log10 mel amplitudes `[..., 192, 2 steps]` that the latent stands for; differentiable.

        Args:
            span: the steps whose frames are wanted; None for all. None of them costs much.
        """
        frames = self.linear_log_mel(latent)
        if self.refiner is not None:
            frames = frames + _to_frames(self.refiner(latent)[0])
        first, last = span or (0, latent.shape[-1])
        return frames[..., FRAMES_PER_STEP * first : FRAMES_PER_STEP * last]

    def log_mel_and_gains(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """`log_mel`, and the amplitude of left and right against their mean in each mel band,
        `[..., 2, 192, 2 steps]`."""
        frames = self.linear_log_mel(latent)
        pan = (latent[..., SPECTRAL_CHANNELS:, :] * _PAN_SCALE).clamp(-1.0, 1.0)
        fine = pan.repeat_interleave(MEL_BANDS // PAN_BANDS, dim=-2)
        fine = fine.repeat_interleave(FRAMES_PER_STEP, dim=-1)
        left, right = 1.0 + fine, 1.0 - fine
        if self.refiner is not None:
            spectrum, balance = (_to_frames(part) for part in self.refiner(latent))
            frames = frames + spectrum
            left, right = left * balance.exp(), right * (-balance).exp()
            total = (0.5 * (left + right)).clamp_min(_EPSILON)
            left, right = left / total, right / total
        # The root has no slope at a silent side.
        return frames, torch.stack([left, right], dim=-3).clamp_min(_SILENT_SIDE).sqrt()

    def linear_log_mel(self, latent: Tensor) -> Tensor:
        """`log_mel` without the refiner: cheap, and the same whichever refiner the weights have."""
        basis = self.basis
        spectral = latent[..., :SPECTRAL_CHANNELS, :].transpose(-1, -2) * basis.scale.to(latent)
        bands = spectral @ basis.components.to(latent) + basis.mean.to(latent)
        return _to_frames(bands.transpose(-1, -2))

    @torch.no_grad()
    def decode(
        self,
        latent: Tensor,
        guide: Tensor | None = None,
        on_step: OnStep = carry_on,
        *,
        change: float = 1.0,
    ) -> Tensor:
        """Audio `[..., 2, 1024 steps]`; `guide` is audio of that shape (see the module's text).

        Long latents are decoded in pieces that overlap by all that can matter, so that memory stays
        bounded and the result is that of one piece (but for rounding, which fast Griffin-Lim
        amplifies where there is no guide: 25 dB below the signal or less).

        `on_step` is called before every iteration and may raise to stop. `change` (0 to 1) says how
        far from the guide the latent may be: phases near it are re-estimated less, which keeps its
        attacks sharp.
        """
        latent = latent if latent.dtype == torch.float64 else latent.float()
        steps = latent.shape[-1]
        reach, pieces = self._reach_steps(guide is not None), []
        for start in range(0, steps, self.piece_steps):
            end = min(steps, start + self.piece_steps)
            first, last = max(0, start - reach), min(steps, end + reach)
            near = None if guide is None else guide[..., first * STEP_SAMPLES : last * STEP_SAMPLES]
            piece = self._decode_piece(latent[..., first:last], near, on_step, change)
            pieces.append(piece[..., (start - first) * STEP_SAMPLES : (end - first) * STEP_SAMPLES])
        return torch.cat(pieces, dim=-1)

    def _reach_steps(self, guided: bool) -> int:
        """Steps beyond which nothing matters to a decoded one, even as the first phases repeat."""
        iterations = self.phase_iterations + self.mel_iterations
        iterations = self.guided_iterations if guided else iterations
        frames = (iterations + 2) * (WINDOW_SAMPLES // HOP_SAMPLES - 1)
        return 2 * (-(-frames // (2 * FRAMES_PER_STEP)) + -(-REACH_STEPS // 2))

    def _decode_piece(
        self, latent: Tensor, guide: Tensor | None, on_step: OnStep, change: float
    ) -> Tensor:
        samples = latent.shape[-1] * STEP_SAMPLES
        log_mel, gains = (_with_end(part) for part in self.log_mel_and_gains(latent))
        mel = 10.0 ** log_mel.clamp_max(3.5)
        if guide is None:
            return self.from_mel(mel, gains, samples, on_step)
        iterations = round(self.guided_iterations * change**2)
        return self._decode_guided(mel.unsqueeze(-3) * gains, guide.to(mel), iterations, on_step)

    def from_mel(
        self, mel: Tensor, gains: Tensor, samples: int, on_step: OnStep = carry_on
    ) -> Tensor:
        """Audio of mel amplitudes `[..., 192, frames]` and gains as from `log_mel_and_gains`.

        Phases of the middle come first, so that the sides agree; then each side finds its own.
        """
        magnitude = mel_to_magnitude(mel, None, self.magnitude_iterations, on_step)
        phases = linear_phases(magnitude)
        together = self.mel_iterations // 4
        mono = griffin_lim(
            magnitude,
            phases,
            samples,
            self.phase_iterations,
            _MOMENTUM,
            on_step,
            mel=mel,
            mel_iterations=together,
        )
        spectrum = stft(mono).unsqueeze(-3) * bands_to_bins(gains)
        magnitude = spectrum.abs()
        return griffin_lim(
            magnitude,
            spectrum / magnitude.clamp_min(_EPSILON),
            samples,
            0,
            _MOMENTUM,
            on_step,
            mel=mel.unsqueeze(-3) * gains,
            mel_iterations=self.mel_iterations - together,
        )

    def _decode_guided(
        self, mel: Tensor, guide: Tensor, iterations: int, on_step: OnStep
    ) -> Tensor:
        """Decode near `guide`: bands the latent left alone keep the guide's exact magnitudes."""
        spectrum = stft(guide)
        start = spectrum.abs()
        known = self.encode(guide)
        log_mel, gains = (_with_end(part) for part in self.log_mel_and_gains(known))
        known_mel = (10.0 ** log_mel.clamp_max(3.5)).unsqueeze(-3) * gains
        change = torch.log10(mel.clamp_min(LOG_FLOOR)) - torch.log10(known_mel.clamp_min(LOG_FLOOR))
        true_mel = mel_filter_bank().to(start) @ start
        lost = torch.log10((true_mel / known_mel.clamp_min(LOG_FLOOR)).clamp(1e-2, 1e2))
        trust = torch.exp(-((change / _TRUST_LOG10) ** 2))
        target = mel * 10.0 ** (lost * trust)
        target = torch.where(change.abs() < 1e-4, true_mel, target)
        magnitude = mel_to_magnitude(target, start, self.magnitude_iterations, on_step)
        phases = spectrum / start.clamp_min(_EPSILON)
        phases = torch.where(start > 1e-6, phases, torch.ones_like(phases))
        return griffin_lim(magnitude, phases, guide.shape[-1], iterations, 0.5, on_step)


def _to_frames(pairs: Tensor) -> Tensor:
    """Values of both frames of a step `[..., 384, steps]` in a row: `[..., 192, 2 steps]`."""
    frames = pairs.transpose(-1, -2)
    return frames.reshape(*frames.shape[:-2], -1, MEL_BANDS).transpose(-1, -2)


def _with_end(frames: Tensor) -> Tensor:
    """Append the frame centred on the end of the audio, which belongs to no step."""
    return torch.cat([frames, frames[..., -1:]], dim=-1)


def log_mel_and_pan(audio: Tensor) -> tuple[Tensor, Tensor]:
    """What the codec keeps before the projection.

    Args:
        audio: `[..., 2, samples]`.

    Returns:
        log10 mel amplitudes as pairs of frames `[..., steps, 384]`, and (left - right) / (left +
        right) energies `[..., steps, 16]`.
    """
    steps = -(-audio.shape[-1] // STEP_SAMPLES)
    audio = torch.nn.functional.pad(audio, (0, steps * STEP_SAMPLES - audio.shape[-1]))
    power = stft(audio).abs().square()[..., : steps * FRAMES_PER_STEP]
    bank = mel_filter_bank().to(power)
    middle = (power.mean(dim=-3) + 1e-14).sqrt()
    bands = torch.log10((bank @ middle).clamp_min(LOG_FLOOR))
    pairs = bands.transpose(-1, -2).reshape(*bands.shape[:-2], steps, -1)
    energy = (
        (bank @ power)
        .reshape(*power.shape[:-2], PAN_BANDS, MEL_BANDS // PAN_BANDS, steps, FRAMES_PER_STEP)
        .sum(dim=(-3, -1))
    )
    left, right = energy[..., 0, :, :], energy[..., 1, :, :]
    pan = (left - right) / (left + right + 1e-8)
    return pairs, pan.transpose(-1, -2)


def fit_basis(pairs: Tensor) -> CodecBasis:
    """Principal components of log-mel pairs `[n, 384]`, partly whitened.

    The divisor is the geometric mean of each component's own deviation and the median one: full
    whitening would spend the model on components that are noise, none would drown the timbre in
    the loudness.
    """
    mean = pairs.mean(dim=0)
    covariance = torch.cov((pairs - mean).T.double())
    values, vectors = torch.linalg.eigh(covariance)
    order = torch.argsort(values, descending=True)[:SPECTRAL_CHANNELS]
    deviation = values[order].clamp_min(1e-12).sqrt()
    median = deviation.median()
    scale = deviation.sqrt() * median.sqrt()
    return CodecBasis(mean.float(), vectors[:, order].T.float().contiguous(), scale.float())
