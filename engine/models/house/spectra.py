"""The grid that the codec works on: short-time spectra, mel bands, and their sizes."""

from __future__ import annotations

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
LOG_FLOOR = 1e-3  # 114 dB below a full-scale sine


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
