"""Where a sound lies: half what the tagger hears, half plain statistics, for three-second patches.

The statistics are free of level and of key: the spectrum and its spread over time, how pure and how
restless the harmony is, how strong, sudden and regular the onsets are. Each half is brought to its
leading principal components, fitted on the analyses' own split, and to a total variance of 1 there,
so a Fréchet distance of 1 is as much as one half differs within music.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.analysis.constant_q import chroma, constant_q
from engine.analysis.spectra import ANALYSIS_RATE_HZ, log_mel, mono_at, onset_strength
from evaluation.corpus import RANGE_DB, Picture, patches, picture
from evaluation.material import RATE_HZ
from evaluation.measures import Audio, Matrix
from evaluation.tagger import Tagger, embedded_patches

COMPONENTS = 10  # of each half
_BANDS, _HOP = 16, 512
_CHROMA_HOP, _CHROMA_LAGS = 2048, (1, 5)  # 0.09 and 0.46 s
_ONSET_HOP = 256
_TINY = 1e-10
_BEAT_LAGS_S = np.geomspace(0.1, 1.2, 24)


def _spectral(mono: Audio) -> list[float]:
    levels = log_mel(mono, ANALYSIS_RATE_HZ, bands=_BANDS, window=2048, hop=_HOP, range_db=RANGE_DB)
    usual = float(levels.mean())
    loudness = levels.max(axis=1)
    changes = np.abs(np.diff(levels, axis=0)).mean(axis=0)
    return [*(levels.mean(axis=0) - usual), *levels.std(axis=0), *changes, float(loudness.std())]


def _harmonic(mono: Audio) -> list[float]:
    energy = chroma(constant_q(mono, ANALYSIS_RATE_HZ, low_octave=3, octaves=4, hop=_CHROMA_HOP))
    pitches = np.sqrt(energy)
    pitches /= np.linalg.norm(pitches, axis=1, keepdims=True) + _TINY
    usual = np.sort(pitches.mean(axis=0))[::-1]
    here = np.sort(pitches, axis=1)[:, ::-1].mean(axis=0)[:4]
    changes = [
        float(np.mean(1.0 - np.sum(pitches[lag:] * pitches[:-lag], axis=1))) for lag in _CHROMA_LAGS
    ]
    return [*(10.0 * usual), *(10.0 * here), *(10.0 * np.array(changes))]


def _rhythmic(mono: Audio) -> list[float]:
    rise = onset_strength(mono, ANALYSIS_RATE_HZ, window=1024, hop=_ONSET_HOP)
    rate_hz = ANALYSIS_RATE_HZ / _ONSET_HOP
    centred = rise - rise.mean()
    own = np.correlate(centred, centred, "full")[len(rise) - 1 :]
    own = np.interp(_BEAT_LAGS_S * rate_hz, np.arange(len(own)), own / (own[0] + 1e-9))
    peaked = float(np.mean(centred**3)) / (float(np.mean(centred**2)) ** 1.5 + 1e-9)
    return [float(rise.mean()), float(rise.std()), peaked, *(5.0 * np.sort(own)[::-1][:6])]


def statistics(patch: Audio) -> Matrix:
    """The plain statistics of a patch `[2, samples]` at 44.1 kHz."""
    mono = mono_at(patch, RATE_HZ)
    return np.array([*_spectral(mono), *_harmonic(mono), *_rhythmic(mono)])


@dataclass(frozen=True, slots=True)
class Basis:
    """Principal components of one half: `[dimensions]`, `[components, dimensions]`, a divisor."""

    mean: Matrix = field(repr=False)
    components: Matrix = field(repr=False)
    scale: float

    def project(self, rows: Matrix) -> Matrix:
        """`[n, dimensions]` to `[n, components]`, of total variance 1 on what it was fitted to."""
        return np.asarray((rows - self.mean) @ self.components.T / self.scale)


def fit_basis(rows: Matrix, components: int = COMPONENTS) -> Basis:
    """The leading principal components of `[n, dimensions]`."""
    mean = rows.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(rows, rowvar=False))
    kept = vectors[:, ::-1][:, :components]
    total = float(np.sum(np.maximum(values[::-1][:components], 0.0)))
    return Basis(mean, kept.T.copy(), float(np.sqrt(total)) or 1.0)


@dataclass(frozen=True, slots=True)
class Embedding:
    """Both halves."""

    tagger: Tagger = field(repr=False)
    heard: Basis
    plain: Basis

    def patches(self, cut: Sequence[Audio]) -> Matrix:
        """Points `[patches, 20]` of patches of three seconds each."""
        pictures: list[Picture] = [picture(patch) for patch in cut]
        heard = self.heard.project(embedded_patches(self.tagger, pictures))
        plain = self.plain.project(np.array([statistics(patch) for patch in cut]))
        return np.concatenate([heard, plain], axis=1)

    def __call__(self, audio: Audio, hop_s: float = 1.0) -> Matrix:
        """Points `[patches, 20]` of a sound `[2, samples]` at 44.1 kHz."""
        return self.patches(patches(audio, hop_s))


def fit_embedding(tagger: Tagger, pictures: Sequence[Picture], plain: Matrix) -> Embedding:
    """The embedding whose components are those of these patches."""
    return Embedding(tagger, fit_basis(embedded_patches(tagger, pictures)), fit_basis(plain))
