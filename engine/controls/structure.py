"""Structure: parts with the same letter must sound alike, others not (DITTO, section 4).

The self-similarity of timbre over time is matched with that of a form, or with a recording's own
(structure transfer, appendix F).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from engine.analysis.structure import FRAME_RATE_HZ, unit_timbres
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
from engine.controls.intensity import smooth
from engine.curves import Form

COEFFICIENTS = 20  # with the first, that of level, which is left out
CONTEXT_S = 1.0  # our choice: the paper does not give the window of its filter
WEIGHT = 1.0  # DITTO, appendix H
TOLERANCE = 0.02  # mean squared cosine; our choice, somewhat below DITTO's published 0.024
_SILENT = 1e-4
_LEAST_S = 0.5  # a part of the form that a window must reach into
_WHOLE = 0.95  # of what was asked for has to be heard for a judgement


@dataclass(frozen=True, slots=True)
class Structure:
    """A wish about which moments sound alike.

    Attributes:
        target: cosines between all pairs of steps of the timeline `[steps, steps]`.
        asked: 1 for the steps it speaks of `[steps]`.
        context_s: smoothing over time.
        starts_s, step_s: time axis in the result.
    """

    target: Tensor = field(repr=False)
    asked: Tensor = field(repr=False)
    context_s: float
    starts_s: float
    step_s: float
    weight: float = WEIGHT
    tolerance: float = TOLERANCE
    name: str = "structure"
    unit: str = "mean squared cosine"

    def objective(self, scope: Scope) -> Objective | None:
        made = scope.made[0, 0].clone()
        window = torch.zeros_like(made)
        window[scope.start : scope.stop] = 1.0
        heard = ((made + window) > 0) & (self.asked.to(made) > 0)
        rows = heard & (window > 0) & (made == 0)
        if not bool(rows.any()):
            return None
        target = self.target.to(scope.latent)
        return _TimelineStructure(scope, target, heard, rows, self.context_s, self.step_s)

    def compare(
        self, samples: Samples, sample_rate_hz: int, starts_s: float = 0.0, new_s: Span = ALL
    ) -> Comparison | None:
        timbres = unit_timbres(samples, sample_rate_hz, self.context_s)
        times_s = starts_s + np.arange(len(timbres)) / FRAME_RATE_HZ
        step = np.floor((times_s - self.starts_s) / self.step_s + 1e-6).astype(int)
        inside = (step >= 0) & (step < len(self.target))
        inside &= self.asked.cpu().numpy()[np.clip(step, 0, len(self.asked) - 1)] > 0
        times_s, step, timbres = times_s[inside], step[inside], timbres[inside]
        new = (times_s >= new_s[0]) & (times_s <= new_s[1])
        if len(times_s) < 2 or not new.any() or not self._heard_whole(times_s):
            return None
        target = self.target.cpu().numpy()[np.ix_(step, step)].astype(np.float64)
        found = timbres @ timbres.T
        error = float(np.mean((found - target)[new] ** 2))
        return Comparison("matrix", times_s, target, found, error, {"structure_mse": error})

    def _heard_whole(self, times_s: npt.NDArray[np.float64]) -> bool:
        """Whether these are the moments of all that was asked for: features are centred over time,
        and those of a part by itself say nothing about the whole."""
        asked = np.flatnonzero(self.asked.cpu().numpy() > 0)
        wanted_s = (asked[-1] + 1 - asked[0]) * self.step_s
        return bool(times_s[-1] - times_s[0] >= _WHOLE * wanted_s - 2.0 / FRAME_RATE_HZ)


class _TimelineStructure:
    """The loss of one window beside everything that is finished."""

    def __init__(
        self,
        scope: Scope,
        target: Tensor,
        heard: Tensor,
        rows: Tensor,
        context_s: float,
        step_s: float,
    ) -> None:
        self.scope, self.context_s, self.step_s = scope, context_s, step_s
        self.heard = heard
        self.rows = rows[heard]
        self.target = target[heard][:, heard][self.rows]
        with torch.no_grad():
            self.levels = step_levels(scope.log_mel, scope.latent, scope.frames_per_step)
        self.log_mel = scope.heard()

    def __call__(self, latent: Tensor) -> Tensor:
        mine = step_levels(self.log_mel, latent, self.scope.frames_per_step)
        levels = self.levels.expand(latent.shape[0], -1, -1)
        start, stop = self.scope.start, self.scope.stop
        levels = torch.cat([levels[..., :start], mine, levels[..., stop:]], dim=-1)
        timbre = timbre_features(levels[..., self.heard], self.context_s, self.step_s)
        similarity = timbre[:, self.rows] @ timbre.transpose(1, 2)
        return (similarity - self.target).square().mean(dim=(1, 2))


def step_levels(log_mel: LogMel, latent: Tensor, frames_per_step: int) -> Tensor:
    """Log10 mel amplitudes of each latent step `[batch, bands, steps]`."""
    return functional.avg_pool1d(log_mel(latent), frames_per_step)


@lru_cache(maxsize=4)
def cosine_transform(bands: int, coefficients: int) -> Tensor:
    """Rows 1 to `coefficients - 1` of the orthonormal DCT-II `[coefficients - 1, bands]`."""
    order = torch.arange(1, coefficients, dtype=torch.float64)[:, None]
    place = torch.arange(bands, dtype=torch.float64)[None] + 0.5
    return math.sqrt(2.0 / bands) * torch.cos(math.pi / bands * order * place)


def timbre_features(levels: Tensor, context_s: float, step_s: float) -> Tensor:
    """Unit vectors of timbre `[batch, steps, 19]` of log mel levels `[batch, bands, steps]`.

    Mel cepstral coefficients without the first, each normalised over time. The paper smooths the
    self-similarity in two dimensions; for a separable filter that equals smoothing the features,
    which is done here before they get unit length, so that a part's own rhythm counts for nothing.
    """
    transform = cosine_transform(levels.shape[-2], COEFFICIENTS).to(levels)
    cepstrum = (transform @ levels).transpose(1, 2)
    cepstrum = cepstrum - cepstrum.mean(dim=1, keepdim=True)
    spread = (cepstrum.square().mean(dim=1, keepdim=True) + _SILENT**2).sqrt()
    cepstrum = cepstrum / spread
    if context_s > 0.0:
        window_s = step_s / context_s  # the matrix smooths a second of its own clock
        cepstrum = smooth(cepstrum.transpose(1, 2), window_s).transpose(1, 2)
    return cepstrum / (cepstrum.square().sum(dim=-1, keepdim=True) + _SILENT**2).sqrt()


def form_similarity(labels: npt.NDArray[np.int64]) -> Tensor:
    """Cosines that parts can have `[steps, steps]`: 1 for the same letter, equal for all others.

    Features are centred over time, so k different letters can at best be the corners of a simplex,
    whose cosines are -1 / (k - 1).
    """
    kinds = len(set(labels.tolist()))
    apart = -1.0 / (kinds - 1) if kinds > 1 else 1.0
    same = torch.from_numpy(labels[:, None] == labels[None])
    return torch.where(same, 1.0, apart)


def read(form: Form, setting: Setting) -> Structure:
    """The control of a form laid over the result.

    Raises:
        ValueError: the form counts bars and no tempo is known, or it is longer than the result.
    """
    if form.sizes is not None and setting.bar_s is None:
        raise ValueError("counts bars, but the clip has no steady tempo: give bpm, or use 'ABBA'")
    bar_s = setting.bar_s or 1.0
    starts = form.boundaries_s(setting.length_s, bar_s)
    if starts[-1] > setting.length_s - _LEAST_S and len(starts) > 1:
        raise ValueError(
            f"begins its last part at {starts[-1]:.2f} s, and the result ends at "
            f"{setting.length_s:.2f} s"
        )
    times_s = setting.times_s()
    labels = np.array(
        [ord(form.letters[form.part_at(float(t), setting.length_s, bar_s)]) for t in times_s],
        dtype=np.int64,
    )
    asked = torch.from_numpy((times_s >= -1e-9) & (times_s < setting.length_s)).float()
    return Structure(form_similarity(labels), asked, CONTEXT_S, setting.starts_s, setting.step_s)


def read_file(path: str, setting: Setting) -> Structure:
    """Structure transfer: the self-similarity of a recording, stretched over the result."""
    samples, rate_hz = setting.hear(path)
    timbres = unit_timbres(samples, rate_hz)
    times_s = setting.times_s()
    asked = (times_s >= -1e-9) & (times_s < setting.length_s)
    place = np.clip(times_s / setting.length_s, 0.0, 1.0) * (len(timbres) - 1)
    nearest = timbres[np.round(place).astype(np.int64)]
    target = torch.from_numpy(nearest @ nearest.T).float()
    return Structure(
        target, torch.from_numpy(asked).float(), CONTEXT_S, setting.starts_s, setting.step_s
    )
