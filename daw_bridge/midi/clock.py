"""A host's MIDI clock: 24 ticks to the quarter note, whose times arrive with jitter.

Tempo and phase are the Theil-Sen line through the newest ticks: the median of the slopes of all
pairs, which single late ticks do not move (Sen 1968). Ticks that were lost shift the count by whole
ticks and stay shifted; a tempo that changed moves away with every tick, and the line starts anew.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median

TICKS_PER_BEAT = 24
_WINDOW_TICKS = 4 * TICKS_PER_BEAT
_ENOUGH_TICKS = 12
_FIT_EVERY_TICKS = 6
_MOST_POINTS = 128  # of a line; more are thinned out
_STRAY_TICKS = 0.6  # off the line by more of a tick: late, lost or another tempo
_STRAYS = 6  # so many in a row are no jitter
_STEADY_TICKS = 0.35  # strays that differ by less are all shifted by the same


@dataclass(frozen=True, slots=True)
class Line:
    """`at_s = offset_s + tick * period_s`."""

    offset_s: float
    period_s: float

    @property
    def bpm(self) -> float:
        """The tempo in quarter notes a minute."""
        return 60.0 / (TICKS_PER_BEAT * self.period_s)

    def tick_at(self, at_s: float) -> float:
        """Where a moment lies between the ticks."""
        return (at_s - self.offset_s) / self.period_s


def fit(ticks: Sequence[int], times_s: Sequence[float]) -> Line | None:
    """The Theil-Sen line through ticks; None for fewer than two."""
    step = max(1, -(-len(ticks) // _MOST_POINTS))
    points = list(zip(ticks[::step], times_s[::step], strict=True))
    slopes = [
        (late_s - early_s) / (late - early)
        for place, (early, early_s) in enumerate(points)
        for late, late_s in points[place + 1 :]
        if late > early
    ]
    if not slopes:
        return None
    period_s = median(slopes)
    if period_s <= 0.0:
        return None
    return Line(median(at_s - tick * period_s for tick, at_s in points), period_s)


class MidiClock:
    """Counts ticks from a start on and says where a moment lies in beats.

    Times are seconds of any steady clock, in the order of arrival.
    """

    def __init__(self) -> None:
        self._line: Line | None = None
        self.restart()

    def restart(self) -> None:
        """The next tick is beat 0."""
        self._ticks: list[int] = []
        self._times_s: list[float] = []
        self._strays: list[float] = []
        self._from = 0  # where the present tempo began
        self.lost_ticks = 0

    def tick(self, at_s: float) -> None:
        """A tick has arrived."""
        number = self._ticks[-1] + 1 if self._ticks else 0
        if self._line is not None and len(self._ticks) - self._from >= _ENOUGH_TICKS:
            number = self._counted(number, at_s, self._line)
        self._ticks.append(number)
        self._times_s.append(at_s)
        start = max(self._from, len(self._ticks) - _WINDOW_TICKS)
        known = len(self._ticks) - start
        # A line through many ticks costs a millisecond, and a few more change it little.
        if known >= 2 and (known < TICKS_PER_BEAT or number % _FIT_EVERY_TICKS == 0):
            self._line = fit(self._ticks[start:], self._times_s[start:]) or self._line

    def _counted(self, number: int, at_s: float, line: Line) -> int:
        """The number of a tick, with those that were lost before it."""
        stray = line.tick_at(at_s) - number
        if abs(stray) <= _STRAY_TICKS:
            self._strays.clear()
            return number
        self._strays.append(stray)
        if len(self._strays) < _STRAYS:
            return number
        strays, self._strays = self._strays, []
        if max(strays) - min(strays) <= _STEADY_TICKS and min(strays) > 0.0:
            lost = round(median(strays))
            for place in range(len(self._ticks) - _STRAYS + 1, len(self._ticks)):
                self._ticks[place] += lost
            self.lost_ticks += lost
            return number + lost
        self._from = len(self._ticks) - _STRAYS + 1  # another tempo from here on
        return number

    @property
    def running(self) -> bool:
        """Whether ticks have come since the start."""
        return len(self._ticks) > 0

    @property
    def beats(self) -> Fraction:
        """Quarter notes that have passed when the next tick comes."""
        return Fraction(self._ticks[-1] + 1 if self._ticks else 0, TICKS_PER_BEAT)

    @property
    def bpm(self) -> float | None:
        """The tempo of the newest ticks; None before there are enough of them."""
        enough = len(self._ticks) - self._from >= _ENOUGH_TICKS
        return self._line.bpm if self._line is not None and enough else None

    @property
    def mean_bpm(self) -> float | None:
        """The tempo of all ticks since the start; None before there are enough of them."""
        if len(self._ticks) < _ENOUGH_TICKS:
            return None
        line = fit(self._ticks, self._times_s)
        return None if line is None else line.bpm

    def beats_at(self, at_s: float) -> float:
        """Quarter notes since the start at a moment, by the ticks around it.

        Raises:
            ValueError: no two ticks have come yet.
        """
        near = bisect_left(self._times_s, at_s)
        half = TICKS_PER_BEAT
        start = max(0, min(near - half, len(self._ticks) - 2 * half))
        line = fit(self._ticks[start : start + 2 * half], self._times_s[start : start + 2 * half])
        line = line or self._line
        if line is None:
            raise ValueError("the clock has not begun to tick")
        return line.tick_at(at_s) / TICKS_PER_BEAT

    def next_at(self, beats: float) -> float | None:
        """When so many quarter notes since the start will have passed, by the newest ticks."""
        if self.bpm is None or self._line is None:
            return None
        return self._line.offset_s + beats * TICKS_PER_BEAT * self._line.period_s
