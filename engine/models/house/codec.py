"""The closed-form spectral codec: stereo audio at 44.1 kHz to 128 values, 43 times a second.

Forward: magnitude STFT (Hann 2048, hop 512) of the energy mean of both channels, 192 mel bands,
log10, two frames a step, projected to the leading principal components of music; beside them the
level difference of left and right in 16 bands. Everything forward is differentiable.

Backward: components to mel bands, mel bands to linear bins by non-negative multiplicative updates
(Lee & Seung 2001, "Algorithms for non-negative matrix factorization", with the filter bank held
fixed), phases by the fast Griffin-Lim algorithm (Perraudin, Balazs & Søndergaard 2013).

Both iterations accept a *guide*: audio known to be close to the answer, such as the prior that a
draft starts from. Where the latent agrees with the guide the multiplicative update is at its fixed
point and the guide's phases are consistent already, so unchanged music comes back as it was, with
its transients and its stereo field, and only what the model changed is estimated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

SAMPLE_RATE_HZ = 44_100
WINDOW_SAMPLES = 2048
HOP_SAMPLES = 512
FRAMES_PER_STEP = 2
STEP_SAMPLES = HOP_SAMPLES * FRAMES_PER_STEP
MEL_BANDS = 192
PAN_BANDS = 16
LATENT_CHANNELS = 128
SPECTRAL_CHANNELS = LATENT_CHANNELS - PAN_BANDS
LOG_FLOOR = 1e-3  # 114 dB below a full-scale sine
_PAN_SCALE = 0.35  # brings the level differences of typical mixes to about unit variance
_TRUST_LOG10 = 0.4  # change beyond which the guide's own detail no longer applies
_EPSILON = 1e-9

OnStep = Callable[[], None]


def _carry_on() -> None:
    """Nobody wants to stop the iteration."""


@lru_cache(maxsize=1)
def mel_filter_bank() -> Tensor:
    """Triangular mel filters of unit peak area (Slaney's scale), float32 `[192, 1025]`."""
    from librosa.filters import mel

    bank = mel(sr=SAMPLE_RATE_HZ, n_fft=WINDOW_SAMPLES, n_mels=MEL_BANDS, fmin=20.0, norm=None)
    # Narrow low bands can miss every bin centre; give such a band its nearest bin.
    centres = np.argmax(bank, axis=1)
    edges = np.linspace(0, bank.shape[1] - 1, bank.shape[1])
    for band in np.flatnonzero(bank.sum(axis=1) < 0.05):
        neighbours = centres[bank.sum(axis=1) >= 0.05]
        wanted = np.interp(band, np.flatnonzero(bank.sum(axis=1) >= 0.05), neighbours)
        bank[band, int(np.argmin(np.abs(edges - wanted)))] = 0.5
    return torch.from_numpy(np.ascontiguousarray(bank, dtype=np.float32))


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

    def to_mapping(self) -> dict[str, Tensor]:
        """Names as in the weights file."""
        return {
            "codec.mean": self.mean,
            "codec.components": self.components,
            "codec.scale": self.scale,
        }


def stft(audio: Tensor) -> Tensor:
    """Complex STFT of `[..., samples]`: `[..., 1025, frames]`, frame k centred on sample 512 k."""
    window = torch.hann_window(WINDOW_SAMPLES, dtype=audio.dtype, device=audio.device)
    flat = audio.reshape(-1, audio.shape[-1])
    spectrum = torch.stft(
        flat,
        WINDOW_SAMPLES,
        HOP_SAMPLES,
        window=window,
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    return spectrum.reshape(*audio.shape[:-1], *spectrum.shape[-2:])


def istft(spectrum: Tensor, samples: int) -> Tensor:
    """Inverse of `stft`, exactly `samples` long."""
    real = spectrum.real.dtype
    window = torch.hann_window(WINDOW_SAMPLES, dtype=real, device=spectrum.device)
    flat = spectrum.reshape(-1, *spectrum.shape[-2:])
    audio = torch.istft(
        flat, WINDOW_SAMPLES, HOP_SAMPLES, window=window, center=True, length=samples
    )
    return audio.reshape(*spectrum.shape[:-2], samples)


def griffin_lim(
    magnitude: Tensor,
    phases: Tensor,
    samples: int,
    iterations: int,
    momentum: float,
    on_step: OnStep = _carry_on,
) -> Tensor:
    """Audio whose STFT magnitude is near `magnitude` (fast Griffin-Lim, Perraudin et al. 2013).

    Args:
        magnitude: `[..., 1025, frames]`.
        phases: complex unit numbers of the same shape to start from.
        samples: length of the audio.
        momentum: 0.99 as published; 0 is the classic algorithm, which stays near its start.

    Returns:
        `[..., samples]`.
    """
    estimate = magnitude * phases
    previous = estimate
    for _ in range(iterations):
        on_step()
        rebuilt = stft(istft(estimate, samples))
        accelerated = rebuilt + momentum * (rebuilt - previous)
        previous = rebuilt
        estimate = magnitude * (accelerated / accelerated.abs().clamp_min(_EPSILON))
    return istft(estimate, samples)


def mel_to_magnitude(
    mel: Tensor, start: Tensor | None, iterations: int, on_step: OnStep = _carry_on
) -> Tensor:
    """Non-negative linear magnitudes whose mel bands are `mel`.

    Args:
        mel: `[..., 192, frames]` amplitudes.
        start: `[..., 1025, frames]` magnitudes to start from; absent, the clipped pseudo-inverse.
        iterations: multiplicative updates.
    """
    bank = mel_filter_bank().to(mel)
    if start is None:
        start = torch.linalg.pinv(bank) @ mel
    magnitude = start.clamp_min(1e-7)
    back_projected = bank.T @ mel
    heard = (bank.sum(dim=0) > 1e-4)[:, None]  # DC and the top bin are in no band: left as they are
    for _ in range(iterations):
        on_step()
        # Two products with the narrow bank cost a third of one with its Gram matrix.
        ratio = back_projected / (bank.T @ (bank @ magnitude)).clamp_min(_EPSILON)
        magnitude = torch.where(heard, magnitude * ratio, magnitude)
    return magnitude


class SpectralCodec:
    """Codec of the embedded model; see the module's text.

    Shapes: audio `[..., 2, samples]` float32 at 44.1 kHz, latent `[..., 128, steps]` where a step
    is 1024 samples.
    """

    sample_rate_hz = SAMPLE_RATE_HZ
    step_samples = STEP_SAMPLES
    latent_channels = LATENT_CHANNELS

    def __init__(
        self,
        basis: CodecBasis,
        *,
        mel_iterations: int = 60,
        phase_iterations: int = 48,
        guided_iterations: int = 12,
    ) -> None:
        self.basis = basis
        self.mel_iterations = mel_iterations
        self.phase_iterations = phase_iterations
        self.guided_iterations = guided_iterations

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

    def log_mel(self, latent: Tensor) -> Tensor:
        """Log10 mel amplitudes `[..., 192, 2 steps]` that the latent stands for; differentiable."""
        basis = self.basis
        spectral = latent[..., :SPECTRAL_CHANNELS, :].transpose(-1, -2) * basis.scale.to(latent)
        bands = spectral @ basis.components.to(latent) + basis.mean.to(latent)
        frames = bands.reshape(*bands.shape[:-2], -1, MEL_BANDS)
        return frames.transpose(-1, -2)

    def channel_gains(self, latent: Tensor) -> Tensor:
        """Amplitude of left and right against their mean, per mel band `[..., 2, 192, 2 steps]`."""
        pan = (latent[..., SPECTRAL_CHANNELS:, :] * _PAN_SCALE).clamp(-1.0, 1.0)
        fine = pan.repeat_interleave(MEL_BANDS // PAN_BANDS, dim=-2)
        fine = fine.repeat_interleave(FRAMES_PER_STEP, dim=-1)
        return torch.stack([1.0 + fine, 1.0 - fine], dim=-3).clamp_min(0.0).sqrt()

    @torch.no_grad()
    def decode(
        self,
        latent: Tensor,
        guide: Tensor | None = None,
        on_step: OnStep = _carry_on,
        *,
        change: float = 1.0,
    ) -> Tensor:
        """Audio `[..., 2, 1024 steps]`; `guide` is audio of that shape (see the module's text).

        `on_step` is called before every iteration and may raise to stop. `change` (0 to 1) says how
        far from the guide the latent may be: phases near it are re-estimated less, which keeps its
        attacks sharp.
        """
        latent = latent.float()
        samples = latent.shape[-1] * STEP_SAMPLES
        gains = _with_end(self.channel_gains(latent))
        mel = _with_end(10.0 ** self.log_mel(latent).clamp_max(3.5))
        if guide is not None:
            iterations = round(self.guided_iterations * change**2)
            wanted = mel.unsqueeze(-3) * gains
            return self._decode_guided(latent, wanted, guide.float(), iterations, on_step)
        magnitude = mel_to_magnitude(mel, None, self.mel_iterations, on_step)
        phases = torch.polar(torch.ones_like(magnitude), _linear_phases(magnitude))
        mono = griffin_lim(magnitude, phases, samples, self.phase_iterations, 0.99, on_step)
        spectrum = stft(mono).unsqueeze(-3)
        return istft(spectrum * _bands_to_bins(gains), samples)

    def _decode_guided(
        self, latent: Tensor, mel: Tensor, guide: Tensor, iterations: int, on_step: OnStep
    ) -> Tensor:
        """Decode near `guide`: bands the latent left alone keep the guide's exact magnitudes."""
        spectrum = stft(guide)
        start = spectrum.abs()
        known = self.encode(guide)
        known_mel = _with_end(10.0 ** self.log_mel(known).clamp_max(3.5)).unsqueeze(-3)
        known_mel = known_mel * _with_end(self.channel_gains(known))
        change = torch.log10(mel.clamp_min(LOG_FLOOR)) - torch.log10(known_mel.clamp_min(LOG_FLOOR))
        true_mel = mel_filter_bank().to(start) @ start
        lost = torch.log10((true_mel / known_mel.clamp_min(LOG_FLOOR)).clamp(1e-2, 1e2))
        trust = torch.exp(-((change / _TRUST_LOG10) ** 2))
        target = mel * 10.0 ** (lost * trust)
        target = torch.where(change.abs() < 1e-4, true_mel, target)
        magnitude = mel_to_magnitude(target, start, self.mel_iterations, on_step)
        phases = spectrum / start.clamp_min(_EPSILON)
        phases = torch.where(start > 1e-6, phases, torch.ones_like(phases))
        return griffin_lim(magnitude, phases, guide.shape[-1], iterations, 0.5, on_step)


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


def _bands_to_bins(gains: Tensor) -> Tensor:
    """Spread per-band gains `[..., 192, frames]` to bins by the filters' own weights."""
    bank = mel_filter_bank().to(gains)
    weight = bank.sum(dim=0).clamp_min(_EPSILON)
    spread = (bank.T @ gains) / weight[:, None]
    return torch.where(weight[:, None] > 1e-6, spread, torch.ones_like(spread))


def _linear_phases(magnitude: Tensor) -> Tensor:
    """Phases of steady partials: each bin advances by its centre frequency from frame to frame.

    A deterministic start, better than random phases for tones and as good for noise.
    """
    bins, frames = magnitude.shape[-2:]
    omega = 2 * torch.pi * HOP_SAMPLES / WINDOW_SAMPLES
    k = torch.arange(bins, device=magnitude.device, dtype=torch.float64)[:, None]
    m = torch.arange(frames, device=magnitude.device, dtype=torch.float64)[None, :]
    phases = torch.remainder(omega * k * m + torch.pi * k, 2 * torch.pi)
    return phases.to(magnitude).expand_as(magnitude)


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
