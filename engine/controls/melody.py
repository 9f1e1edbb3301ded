"""Melody: the strongest pitch class of each frame must be the tune's (DITTO, sections 3.3 and 4).

The chroma is read from the mel bands, so no waveform stands between the latent and the loss. Below
middle C the bands are cut as in Music ControlNet (Wu et al. 2023), where accompaniment lives.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from engine.analysis.melody import Pitches, pitch_classes
from engine.chroma import mel_chroma
from engine.controls.control import ALL, Comparison, Objective, Samples, Scope, Span

# A frame pulls no more once the tune has enough of what sounds above middle C (ours): the first of
# these shares and somewhat more than any other pitch class, or the second. More of it only drains
# everything else that plays.
ENOUGH = (0.4, 0.5)
AHEAD = 1.25
TOLERANCE_NATS = 0.05  # our choice: nine frames in ten are right
_PROBABILITY_FLOOR = 1e-4


@dataclass(frozen=True, slots=True)
class Tune:
    """The strongest pitch class must be the tune's; rests are free.

    Attributes:
        chroma: 0/1 pitch classes for each step of the timeline `[1, 12, steps]`.
        pitches_at: MIDI pitch at times of the result, -1 in rests; for the independent check.
    """

    chroma: Tensor = field(repr=False)
    pitches_at: Pitches | None = field(default=None, repr=False)
    weight: float = 1.0
    tolerance: float = TOLERANCE_NATS
    name: str = "melody"
    unit: str = "nats"

    def objective(self, scope: Scope) -> Objective | None:
        heard = scope.cut(self.chroma).to(scope.latent) * scope.free
        if not bool(heard.any()):
            return None
        return melody_objective(scope.heard(), heard, scope.sample_rate_hz)

    def compare(
        self, samples: Samples, sample_rate_hz: int, starts_s: float = 0.0, new_s: Span = ALL
    ) -> Comparison | None:
        if self.pitches_at is None:
            return None
        times_s, found = pitch_classes(samples, sample_rate_hz)
        times_s = times_s + starts_s
        new = (times_s >= new_s[0]) & (times_s <= new_s[1])
        times_s, found = times_s[new], found[new]
        wished = np.asarray(self.pitches_at(times_s))
        sounding = wished >= 0
        if not sounding.any():
            return None
        target = np.where(sounding, wished % 12, np.nan)
        result = np.where(found >= 0, found, np.nan)
        right = float(np.mean(found[sounding] == wished[sounding] % 12))
        figures = {"melody_accuracy": right}
        score = -math.log(max(right, _PROBABILITY_FLOOR))
        return Comparison("curve", times_s, target, result, score, figures)


def melody_objective(
    log_mel: Callable[[Tensor], Tensor], melody_chroma: Tensor, sample_rate_hz: int
) -> Callable[[Tensor], Tensor]:
    """Negative log likelihood of the tune under the chroma, over the frames where it sounds.

    Args:
        log_mel: latent to log10 mel amplitudes `[batch, bands, frames]`.
        melody_chroma: 0/1 pitch classes `[batch, 12, steps]`; a rest is all zero.
        sample_rate_hz: rate of the audio behind the mel bands.

    Returns:
        latent -> loss `[batch]`, the negative log likelihood in nats a frame above that of a tune
        that has enough; 0 where it has enough everywhere.

    Raises:
        ValueError: the tune has no sounding frame.
    """
    sounding = melody_chroma.sum(dim=1).clamp_max(1.0)
    count = sounding.sum(dim=1)
    if not bool((count > 0).all()):
        raise ValueError("the melody has no note inside this window")

    def loss(latent: Tensor) -> Tensor:
        frames = mel_chroma(log_mel(latent), sample_rate_hz)
        chroma = frames.reshape(*frames.shape[:-1], latent.shape[-1], -1).mean(dim=-1)
        likelihood = (chroma * melody_chroma).sum(dim=1)
        strongest = (chroma * (1.0 - melody_chroma)).amax(dim=1)
        enough = (AHEAD * strongest).clamp(*ENOUGH)
        short = (enough / (likelihood + _PROBABILITY_FLOOR)).log().clamp_min(0.0)
        return (short * sounding).sum(dim=1) / count

    return loss
