"""Where a sound lies: what the tagger hears, how it sounds, and how it is ordered, per patch.

Three parts for each three-second patch, all free of level and of key:

- *instruments*: what the tagger has before its last layer;
- *sound*: the spectrum and its spread over time, how pure and restless the harmony is, how strong,
  sudden and regular the onsets are;
- *order*: how unlike moments are that lie a tenth to a whole second apart, against moments that lie
  anywhere, in levels and in chroma, and where the onsets repeat. Music in another order has the
  sound it had, and not the order.

Each part is brought to the leading principal components of its standardised figures, fitted on
the analyses' own split, and to a total variance of 1 there, so a Fréchet distance of 1 is as much
as one part differs within music.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.analysis.constant_q import chroma, constant_q
from engine.analysis.spectra import ANALYSIS_RATE_HZ, log_mel, mono_at, onset_strength
from evaluation.corpus import RANGE_DB, Picture, patches, picture
from evaluation.material import RATE_HZ
from evaluation.measures import Audio, Matrix
from evaluation.tagger import Tagger, embedded_patches

PARTS = ("instruments", "sound", "order")
COMPONENTS = 8  # of each part
_BANDS, _ORDER_BANDS, _HOP, _ORDER_RANGE_DB = 16, 24, 512, 60.0
_CHROMA_HOP, _CHROMA_LAGS = 2048, (1, 5)  # 0.09 and 0.46 s
_ORDER_CHROMA_HOP = 1024
_ONSET_HOP = 256
_BEAT_LAGS_S = np.geomspace(0.1, 1.2, 24)
_NEAR_S, _REPEATS_S = (0.1, 0.25, 0.5, 1.0), (0.25, 1.6)
_ONSET_SPANS_S = ((0.1, 0.2), (0.2, 0.4), (0.4, 0.8), (0.8, 1.6))
_TINY = 1e-10


def _chroma(mono: Audio, hop: int) -> Matrix:
    """Square roots of the chroma, each frame of length 1: `[frames, 12]`."""
    energy = chroma(constant_q(mono, ANALYSIS_RATE_HZ, low_octave=3, octaves=4, hop=hop))
    pitches = np.sqrt(energy)
    return np.asarray(pitches / (np.linalg.norm(pitches, axis=1, keepdims=True) + _TINY))


def _onsets(mono: Audio) -> tuple[Audio, Audio]:
    """Onset strength, and its autocorrelation from lag 0, which is 1."""
    rise = onset_strength(mono, ANALYSIS_RATE_HZ, window=1024, hop=_ONSET_HOP)
    centred = rise - rise.mean()
    own = np.correlate(centred, centred, "full")[len(rise) - 1 :]
    return rise, np.asarray(own / (own[0] + 1e-9))


def _spectral(mono: Audio) -> list[float]:
    levels = log_mel(mono, ANALYSIS_RATE_HZ, bands=_BANDS, window=2048, hop=_HOP, range_db=RANGE_DB)
    usual = float(levels.mean())
    loudness = levels.max(axis=1)
    changes = np.abs(np.diff(levels, axis=0)).mean(axis=0)
    return [*(levels.mean(axis=0) - usual), *levels.std(axis=0), *changes, float(loudness.std())]


def _harmonic(mono: Audio) -> list[float]:
    pitches = _chroma(mono, _CHROMA_HOP)
    usual = np.sort(pitches.mean(axis=0))[::-1]
    here = np.sort(pitches, axis=1)[:, ::-1].mean(axis=0)[:4]
    changes = [
        float(np.mean(1.0 - np.sum(pitches[lag:] * pitches[:-lag], axis=1))) for lag in _CHROMA_LAGS
    ]
    return [*usual, *here, *changes]


def _rhythmic(mono: Audio) -> list[float]:
    rise, own = _onsets(mono)
    rate_hz = ANALYSIS_RATE_HZ / _ONSET_HOP
    centred = rise - rise.mean()
    beats = np.interp(_BEAT_LAGS_S * rate_hz, np.arange(len(own)), own)
    peaked = float(np.mean(centred**3)) / (float(np.mean(centred**2)) ** 1.5 + 1e-9)
    return [float(rise.mean()), float(rise.std()), peaked, *np.sort(beats)[::-1][:6]]


def sound_of(patch: Audio) -> Matrix:
    """How a patch `[2, samples]` at 44.1 kHz sounds, whatever its order."""
    mono = mono_at(patch, RATE_HZ)
    return np.array([*_spectral(mono), *_harmonic(mono), *_rhythmic(mono)])


def _unlikeness(rows: Matrix, rate_hz: float) -> list[float]:
    """Mean distances of rows `[frames, any]` at some lags, against the usual distance."""

    def apart(lag: int) -> float:
        return float(np.mean(np.linalg.norm(rows[lag:] - rows[:-lag], axis=1)))

    far = np.linspace(0.2 * len(rows), 0.6 * len(rows), 9).astype(int)
    usual = float(np.mean([apart(lag) for lag in far])) + 1e-9
    near = [apart(max(1, round(lag_s * rate_hz))) / usual for lag_s in _NEAR_S]
    lags = range(*(round(lag_s * rate_hz) for lag_s in _REPEATS_S))
    curve = np.array([apart(lag) for lag in lags]) / usual
    rough = float(np.mean(np.abs(np.diff(curve))))
    return [*near, float(curve.min()), float(curve.std()), rough, usual]


def order_of(patch: Audio) -> Matrix:
    """How a patch `[2, samples]` at 44.1 kHz is ordered in time."""
    mono = mono_at(patch, RATE_HZ)
    levels = log_mel(
        mono, ANALYSIS_RATE_HZ, bands=_ORDER_BANDS, window=2048, hop=_HOP, range_db=_ORDER_RANGE_DB
    )
    _, own = _onsets(mono)
    rate_hz = ANALYSIS_RATE_HZ / _ONSET_HOP
    spans = [own[round(low * rate_hz) : round(high * rate_hz)] for low, high in _ONSET_SPANS_S]
    return np.array([
        *_unlikeness(levels, ANALYSIS_RATE_HZ / _HOP),
        *_unlikeness(_chroma(mono, _ORDER_CHROMA_HOP), ANALYSIS_RATE_HZ / _ORDER_CHROMA_HOP),
        *(float(span.max()) for span in spans),
        *(float(span.std()) for span in spans),
    ])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Basis:
    """Standardisation and principal components of one part.

    Attributes:
        mean, spread: `[dimensions]`.
        components: `[components, dimensions]`.
        scale: divisor of the projection.
    """

    mean: Matrix = field(repr=False)
    spread: Matrix = field(repr=False)
    components: Matrix = field(repr=False)
    scale: float

    def project(self, rows: Matrix) -> Matrix:
        """`[n, dimensions]` to `[n, components]`, of total variance 1 on what it was fitted to."""
        return np.asarray((rows - self.mean) / self.spread @ self.components.T / self.scale)


def fit_basis(rows: Matrix, components: int = COMPONENTS) -> Basis:
    """The leading principal components of `[n, dimensions]`, each dimension standardised."""
    mean, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    values, vectors = np.linalg.eigh(np.cov((rows - mean) / spread, rowvar=False))
    kept = vectors[:, ::-1][:, :components]
    total = float(np.sum(np.maximum(values[::-1][:components], 0.0)))
    return Basis(mean, spread, kept.T.copy(), float(np.sqrt(total)) or 1.0)


PLAIN: Mapping[str, Callable[[Audio], Matrix]] = {"sound": sound_of, "order": order_of}


@dataclass(frozen=True, slots=True)
class Embedding:
    """All parts.

    Attributes:
        bases: by part.
    """

    tagger: Tagger = field(repr=False)
    bases: Mapping[str, Basis]

    def patches(self, cut: Sequence[Audio]) -> Matrix:
        """Points `[patches, 24]` of patches of three seconds each."""
        heard = embedded_patches(self.tagger, [picture(patch) for patch in cut])
        rows = {"instruments": heard}
        rows |= {part: np.array([tell(patch) for patch in cut]) for part, tell in PLAIN.items()}
        return np.concatenate([self.bases[part].project(rows[part]) for part in PARTS], axis=1)

    def __call__(self, audio: Audio, hop_s: float = 1.0) -> Matrix:
        """Points `[patches, 24]` of a sound `[2, samples]` at 44.1 kHz."""
        return self.patches(patches(audio, hop_s))


def columns_of(part: str) -> slice:
    """The columns of a point that belong to a part."""
    first = PARTS.index(part) * COMPONENTS
    return slice(first, first + COMPONENTS)


def fit_embedding(
    tagger: Tagger, pictures: Sequence[Picture], plain: Mapping[str, Matrix]
) -> Embedding:
    """The embedding whose components are those of these patches."""
    bases = {"instruments": fit_basis(embedded_patches(tagger, pictures))}
    return Embedding(tagger, bases | {part: fit_basis(rows) for part, rows in plain.items()})
