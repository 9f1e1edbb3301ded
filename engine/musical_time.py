"""Musical time: beats, bars, seconds and samples through tempo and metre changes, exactly.

A beat is a quarter note. Everything is a `fractions.Fraction` until it is rounded, once, to whole
samples. Plain Python without torch or numpy, so that the daemon can refuse a host's values before
they are a job.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any, TypeVar

from engine.units import Metre, Number, exact, round_half_up

SLOWEST_BPM, FASTEST_BPM = 20, 400
MOST_CHANGES = 5000
LAST_BEAT = 1_000_000  # the latest beat that a host may name: two days at 400 bpm
_FINEST_TICK = 1 << 16  # no MIDI file divides a beat further
_FINEST_SECOND = 1 << 192  # sums of hundreds of unlike tempos need more to be exact, nobody does

_PLAIN_NUMBER = re.compile(r"-?\d{1,12}(\.\d{1,20})?(/\d{1,12})?")

Value = TypeVar("Value")


def exact_beats(value: Number) -> Fraction:
    """A position in beats; a float is taken for the tick it was made from, 1/3 for 0.333…"""
    if isinstance(value, float):
        return Fraction(value).limit_denominator(_FINEST_TICK)
    return exact(value)


def _fine_enough(seconds: Fraction) -> Fraction:
    """The same, but for a denominator so large that every later sum would take longer than this."""
    if seconds.denominator <= _FINEST_SECOND:
        return seconds
    return Fraction(round(seconds * _FINEST_SECOND), _FINEST_SECOND)


@dataclass(frozen=True, slots=True)
class TempoMap:
    """Piecewise constant tempo; second 0 is at beat 0.

    Attributes:
        changes: (beat, quarter notes a minute), beats rising; the first tempo holds before its
            beat, too.
    """

    changes: tuple[tuple[Fraction, Fraction], ...]
    _seconds: tuple[Fraction, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_rising(self.changes, "tempo")
        if any(bpm <= 0 for _, bpm in self.changes):
            raise ValueError("a tempo is above 0 bpm")
        elapsed = [Fraction(0)]
        for (beat, bpm), (after, _) in itertools.pairwise(self.changes):
            elapsed.append(_fine_enough(elapsed[-1] + (after - beat) * 60 / bpm))
        object.__setattr__(self, "_seconds", tuple(elapsed))
        origin = self.seconds_at(0)
        object.__setattr__(self, "_seconds", tuple(second - origin for second in elapsed))

    @classmethod
    def constant(cls, bpm: Number) -> TempoMap:
        """One tempo throughout."""
        return cls(((Fraction(0), exact(bpm)),))

    @classmethod
    def parse(cls, given: Any) -> TempoMap:
        """Read a host's tempo map: `"0:120,16:90"`, or a list of [beat, bpm], from beat 0 on.

        Raises:
            ValueError: says what a tempo map looks like, or which point is wrong.
        """
        points = _points(given, "0:120,16:90")
        changes = tuple((beat, _host_bpm(bpm, beat)) for beat, bpm in points)
        if len({bpm for _, bpm in changes}) == 1:
            changes = changes[:1]
        return cls(changes)

    def __str__(self) -> str:
        return ",".join(f"{_written(beat)}:{_written(bpm)}" for beat, bpm in self.changes)

    @property
    def is_constant(self) -> bool:
        """Whether the tempo never changes."""
        return len(self.changes) == 1

    def bpm_at(self, beats: Number) -> Fraction:
        """The tempo from a beat on."""
        return self.changes[_place(self.changes, exact_beats(beats))][1]

    def seconds_at(self, beats: Number) -> Fraction:
        """The time in seconds of a position in beats.

        >>> TempoMap.parse("0:120,4:60").seconds_at(5)
        Fraction(3, 1)
        """
        at = exact_beats(beats)
        place = _place(self.changes, at)
        beat, bpm = self.changes[place]
        return self._seconds[place] + (at - beat) * 60 / bpm

    def beats_at(self, seconds: Number) -> Fraction:
        """Inverse of `seconds_at`."""
        at = Fraction(seconds) if isinstance(seconds, float) else exact(seconds)
        place = max(0, bisect_right(self._seconds, at) - 1)
        beat, bpm = self.changes[place]
        return beat + (at - self._seconds[place]) * bpm / 60

    def samples_at(self, beats: Number, sample_rate_hz: int) -> int:
        """The sample nearest to a position in beats, rounded once."""
        return round_half_up(self.seconds_at(beats) * sample_rate_hz)

    def from_beat(self, beats: Number) -> TempoMap:
        """The same tempi counted from a later beat, which is beat 0 and second 0 then."""
        return TempoMap(_shifted(self.changes, exact_beats(beats)))

    def within(self, start_beats: Number, stop_beats: Number) -> TempoMap:
        """The part of the map that says something about `[start, stop)`."""
        return TempoMap(_within(self.changes, exact_beats(start_beats), exact_beats(stop_beats)))


@dataclass(frozen=True, slots=True)
class MetreMap:
    """Metres and where their first bar lines lie.

    Attributes:
        changes: (beat of a bar line, metre of the bars from there on), beats rising; bars of the
            first metre lie before its beat, too. A change inside a bar ends that bar.
    """

    changes: tuple[tuple[Fraction, Metre], ...]

    def __post_init__(self) -> None:
        _check_rising(self.changes, "metre")

    @classmethod
    def constant(cls, metre: Metre) -> MetreMap:
        """One metre throughout, with a bar line at beat 0."""
        return cls(((Fraction(0), metre),))

    @classmethod
    def parse(cls, given: Any) -> MetreMap:
        """Read `"7/8"`, or changes by their beats: `"0:4/4,16:3/4"` or a list of pairs.

        Raises:
            ValueError: says what a metre looks like, or which point is wrong.
        """
        if isinstance(given, str) and ":" not in given:
            return cls.constant(Metre.parse(given))
        points = _points(given, "0:4/4,16:3/4")
        return cls.of([(beat, Metre.parse(str(metre))) for beat, metre in points])

    @classmethod
    def of(cls, changes: Sequence[tuple[Fraction, Metre]]) -> MetreMap:
        """The map of changes whose beats rise, without those that change no bar line.

        Raises:
            ValueError: there is none, or their beats do not rise.
        """
        kept = [pair for place, pair in enumerate(changes) if _starts(changes, place)]
        return cls(tuple(kept))

    def __str__(self) -> str:
        if self.is_constant and self.changes[0][0] == 0:
            return str(self.first)
        return ",".join(f"{_written(beat)}:{metre}" for beat, metre in self.changes)

    @property
    def first(self) -> Metre:
        """The metre at the start."""
        return self.changes[0][1]

    @property
    def is_constant(self) -> bool:
        """Whether the metre never changes."""
        return len(self.changes) == 1

    def metre_at(self, beats: Number) -> Metre:
        """The metre of the bar that a position lies in."""
        return self.changes[_place(self.changes, exact_beats(beats))][1]

    def bar_line(self, beats: Number) -> Fraction:
        """The last bar line at or before a position."""
        at = exact_beats(beats)
        beat, metre = self.changes[_place(self.changes, at)]
        return beat + (at - beat) // metre.bar_beats * metre.bar_beats

    def bars_later(self, beats: Number, bars: Number) -> Fraction:
        """Where so many bars from a position end; before it for a negative number of bars."""
        at, left = exact_beats(beats), exact(bars)
        place = _place(self.changes, at)
        while left > 0 and place + 1 < len(self.changes):
            size, edge = self.changes[place][1].bar_beats, self.changes[place + 1][0]
            if at + left * size <= edge:
                break
            at, left, place = edge, left - (edge - at) / size, place + 1
        while left < 0 and place > 0:
            size, edge = self.changes[place][1].bar_beats, self.changes[place][0]
            if at + left * size >= edge:
                break
            at, left, place = edge, left + (at - edge) / size, place - 1
        return at + left * self.changes[place][1].bar_beats

    def bar_lines(self, start_beats: Number, stop_beats: Number) -> Iterator[Fraction]:
        """Every bar line in `[start, stop)`."""
        start, stop = exact_beats(start_beats), exact_beats(stop_beats)
        for first, end, metre in self.stretches(start, stop):
            at = first
            while at < end:
                if at >= start:
                    yield at
                at += metre.bar_beats

    def stretches(
        self, start_beats: Number, stop_beats: Number
    ) -> Iterator[tuple[Fraction, Fraction, Metre]]:
        """Stretches of one metre that cover `[start, stop)`: bar line, end, metre.

        The first one begins at the last bar line at or before the start.
        """
        stop = exact_beats(stop_beats)
        at = self.bar_line(start_beats)
        for place in range(_place(self.changes, at), len(self.changes)):
            last = place + 1 == len(self.changes)
            end = stop if last else min(stop, self.changes[place + 1][0])
            if at < end:
                yield at, end, self.changes[place][1]
                at = end

    def from_beat(self, beats: Number) -> MetreMap:
        """The same bars counted from another beat, which is beat 0 then."""
        return MetreMap(_shifted(self.changes, exact_beats(beats)))

    def within(self, start_beats: Number, stop_beats: Number) -> MetreMap:
        """The part of the map that says something about `[start, stop)`."""
        return MetreMap(_within(self.changes, exact_beats(start_beats), exact_beats(stop_beats)))


@dataclass(frozen=True, slots=True)
class MusicalTime:
    """Tempo and metre on one axis, whose beat 0 is second 0 and sample 0.

    Attributes:
        position_beats: where that beat lies in the host's song.
    """

    tempo: TempoMap
    metres: MetreMap
    position_beats: Fraction = Fraction(0)

    @classmethod
    def in_song(cls, tempo: TempoMap, metres: MetreMap, position_beats: Number) -> MusicalTime:
        """The time of a clip that lies so many beats after its song's start."""
        at = exact_beats(position_beats)
        return cls(tempo.from_beat(at), metres.from_beat(at), at)

    @property
    def is_steady(self) -> bool:
        """Whether neither tempo nor metre change."""
        return self.tempo.is_constant and self.metres.is_constant

    def later(self, beats: Number) -> MusicalTime:
        """The same time from another beat on, which is beat 0 and second 0 then."""
        at = exact_beats(beats)
        song_beats = self.position_beats + at
        return MusicalTime(self.tempo.from_beat(at), self.metres.from_beat(at), song_beats)

    def since_beat_s(self, seconds: Number) -> Fraction:
        """How long ago the last beat was; beats are counted from each bar line."""
        since, _ = self.phase(seconds)
        at = self.tempo.beats_at(seconds)
        return self.tempo.seconds_at(at) - self.tempo.seconds_at(at - since % 1)

    def bars_s(self, bars: Number, from_beats: Number = 0) -> Fraction:
        """Length in seconds of so many bars after a beat (before it: negative)."""
        end = self.metres.bars_later(from_beats, bars)
        return self.tempo.seconds_at(end) - self.tempo.seconds_at(from_beats)

    def phase(self, seconds: Number) -> tuple[Fraction, Fraction]:
        """Beats since the bar line before a moment, and the beats of that bar."""
        at = self.tempo.beats_at(seconds)
        line = self.metres.bar_line(at)
        return at - line, self.metres.metre_at(at).bar_beats

    def song_samples_at(self, beats: Number, sample_rate_hz: int) -> int:
        """Samples from the start of the host's song to a beat of this axis."""
        start = self.tempo.seconds_at(-self.position_beats)
        return round_half_up((self.tempo.seconds_at(beats) - start) * sample_rate_hz)


def check_bpm(bpm: Number) -> Fraction:
    """A host's tempo.

    Raises:
        ValueError: it is not 20 to 400 quarter notes a minute.
    """
    value = exact(bpm)
    if not SLOWEST_BPM <= value <= FASTEST_BPM:
        raise ValueError(
            f"has a tempo of {float(value):g} bpm; it must be {SLOWEST_BPM} to {FASTEST_BPM} bpm"
        )
    return value


def _host_bpm(value: Any, beat: Fraction) -> Fraction:
    try:
        return check_bpm(_number(value))
    except ValueError as error:
        raise ValueError(f"{error} (at beat {_written(beat)})") from None


def _points(given: Any, example: str) -> list[tuple[Fraction, Any]]:
    """Pairs of a beat and something, from text or a list; the first at beat 0, beats rising."""
    if isinstance(given, str):
        words = given.split(",", MOST_CHANGES + 1)  # so many are too many, however long the rest is
        given = [word.split(":", 2) for word in words if word.strip()]
    if not isinstance(given, Sequence) or not 0 < len(given) <= MOST_CHANGES:
        raise ValueError(f"must be 1 to {MOST_CHANGES} points such as {example}")
    points: list[tuple[Fraction, Any]] = []
    for pair in given:
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise ValueError(f"must have points such as {example}, not {str(pair)[:40]!r}")
        beat = _number(pair[0])
        if not 0 <= beat <= LAST_BEAT:
            raise ValueError(f"has a point at beat {float(beat):g}; it must be 0 to {LAST_BEAT}")
        points.append((beat, pair[1]))
    if points[0][0] != 0:
        raise ValueError("must have its first point at beat 0")
    if any(after[0] <= before[0] for before, after in itertools.pairwise(points)):
        raise ValueError("must have points whose beats rise")
    return points


def _starts(changes: Sequence[tuple[Fraction, Metre]], place: int) -> bool:
    """Whether a change says anything new: another metre, or a bar line where none would be."""
    if place == 0:
        return True
    (before, metre), (beat, after) = changes[place - 1 : place + 1]
    return after != metre or (beat - before) % metre.bar_beats != 0


def _check_rising(changes: Sequence[tuple[Fraction, Any]], name: str) -> None:
    if not changes:
        raise ValueError(f"a {name} map has at least one point")
    if any(after[0] <= before[0] for before, after in itertools.pairwise(changes)):
        raise ValueError(f"a {name} map has points whose beats rise")


def _place(changes: Sequence[tuple[Fraction, Any]], beats: Fraction) -> int:
    """Index of the change that holds at a beat."""
    return max(0, bisect_right(changes, beats, key=lambda change: change[0]) - 1)


def _shifted(
    changes: Sequence[tuple[Fraction, Value]], beats: Fraction
) -> tuple[tuple[Fraction, Value], ...]:
    return tuple((beat - beats, value) for beat, value in changes)


def _within(
    changes: Sequence[tuple[Fraction, Value]], start: Fraction, stop: Fraction
) -> tuple[tuple[Fraction, Value], ...]:
    first = _place(changes, start)
    return (changes[first], *(change for change in changes[first + 1 :] if change[0] < stop))


def _number(value: Any) -> Fraction:
    """A number as it is written; no power of ten that would take long to work out.

    Raises:
        ValueError: it is none.
    """
    text = value.strip() if isinstance(value, str) else str(value)
    if isinstance(value, bool) or not _PLAIN_NUMBER.fullmatch(text):
        raise ValueError(f"has {text[:40]!r} where a number belongs")
    try:
        return exact(text)
    except ValueError:  # a fraction of nothing
        raise ValueError(f"has {text[:40]!r} where a number belongs") from None


def _written(value: Fraction) -> str:
    """As decimals where they end, else as a fraction; `exact` reads both."""
    with localcontext() as context:
        context.prec = 40
        text = format(Decimal(value.numerator) / Decimal(value.denominator), "f")
    if exact(text) != value:
        return str(value)
    return text.rstrip("0").rstrip(".") if "." in text else text
