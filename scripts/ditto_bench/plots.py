"""Losses by iteration and by seconds, for one item of each control."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from ditto_bench.plan import CONTROLS
from ditto_bench.results import TOLERANCES, Found, Rows

_TASKS = {
    "outpaint-2": "overlap, squared latent",
    "intensity": "intensity, dB²",
    "melody": "melody, nats",
    "structure": "structure, squared cosine",
}
_COLOURS = {"ditto": "#3b6ea8", "doodl": "#8a8f98", "fast": "#d9762b"}
_NAMES = {"ditto": "DITTO", "doodl": "DOODL", "fast": "fast"}
_INK = "#22252b"
_DPI = 100

assert set(CONTROLS) < set(_TASKS)


def plot_losses(found: Found, path: Path) -> bool:
    """Draw the picture; False where there is nothing to draw."""
    drawn = {task: {method: found.rows(task, method) for method in _COLOURS} for task in _TASKS}
    tasks = [task for task, rows in drawn.items() if any(rows.values())]
    if not tasks:
        return False
    figure = Figure(figsize=(9.0, 2.1 * len(tasks) + 0.4), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(tasks), 2, squeeze=False)
    for row, (task, line) in enumerate(zip(tasks, axes, strict=True)):
        item = _item(drawn[task])
        for column, axis in enumerate(line):
            _draw(axis, drawn[task], item, column)
            _finish(axis, task, column, last=row == len(tasks) - 1)
    _legend(figure, axes)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
    return True


def _item(rows: dict[str, Rows]) -> int:
    """The first item that most methods have."""
    items = sorted({item for found in rows.values() for item in found})
    return max(items, key=lambda item: (sum(item in found for found in rows.values()), -item))


def _draw(axis: Any, rows: dict[str, Rows], item: int, column: int) -> None:
    for method, colour in _COLOURS.items():
        figures = rows[method].get(item)
        if figures is None:
            continue
        trace = figures["trace"]
        losses = [value for _, value in trace]
        *busy_s, end_s = figures["busy_s"]
        places: Sequence[float] = busy_s if column else [float(n) for n in range(len(trace))]
        axis.plot(places, losses, color=colour, linewidth=1.4, label=_NAMES[method])
        # What comes out: the best iterate, or what the fast path decodes in more steps.
        end = end_s if column else places[-1]
        axis.plot([end], [figures["best"]], "o", color=colour, markersize=4)


def _finish(axis: Any, task: str, column: int, *, last: bool) -> None:
    axis.set_yscale("log")
    _plain_numbers(axis.yaxis)
    if column:
        axis.set_xscale("log")
        _plain_numbers(axis.xaxis)
    else:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_ylabel(_TASKS[task], fontsize=8)
    if task in TOLERANCES:
        axis.axhline(TOLERANCES[task], color=_INK, linewidth=0.6, linestyle=":")
    if last:
        axis.set_xlabel("processor seconds" if column else "updates of the noise", fontsize=8)
    axis.tick_params(labelsize=7, which="both", colors=_INK)
    axis.grid(visible=True, which="major", color="#e3e5e8", linewidth=0.5)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _plain_numbers(scale: Any) -> None:
    """Ticks at 1, 2 and 5 of every decade, written as people write them."""
    scale.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    scale.set_major_formatter(StrMethodFormatter("{x:g}"))
    scale.set_minor_formatter(NullFormatter())


def _legend(figure: Figure, axes: Any) -> None:
    found: dict[str, Any] = {}
    for axis in axes.flat:
        handles, labels = axis.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    figure.legend(
        found.values(), found.keys(), loc="outside upper right", ncols=3, fontsize=8, frameon=False
    )
