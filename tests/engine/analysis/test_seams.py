"""Seam figures: a click stands out, music that goes on does not."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analysis.seams import seam_figures, wrap_figures
from engine.analysis.spectra import mono_at
from tests.engine.analysis.signals import real_loop

RATE = 44_100


def sine(
    phase: float = 0.0, hz: float = 220.0, seconds: float = 3.0, rate: int = RATE
) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate + phase)[None]


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_a_cut_sine_clicks_and_a_whole_one_does_not(rate: int) -> None:
    whole = sine(rate=rate, seconds=4.0)
    at = whole.shape[1] // 2
    fine = seam_figures(whole, rate, at, source=whole)
    assert fine["step_ratio"] <= 1.01
    cut = np.concatenate([whole[:, :at], whole[:, at + round(rate / 440) :]], axis=1)
    clicks = seam_figures(cut, rate, at, source=whole)
    assert clicks["flux_ratio"] > 3 * max(1.0, fine["flux_ratio"])
    shifted = np.concatenate([whole[:, :at], whole[:, at + round(rate / 880) :]], axis=1)
    assert seam_figures(shifted, rate, at, source=whole)["step_ratio"] > 3


def test_a_click_in_one_channel_is_a_click() -> None:
    samples = np.repeat(sine(seconds=4.0), 2, axis=0)
    samples[1, 2 * RATE] += 0.4
    samples[0, 2 * RATE] -= 0.4
    assert seam_figures(samples, RATE, 2 * RATE, source=samples)["step_ratio"] > 3


def test_a_change_of_colour_stands_out() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 4 * RATE))
    dark = scipy.signal.sosfilt(scipy.signal.butter(2, 500, fs=RATE, output="sos"), noise, axis=1)
    joined = np.concatenate([dark[:, : 2 * RATE], noise[:, 2 * RATE :]], axis=1)
    assert seam_figures(joined, RATE, 2 * RATE, source=dark)["timbre_ratio"] > 5
    assert seam_figures(dark, RATE, 2 * RATE, source=dark)["timbre_ratio"] < 1.1


def test_channels_that_cancel_are_heard() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 4 * RATE))
    dark = scipy.signal.sosfilt(scipy.signal.butter(2, 500, fs=RATE, output="sos"), noise, axis=1)
    joined = np.concatenate([dark[:, : 2 * RATE], noise[:, 2 * RATE :]], axis=1)
    alone = seam_figures(joined, RATE, 2 * RATE, source=dark)
    both = seam_figures(
        np.vstack([joined, -joined]), RATE, 2 * RATE, source=np.vstack([dark, -dark])
    )
    assert alone["timbre_ratio"] > 5
    assert both == pytest.approx(alone, rel=1e-3)
    loudest = mono_at(np.vstack([dark, -2 * dark, dark]), RATE, RATE)
    np.testing.assert_array_equal(loudest, -2 * dark[0])
    wrapped = wrap_figures(np.vstack([joined, -joined]), RATE)
    assert wrapped == pytest.approx(wrap_figures(joined, RATE), rel=1e-3)
    assert wrapped["timbre_ratio"] > 0


def test_result_and_source_are_heard_by_the_same_channel() -> None:
    """What is new may be no wider than one channel where the source's cancel: no step in level."""
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 4 * RATE))
    source = np.vstack([noise[:, : 2 * RATE], -noise[:, : 2 * RATE]])
    new = np.vstack([noise[:, 2 * RATE :]] * 2)
    figures = seam_figures(np.hstack([source, new]), RATE, 2 * RATE, source=source)
    assert figures["level_step_db"] == pytest.approx(0.0, abs=0.3)
    assert figures["timbre_ratio"] < 1.5
    of_one = seam_figures(np.hstack([source, new]), RATE, 2 * RATE, source=noise)
    assert np.isfinite(of_one["timbre_ratio"])


def test_the_level_step_is_in_decibels() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, (2, 4 * RATE))
    noise[:, 2 * RATE :] *= 2.0
    figures = seam_figures(noise, RATE, 2 * RATE, source=noise)
    assert figures["level_step_db"] == pytest.approx(6.02, abs=0.3)
    assert figures["at_sample"] == 2 * RATE


def test_uninterrupted_music_measures_as_the_definition_says() -> None:
    """Medians of about 0.5 / 0.8 / 0.5 were measured on other clips cut in the middle."""
    rows = []
    for name in (
        "loop_amen_full",
        "loop_garzul",
        "loop_mika",
        "loop_weirdo",
        "loop_drone_g_97",
        "ambi_drone",
        "guit_em9",
        "bass_voxy_c",
    ):
        samples, rate = real_loop(name)
        for share in (0.45, 0.5, 0.55):
            at = int(share * samples.shape[1])
            rows.append(seam_figures(samples, rate, at, source=samples[:, :at]))
    for name, low, high in (
        ("step_ratio", 0.2, 0.7),
        ("flux_ratio", 0.2, 1.0),
        ("timbre_ratio", 0.3, 0.8),
    ):
        assert low < np.median([row[name] for row in rows]) < high


def test_the_wrap_of_a_seamless_loop() -> None:
    period = 441
    loop = 0.5 * np.sin(2 * np.pi * np.arange(100 * period) / period)[None]
    assert wrap_figures(loop, RATE)["step_ratio"] <= 1.01
    broken = loop[:, : -period // 3]
    assert wrap_figures(broken, RATE)["step_ratio"] > 3
    short = wrap_figures(loop[:, : 10 * period], RATE)
    assert short["at_sample"] == 0
    assert short["step_ratio"] <= 1.01


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 9_000),
    st.floats(0, 1),
    st.sampled_from([8_000, 44_100, 192_000]),
    st.sampled_from(["noise", "silence", "half", "huge"]),
    st.integers(1, 3),
)
def test_every_figure_is_finite_json(
    length: int, place: float, rate: int, kind: str, channels: int
) -> None:
    samples = np.random.default_rng(length).normal(0, 0.1, (channels, length))
    if kind == "silence":
        samples[:] = 0.0
    elif kind == "half":
        samples[:, : length // 2] = 0.0
    elif kind == "huge":
        samples *= 1e6
    figures = seam_figures(
        samples, rate, round(place * length), source=samples[:, : length // 2 + 1]
    )
    json.loads(json.dumps(figures, allow_nan=False))
    json.dumps(wrap_figures(samples, rate), allow_nan=False)
