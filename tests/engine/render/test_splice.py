"""Assembly: exact lengths, and every kept sample identical to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.files.quantise import quantise
from engine.render.splice import (
    close_loop,
    inpaint_overlaps,
    kept_extend,
    kept_inpaint,
    kept_loop,
    source_samples_identical,
    splice_extend,
    splice_inpaint,
)
from engine.units import Metre, bars_to_samples


def noise(length: int, channels: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.3, (channels, length))


SUBTYPES = ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"]


@pytest.mark.parametrize("subtype", SUBTYPES)
@pytest.mark.parametrize("side", ["end", "start"])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_extending_keeps_the_source_to_the_bit(subtype: str, side: str, channels: int) -> None:
    source = quantise(noise(5000, channels), subtype)
    new, fade = 3001, 441
    generated = noise(fade + new, channels, 1)
    result = quantise(splice_extend(source, generated, side, fade), subtype)
    assert result.shape == (channels, 8001)
    kept = kept_extend(5000, new, side, fade)
    assert kept[1] - kept[0] == 5000 - fade
    first = 0 if side == "end" else fade
    assert source_samples_identical(source, result, [(kept, first)])
    # Nothing more than the crossfade changed, and nothing less was kept.
    fresh = result[:, 5000:] if side == "end" else result[:, :new]
    expected = generated[:, fade:] if side == "end" else generated[:, :new]
    np.testing.assert_array_equal(fresh, quantise(expected, subtype))


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_lengths_are_exact_for_any_numbers(data: st.DataObject) -> None:
    source_length = data.draw(st.integers(1, 600))
    new = data.draw(st.integers(1, 600))
    fade = data.draw(st.integers(0, source_length))
    side = data.draw(st.sampled_from(["end", "start"]))
    source = noise(source_length)
    extended = splice_extend(source, noise(fade + new, seed=2), side, fade)
    assert extended.shape[1] == source_length + new
    start = data.draw(st.integers(0, source_length - 1))
    end = data.draw(st.integers(start + 1, source_length))
    left, right = inpaint_overlaps(source_length, start, end, fade)
    mended = splice_inpaint(source, noise(left + end - start + right, seed=3), start, end, fade)
    assert mended.shape == source.shape
    ranges = [(kept, kept[0]) for kept in kept_inpaint(source_length, start, end, fade)]
    assert source_samples_identical(source, mended, ranges)
    assert sum(b - a for (a, b), _ in ranges) == source_length - (end - start) - left - right
    wrap = min(fade, source_length // 2)
    loop = close_loop(source, noise(new + 2 * wrap, seed=4), source_length + new, wrap)
    assert loop.shape[1] == source_length + new
    kept = kept_loop(source_length, source_length + new, wrap)
    assert source_samples_identical(source, loop, [(kept, kept[0])])


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize(("bpm", "metre"), [("123.4", "7/8"), ("90", "4/4"), ("181.7", "5/16")])
def test_a_loop_has_exactly_its_bars(rate: int, bpm: str, metre: str) -> None:
    total = bars_to_samples(4, bpm, Metre.parse(metre), rate)
    fade = rate // 100
    kept = total // 3
    loop = close_loop(noise(kept), noise(total - kept + 2 * fade, seed=1), total, fade)
    assert loop.shape[1] == total


def test_the_wrap_runs_on_from_the_generated_tail() -> None:
    """A wave that is the source's own: the closed loop is the wave, round and round."""
    period, fade = 300, 150
    wave = np.sin(2 * np.pi * np.arange(20 * period) / period)[None]
    kept, total = 5 * period + 70, 12 * period
    generated = wave[:, kept - fade : total + fade]
    loop = close_loop(wave[:, :kept], generated, total, fade)
    np.testing.assert_allclose(loop, wave[:, :total], atol=1e-9)


def test_a_full_loop_only_fades_its_wrap() -> None:
    source, tail = noise(1000), noise(100, seed=1)
    loop = close_loop(source, tail, 1000, 100)
    assert kept_loop(1000, 1000, 100) == (100, 1000)
    np.testing.assert_array_equal(loop[:, 100:], source[:, 100:])
    assert np.abs(loop[:, 0] - tail[:, 0]).max() < 0.02
    np.testing.assert_allclose(close_loop(source, source[:, :100], 1000, 100), source, atol=1e-12)


def test_uncorrelated_audio_keeps_its_power_in_the_fade() -> None:
    source, generated = noise(200_000, 1), noise(200_000, 1, 5)
    faded = splice_extend(source, generated, "end", 200_000)[0].reshape(20, -1)
    np.testing.assert_allclose((faded**2).mean(axis=1), 0.09, rtol=0.05)
    np.testing.assert_allclose(splice_extend(source, source, "end", 200_000), source, rtol=1e-9)


@pytest.mark.parametrize(
    "call",
    [
        lambda: splice_extend(noise(100), noise(100, 1), "end", 10),
        lambda: splice_extend(noise(100), noise(300), "end", 101),
        lambda: splice_extend(noise(100), noise(5), "end", 10),
        lambda: splice_extend(noise(100), noise(5), "end", -1),
        lambda: splice_inpaint(noise(100), noise(30), 10, 30, 10),
        lambda: splice_inpaint(noise(100), noise(20), 30, 30, 10),
        lambda: close_loop(noise(100), noise(30), 90, 10),
        lambda: close_loop(noise(100), noise(30), 200, 10),
        lambda: close_loop(noise(100), noise(200), 200, 60),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call: object) -> None:
    with pytest.raises(ValueError, match=r"samples|channels"):
        call()


def test_one_changed_sample_is_found() -> None:
    source = noise(100)
    result = np.concatenate([source, source], axis=1)
    kept = [((100, 200), 0)]
    assert source_samples_identical(source, result, kept)
    result[1, 150] += 1e-12
    assert not source_samples_identical(source, result, kept)
    assert not source_samples_identical(source, result, [((100, 250), 0)])
    assert source_samples_identical(source, result, [((5, 5), 0)])
