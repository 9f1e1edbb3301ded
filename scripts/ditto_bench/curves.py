"""The wishes that are drawn: curves of intensity, as published, and forms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt

SHAPES = ("linear", "tanh", "cosine")
SWINGS_DB = (6.0, 9.0, 12.0, 15.0)
FORMS = ("ABA", "ABBA", "AAB", "ABAC", "ABAB", "ABB", "ABCA", "AABB")
_STEEPNESS = 3.0  # of the tanh, whose ends reach its swing all the same
_STRIDE = 7  # has no divisor in common with 24, so neighbours differ in all that can differ

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve: a shape from `-swing_db` to `+swing_db` around the mean of the data."""

    shape: str
    flipped: bool
    swing_db: float

    def values(self, count: int, mean_db: float) -> Values:
        """`[count]` in dB, evenly over the window.

        The cosine makes one period, a swell from the quiet end and back (our reading: the papers
        name the shapes only). All three have the data's mean.
        """
        place = (np.arange(count) + 0.5) / count
        drawn = {
            "linear": 2.0 * place - 1.0,
            "tanh": np.tanh(_STEEPNESS * (2.0 * place - 1.0)) / np.tanh(_STEEPNESS),
            "cosine": -np.cos(2.0 * np.pi * place),
        }[self.shape]
        return np.asarray(mean_db + (-1.0 if self.flipped else 1.0) * self.swing_db * drawn)

    @property
    def changed(self) -> Curve:
        """The same shape with the swing one step wider, or narrower from the widest one."""
        place = SWINGS_DB.index(self.swing_db)
        last = len(SWINGS_DB) - 1
        return replace(self, swing_db=SWINGS_DB[place + 1 if place < last else last - 1])


CURVES: tuple[Curve, ...] = tuple(
    Curve(shape, flipped, swing_db)
    for shape, flipped, swing_db in product(SHAPES, (False, True), SWINGS_DB)
)


def curve_of(item: int) -> Curve:
    """The curve of an item; the first 24 items have all of them."""
    return CURVES[_STRIDE * item % len(CURVES)]


def form_of(item: int) -> str:
    """The form of an item."""
    return FORMS[item % len(FORMS)]
