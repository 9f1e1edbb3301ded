"""Panels of what was wished for beside what came: curves over time, and matrices side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.figure import Figure

from engine.render.canvas import INK, LARGEST_BYTES, NEW, legend, new_figure, save, tidy

Values = npt.NDArray[np.float64]

_WIDTH_IN, _DPI = 9.0, 100
_CURVE_IN, _PITCHES_IN, _MATRIX_IN = 1.35, 1.9, 2.5
_PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_PITCHED = "melody"  # its values are pitch classes, which have no order to draw a line by
_AXES = {"intensity": "level (dB RMS)"}  # the report names the unit of the loss, not of the curve
_SHAPE = "1 - correlation"  # the unit of a loss that does not care where its curve lies


@dataclass(frozen=True, slots=True)
class Wish:
    """One entry of a report's `controls`.

    Attributes:
        unit: of the control's loss.
        kind: "curve": values `[n]` at `times_s`; "matrix": values `[n, n]` of pairs of times.
        target, result: NaN where nothing was wished for or nothing is heard.
    """

    name: str
    unit: str
    kind: Literal["curve", "matrix"]
    times_s: Values = field(repr=False)
    target: Values = field(repr=False)
    result: Values = field(repr=False)

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Wish:
        """Read the report's JSON, in which null stands for no value."""
        values = (np.array(entry[name], dtype=np.float64) for name in ("target", "result"))
        kind: Literal["curve", "matrix"] = "matrix" if entry["kind"] == "matrix" else "curve"
        times_s = np.array(entry["times_s"], dtype=np.float64)
        return cls(str(entry["name"]), str(entry["unit"]), kind, times_s, *values)

    @property
    def height_in(self) -> float:
        """Inches that its panel takes."""
        if self.kind == "matrix":
            return _MATRIX_IN
        return _PITCHES_IN if self.name == _PITCHED else _CURVE_IN

    @property
    def shift(self) -> float:
        """How far the target is drawn from where it was wished: a mere shape lies anywhere."""
        apart = self.result - self.target
        known = apart[np.isfinite(apart)]
        return float(known.mean()) if self.unit == _SHAPE and len(known) else 0.0

    @property
    def span(self) -> tuple[float, float]:
        """Where the time of its values begins and ends."""
        if len(self.times_s) < 2:
            return (0.0, 1.0)
        step = float(np.median(np.diff(self.times_s)))
        return (float(self.times_s[0]), float(self.times_s[-1]) + step)


def plot_wishes(path: str | Path, wishes: Sequence[Wish]) -> Path:
    """Draw targets and results alone, one below the other; a PNG of at most 150 KB."""
    heights = [wish.height_in for wish in wishes]
    figure = new_figure(_WIDTH_IN, sum(heights) + 0.3, _DPI)
    grid = figure.add_gridspec(len(wishes), 1, height_ratios=heights)
    for row, wish in enumerate(wishes):
        axis = draw_wish(figure, grid[row], wish)
        if axis is not None:
            axis.set_xlim(*wish.span)
            axis.set_xlabel("time (s)", fontsize=8)
    return save(figure, path, LARGEST_BYTES)


def draw_wish(figure: Figure, place: Any, wish: Wish, time_axis: Any = None) -> Any:
    """Draw one entry at a place of the figure's grid.

    Args:
        time_axis: axes whose time a curve shares.

    Returns:
        the axes of a curve; None for a matrix, which has a time of its own.
    """
    if wish.kind == "matrix":
        _draw_matrix(figure, place, wish)
        return None
    axis = figure.add_subplot(place, sharex=time_axis)
    if wish.name == _PITCHED:
        _draw_pitches(axis, wish)
    else:
        _draw_curve(axis, wish)
    axis.set_title(_title(wish), loc="left", fontsize=8, color=INK)
    legend(axis)
    tidy(axis)
    return axis


def _title(wish: Wish) -> str:
    return f"{wish.name} (loss: {wish.unit})"


def _draw_curve(axis: Any, wish: Wish) -> None:
    shift = wish.shift
    wished = f"target, moved by {shift:+.1f}" if shift else "target"
    axis.plot(wish.times_s, wish.result, color=NEW, linewidth=1.6, label="result")
    axis.plot(
        wish.times_s, wish.target + shift, color=INK, linewidth=1.1, linestyle="--", label=wished
    )
    axis.set_ylabel(_AXES.get(wish.name, wish.name), fontsize=8)
    axis.margins(y=0.12)


def _draw_pitches(axis: Any, wish: Wish) -> None:
    """Pitch classes as level strokes: a line from B up to C would pass all the others."""
    for values, style in (
        (wish.result, {"color": NEW, "linewidth": 2.6, "label": "result"}),
        (wish.target, {"color": INK, "linewidth": 1.1, "linestyle": "--", "label": "target"}),
    ):
        axis.plot(*_strokes(wish.times_s, values, wish.span[1]), **style)
    axis.set_yticks(range(len(_PITCH_CLASSES)), labels=_PITCH_CLASSES)
    axis.set_ylim(-0.7, 11.7)
    axis.set_ylabel("pitch class", fontsize=8)


def _strokes(times_s: Values, values: Values, end_s: float) -> tuple[list[float], list[float]]:
    """Each run of one value as a stroke from its first moment to the next run's, NaN between."""
    starts = [0, *(np.flatnonzero(np.diff(np.nan_to_num(values, nan=-1.0))) + 1), len(values)]
    edges_s = np.append(times_s, end_s)
    x: list[float] = []
    y: list[float] = []
    for first, last in pairwise(starts):
        if first < last and np.isfinite(values[first]):
            x += [float(edges_s[first]), float(edges_s[last]), float("nan")]
            y += [float(values[first])] * 2 + [float("nan")]
    return x, y


def _draw_matrix(figure: Figure, place: Any, wish: Wish) -> None:
    known = np.concatenate([wish.target.ravel(), wish.result.ravel()])
    known = known[np.isfinite(known)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    colours = colormaps["magma"].with_extremes(bad="#e6e6e6")  # the spectrogram's: one palette
    columns = place.subgridspec(1, 3, width_ratios=(1.0, 1.0, 1.2))  # the last keeps them together
    axes = [figure.add_subplot(columns[0, column]) for column in range(2)]
    start, end = wish.span
    for axis, values, name in zip(
        axes, (wish.target, wish.result), (f"{_title(wish)}: target", "result"), strict=True
    ):
        image = axis.imshow(
            values,
            origin="lower",
            cmap=colours,
            vmin=low,
            vmax=high,
            extent=(start, end, start, end),
            interpolation="nearest",
        )
        axis.set_title(name, loc="left", fontsize=8, color=INK)
        axis.set_xlabel("time (s)", fontsize=8)
        axis.set_ylabel("time (s)", fontsize=8)
        axis.set_anchor("W")
        tidy(axis)
    bar = figure.colorbar(image, ax=axes[1], pad=0.03, fraction=0.05)
    bar.ax.tick_params(labelsize=7)
