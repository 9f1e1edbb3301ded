"""Plots: a picture of the right size, whatever is drawn."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from engine.render.plot import Panel, plot_grid, plot_render


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
