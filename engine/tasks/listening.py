"""What is heard in a clip: its key, its pitch classes over time, how loud it is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.analysis import key as analysis
from engine.analysis.constant_q import chroma, constant_q
from engine.analysis.spectra import mono_at
from engine.files.audio import Samples
from engine.sketch.score import Key

# Of 38 composed clips that reach 0.8, 84 of 100 keys were right and 95 had the right scale.
KEY_CONFIDENT = 0.75
TONICS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
CHROMA_RATE_HZ, CHROMA_HOP = 11_025, 512
# Evenness of the pitch classes in a frame, 0 to 1: three of four composed drum parts are above,
# every part and mix with pitches is below.
_UNPITCHED = 0.8
_AUDIBLE = 1e-3  # of the loudest frame's energy
_TINY = 1e-12
_LEVEL_WINDOW_S = 0.3


def key_name(key: Key) -> str:
    """A key as people write it: "A minor"."""
    return f"{TONICS[key.tonic]} {key.mode}"


def heard_key(samples: Samples, sample_rate_hz: int) -> tuple[Key, float]:
    """The key of a clip `[channels, samples]`, and the confidence in it, 0 to 1."""
    found = analysis.estimate_key(samples, sample_rate_hz)
    return Key(found.tonic, found.mode), found.confidence


def heard_chroma(samples: Samples, sample_rate_hz: int) -> npt.NDArray[np.float64]:
    """Energy of the pitch classes of a clip `[frames, 12]`, C first.

    Frame i is centred on second i * `CHROMA_HOP` / `CHROMA_RATE_HZ`.
    """
    mono = mono_at(samples, sample_rate_hz, CHROMA_RATE_HZ)
    return chroma(constant_q(mono, CHROMA_RATE_HZ, low_octave=2, octaves=5, hop=CHROMA_HOP))


def is_pitched(energy: npt.NDArray[np.float64]) -> bool:
    """Whether chroma `[frames, 12]` says anything about chords; that of drums is even."""
    loudness = energy.sum(axis=1)
    audible = loudness > _AUDIBLE * loudness.max(initial=0.0) + _TINY
    if not audible.any():
        return False
    share = energy[audible] / loudness[audible, None]
    evenness = -(share * np.log(share + _TINY)).sum(axis=1) / np.log(12.0)
    return bool(np.average(evenness, weights=np.sqrt(loudness[audible])) < _UNPITCHED)


def loud_passages_db(samples: Samples, sample_rate_hz: int) -> float:
    """Level of a clip's louder passages in dBFS, measured as that of a sketch's parts.

    The 90th percentile of the power in windows of 0.3 s.
    """
    window = max(1, min(samples.shape[1], round(_LEVEL_WINDOW_S * sample_rate_hz)))
    whole = samples.shape[1] // window * window
    power = np.mean(samples[:, :whole].reshape(samples.shape[0], -1, window) ** 2, axis=(0, 2))
    return float(10 * np.log10(np.percentile(power, 90.0) + _TINY))
