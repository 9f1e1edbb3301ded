"""The prior: a clip goes on as it has shown it goes on."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analysis.bridge import bridge_prior
from engine.analysis.continuation import Prior, continuation
from engine.analysis.joins import LEAD_S
from engine.analysis.key import estimate_key
from engine.analysis.seams import seam_figures
from engine.analysis.similarity import refine_join
from engine.analysis.tempo import Grid, estimate_grid
from engine.analysis.warm_up import warm_up
from engine.render.splice import close_loop, splice_extend, splice_inpaint
from tests.engine.analysis.signals import groove, notes, real_loop

RATE = 44_100


def extend(samples: np.ndarray, length: int, side: str = "end", **grid: float) -> Prior:
    return continuation(samples, RATE, estimate_grid(samples, RATE, **grid), length, side=side)


@pytest.mark.parametrize("side", ["end", "start"])
@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("length", [1, 1000, 44_100, 400_001])
def test_shapes_are_exact(side: str, channels: int, length: int) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, (channels, 60_000))
    prior = extend(samples, length, side)
    assert prior.audio.shape == (channels, prior.context_samples + length)
    assert prior.new.shape == (channels, length)
    assert sum(segment.length for segment in prior.segments) == length
    assert prior.for_splice(1323).shape == (channels, 1323 + length)
    assert prior.for_splice(0).shape == (channels, length)
    assert np.isfinite(prior.audio).all()


@pytest.mark.parametrize("side", ["end", "start"])
def test_the_context_is_the_clip_but_for_the_join(side: str) -> None:
    samples = groove(3)[:, : int(2.6 * 88_200)]
    prior = extend(samples, 100_000, side)
    kept = prior.context_samples - prior.joined_samples
    assert prior.joined_samples <= 0.021 * RATE
    if side == "end":
        seam = samples.shape[1] - prior.context_samples
        np.testing.assert_array_equal(prior.audio[:, :kept], samples[:, seam : seam + kept])
    else:
        np.testing.assert_array_equal(
            prior.audio[:, -kept:], samples[:, prior.context_samples - kept : prior.context_samples]
        )


@pytest.mark.parametrize("cut", [1.0, 0.8, 0.63])
@pytest.mark.parametrize("side", ["end", "start"])
def test_a_periodic_signal_goes_on_as_itself(cut: float, side: str) -> None:
    """Four equal bars of any phase: the continuation is the periodic signal to the sample."""
    whole = groove(8)
    length = 2 * RATE
    count = int(cut * 4 * 88_200)
    if side == "end":
        samples, truth = whole[:, :count], whole[:, count : count + length]
        start = 0
    else:
        start = whole.shape[1] - count
        samples, truth = whole[:, start:], whole[:, start - length : start]
    prior = extend(samples, length, side, bpm=120)
    skip = slice(0, length - 200) if side == "start" else slice(0, length)
    np.testing.assert_allclose(prior.new[:, skip], truth[:, skip], atol=1e-6)


@pytest.mark.parametrize("period", [101, 441, 1000])
def test_a_pure_wave_goes_on_in_phase(period: int) -> None:
    """No beat at all: the waveform alone finds the phase."""
    time_samples = np.arange(3 * RATE + 123)
    wave = 0.3 * np.sin(2 * np.pi * time_samples / period)
    wave += 0.1 * np.sin(4 * np.pi * time_samples / period + 1)
    prior = extend(wave[None, : 2 * RATE + 123], RATE)
    joined = np.concatenate([wave[None, : 2 * RATE + 123], prior.new], axis=1)
    figures = seam_figures(joined, RATE, 2 * RATE + 123, source=wave[None])
    assert figures["step_ratio"] < 1.05
    np.testing.assert_allclose(prior.new[0, :2000], wave[2 * RATE + 123 :][:2000], atol=0.05)


@pytest.mark.parametrize(
    "name",
    [
        "loop_amen",
        "loop_amen_full",
        "loop_breakbeat",
        "loop_compus",
        "loop_garzul",
        "loop_mika",
        "loop_safari",
        "loop_tabla",
        "loop_electric",
        "loop_mehackit1",
    ],
)
@pytest.mark.parametrize("side", ["end", "start"])
def test_a_real_loop_goes_on_with_its_own_bar_1(name: str, side: str) -> None:
    samples, rate = real_loop(name)
    length = min(rate, samples.shape[1])
    prior = continuation(samples, rate, estimate_grid(samples, rate), length, side=side)
    if side == "end":
        np.testing.assert_array_equal(prior.new, samples[:, :length])
    else:  # the last milliseconds lead to the clip's first sample
        np.testing.assert_array_equal(prior.new[:, :-200], samples[:, -length:][:, :-200])


@pytest.mark.parametrize(
    ("name", "period_beats"), [("loop_mika", 4), ("loop_compus", 8), ("loop_tabla", 4)]
)
def test_a_real_loop_cut_anywhere_goes_on_in_time(name: str, period_beats: int) -> None:
    samples, rate = real_loop(name)
    cut = samples[:, : int(0.62 * samples.shape[1])]
    grid = estimate_grid(cut, rate)
    prior = continuation(cut, rate, grid, 3 * rate)
    lag = (cut.shape[1] - prior.segments[0].source_start) / rate / grid.beat_s
    assert lag == pytest.approx(round(lag / period_beats) * period_beats, abs=0.02)


def test_a_given_tempo_is_kept_over_many_joins() -> None:
    """Jumps of whole beats: 40 s of new audio end on the beat that was given."""
    bpm = 123.4
    samples = groove(2, bpm=bpm)[:, : int(1.7 * 4 * 60 / bpm * RATE)]
    grid = Grid(bpm, 1.0, 0.0, True)
    prior = continuation(samples, RATE, grid, 40 * RATE)
    at = 0
    for segment in prior.segments[:-1]:
        at += segment.length
        beats = (samples.shape[1] + at - samples.shape[1]) / RATE / grid.beat_s
        from_start = (samples.shape[1] - segment.source_start) / RATE / grid.beat_s
        assert abs(from_start - round(from_start)) * grid.beat_s < 0.007
        assert abs(beats - round(beats)) * grid.beat_s < 0.007


def test_a_long_piece_does_not_start_over() -> None:
    """28 bars, the last four alike: it goes on with one of those, and not with its intro."""
    rate, bar = 8_000, 16_000
    piece = np.concatenate([groove(24, rate=rate, same=False), groove(4, rate=rate)], axis=1)
    prior = continuation(piece, rate, estimate_grid(piece, rate, bpm=120), 2 * rate)
    start = prior.segments[0].source_start
    assert start >= 24 * bar
    assert start % bar == 0


def test_a_sound_that_has_ended_starts_again() -> None:
    samples = notes([60], 4.0)
    prior = extend(samples, 2 * RATE)
    assert prior.segments[0].source_start == 0


@settings(max_examples=20, deadline=None)
@given(
    st.integers(4_410, 30_000),
    st.sampled_from([8_000, 22_050, 48_000, 192_000]),
    st.sampled_from(["end", "start"]),
    st.integers(1, 3),
    st.integers(1, 50_000),
)
def test_any_clip_can_be_continued(
    length: int, rate: int, side: str, kind: int, wanted: int
) -> None:
    generator = np.random.default_rng(length)
    samples = generator.normal(0, 0.2, (2, length))
    if kind == 2:
        samples *= np.exp(-np.arange(length) / length * 20)
    if kind == 3:
        samples[:, length // 3 :] = 0.0
    for bpm in (None, 120.0):
        grid = estimate_grid(samples, rate, bpm=bpm)
        prior = continuation(samples, rate, grid, wanted, side=side)
        assert prior.new.shape == (2, wanted)
        assert np.isfinite(prior.audio).all()
        assert np.abs(prior.audio).max() <= 2 * np.abs(samples).max()


def test_refining_finds_the_sample() -> None:
    noise = np.random.default_rng(0).normal(0, 1, 20_000)
    line = np.concatenate([noise, np.zeros(5_000), noise])
    point, likeness = refine_join(line, len(line), 20_000 - 37, 100, 2_000)
    assert point == 20_000
    assert likeness == pytest.approx(1.0)
    assert refine_join(line, 10, 5, 100, 2_000) == (5, 0.0)


def test_a_hole_in_equal_bars_is_filled_with_its_counterpart() -> None:
    whole = groove(6)
    start, end = 190_000, 240_000
    grid = Grid(120.0, 1.0, 0.0, True)
    prior = bridge_prior(whole[:, :start], whole[:, end:], RATE, grid, end - start)
    np.testing.assert_allclose(prior.new, whole[:, start:end], atol=1e-9)
    result = splice_inpaint(whole, prior.for_splice(1323, 1323), start, end, 1323)
    np.testing.assert_allclose(result, whole, atol=1e-9)


@pytest.mark.parametrize("missing", [1, 700, 20_000, 88_200, 250_000])
def test_a_loop_is_closed(missing: int) -> None:
    part = groove(2, same=False)
    grid = Grid(120.0, 1.0, 0.0, True)
    prior = bridge_prior(part, part, RATE, grid, missing)
    assert prior.new.shape == (2, missing)
    total = part.shape[1] + missing
    loop = close_loop(part, prior.for_splice(1323, 1323), total, 1323)
    assert loop.shape == (2, total)
    twice = np.concatenate([loop, loop], axis=1)
    assert seam_figures(twice, RATE, total, source=part)["step_ratio"] < 1.0


def test_a_gap_between_different_sounds_is_crossed_once() -> None:
    left, right = notes([57] * 8), notes([64] * 8)
    grid = estimate_grid(left, RATE)
    prior = bridge_prior(left, right, RATE, grid, 60_000)
    assert prior.new.shape == (1, 60_000)
    assert np.isfinite(prior.audio).all()
    assert prior.audio.shape[1] == prior.left_context + 60_000 + prior.right_context
    assert prior.for_splice(500, 700).shape == (1, 61_200)


@pytest.mark.parametrize("side", ["end", "start"])
def test_spliced_priors_have_quiet_seams(side: str) -> None:
    samples = groove(3, same=False)[:, 1000 : int(2.3 * 88_200)]
    prior = extend(samples, 3 * RATE, side, bpm=120)
    result = splice_extend(samples, prior.for_splice(1323), side, 1323)
    at = samples.shape[1] if side == "end" else 3 * RATE
    figures = seam_figures(result, RATE, at, source=samples)
    assert figures["step_ratio"] < 1.0
    assert figures["flux_ratio"] < 1.2


def test_the_analysis_is_quick_once_warm() -> None:
    """Generous: the bench measures, this only catches a slip of an order of magnitude."""
    warm_up()
    samples = groove(5, same=False)
    before = time.perf_counter()
    grid = estimate_grid(samples, RATE)
    estimate_key(samples, RATE)
    continuation(samples, RATE, grid, 6 * RATE)
    assert time.perf_counter() - before < 3.0


@pytest.mark.parametrize("sliver", [1, 300, 4_000])
@pytest.mark.parametrize("at_end", [True, False])
def test_beside_a_moment_of_audio_the_other_side_goes_on(sliver: int, at_end: bool) -> None:
    """A moment alone would be repeated until the gap is full: a buzz, or nothing but a level."""
    whole, length = groove(4, same=False), 60_000
    side, moment = whole[:, :150_000], whole[:, 200_000 : 200_000 + sliver]
    grid = Grid(120.0, 1.0, 0.0, True)
    left, right = (side, moment) if at_end else (moment, side)
    prior = bridge_prior(left, right, RATE, grid, length)
    assert prior.new.shape == (2, length)
    more = round(LEAD_S * RATE)
    alone = continuation(side, RATE, grid, length + more, side="end" if at_end else "start").new
    expected = alone[:, :length] if at_end else alone[:, more:]
    np.testing.assert_allclose(prior.new[:, 5_000:-5_000], expected[:, 5_000:-5_000], atol=1e-9)
    own = range(left.shape[1]) if at_end else range(len(moment[0]) + length, 2**31)
    assert all(segment.source_start in own for segment in prior.segments)
    spans = sorted((segment.at, segment.at + segment.length) for segment in prior.segments)
    first, last = prior.left_context, prior.left_context + length
    assert spans[0][0] <= first
    assert spans[-1][1] >= last
    result = np.concatenate([left, prior.for_splice(0, 0), right], axis=1)
    at = left.shape[1] + (length if at_end else 0)
    assert seam_figures(result, RATE, at, source=side)["step_ratio"] < 1.5
