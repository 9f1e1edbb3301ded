"""What a musician draws: automation lanes and forms, read from text and exact in their units.

Plain Python without torch or numpy, so that the daemon can refuse a bad one before it is a job.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from string import ascii_uppercase
from typing import Any

QUIETEST_DB, LOUDEST_DB = -80.0, 0.0
LONGEST_S = 3600.0
_MOST_POINTS, _MOST_PARTS = 5000, 200
_PART = re.compile(r"([A-Za-z])(\d+(?:\.\d+)?)?")
_MARKER = re.compile(r"(\d+(?:\.\d+)?):\s*([A-Za-z][A-Za-z -]*?)[ -]*\d*")


@dataclass(frozen=True, slots=True)
class Lane:
    """Points `(seconds, value in dB)`; straight lines between them, level beyond the ends."""

    points: tuple[tuple[float, float], ...]

    @classmethod
    def parse(cls, drawn: Any) -> Lane:
        """Read `"0:-30,3:-12"` or a list of pairs.

        Raises:
            ValueError: says what a lane looks like, or which point is wrong.
        """
        if isinstance(drawn, str):
            drawn = [point.split(":") for point in drawn.split(",") if point.strip()]
        if not isinstance(drawn, Sequence) or not 0 < len(drawn) <= _MOST_POINTS:
            raise ValueError(f"must be 1 to {_MOST_POINTS} points such as 0:-30,3:-12")
        points = tuple(_point(pair) for pair in drawn)
        if any(after[0] <= before[0] for before, after in itertools.pairwise(points)):
            raise ValueError("must have points whose times rise")
        return cls(points)

    def __str__(self) -> str:
        return ",".join(f"{_written(at)}:{_written(value)}" for at, value in self.points)

    def at(self, time_s: float) -> float:
        """The value in dB at a time."""
        points = self.points
        if time_s <= points[0][0]:
            return points[0][1]
        for (before, low), (after, high) in itertools.pairwise(points):
            if time_s <= after:
                return low + (high - low) * (time_s - before) / (after - before)
        return points[-1][1]


def _written(number: float) -> str:
    """So that it is read as the same number."""
    text = format(Decimal(repr(number)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _point(pair: Any) -> tuple[float, float]:
    try:
        at, value = (float(part) for part in pair)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"has a point {str(pair)[:80]} that is not seconds:dB") from None
    if not 0.0 <= at <= LONGEST_S:
        raise ValueError(f"has a point at {at:g} s; it must be 0 to {LONGEST_S:g} s")
    if not QUIETEST_DB <= value <= LOUDEST_DB:
        raise ValueError(
            f"has a point of {value:g} dB; it must be {QUIETEST_DB:g} to {LOUDEST_DB:g} dB RMS"
        )
    return at, value


@dataclass(frozen=True, slots=True)
class Form:
    """Parts of a piece, alike where their letters are the same.

    Attributes:
        letters: one for each part.
        sizes: bars of each part; None where all are equally long or `starts_s` tells.
        starts_s: where each part begins, in seconds; None where sizes tell.
    """

    letters: tuple[str, ...]
    sizes: tuple[float, ...] | None = None
    starts_s: tuple[float, ...] | None = None

    @classmethod
    def parse(cls, text: str) -> Form:
        """Read `"A4 B4 A4"` (bars), `"ABBA"` (equal parts) or `"0:A, 8.5:B"` (markers).

        Markers may be words, as in an arrangement: `"0:Verse 1, 8:Chorus, 16:Verse 2"` is ABA.

        Raises:
            ValueError: says what a form looks like.
        """
        if not isinstance(text, str):
            raise ValueError("must be text such as 'A4 B4 A4'")
        form = cls._markers(text) if ":" in text else cls._parts(text)
        if not 0 < len(form.letters) <= _MOST_PARTS:
            raise ValueError(f"must have 1 to {_MOST_PARTS} parts")
        return form

    @classmethod
    def _parts(cls, text: str) -> Form:
        packed = re.sub(r"[\s,|-]+", "", text)
        found = _PART.findall(packed)
        if not found or "".join(letter + size for letter, size in found) != packed:
            raise ValueError("must be letters with bars such as 'A4 B4 A4', or 'ABBA'")
        letters = tuple(letter.upper() for letter, _ in found)
        sized = [bool(size) for _, size in found]
        if any(sized) != all(sized):
            raise ValueError("must give bars to every letter or to none")
        if not all(sized):
            return cls(letters)
        sizes = tuple(float(size) for _, size in found)
        if min(sizes) <= 0.0:
            raise ValueError("must give each part more than 0 bars")
        return cls(letters, sizes)

    @classmethod
    def _markers(cls, text: str) -> Form:
        found = [_MARKER.fullmatch(part.strip()) for part in text.split(",") if part.strip()]
        if not found or any(marker is None for marker in found):
            raise ValueError("must be markers such as '0:A, 8.5:B', in seconds")
        starts = tuple(float(marker[1]) for marker in found if marker)
        if any(after <= before for before, after in itertools.pairwise(starts)):
            raise ValueError("must have markers whose times rise")
        return cls(_letters([marker[2].lower() for marker in found if marker]), None, starts)

    def __str__(self) -> str:
        if self.starts_s is not None:
            marks = zip(self.starts_s, self.letters, strict=True)
            return ",".join(f"{_written(at)}:{letter}" for at, letter in marks)
        if self.sizes is None:
            return "".join(self.letters)
        parts = zip(self.letters, self.sizes, strict=True)
        return " ".join(f"{letter}{_written(size)}" for letter, size in parts)

    def boundaries_s(self, length_s: float, bar_s: float) -> tuple[float, ...]:
        """Where each part begins in a piece of `length_s`; the last one goes on to its end."""
        if self.starts_s is not None:
            return (0.0, *self.starts_s[1:])
        if self.sizes is None:
            return tuple(length_s * index / len(self.letters) for index in range(len(self.letters)))
        starts = itertools.accumulate(self.sizes, initial=0.0)
        return tuple(bars * bar_s for bars in itertools.islice(starts, len(self.sizes)))

    def part_at(self, time_s: float, length_s: float, bar_s: float) -> int:
        """Index of the part that sounds at a time."""
        starts = self.boundaries_s(length_s, bar_s)
        return max(0, bisect_right(starts, time_s + 1e-9) - 1)


def _letters(names: list[str]) -> tuple[str, ...]:
    """Single letters as they are; words as A, B, ... in the order in which they first come."""
    if all(len(name) == 1 for name in names):
        return tuple(name.upper() for name in names)
    order = list(dict.fromkeys(names))
    if len(order) > len(ascii_uppercase):
        raise ValueError(f"must have at most {len(ascii_uppercase)} different parts")
    return tuple(ascii_uppercase[order.index(name)] for name in names)
