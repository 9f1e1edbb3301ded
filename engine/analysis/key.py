"""The key of a clip: its chroma against the key profiles of Krumhansl and Kessler (1982)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.analysis.constant_q import chroma, constant_q
from engine.analysis.spectra import TINY, Samples, mono_at

Mode = Literal["major", "minor"]

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
_MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])
_RATE_HZ, _HOP = 11_025, 1024
_LONGEST_S = 60.0


@dataclass(frozen=True, slots=True)
class Key:
    """A key.

    Attributes:
        tonic: pitch class, 0 is C.
        confidence: 0 (unpitched, or undecided between unrelated keys) to 1.
    """

    tonic: int
    mode: Mode
    confidence: float

    def __str__(self) -> str:
        return f"{PITCH_CLASSES[self.tonic]} {self.mode}"


def estimate_key(samples: Samples, sample_rate_hz: int) -> Key:
    """Estimate the key of a clip `[channels, samples]` (of its last minute)."""
    mono = mono_at(samples[:, -round(_LONGEST_S * sample_rate_hz) :], sample_rate_hz, _RATE_HZ)
    magnitudes = constant_q(mono, _RATE_HZ, low_octave=2, octaves=5, hop=_HOP)
    energy = chroma(magnitudes)
    # Loud frames must not decide alone: each counts by the fourth root of its energy.
    profile = (energy / (energy.sum(axis=1, keepdims=True) + TINY) ** 0.75).mean(axis=0)
    return key_of_profile(np.sqrt(profile))


def key_of_profile(profile: Samples) -> Key:
    """The key whose profile correlates best with a chroma profile `[12]`."""
    if float(np.ptp(profile)) <= TINY:
        return Key(0, "major", 0.0)
    scores = np.array(
        [
            [np.corrcoef(profile, np.roll(shape, tonic))[0, 1] for tonic in range(12)]
            for shape in (_MAJOR, _MINOR)
        ]
    )
    mode, tonic = np.unravel_index(int(np.argmax(scores)), scores.shape)
    best = float(scores[mode, tonic])
    others = np.sort(np.delete(scores.ravel(), int(np.argmax(scores))))[::-1]
    ahead = min(1.0, (best - float(others[0])) / 0.1)
    ordered = np.sort(profile)
    contrast = 1.0 - float(ordered[:5].mean() / (ordered[7:].mean() + TINY))
    confidence = max(0.0, best) * (0.5 + 0.5 * ahead) * min(1.0, 1.5 * contrast)
    return Key(int(tonic), "minor" if mode else "major", float(np.clip(confidence, 0.0, 1.0)))
