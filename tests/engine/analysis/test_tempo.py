"""Tempo against click tracks and loops of known tempo."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.grid import grid_figures
from engine.analysis.tempo import estimate_grid, find_onsets
from engine.units import Metre
from tests.engine.analysis.signals import clicks, groove, real_loop


@pytest.mark.parametrize("bpm", [70, 93, 123.4, 140, 174])
@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_the_tempo_of_a_click_track(bpm: float, rate: int) -> None:
    grid = estimate_grid(clicks(bpm, 8.2, rate, first_s=0.2), rate)
    ratio = grid.bpm / bpm
    octave = 2 ** np.round(np.log2(ratio))
    assert ratio / octave == pytest.approx(1, abs=0.003)
    assert octave in (0.5, 1, 2)
    assert grid.confidence > 0.8
    assert grid.trusted
    assert not grid.given


@pytest.mark.parametrize("first_s", [0.0, 0.1, 0.25, 0.31])
@pytest.mark.parametrize("bpm", [90.0, 123.4])
def test_the_phase_of_a_given_tempo(first_s: float, bpm: float) -> None:
    grid = estimate_grid(clicks(bpm, 6.0, first_s=first_s), 44_100, bpm=bpm)
    assert grid.given
    assert grid.confidence == 1.0
    assert grid.bpm == bpm
    assert grid.first_beat_s == pytest.approx(first_s, abs=0.004)


def test_the_phase_holds_in_long_clips() -> None:
    grid = estimate_grid(clicks(90, 70.0, 8_000, first_s=0.3), 8_000, bpm=90)
    assert grid.first_beat_s == pytest.approx(0.3, abs=0.006)


def test_a_clip_of_whole_bars_is_read_exactly() -> None:
    samples = groove(4, bpm=97.0)
    grid = estimate_grid(samples, 44_100)
    beats = samples.shape[1] / 44_100 / grid.beat_s
    assert beats == pytest.approx(16, abs=1e-6)
    assert grid.bar_s == pytest.approx(4 * grid.beat_s)


def test_the_metre_says_which_bars_are_whole() -> None:
    grid = estimate_grid(clicks(120, 7 * 0.5, 44_100), 44_100, metre=Metre(7, 8))
    assert grid.bpm == pytest.approx(120, abs=0.01)
    assert grid.bar_s == pytest.approx(3.5 * 0.5, rel=1e-3)


@pytest.mark.parametrize(
    "samples",
    [
        np.random.default_rng(0).normal(0, 0.1, (2, 200_000)),
        np.sin(2 * np.pi * 220 * np.arange(200_000) / 44_100)[None],
        np.zeros((1, 100_000)),
        np.random.default_rng(0).normal(0, 0.1, (1, 4_410)),
        np.ones((2, 50)),
    ],
    ids=["noise", "tone", "silence", "short", "tiny"],
)
def test_without_a_beat_there_is_no_confidence(samples: np.ndarray) -> None:
    grid = estimate_grid(samples, 44_100)
    assert grid.confidence < 0.2
    assert 20 <= grid.bpm <= 400
    assert 0 <= grid.first_beat_s < grid.beat_s


@pytest.mark.parametrize(
    ("name", "beats"),
    [
        ("loop_amen", 4),
        ("loop_amen_full", 16),
        ("loop_breakbeat", 4),
        ("loop_compus", 16),
        ("loop_garzul", 16),
        ("loop_mika", 16),
        ("loop_safari", 16),
        ("loop_electric", 4),
        ("loop_mehackit1", 4),
        ("loop_mehackit2", 4),
        ("loop_industrial", 2),
    ],
)
def test_real_loops(name: str, beats: int) -> None:
    samples, rate = real_loop(name)
    grid = estimate_grid(samples, rate)
    assert samples.shape[1] / rate / grid.beat_s == pytest.approx(beats, rel=1e-3)
    assert grid.confidence > 0.5
    assert min(grid.first_beat_s, grid.beat_s - grid.first_beat_s) < 0.03


@pytest.mark.parametrize("name", ["ambi_drone", "ambi_glass_hum", "ambi_lunar_land", "vinyl_hiss"])
def test_real_sounds_without_a_beat(name: str) -> None:
    assert estimate_grid(*real_loop(name)).confidence < 0.2


def test_onsets_are_where_the_clicks_are() -> None:
    onsets = find_onsets(clicks(100, 6.0, first_s=0.15), 44_100)
    np.testing.assert_allclose(onsets.times_s, 0.15 + 0.6 * np.arange(10), atol=0.004)


def test_grid_figures_of_material_in_time_and_late() -> None:
    in_time = grid_figures(clicks(120, 6.0, first_s=0.02), 44_100, 120, first_beat_s=0.02)
    assert in_time["onset_deviation_ms_median"] < 4
    assert in_time["tempo_error_percent"] < 0.2
    late = grid_figures(clicks(120, 6.0, first_s=0.05), 44_100, 120, first_beat_s=0.02)
    assert late["onset_deviation_ms_median"] == pytest.approx(30, abs=4)
    fast = grid_figures(clicks(123, 6.0), 44_100, 120)
    assert fast["tempo_error_percent"] == pytest.approx(2.5, abs=0.3)


def test_grid_figures_say_nothing_of_silence() -> None:
    nothing = {"onset_deviation_ms_median": None, "tempo_error_percent": None}
    assert grid_figures(np.zeros((2, 44_100)), 44_100, 120) == nothing
    assert grid_figures(np.zeros((2, 10)), 44_100, 120) == nothing
