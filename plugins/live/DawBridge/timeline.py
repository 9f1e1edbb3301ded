"""Which second of a file plays at which beat. Plain arithmetic, without Live."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple, Sequence

_SAME_TEMPO = 1e-5  # 6 ms after ten minutes; Live's markers are exact to far less
_NEAR_BPM = 1e-5  # what a tempo of 32 bits is away from the one that is shown
_NEAR_BEATS = 1e-4  # two samples at 120 bpm
_ON_LINE_BEATS = 1e-6
_GRID = 64  # steps of a beat


class Marker(NamedTuple):
    """A point of a file that lies on a beat."""

    seconds: float
    beats: float


class Timeline:
    """A file's seconds against a clip's beats: straight between markers, and on beyond them.

    Args:
        markers: at least two, rising in both.
    """

    def __init__(self, markers: Sequence[Marker]) -> None:
        ordered = sorted(markers)
        self._markers = [ordered[0]]
        for marker in ordered[1:]:
            last = self._markers[-1]
            if marker.seconds > last.seconds and marker.beats > last.beats:
                self._markers.append(marker)
        if len(self._markers) < 2:
            raise ValueError("a timeline needs two markers")
        self._seconds = [marker.seconds for marker in self._markers]
        self._beats = [marker.beats for marker in self._markers]

    @classmethod
    def steady(cls, bpm: float) -> Timeline:
        """Beat 0 at second 0, and one tempo."""
        return cls([Marker(0.0, 0.0), Marker(60.0 / bpm, 1.0)])

    def beats(self, seconds: float) -> float:
        """The beat that a second of the file plays at."""
        one, other = self._around(self._seconds, seconds)
        slope = (other.beats - one.beats) / (other.seconds - one.seconds)
        return one.beats + (seconds - one.seconds) * slope

    def seconds(self, beats: float) -> float:
        """The second of the file that plays at a beat."""
        one, other = self._around(self._beats, beats)
        slope = (other.seconds - one.seconds) / (other.beats - one.beats)
        return one.seconds + (beats - one.beats) * slope

    def bpm(self, from_beats: float, to_beats: float) -> float:
        """The mean tempo of a stretch of the file, in quarter notes a minute."""
        return (to_beats - from_beats) * 60.0 / (self.seconds(to_beats) - self.seconds(from_beats))

    def tempos(self, from_beats: float, to_beats: float) -> list[tuple[float, float]]:
        """Beats from which on the file has a tempo, and that tempo; one where it never changes."""
        inner = [m.beats for m in self._markers if from_beats < m.beats < to_beats]
        edges = [from_beats, *inner, to_beats]
        whole = self.bpm(from_beats, to_beats)
        found = [(from_beats, whole)]
        if any(not _same(self.bpm(*pair), whole) for pair in zip(edges, edges[1:])):
            found = []
            for one, other in zip(edges, edges[1:]):
                if not found or not _same(self.bpm(one, other), found[-1][1]):
                    found.append((one, self.bpm(one, other)))
        return found

    def within(self, from_beats: float, to_beats: float) -> Timeline:
        """The same between two beats, and straight on beyond them."""
        inner = [marker for marker in self._markers if from_beats < marker.beats < to_beats]
        ends = [Marker(self.seconds(beats), beats) for beats in (from_beats, to_beats)]
        return Timeline([*inner, *ends])

    def part(self, from_s: float, to_s: float) -> list[Marker]:
        """Markers of a stretch of the file, on an axis whose second 0 and beat 0 is its start.

        Those that change nothing are left out.
        """
        start = self.beats(from_s)
        inner = [m for m in self._markers if from_s + 1e-3 < m.seconds < to_s - 1e-3]
        points = [Marker(from_s, start), *inner, Marker(to_s, self.beats(to_s))]
        kept = points[:1]
        for point, after in zip(points[1:], points[2:]):
            if not _is_between(point, kept[-1], after):
                kept.append(point)
        kept.append(points[-1])
        return [Marker(point.seconds - from_s, point.beats - start) for point in kept]

    def _around(self, places: Sequence[float], place: float) -> tuple[Marker, Marker]:
        index = min(max(bisect_right(places, place) - 1, 0), len(places) - 2)
        return self._markers[index], self._markers[index + 1]


def shown_bpm(bpm: float) -> float:
    """The tempo as it is shown, where it is that but for rounding."""
    shown = round(bpm, 3)
    return shown if abs(bpm - shown) < _NEAR_BPM else round(bpm, 6)


def on_grid(beats: float) -> float:
    """The place on the grid, where it is that but for a sample."""
    place = round(beats * _GRID) / _GRID
    return place if abs(beats - place) < _NEAR_BEATS else beats


def _is_between(point: Marker, one: Marker, other: Marker) -> bool:
    """Whether a marker lies on the line between two others."""
    slope = (other.beats - one.beats) / (other.seconds - one.seconds)
    return abs(one.beats + (point.seconds - one.seconds) * slope - point.beats) < _ON_LINE_BEATS


def _same(one_bpm: float, other_bpm: float) -> bool:
    return abs(one_bpm / other_bpm - 1.0) < _SAME_TEMPO
