"""A constant-Q transform and the chroma it gives: pitch resolved evenly, low and high alike.

Every bin is a Hann-windowed complex exponential of Q = 2 / (2^(1/12) - 1) periods of its frequency,
applied in the frequency domain (Brown and Puckette 1992).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.sparse

from engine.analysis.spectra import Samples

BINS_PER_SEMITONE = 3
C1_HZ = 440.0 * 2 ** (-45 / 12)
_Q = 2.0 / (2 ** (1 / 12) - 1)  # twice: a Hann window has a main lobe twice as wide


@lru_cache(maxsize=8)
def _kernels(rate_hz: int, low_octave: int, octaves: int) -> tuple[Any, int]:
    """Sparse spectral kernels `[bins, fft // 2 + 1]` and the FFT length."""
    per_octave = 12 * BINS_PER_SEMITONE
    steps = np.arange(octaves * per_octave) - (BINS_PER_SEMITONE // 2)
    frequencies = C1_HZ * 2.0 ** (low_octave - 1 + steps / per_octave)
    lengths = np.ceil(_Q * rate_hz / frequencies).astype(int)
    size = 1 << int(np.ceil(np.log2(lengths.max())))
    kernels = np.zeros((len(frequencies), size), dtype=np.complex128)
    for row, (frequency, length) in enumerate(zip(frequencies, lengths, strict=True)):
        time = np.arange(length) - length / 2
        start = size // 2 - length // 2
        taper = np.hanning(length + 1)[:length]
        taper /= taper.sum()
        kernels[row, start : start + length] = taper * np.exp(
            2j * np.pi * frequency * time / rate_hz
        )
    spectra = scipy.fft.fft(kernels, axis=1)[:, : size // 2 + 1]
    # A kernel is narrow in frequency; what lies 60 dB below its peak is left out.
    small = np.abs(spectra) < 1e-3 * np.abs(spectra).max(axis=1, keepdims=True)
    return scipy.sparse.csr_array(np.where(small, 0.0, np.conj(spectra)) / size), size


def constant_q(
    mono: Samples, rate_hz: int, *, low_octave: int, octaves: int, hop: int
) -> npt.NDArray[np.float64]:
    """Magnitudes `[frames, octaves * 36]` from C of `low_octave` (C4 is middle C) upwards.

    A full-scale sine reads 1. Frame i is centred on sample i * hop. There are three bins to the
    semitone, the middle one in tune with A = 440 Hz. Octaves above the Nyquist frequency must not
    be asked for.
    """
    kernels, size = _kernels(rate_hz, low_octave, octaves)
    padded = np.pad(mono, (size // 2, size // 2 + size))
    count = len(mono) // hop + 1
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop][:count]
    spectra = np.ascontiguousarray(scipy.fft.rfft(frames, axis=1).T)
    return np.ascontiguousarray(2.0 * np.abs(kernels @ spectra).T)


def chroma(magnitudes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Fold constant-Q magnitudes `[frames, octaves * 36]` to pitch classes `[frames, 12]`, C first.

    The tuning of the whole is followed: of the three bins to the semitone those that carry most are
    taken, so music up to a third of a semitone off is still read in its own pitch.
    """
    frames = len(magnitudes)
    cells = magnitudes.reshape(frames, -1, BINS_PER_SEMITONE)
    carried = (cells**2).sum(axis=(0, 1))
    in_tune = BINS_PER_SEMITONE // 2
    tuning = int(np.argmax(carried))
    if carried[tuning] < 1.1 * carried[in_tune]:
        tuning = in_tune
    return np.asarray((cells[:, :, tuning].reshape(frames, -1, 12) ** 2).sum(axis=1))
