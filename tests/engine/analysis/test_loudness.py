"""Loudness and true peak against the standard's own examples."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.loudness import loudness_lufs, true_peak_dbfs


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
def test_a_full_scale_sine_in_one_channel_has_minus_3_lufs(rate: int) -> None:
    """BS.1770: a 0 dBFS sine of 997 Hz in the left channel reads -3.01 LKFS."""
    tone = np.sin(2 * np.pi * 997 * np.arange(5 * rate) / rate)
    stereo = np.stack([tone, np.zeros_like(tone)])
    assert loudness_lufs(stereo, rate) == pytest.approx(-3.01, abs=0.03)
    assert loudness_lufs(np.stack([tone, tone]), rate) == pytest.approx(0.0, abs=0.03)
    assert loudness_lufs(0.1 * tone[None], rate) == pytest.approx(-23.01, abs=0.03)


def test_pauses_are_gated_out() -> None:
    rate = 48_000
    tone = 0.1 * np.sin(2 * np.pi * 997 * np.arange(10 * rate) / rate)[None]
    paused = np.concatenate([tone, np.zeros((1, 10 * rate))], axis=1)
    assert loudness_lufs(paused, rate) == pytest.approx(loudness_lufs(tone, rate), abs=0.15)


def test_the_lfe_does_not_count() -> None:
    rate = 48_000
    tone = np.sin(2 * np.pi * 997 * np.arange(2 * rate) / rate)
    surround = np.zeros((6, len(tone)))
    surround[3] = tone
    assert loudness_lufs(surround, rate) == -120.0
    surround[4] = tone
    assert loudness_lufs(surround, rate) == pytest.approx(-3.01 + 1.5, abs=0.05)


@pytest.mark.parametrize("length", [1, 100, 48_000])
def test_silence_and_scraps(length: int) -> None:
    assert loudness_lufs(np.zeros((2, length)), 48_000) == -120.0
    assert true_peak_dbfs(np.zeros((2, length))) == -120.0
    assert np.isfinite(loudness_lufs(np.ones((1, length)), 48_000))


def test_the_peak_between_the_samples() -> None:
    """A sine of a quarter of the rate, sampled at 45 degrees: samples at -3 dB, peak at 0."""
    wave = np.sin(2 * np.pi * np.arange(4_800) / 4 + np.pi / 4)
    wave *= np.hanning(4_800) ** 0.1
    assert np.abs(wave).max() == pytest.approx(0.7071, abs=1e-3)
    assert true_peak_dbfs(wave[None]) == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("seconds", [3.0, 30.0])
def test_the_peak_of_a_low_tone_is_its_own_however_long_it_is(seconds: float) -> None:
    """Long clips are measured in blocks, and no cut of theirs is part of the clip."""
    rate = 44_100
    time_s = np.arange(round(seconds * rate)) / rate
    faded = np.clip(np.minimum(time_s, seconds - time_s), 0.0, 1.0)
    wave = 0.5 * faded * np.sin(2 * np.pi * 50 * time_s)
    assert true_peak_dbfs(wave[None]) == pytest.approx(-6.02, abs=0.05)


@pytest.mark.parametrize("at", [(1 << 18) - 1, 1 << 18, (1 << 18) + 1])
def test_a_peak_between_two_blocks_is_found(at: int) -> None:
    wave = np.zeros(1 << 19)
    wave[at - 1 : at + 1] = 0.5
    assert true_peak_dbfs(wave[None]) == pytest.approx(20 * np.log10(4 / np.pi * 0.5), abs=0.2)
