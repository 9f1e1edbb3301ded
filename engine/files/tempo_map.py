"""Beats to seconds and back through tempo changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class TempoMap:
    """Piecewise constant tempo.

    Attributes:
        changes: (beat, bpm) in rising order of beats, the first at beat 0; a beat is a quarter
            note.
    """

    changes: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        beats = [beat for beat, _ in self.changes]
        if not beats or beats[0] != 0.0 or sorted(set(beats)) != beats:
            raise ValueError("a tempo map starts at beat 0 and its beats rise")

    def _knots(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Beats and seconds of every change, and of a point one beat after the last."""
        beats = np.array([beat for beat, _ in self.changes])
        beats = np.append(beats, beats[-1] + 1.0)
        length = np.diff(beats) * 60.0 / np.array([bpm for _, bpm in self.changes])
        return beats, np.concatenate([[0.0], np.cumsum(length)])

    def seconds_at(self, beats: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Time in seconds of positions in beats (beat 0 is second 0)."""
        return _through(np.asarray(beats, dtype=np.float64), *self._knots())

    def beats_at(self, seconds: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Inverse of `seconds_at`.

        >>> float(TempoMap(((0.0, 120.0), (4.0, 60.0))).beats_at(3.0))
        5.0
        """
        beats, times = self._knots()
        return _through(np.asarray(seconds, dtype=np.float64), times, beats)


def _through(
    x: npt.NDArray[np.float64], xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Piecewise linear through the knots, going on with the first and the last slope."""
    index = np.clip(np.searchsorted(xs, x, side="right") - 1, 0, len(xs) - 2)
    slope = (ys[index + 1] - ys[index]) / (xs[index + 1] - xs[index])
    return np.asarray(ys[index] + (x - xs[index]) * slope)
