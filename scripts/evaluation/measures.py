"""Figures of audio: spectral error, ranking, level, tempo, key. Audio is float64 `[2, samples]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.signal

from engine.analysis.key import estimate_key
from engine.sketch.compose import usual_tempo_bpm
from engine.sketch.score import Key
from engine.sketch.styles import STYLES

Audio = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

_WINDOW, _HOP = 2048, 512
MEL_BANDS = 128
MEL_FLOOR = 1e-4  # 80 dB below the amplitude 1 that the largest partial of a mix comes near
TEMPO_TOLERANCE = 0.02
_SILENT = 1e-12
_FAMILY = {"major": "major", "mixolydian": "major", "minor": "minor", "dorian": "minor"}


@lru_cache(maxsize=2)
def _mel_bank(rate_hz: int) -> npt.NDArray[np.float32]:
    from librosa.filters import mel

    bank: npt.NDArray[np.float32] = mel(sr=rate_hz, n_fft=_WINDOW, n_mels=MEL_BANDS, norm=None)
    return bank


def log_mel_amplitude(audio: Audio, rate_hz: int) -> Matrix:
    """log10 mel amplitudes `[channels, 128, frames]`, floored at 1e-4.

    Magnitudes (power 1) of an STFT 2048/512 with a Hann window that sums to 1, so that a sine of
    amplitude A reads A/2 at its bin whatever the window; 128 triangular bands of unit peak (librosa
    with `norm=None`) on Slaney's scale.
    """
    taper = scipy.signal.windows.hann(_WINDOW, sym=False)
    padded = np.pad(audio, ((0, 0), (_WINDOW // 2, _WINDOW // 2)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW, axis=1)[:, ::_HOP]
    magnitude = np.abs(scipy.fft.rfft(frames * (taper / taper.sum()), axis=2))
    mel = magnitude @ _mel_bank(rate_hz).T
    return np.asarray(np.log10(np.maximum(mel, MEL_FLOOR))).transpose(0, 2, 1)


def mel_error(original: Audio, decoded: Audio, rate_hz: int) -> float:
    """Mean absolute difference of `log_mel_amplitude` over channels, bands and frames."""
    before, after = (log_mel_amplitude(audio, rate_hz) for audio in (original, decoded))
    return float(np.mean(np.abs(before - after)))


def auc(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float | None:
    """Area under the ROC curve: how often a positive outranks a negative, ties counting half.

    None where one of the two kinds is missing.
    """
    values, positive = np.asarray(scores, dtype=float), np.asarray(labels, dtype=bool)
    wanted, others = values[positive], values[~positive]
    if not len(wanted) or not len(others):
        return None
    difference = wanted[:, None] - others[None, :]
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def mean_auc(scores: Matrix, labels: npt.NDArray[np.bool_]) -> float | None:
    """Mean over the columns that hold both kinds of the area under their ROC curves."""
    areas = [auc(scores[:, k], labels[:, k]) for k in range(scores.shape[1])]
    known = [area for area in areas if area is not None]
    return float(np.mean(known)) if known else None


def level_db(audio: Audio) -> float:
    """RMS level of both channels in dB of full scale; -120 for silence."""
    return float(10.0 * np.log10(np.mean(audio**2) + _SILENT)) if audio.size else -120.0


def level_gaps_db(new: Audio, source: Audio, rate_hz: int) -> list[float]:
    """Level of every whole second of `new` above that of the whole `source`, in dB."""
    usual = level_db(source)
    seconds = range(new.shape[1] // rate_hz)
    return [level_db(new[:, k * rate_hz : (k + 1) * rate_hz]) - usual for k in seconds]


def residual_db(stems: Mapping[str, Audio], mix: Audio) -> float:
    """Level of what the sum of the stems differs from the mix by, against the mix, in dB."""
    total = np.sum(list(stems.values()), axis=0)
    apart = float(np.mean((total - mix) ** 2))
    return float(10.0 * np.log10((apart + 1e-20) / (float(np.mean(mix**2)) + 1e-20)))


def tempo_verdict(found_bpm: float, asked_bpm: float) -> str:
    """`right`, `double`, `half` or `other`, each within 2 %."""
    for name, factor in (("right", 1.0), ("double", 2.0), ("half", 0.5)):
        if abs(found_bpm / (asked_bpm * factor) - 1.0) <= TEMPO_TOLERANCE:
            return name
    return "other"


def tempo_is_usual(style: str, metre: tuple[int, int], bpm: float) -> bool:
    """Whether the style is at home in the tempo: elsewhere the octave is anybody's guess."""
    low, high = usual_tempo_bpm(STYLES[style], metre)
    return low <= bpm <= high


def key_is(audio: Audio, rate_hz: int, asked: Key) -> bool:
    """Whether the key found has the tonic and the family asked for.

    Dorian counts as minor and Mixolydian as major: the profiles of the analysis know no more.
    """
    found = estimate_key(audio, rate_hz)
    return found.tonic == asked.tonic and found.mode == _FAMILY[asked.mode]


def share(values: Sequence[bool]) -> float | None:
    """Share of true values; None of none."""
    return float(np.mean(values)) if len(values) else None


def middle(values: Sequence[float | None]) -> float | None:
    """Median of what was measured; None where nothing was."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def error_of_difference(
    own: Sequence[float | None], foreign: Sequence[float | None]
) -> float | None:
    """Standard error of the mean difference over the items that have both; None of one item."""
    pairs = zip(own, foreign, strict=True)
    apart = [a - b for a, b in pairs if a is not None and b is not None]
    return float(np.std(apart, ddof=1) / np.sqrt(len(apart))) if len(apart) > 1 else None
