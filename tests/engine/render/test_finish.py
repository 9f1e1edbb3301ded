"""Rates, channels, level and headroom on the way to the host."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analysis.crossfade import crossfade
from engine.files.quantise import quantise
from engine.render.finish import (
    ceiling,
    fit_crossfade,
    fit_new_audio,
    from_model,
    from_stereo,
    resample,
    resample_loop,
    spread,
    to_model,
    to_stereo,
)

RATES = [8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000]


def sine(hz: float, rate: int, length: int, channels: int = 2) -> np.ndarray:
    wave = 0.5 * np.sin(2 * np.pi * hz * np.arange(length) / rate)
    return np.repeat(wave[None], channels, axis=0)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("extra", [0, 1, 17])
def test_resampled_audio_has_the_length_and_the_place_asked(rate: int, extra: int) -> None:
    length = round(0.5 * rate) + extra
    source = sine(440, 44_100, round((length / rate + 0.01) * 44_100))
    result = from_model(source.astype(np.float32), rate, length, np.ones((2, 4)))
    assert result.shape == (2, length)
    truth = sine(440, rate, length)
    middle = slice(rate // 50, -rate // 50)
    np.testing.assert_allclose(result[:, middle], truth[:, middle], atol=1e-4)
    np.testing.assert_allclose(result[:, :4], truth[:, :4], atol=0.05)


@pytest.mark.parametrize("rate", RATES)
def test_to_the_model_and_back(rate: int) -> None:
    samples = sine(300, rate, rate // 2 + 3)
    heard = to_model(samples, rate)
    assert heard.dtype == np.float32
    assert heard.shape == (2, round(samples.shape[1] * 44_100 / rate))
    back = from_model(heard, rate, samples.shape[1], samples)
    middle = slice(rate // 50, -rate // 50)
    np.testing.assert_allclose(back[:, middle], samples[:, middle], atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(500, 5_000), st.sampled_from(RATES), st.sampled_from(RATES))
def test_any_rates_give_the_exact_length(length: int, from_hz: int, to_hz: int) -> None:
    wanted = int(length * to_hz / from_hz)
    if wanted:
        assert resample(np.ones((1, length)), from_hz, to_hz, wanted).shape == (1, wanted)


def test_missing_audio_is_an_error() -> None:
    with pytest.raises(ValueError, match="samples wanted"):
        resample(np.ones((2, 44_100)), 44_100, 48_000, 48_100)


def test_the_same_rate_is_a_copy_of_the_samples() -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, (2, 1000))
    np.testing.assert_array_equal(resample(samples, 44_100, 44_100, 900), samples[:, :900])


def test_one_and_two_channels() -> None:
    generator = np.random.default_rng(0)
    mono, stereo = generator.normal(0, 1, (1, 100)), generator.normal(0, 1, (2, 100))
    np.testing.assert_array_equal(to_stereo(mono), np.concatenate([mono, mono]))
    np.testing.assert_array_equal(to_stereo(stereo), stereo)
    np.testing.assert_array_equal(from_stereo(to_stereo(mono), mono), mono)
    np.testing.assert_array_equal(from_stereo(stereo, stereo), stereo)


def test_surround_keeps_the_image_of_the_source() -> None:
    left, right = np.random.default_rng(0).normal(0, 0.2, (2, 20_000))
    silent = np.zeros(20_000)
    source = np.stack([left, right, 0.5 * (left + right), silent, 0.3 * left, 0.3 * right])
    back = from_stereo(to_stereo(source), source)
    assert back.shape == source.shape
    assert np.abs(back[3]).max() < 1e-9
    levels = np.sqrt(np.mean(back**2, axis=1)), np.sqrt(np.mean(source**2, axis=1))
    np.testing.assert_allclose(*levels, rtol=1e-3, atol=1e-9)
    assert np.corrcoef(back[0], left)[0, 1] > 0.95
    assert np.corrcoef(back[5], right)[0, 1] > 0.95
    assert np.isfinite(from_stereo(np.ones((2, 10)), np.zeros((6, 10)))).all()


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32"])
def test_integer_formats_never_clip(subtype: str) -> None:
    generator = np.random.default_rng(0)
    loud = 1.7 * np.clip(generator.normal(0, 0.5, (2, 20_000)), -1, 1)
    fitted, gain = fit_new_audio(loud, 44_100, subtype)
    assert gain == pytest.approx(20 * np.log10(1 / 1.7), abs=0.01)
    np.testing.assert_allclose(quantise(fitted, subtype), fitted, atol=2.0**-15)
    result = np.concatenate([fitted[:, :9_000] * 0.9, loud[:, :300], fitted[:, 9_300:]], axis=1)
    before = result.copy()
    dip = fit_crossfade(result, 9_000, 9_300, 44_100, subtype)
    assert dip < -3
    assert np.abs(result).max() <= ceiling(subtype)
    np.testing.assert_array_equal(result[:, :9_000], before[:, :9_000])
    np.testing.assert_array_equal(result[:, 9_300:], before[:, 9_300:])


@pytest.mark.parametrize("fade_ms", [3, 5, 10, 30])
def test_a_crossfade_of_loud_masters_begins_and_ends_without_a_step(fade_ms: int) -> None:
    generator = np.random.default_rng(0)
    one, other = np.clip(generator.normal(0, 0.6, (2, 2, 4_000)), -0.99, 0.99)
    fade = round(fade_ms * 44.1)
    mixed = crossfade(one[:, -fade:], other[:, :fade])
    result = np.concatenate([one[:, :-fade], mixed, other[:, fade:]], axis=1)
    assert fit_crossfade(result, 4_000 - fade, 4_000, 44_100, "PCM_16") < -1.0
    assert np.abs(result).max() <= ceiling("PCM_16")
    gain = result[0, 4_000 - fade : 4_000] / mixed[0]
    np.testing.assert_allclose(gain[[0, -1]], 1.0, atol=1e-4)


def test_one_peak_does_not_turn_the_music_down() -> None:
    music = sine(220, 44_100, 44_100)
    music[:, 20_000] = 1.6
    fitted, gain = fit_new_audio(music, 44_100, "PCM_16")
    assert gain == pytest.approx(20 * np.log10(1 / 1.6), abs=0.05)
    assert np.abs(fitted).max() <= ceiling("PCM_16")
    changed = np.flatnonzero(np.any(fitted != music, axis=0))
    assert 20_000 - 500 < changed.min() <= changed.max() < 20_000 + 500


def test_what_fits_is_left_alone() -> None:
    quiet = np.random.default_rng(0).uniform(-0.9, 0.9, (2, 1000))
    assert fit_new_audio(quiet, 44_100, "PCM_16")[0] is quiet
    assert fit_new_audio(5 * quiet, 44_100, "FLOAT")[1] == 0.0
    assert fit_crossfade(quiet.copy(), 10, 20, 44_100, "PCM_16") == 0.0
    assert fit_crossfade(5 * quiet, 10, 20, 44_100, "FLOAT") == 0.0
    assert fit_crossfade(quiet, 10, 10, 44_100, "PCM_16") == 0.0


@pytest.mark.parametrize("rate", [22_050, 48_000, 88_200, 96_000, 192_000, 44_100])
def test_a_loop_is_resampled_as_a_loop(rate: int) -> None:
    """A tone with whole periods in the loop is the same tone at the new rate, ends included."""
    at = np.arange(44_100) / 44_100
    tone = np.stack([np.sin(2 * np.pi * 441 * at), np.cos(2 * np.pi * 441 * at)])
    found = resample_loop(tone, 44_100, rate, rate)
    new = np.arange(rate) / rate
    wanted = np.stack([np.sin(2 * np.pi * 441 * new), np.cos(2 * np.pi * 441 * new)])
    assert np.abs(found - wanted).max() < 1e-5


@pytest.mark.parametrize(("channels", "sides"), [(1, None), (2, "LR"), (3, "LRL"), (6, "LRLRLR")])
def test_new_audio_is_spread_over_the_hosts_channels(channels: int, sides: str | None) -> None:
    stereo = np.array([[0.5, 0.25], [-0.5, 0.75]])
    found = spread(stereo, channels)
    if sides is None:
        np.testing.assert_array_equal(found, [[0.0, 0.5]])
    else:
        np.testing.assert_array_equal(found, stereo[["LR".index(side) for side in sides]])
