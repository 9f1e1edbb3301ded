"""A hummed, sung or played melody as notes: pYIN (Mauch & Dixon 2014), then steps of pitch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from engine.analysis.spectra import ANALYSIS_RATE_HZ, Samples, mono_at

_LOW_HZ, _HIGH_HZ = 65.0, 2100.0  # C2 to C7
_WINDOW, _HOP = 2048, 256
HOP_S = _HOP / ANALYSIS_RATE_HZ
_STEADY_FRAMES = 7  # median over 80 ms: vibrato and scoops are no notes
_SHORTEST_S = 0.09
_GAP_S = 0.06  # a pause this short inside one pitch is a consonant, not a new note
_SURE = 0.05  # noise has a hundredth, a voice nine tenths
_AUDIBLE_DB = 40.0  # below the loudest frame


@dataclass(frozen=True, slots=True)
class TrackedNote:
    """One note: seconds, MIDI pitch, and its level below the loudest in dB."""

    start_s: float
    end_s: float
    pitch: int
    level_db: float


def track_notes(samples: Samples, sample_rate_hz: int) -> tuple[TrackedNote, ...]:
    """Notes of a recording of one voice, in order; empty where no pitch is heard.

    A voice that is out of tune as a whole is heard in its own tuning.

    Args:
        samples: float64 `[channels, samples]`.
    """
    import librosa

    mono = mono_at(samples, sample_rate_hz, ANALYSIS_RATE_HZ)
    if len(mono) < _WINDOW or not np.any(mono):
        return ()
    found_hz, voiced, sure = librosa.pyin(
        mono, fmin=_LOW_HZ, fmax=_HIGH_HZ, sr=ANALYSIS_RATE_HZ, frame_length=_WINDOW,
        hop_length=_HOP,
    )  # fmt: skip
    level_db = _levels_db(mono, len(found_hz))
    voiced = voiced & np.isfinite(found_hz) & (sure > _SURE) & (level_db > -_AUDIBLE_DB)
    if not voiced.any():
        return ()
    exact = 69.0 + 12.0 * np.log2(np.where(voiced, found_hz, 440.0) / 440.0)
    pitch = np.round(exact - _tuning(exact[voiced])).astype(np.int64)
    pitch = np.where(voiced, pitch, -1)
    steady = scipy.ndimage.median_filter(pitch, _STEADY_FRAMES, mode="nearest")
    return _joined(_runs(steady, level_db))


def _levels_db(mono: Samples, frames: int) -> npt.NDArray[np.float64]:
    power = np.convolve(mono**2, np.ones(_WINDOW) / _WINDOW, "same")[::_HOP][:frames]
    power = np.pad(power, (0, frames - len(power)), mode="edge")
    return np.asarray(10.0 * np.log10(power / max(float(power.max()), 1e-20) + 1e-20))


def _tuning(exact: npt.NDArray[np.float64]) -> float:
    """How many semitones the voice lies above the nearest tempered ones, as a circular mean."""
    turn = np.exp(2j * np.pi * exact).mean()
    return float(np.angle(turn) / (2 * np.pi))


def _runs(pitch: npt.NDArray[np.int64], level_db: npt.NDArray[np.float64]) -> list[TrackedNote]:
    """Frames of one pitch in a row, long enough to be a note."""
    edges = [0, *(np.flatnonzero(np.diff(pitch)) + 1).tolist(), len(pitch)]
    return [
        TrackedNote(
            first * HOP_S, last * HOP_S, int(pitch[first]), float(level_db[first:last].max())
        )
        for first, last in pairwise(edges)
        if pitch[first] >= 0 and (last - first) * HOP_S >= _SHORTEST_S
    ]


def _joined(notes: list[TrackedNote]) -> tuple[TrackedNote, ...]:
    """Neighbours of the same pitch with next to nothing between them are one note."""
    out: list[TrackedNote] = []
    for note in notes:
        last = out[-1] if out else None
        if last and last.pitch == note.pitch and note.start_s - last.end_s < _GAP_S:
            level = max(last.level_db, note.level_db)
            out[-1] = TrackedNote(last.start_s, note.end_s, note.pitch, level)
        else:
            out.append(note)
    return tuple(out)
