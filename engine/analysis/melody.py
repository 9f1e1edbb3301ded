"""Does rendered audio carry a melody? Judged by another transform than any optimiser's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import scipy.signal

from engine.analysis.constant_q import chroma, constant_q
from engine.analysis.spectra import Samples, mono_at

MIDDLE_C_HZ = 261.2
_RATE_HZ, _HOP = 22_050, 512
_LOW_OCTAVE, _OCTAVES = 4, 5

Pitches = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.int64]]


def melody_accuracy(samples: Samples, sample_rate_hz: int, pitches_at: Pitches) -> float | None:
    """Share of frames whose strongest pitch class is the melody's, 0 to 1; chance is 1/12.

    The audio is high-passed at middle C (second order, zero phase; Music ControlNet), a constant-Q
    chroma is taken from there upwards, and its maximum compared in every frame in which the melody
    sounds. A silent frame counts as wrong.

    Args:
        samples: float64 `[channels, samples]`, beginning where the melody begins.
        pitches_at: MIDI pitch sounding at times in seconds, -1 in rests; such as
            `lambda times: melody_pitches(melody, times, bpm)`.

    Returns:
        The share, or None when the melody does not sound within the audio.
    """
    times_s, found = pitch_classes(samples, sample_rate_hz)
    pitches = np.asarray(pitches_at(times_s))
    sounding = pitches >= 0
    if not sounding.any():
        return None
    return float(np.mean(found[sounding] == pitches[sounding] % 12))


def pitch_classes(
    samples: Samples, sample_rate_hz: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The strongest pitch class above middle C over time.

    Args:
        samples: float64 `[channels, samples]`.

    Returns:
        times in seconds `[frames]` and pitch classes `[frames]`, C is 0; -1 where it is silent.
    """
    mono = mono_at(samples, sample_rate_hz, _RATE_HZ)
    passing = scipy.signal.butter(2, MIDDLE_C_HZ, "highpass", fs=_RATE_HZ, output="sos")
    mono = scipy.signal.sosfiltfilt(passing, mono, padlen=min(len(mono) - 1, 1000))
    magnitudes = constant_q(mono, _RATE_HZ, low_octave=_LOW_OCTAVE, octaves=_OCTAVES, hop=_HOP)
    found = chroma(magnitudes)
    times_s = np.arange(len(found)) * _HOP / _RATE_HZ
    inside = times_s < samples.shape[1] / sample_rate_hz
    strongest = np.where(found.max(axis=1) > 1e-12, np.argmax(found, axis=1), -1)
    return times_s[inside], strongest[inside].astype(np.int64)
