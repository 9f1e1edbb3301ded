"""Musical and audio units as exact rationals: seconds, samples, beats and bars.

A tempo of 123.4 beats a minute is the decimal 617/5 and not the nearest binary fraction, so every
length is computed as a `fractions.Fraction` and rounded once, at the very end, to whole samples.
"Beats" are quarter notes throughout, as in every DAW's tempo field.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

Number = int | float | str | Fraction

_METRE = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*")


def exact(value: Number) -> Fraction:
    """Return `value` as the decimal a person wrote: `exact(123.4) == Fraction(617, 5)`.

    Raises:
        ValueError: the value is not a finite number.
    """
    if isinstance(value, Fraction):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    try:
        return Fraction(str(value).strip())
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{value!r} is not a number") from error


@dataclass(frozen=True, slots=True)
class Metre:
    """A time signature: `beats` notes of `1/unit` to the bar."""

    beats: int = 4
    unit: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.beats <= 32:
            raise ValueError(f"a metre has 1 to 32 beats in a bar, not {self.beats}")
        if self.unit not in (1, 2, 4, 8, 16, 32):
            raise ValueError(f"a metre counts in 1, 2, 4, 8, 16 or 32nd notes, not {self.unit}")

    @classmethod
    def parse(cls, text: str) -> Metre:
        """Read "7/8".

        Raises:
            ValueError: the text is not a time signature.
        """
        found = _METRE.fullmatch(text)
        if found is None:
            raise ValueError(f"a metre is written like 4/4 or 7/8, not {text[:40]!r}")
        return cls(int(found[1]), int(found[2]))

    @property
    def bar_beats(self) -> Fraction:
        """Length of one bar in quarter notes: 7/8 has 3.5."""
        return Fraction(4 * self.beats, self.unit)

    def __str__(self) -> str:
        return f"{self.beats}/{self.unit}"


def round_half_up(value: Fraction) -> int:
    """Round to the nearest integer, halves upwards (`round` would go to the even one)."""
    return math.floor(value + Fraction(1, 2))


def seconds_to_samples(seconds: Number, sample_rate_hz: int) -> int:
    """Whole samples nearest to a duration in seconds."""
    return round_half_up(exact(seconds) * sample_rate_hz)


def beats_to_seconds(beats: Number, bpm: Number) -> Fraction:
    """Duration in seconds of so many quarter notes."""
    return exact(beats) * 60 / exact(bpm)


def bars_to_seconds(bars: Number, bpm: Number, metre: Metre) -> Fraction:
    """Duration in seconds of so many bars."""
    return beats_to_seconds(exact(bars) * metre.bar_beats, bpm)


def bars_to_samples(bars: Number, bpm: Number, metre: Metre, sample_rate_hz: int) -> int:
    """Whole samples nearest to so many bars, rounded once."""
    return round_half_up(bars_to_seconds(bars, bpm, metre) * sample_rate_hz)


def finite_figures(value: Any) -> Any:
    """A report as JSON can hold it: figures that are no number become None, at any depth.

    >>> finite_figures({"loudness_lufs": -math.inf, "seams": [{"step_ratio": 0.5}]})
    {'loudness_lufs': None, 'seams': [{'step_ratio': 0.5}]}
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): finite_figures(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_figures(item) for item in value]
    return value
