"""Brightness: the centre of gravity of the spectrum follows a lane, in octaves above 1 kHz."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.analysis.spectra import mono_at, stft_magnitude
from engine.controls.control import (
    ALL,
    Comparison,
    LogMel,
    Objective,
    Samples,
    Scope,
    Setting,
    Span,
)
from engine.controls.intensity import band_powers
from engine.controls.table import Row
from engine.curves import Lane

WEIGHT = 1.0
_REFERENCE_HZ, _LOW_HZ = 1000.0, 20.0
_FLOOR_POWER = 1e-10
_WINDOW, _HOP = 2048, 1024


@dataclass(frozen=True, slots=True)
class Brightness:
    """A wish about how bright the result is.

    Attributes:
        target: octaves above 1 kHz for each step of the timeline `[steps]`.
        starts_s, step_s: time axis of the target in the result.
    """

    target: Tensor = field(repr=False)
    starts_s: float
    step_s: float
    weight: float = WEIGHT
    tolerance: float = 0.0
    name: str = "brightness"
    unit: str = "octaves²"

    def objective(self, scope: Scope) -> Objective | None:
        free = scope.free
        if not bool(free.any()):  # nothing here may change any more
            return None
        target = scope.cut(self.target).to(scope.latent)
        return brightness_objective(scope.heard(), target, free, scope.sample_rate_hz)

    def compare(
        self, samples: Samples, sample_rate_hz: int, starts_s: float = 0.0, new_s: Span = ALL
    ) -> Comparison | None:
        """The centroid of the finished audio's own Fourier spectrum: no mel band, no codec."""
        result = centroid(samples, sample_rate_hz)
        times_s = starts_s + np.arange(len(result)) * _HOP / sample_rate_hz
        new = (times_s >= new_s[0]) & (times_s <= new_s[1])
        times_s, result = times_s[new], result[new]
        axis_s = self.starts_s + np.arange(len(self.target)) * self.step_s
        target = np.interp(times_s, axis_s, self.target.double().cpu().numpy())
        error = float(np.mean((result - target) ** 2))
        figures = {"brightness_rmse_octaves": error**0.5}
        return Comparison("curve", times_s, target, result, error, figures)


def brightness_objective(
    log_mel: LogMel, target: Tensor, free: Tensor, sample_rate_hz: int
) -> Objective:
    """Mean squared distance from the target `[steps]` over the free steps `[steps]`."""
    weight = free / free.sum()

    def loss(latent: Tensor) -> Tensor:
        brightness = mel_brightness(log_mel(latent), sample_rate_hz)
        brightness = brightness.unflatten(-1, (latent.shape[-1], -1)).mean(dim=-1)
        return ((brightness - target).square() * weight).sum(dim=-1)

    return loss


def mel_brightness(log_mel: Tensor, sample_rate_hz: int) -> Tensor:
    """Octaves above 1 kHz `[..., frames]` of log10 mel amplitudes `[..., bands, frames]`."""
    bands = log_mel.shape[-2]
    power = 10.0 ** (2.0 * log_mel) * band_powers(bands, sample_rate_hz).to(log_mel)[:, None]
    power = power + _FLOOR_POWER  # silence has no brightness, but it must have a gradient
    height = band_heights(bands, sample_rate_hz).to(log_mel)[:, None]
    return (power * height).sum(dim=-2) / power.sum(dim=-2)


@lru_cache(maxsize=4)
def band_heights(bands: int, sample_rate_hz: int) -> Tensor:
    """Where the mel bands lie, in octaves above 1 kHz `[bands]`."""
    from librosa import mel_frequencies

    centres = mel_frequencies(n_mels=bands + 2, fmin=_LOW_HZ, fmax=sample_rate_hz / 2)[1:-1]
    return torch.from_numpy(np.log2(centres / _REFERENCE_HZ))


def centroid(samples: Samples, sample_rate_hz: int) -> npt.NDArray[np.float64]:
    """The same of audio `[channels, samples]`, by a Fourier transform: `[frames]`."""
    power = stft_magnitude(mono_at(samples, sample_rate_hz, sample_rate_hz), _WINDOW, _HOP) ** 2
    hz = np.arange(power.shape[1]) * sample_rate_hz / _WINDOW
    heard = hz >= _LOW_HZ
    power = power[:, heard] + _FLOOR_POWER
    return np.asarray(power @ np.log2(hz[heard] / _REFERENCE_HZ) / power.sum(axis=1))


def read(wished: float | Lane, setting: Setting) -> Brightness:
    """The control of a constant or of a lane over the setting's timeline."""
    lane = wished if isinstance(wished, Lane) else Lane(((0.0, wished),))
    target = torch.tensor([lane.at(float(time_s)) for time_s in setting.times_s()])
    return Brightness(target, setting.starts_s, setting.step_s)


ROW = Row(
    "brightness",
    "octaves²",
    WEIGHT,
    "how bright it is over time",
    "the spectral centroid, in octaves",
    read=lambda request, setting: read(0.0, setting),  # with a field: what the request says
)
