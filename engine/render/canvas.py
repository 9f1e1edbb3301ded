"""What all pictures share: colours, a figure, its finish and its file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, KEPT, NEW, SEAM, BAR = "#22252b", "#3b6ea8", "#d9762b", "#d62f4b", "#8a8f98"
LARGEST_BYTES = 150_000
_COLOURS = 128
_FEWEST_COLOURS = 16


def new_figure(width: float, height: float, dpi: int) -> Figure:
    """A figure of its own: pyplot would keep it, and is not for threads."""
    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def tidy(axis: Any) -> None:
    """Small ticks, and no frame where nothing is to be read."""
    axis.tick_params(labelsize=7, colors=INK, length=2)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def legend(axis: Any) -> None:
    """A line of small names above the right end of an axis."""
    axis.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 0.98),
        fontsize=7,
        ncols=2,
        frameon=False,
        borderpad=0.0,
    )


def save(figure: Figure, path: str | Path, largest_bytes: int | None = None) -> Path:
    """Write a PNG of 128 colours: a third of the size, and hardly a difference to the eye.

    Args:
        largest_bytes: take fewer colours, 16 at least, until the file is no larger.
    """
    from PIL import Image  # matplotlib brings it; imported late for a fast start

    target = Path(path)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    buffer.seek(0)
    colours = _COLOURS
    with Image.open(buffer) as image:
        drawn = image.convert("RGB")
    while True:
        packed = io.BytesIO()
        drawn.quantize(colours, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
        small = largest_bytes is None or packed.tell() <= largest_bytes
        if small or colours <= _FEWEST_COLOURS:
            break
        colours //= 2
    target.write_bytes(packed.getvalue())
    return target
