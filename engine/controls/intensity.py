"""Intensity: the smoothed level must follow a curve (DITTO, section 4 and appendix C).

The level is estimated from the mel bands, so no waveform stands between the latent and the loss.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.signal
import torch
from torch import Tensor
from torch.nn import functional

from engine.analysis.intensity import intensity_curve, smoothed, smoothing_window
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
from engine.controls.loop import places_in_round
from engine.curves import Lane

Match = Literal["level", "shape"]
WEIGHT, WEIGHT_BESIDE_MELODY = 1 / 40, 1 / 4  # DITTO, appendix H
TOLERANCE_DB2 = 2.0  # DITTO's early stop for intensity
_FLOOR_POWER = 1e-10
_CHECK_HZ = 43.0
_STFT_SAMPLES = 2048


@dataclass(frozen=True, slots=True)
class Intensity:
    """A wish about the level over time.

    Attributes:
        target_db: dBFS for each frame of the timeline, smoothed.
        match: "level": squared error in dB; "shape": correlation, so that the curve may lie
            anywhere.
        starts_s, frame_s: time axis of the target in the result.
        length_s: of the result.
    """

    target_db: Tensor = field(repr=False)
    starts_s: float
    frame_s: float
    length_s: float
    match: Match = "level"
    weight: float = WEIGHT
    name: str = "intensity"

    @property
    def unit(self) -> str:
        return "dB²" if self.match == "level" else "1 - correlation"

    @property
    def tolerance(self) -> float:
        return TOLERANCE_DB2 if self.match == "level" else 0.0

    def objective(self, scope: Scope) -> Objective | None:
        frames_per_step = scope.frames_per_step
        free = scope.free.repeat_interleave(frames_per_step)
        if not bool(free.any()):
            return None
        frames = slice(frames_per_step * scope.start, frames_per_step * scope.stop)
        target = self.target_db[frames].to(scope.latent)
        return intensity_objective(
            scope.heard(), target, free, scope.sample_rate_hz, self.frame_s, self.match
        )

    def repeated(self, period_frames: float) -> Intensity:
        """The wish of a loop of so many frames: beyond its end it begins again."""
        places = places_in_round(len(self.target_db), period_frames)
        return replace(self, target_db=self.target_db[places])

    def compare(
        self, samples: Samples, sample_rate_hz: int, starts_s: float = 0.0, new_s: Span = ALL
    ) -> Comparison | None:
        curve = intensity_curve(samples, sample_rate_hz, _CHECK_HZ)
        times_s = starts_s + np.arange(len(curve)) / _CHECK_HZ
        axis_s = self.starts_s + np.arange(len(self.target_db)) * self.frame_s
        wished = np.interp(times_s, axis_s, self.target_db.double().cpu().numpy())
        first_s, last_s = max(axis_s[0], new_s[0]), min(axis_s[-1] + self.frame_s, new_s[1])
        judged = (times_s >= first_s) & (times_s <= last_s)
        if not judged.any():
            return None
        times_s, curve, wished = times_s[judged], curve[judged], wished[judged]
        figures = _agreement(curve, wished)
        level = self.match == "level"
        score = figures["intensity_rmse_db"] ** 2 if level else 1 - figures["intensity_correlation"]
        return Comparison("curve", times_s, wished, curve, score, figures)


def _agreement(curve: npt.NDArray[np.float64], target: npt.NDArray[np.float64]) -> dict[str, float]:
    difference = curve - target
    joint = float(np.mean((curve - curve.mean()) * (target - target.mean())))
    spread = float(curve.std() * target.std())
    return {
        "intensity_rmse_db": float(np.sqrt(np.mean(difference**2))),
        "intensity_bias_db": float(difference.mean()),
        "intensity_correlation": joint / spread if spread > 1e-9 else 0.0,
    }


def read(lane: Sequence[tuple[float, float]] | Lane, setting: Setting, match: Match) -> Intensity:
    """The control of a drawn lane over the setting's timeline."""
    lane = lane if isinstance(lane, Lane) else Lane(tuple(lane))
    times_s = setting.times_s(setting.frames_per_step)
    drawn = np.array([lane.at(float(time_s)) for time_s in times_s])
    return _control(drawn, setting, match)


def read_file(path: str, setting: Setting, match: Match) -> Intensity:
    """The control of a lane in a JSON file, or of another clip's own curve.

    Raises:
        ValueError: the file holds no lane.
    """
    if setting.is_text(path):
        return read(lane_of_json(setting.read_text(path)), setting, match)
    samples, rate_hz = setting.hear(path)
    frame_rate_hz = setting.frames_per_step / setting.step_s
    curve = intensity_curve(samples, rate_hz, frame_rate_hz)
    own_s = np.arange(len(curve)) / frame_rate_hz
    return _control(
        np.interp(setting.times_s(setting.frames_per_step), own_s, curve), setting, match
    )


def lane_of_json(text: str) -> Lane:
    """A lane as a list of `[seconds, dB]` pairs, or an object that has one as `points`."""
    try:
        drawn = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"holds no JSON: {error}") from None
    if isinstance(drawn, dict):
        drawn = drawn.get("points")
    return Lane.parse(drawn)


def _control(drawn: npt.NDArray[np.float64], setting: Setting, match: Match) -> Intensity:
    frame_s = setting.step_s / setting.frames_per_step
    target = torch.from_numpy(smoothed(drawn, 1.0 / frame_s)).float()
    return Intensity(target, setting.starts_s, frame_s, setting.length_s, match)


@lru_cache(maxsize=4)
def band_powers(bands: int, sample_rate_hz: int, low_hz: float = 20.0) -> Tensor:
    """Power of the audio for a mel band of unit amplitude `[bands]`, as a share of full scale².

    A band holds a weighted sum of magnitudes. For noise, whose magnitudes are Rayleigh's, its
    square is in expectation `(π/4 (Σw)² + (1 - π/4) Σw²) / Σw` times the weighted sum of their
    squares, which is the power. A lone sinusoid in a wide band is taken for less than it is;
    music's level lies in the low bands, which are as narrow as a sinusoid.
    """
    from librosa import mel_frequencies

    edges = mel_frequencies(n_mels=bands + 2, fmin=low_hz, fmax=sample_rate_hz / 2)
    bins = np.arange(_STFT_SAMPLES // 2 + 1) * sample_rate_hz / _STFT_SAMPLES
    rise = (bins - edges[:-2, None]) / (edges[1:-1, None] - edges[:-2, None])
    fall = (edges[2:, None] - bins) / (edges[2:, None] - edges[1:-1, None])
    weights = np.maximum(0.0, np.minimum(rise, fall))
    total = np.maximum(weights.sum(axis=1), 0.5)  # a narrow band is given its nearest bin
    squares = np.maximum((weights**2).sum(axis=1), 0.25)
    noise = (np.pi / 4 * total**2 + (1 - np.pi / 4) * squares) / total
    window = scipy.signal.get_window("hann", _STFT_SAMPLES)
    return torch.from_numpy(2.0 / (noise * _STFT_SAMPLES * (window**2).sum())).float()


def level_db(log_mel: Tensor, sample_rate_hz: int) -> Tensor:
    """Level in dBFS `[..., frames]` of log10 mel amplitudes `[..., bands, frames]`."""
    powers = band_powers(log_mel.shape[-2], sample_rate_hz).to(log_mel)
    power = (10.0 ** (2.0 * log_mel) * powers[:, None]).sum(dim=-2)
    return 10.0 * torch.log10(power + _FLOOR_POWER)


def smooth(values: Tensor, frame_s: float) -> Tensor:
    """Curves `[..., frames]` through the Savitzky-Golay filter over a second, as `smoothed` has it.

    Of first order it is the mean around each frame; near the ends it follows the line that fits
    the first or the last window best.
    """
    window = smoothing_window(values.shape[-1], 1.0 / frame_s)
    if window < 3:
        return values
    middle = functional.avg_pool1d(values.reshape(1, -1, values.shape[-1]), window, stride=1)
    first, last = (part.to(values) for part in _end_lines(window))
    return torch.cat(
        [
            values[..., :window] @ first.T,
            middle.reshape(*values.shape[:-1], -1),
            values[..., -window:] @ last.T,
        ],
        dim=-1,
    )


@lru_cache(maxsize=16)
def _end_lines(window: int) -> tuple[Tensor, Tensor]:
    """What a window's first half and its last are of its values, `[window // 2, window]` each."""
    half = window // 2
    lines = torch.from_numpy(scipy.signal.savgol_filter(np.eye(window), window, 1, axis=0).copy())
    return lines[:half], lines[window - half :]


def intensity_objective(
    log_mel: LogMel,
    target_db: Tensor,
    free: Tensor,
    sample_rate_hz: int,
    frame_s: float,
    match: Match = "level",
) -> Objective:
    """Distance of the smoothed level from the curve over the free frames.

    Args:
        log_mel: latent to log10 mel amplitudes `[batch, bands, frames]`.
        target_db: smoothed curve in dBFS `[frames]`.
        free: 1 where the result may still change `[frames]`.

    Returns:
        latent -> loss `[batch]`: mean squared error in dB², or 1 - correlation.
    """
    weight = free / free.sum()

    def loss(latent: Tensor) -> Tensor:
        level = level_db(log_mel(latent), sample_rate_hz)
        level = smooth(level, frame_s)
        if match == "level":
            return ((level - target_db).square() * weight).sum(dim=-1)
        mine = level - (level * weight).sum(dim=-1, keepdim=True)
        theirs = target_db - (target_db * weight).sum()
        joint = (mine * theirs * weight).sum(dim=-1)
        spread = (mine.square() * weight).sum(dim=-1) * (theirs.square() * weight).sum()
        return 1.0 - joint / (spread + 1e-12).sqrt()

    return loss
