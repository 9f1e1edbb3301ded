"""Plots: a picture of the right size, whatever is drawn."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from engine.render.plot import Panel, figure_of_render, plot_grid, plot_render
from engine.render.wishes import Wish, plot_wishes


def panel(seconds: float = 5.0, rate: int = 44_100, channels: int = 2, **extra: object) -> Panel:
    generator = np.random.default_rng(0)
    samples = generator.normal(0, 0.1, (channels, round(seconds * rate)))
    return Panel("noise", samples, rate, **extra)


def test_a_render_with_everything_drawn(tmp_path: Path) -> None:
    whole = panel(seams=[100_000], kept=[(0, 98_677)], bpm=120.0, bar_beats=3.5, first_beat_s=0.1)
    path = plot_render(tmp_path / "a.png", whole)
    assert path.stat().st_size < 150_000
    image = matplotlib.image.imread(path)
    assert image.shape[0] > 300
    assert image.std() > 0.05


@pytest.mark.parametrize("rate", [8_000, 192_000])
@pytest.mark.parametrize("seconds", [0.01, 0.2])
def test_short_and_silent_ones(tmp_path: Path, rate: int, seconds: float) -> None:
    plot_render(tmp_path / "a.png", panel(seconds, rate, channels=1))
    silent = Panel("silence", np.zeros((2, round(seconds * rate))), rate)
    assert plot_render(tmp_path / "b.png", silent).exists()


def test_a_page_of_pairs(tmp_path: Path) -> None:
    rows = [[panel(1.0), panel(2.0, seams=[44_100])], [panel(1.5)]]
    path = plot_grid(tmp_path / "grid.png", rows, "source and result")
    assert matplotlib.image.imread(path).shape[1] > 500


def curve(name: str = "intensity", unit: str = "dB²", gap: bool = False) -> Wish:
    times = [round(0.1 * step, 3) for step in range(40)]
    target: list[float | None] = [-30.0 + step / 2 for step in range(40)]
    if gap:
        target[10:20] = [None] * 10
    result = [-31.0 + step / 2 for step in range(40)]
    entry = {"name": name, "unit": unit, "kind": "curve", "times_s": times}
    return Wish.of(entry | {"target": target, "result": result})


def matrix() -> Wish:
    target: list[list[float | None]] = [[1.0, -1.0, None], [-1.0, 1.0, None], [None] * 3]
    result = [[1.0, -0.2, 0.3], [-0.2, 1.0, 0.1], [0.3, 0.1, 1.0]]
    entry = {"name": "structure", "unit": "mean squared cosine", "kind": "matrix"}
    return Wish.of(entry | {"times_s": [0.0, 1.0, 2.0], "target": target, "result": result})


def tune(pitches: list[float | None]) -> Wish:
    times = [0.5 * step for step in range(len(pitches))]
    entry = {"name": "melody", "unit": "nats", "kind": "curve", "times_s": times}
    return Wish.of(entry | {"target": pitches, "result": [0.0] * len(pitches)})


def titled(figure: Figure, start: str) -> list[Axes]:
    return [axis for axis in figure.axes if axis.get_title(loc="left").startswith(start)]


def test_each_wish_has_its_panel() -> None:
    figure = figure_of_render(panel(), [curve(), tune([0.0, 7.0, 7.0]), matrix()])
    (level,), (pitch,) = titled(figure, "intensity"), titled(figure, "melody")
    assert len(titled(figure, "structure")) == len(titled(figure, "result")) == 1
    assert level.get_ylabel() == "level (dB RMS)"
    assert [line.get_label() for line in level.lines] == ["result", "target"]
    assert level.lines[1].get_linestyle() == "--"
    assert level.get_xlim() == pitch.get_xlim() == figure.axes[0].get_xlim() == (0.0, 5.0)
    assert [text.get_text() for text in pitch.get_yticklabels()][::11] == ["C", "B"]


def test_values_that_are_null_make_gaps() -> None:
    figure = figure_of_render(panel(), [curve(gap=True), matrix()])
    (level,), (wished,) = titled(figure, "intensity"), titled(figure, "structure")
    assert np.isnan(level.lines[1].get_ydata()[10:20]).all()
    assert np.isfinite(level.lines[0].get_ydata()).all()
    drawn = wished.images[0].get_array()
    assert np.ma.getmaskarray(drawn).sum() == 5
    figure_of_render(panel(), [tune([None, None]), tune([None]), tune([])]).draw_without_rendering()


def test_matrices_share_their_colours() -> None:
    figure = figure_of_render(panel(), [matrix()])
    (wished,), (came,) = titled(figure, "structure"), titled(figure, "result")
    assert wished.images[0].get_clim() == came.images[0].get_clim() == (-1.0, 1.0)
    assert wished.get_aspect() == came.get_aspect() == 1.0


def test_pitches_are_strokes_without_slopes() -> None:
    figure = figure_of_render(panel(), [tune([0.0, 0.0, None, 11.0])])
    (pitch,) = titled(figure, "melody")
    (x, y) = (pitch.lines[1].get_data()[row].tolist() for row in (0, 1))
    assert (x[0:2], y[0:2]) == ([0.0, 1.0], [0.0, 0.0])
    assert (x[3:5], y[3:5]) == ([1.5, 2.0], [11.0, 11.0])
    assert len(x) == 6
    assert np.isnan([x[2], y[2], x[5], y[5]]).all()


def test_a_shape_is_drawn_where_the_result_lies() -> None:
    figure = figure_of_render(panel(), [curve(unit="1 - correlation")])
    (level,) = titled(figure, "intensity")
    assert level.lines[1].get_label() == "target, moved by -1.0"
    assert np.allclose(level.lines[0].get_ydata(), level.lines[1].get_ydata())


@pytest.mark.parametrize("count", [1, 3, 12])
def test_pictures_stay_small_with_any_number_of_panels(tmp_path: Path, count: int) -> None:
    wishes = [(curve(), matrix())[number % 2] for number in range(count)]
    path = plot_render(tmp_path / "a.png", panel(), wishes)
    assert path.stat().st_size < 150_000
    height, width = matplotlib.image.imread(path).shape[:2]
    plain = matplotlib.image.imread(plot_render(tmp_path / "b.png", panel())).shape
    assert (width, height > plain[0] + 100 * count) == (plain[1], True)


def test_wishes_alone(tmp_path: Path) -> None:
    path = plot_wishes(tmp_path / "a.png", [curve(gap=True), matrix(), tune([3.0, 4.0])])
    assert path.stat().st_size < 60_000
    assert matplotlib.image.imread(path).shape[1] == 900
