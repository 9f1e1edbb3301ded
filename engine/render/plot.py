"""Pictures of a render: waveform and spectrogram with seams, bars and the kept audio marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from engine.analysis.spectra import log_mel, mono_at
from engine.render.canvas import (
    BAR,
    INK,
    KEPT,
    LARGEST_BYTES,
    NEW,
    SEAM,
    legend,
    new_figure,
    save,
    tidy,
)
from engine.render.wishes import Wish, draw_wish

Samples = npt.NDArray[np.float64]

_RATE_HZ, _WINDOW, _BANDS = 32_000, 2048, 128
_LOW_HZ = 30.0
_RANGE_DB = 80.0
_SEAM_ON_DARK = "#5ff2e0"
_TICKS_HZ = (100, 250, 500, 1000, 2000, 4000, 8000, 16000)


@dataclass(frozen=True, slots=True)
class Panel:
    """One sound to draw.

    Attributes:
        samples: float64 `[channels, samples]`.
        seams: positions in samples.
        kept: ranges in samples that are the source's own, untouched.
        bpm, bar_beats, first_beat_s: draw bar lines when `bpm` is given.
        bar_lines_s: where they are, in place of those, when they are not equally far apart.
    """

    title: str
    samples: Samples = field(repr=False)
    sample_rate_hz: int
    seams: Sequence[int] = ()
    kept: Sequence[tuple[int, int]] = ()
    bpm: float | None = None
    bar_beats: float = 4.0
    first_beat_s: float = 0.0
    bar_lines_s: Sequence[float] = ()


def plot_render(path: str | Path, panel: Panel, wishes: Sequence[Wish] = ()) -> Path:
    """Draw one render: waveform above, log-mel spectrogram below, then what was wished for.

    Returns:
        the path of a PNG of at most 150 KB.
    """
    return save(figure_of_render(panel, wishes), path, LARGEST_BYTES)


def figure_of_render(panel: Panel, wishes: Sequence[Wish] = ()) -> Figure:
    """What `plot_render` draws; each wish makes it higher by a panel."""
    heights = [4.6 / 3, 4.6 * 2 / 3, *(wish.height_in for wish in wishes)]
    figure = new_figure(9.0, sum(heights), 100)
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    wave = figure.add_subplot(grid[0])
    heat = figure.add_subplot(grid[1], sharex=wave)
    _draw_waveform(wave, panel)
    image = _draw_spectrogram(heat, panel)
    wave.set_title(panel.title, loc="left", fontsize=10, color=INK)
    curves = [draw_wish(figure, grid[2 + row], wish, wave) for row, wish in enumerate(wishes)]
    in_time = [wave, heat, *(axis for axis in curves if axis is not None)]
    for axis in in_time[:-1]:
        axis.tick_params(labelbottom=False)
    in_time[-1].set_xlabel("time (s)", fontsize=8)
    wave.set_xlim(0.0, panel.samples.shape[1] / panel.sample_rate_hz)
    bar = figure.colorbar(image, ax=[wave, heat], pad=0.01, fraction=0.03)
    bar.set_label("level (dB below the loudest)", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure


def plot_grid(path: str | Path, rows: Sequence[Sequence[Panel]], title: str = "") -> Path:
    """Draw spectrograms in rows, such as a source beside its result, on one time scale a row."""
    columns = max(len(row) for row in rows)
    figure = new_figure(4.6 * columns, 1.75 * len(rows) + 0.5, 72)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for row, line in zip(rows, axes, strict=True):
        longest = max(panel.samples.shape[1] / panel.sample_rate_hz for panel in row)
        for axis in line[len(row) :]:
            axis.set_axis_off()
        for panel, axis in zip(row, line, strict=False):
            _draw_spectrogram(axis, panel)
            axis.set_xlim(0.0, longest)
            axis.set_title(panel.title, loc="left", fontsize=8, color=INK)
    for axis in axes[-1]:
        axis.set_xlabel("time (s)", fontsize=8)
    if title:
        figure.suptitle(title, fontsize=11, color=INK)
    return save(figure, path)


def _draw_waveform(axis: Any, panel: Panel) -> None:
    mono_high, mono_low = panel.samples.max(axis=0), panel.samples.min(axis=0)
    count = max(1, min(1400, len(mono_high)))
    edges = np.linspace(0, len(mono_high), count + 1).astype(int)[:-1]
    high, low = np.maximum.reduceat(mono_high, edges), np.minimum.reduceat(mono_low, edges)
    time = edges / panel.sample_rate_hz
    inside = np.zeros(len(edges), dtype=bool)
    for start, end in panel.kept:
        inside |= (edges >= start) & (edges < end)
    for chosen, colour, name in ((inside, KEPT, "kept"), (~inside, NEW, "new")):
        if chosen.any():
            axis.fill_between(
                time,
                low,
                high,
                where=chosen,
                color=colour,
                linewidth=0.4,
                label=name,
                interpolate=False,
                step="post",
            )
    limit = max(1e-3, float(np.max(np.abs(panel.samples), initial=0.0))) * 1.08
    axis.set_ylim(-limit, limit)
    axis.set_ylabel("amplitude", fontsize=8)
    _marks(axis, panel)
    if panel.kept:
        legend(axis)
    tidy(axis)


def _draw_spectrogram(axis: Any, panel: Panel) -> Any:
    seconds = panel.samples.shape[1] / panel.sample_rate_hz
    rate = min(_RATE_HZ, panel.sample_rate_hz)
    mono = mono_at(panel.samples, panel.sample_rate_hz, rate)
    hop = max(256, len(mono) // 900)  # no more columns than pixels
    level = log_mel(mono, rate, bands=_BANDS, window=_WINDOW, hop=hop, range_db=_RANGE_DB)
    level -= level.max()
    image = axis.imshow(
        level.T,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=-_RANGE_DB,
        vmax=0.0,
        extent=(0.0, seconds, 0.0, _BANDS),
        interpolation="nearest",
    )
    ticks = [hz for hz in _TICKS_HZ if hz < rate / 2]
    axis.set_yticks(_band_of(ticks, rate))
    axis.set_yticklabels([f"{hz // 1000}k" if hz >= 1000 else str(hz) for hz in ticks])
    axis.set_ylabel("frequency (Hz)", fontsize=8)
    _marks(axis, panel, _SEAM_ON_DARK)
    tidy(axis)
    return image


def _band_of(frequencies_hz: Sequence[int], rate_hz: int) -> npt.NDArray[np.float64]:
    """Position of frequencies on the axis of mel bands."""

    def mel(hz: npt.ArrayLike) -> npt.NDArray[np.float64]:
        return np.asarray(np.log10(1.0 + np.asarray(hz, dtype=np.float64) / 700.0))

    low, high = mel(_LOW_HZ), mel(rate_hz / 2)
    return np.asarray((mel(np.array(frequencies_hz)) - low) / (high - low) * (_BANDS + 1) - 0.5)


def _marks(axis: Any, panel: Panel, seam_colour: str = SEAM) -> None:
    seconds = panel.samples.shape[1] / panel.sample_rate_hz
    lines = panel.bar_lines_s
    if panel.bpm is not None:
        bar_s = panel.bar_beats * 60.0 / panel.bpm
        lines = np.arange(panel.first_beat_s, seconds, bar_s)[:400].tolist()
    for line in lines:
        axis.axvline(line, color=BAR, linewidth=0.6, alpha=0.7, linestyle=(0, (2, 3)))
    for seam in panel.seams:
        axis.axvline(seam / panel.sample_rate_hz, color=seam_colour, linewidth=1.3)
    axis.set_xlim(0.0, seconds)
