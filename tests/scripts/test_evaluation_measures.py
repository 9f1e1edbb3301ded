"""Figures of audio on signals whose answer is known."""

from __future__ import annotations

from math import erf, log10

import numpy as np
import pytest
import scipy.linalg
from evaluation.baselines import GRAIN_S, repeat_last_bar, shuffled, silence
from evaluation.frechet import frechet_distance
from evaluation.measures import (
    Audio,
    auc,
    error_of_difference,
    key_is,
    level_db,
    level_gaps_db,
    log_mel_amplitude,
    mean_auc,
    mel_error,
    middle,
    residual_db,
    share,
    tempo_verdict,
)

from engine.sketch.score import Key

RATE_HZ = 44_100


def noise(seconds: float, seed: int = 0) -> Audio:
    """White noise of level -20 dB."""
    return 0.1 * np.random.default_rng(seed).standard_normal((2, round(seconds * RATE_HZ)))


def test_mel_error_of_a_gain_is_its_logarithm() -> None:
    audio = noise(1.0)
    assert mel_error(audio, audio, RATE_HZ) == 0.0
    assert mel_error(audio, 10**0.25 * audio, RATE_HZ) == pytest.approx(0.25, abs=2e-3)


def test_mel_error_hears_each_channel() -> None:
    audio = noise(1.0)
    one_sided = audio * np.array([[1.0], [10.0]])
    assert mel_error(audio, one_sided, RATE_HZ) == pytest.approx(0.5, abs=2e-3)


def test_mel_error_does_not_hear_what_lies_below_the_floor() -> None:
    assert mel_error(silence(RATE_HZ), 1e-6 * noise(1.0), RATE_HZ) == 0.0


def test_a_sine_reads_half_its_amplitude_whatever_the_window() -> None:
    time_s = np.arange(RATE_HZ) / RATE_HZ
    frequency_hz = 400 * RATE_HZ / 2048  # in the middle of a bin, where the bands are wide
    sine = 0.5 * np.sin(2 * np.pi * frequency_hz * time_s)[None]
    column = 10.0 ** log_mel_amplitude(sine, RATE_HZ)[0, :, 40]
    # Half the amplitude in its own bin and a quarter in the two beside it, through bands that
    # overlap to a sum of 1.
    assert float(column[column > 1e-3].sum()) == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize(
    ("scores", "labels", "area"),
    [
        ([1, 2, 3, 4], [False, False, True, True], 1.0),
        ([4, 3, 2, 1], [False, False, True, True], 0.0),
        ([1, 1, 1], [True, False, False], 0.5),
        ([1, 3, 2, 4], [False, False, True, True], 0.75),
        ([1, 2], [True, True], None),
    ],
)
def test_area_under_the_curve(scores: list[float], labels: list[bool], area: float | None) -> None:
    assert auc(scores, labels) == area


def test_area_of_two_gaussians() -> None:
    rng = np.random.default_rng(1)
    scores = np.concatenate([rng.normal(0.0, 1.0, 3000), rng.normal(1.0, 1.0, 3000)])
    expected = 0.5 * (1 + erf(1.0 / 2.0))  # Phi(d / sqrt 2)
    assert auc(scores, np.arange(6000) >= 3000) == pytest.approx(expected, abs=0.015)


def test_mean_area_leaves_out_what_has_one_kind_only() -> None:
    scores = np.array([[0.1, 0.5], [0.9, 0.5], [0.8, 0.5]])
    labels = np.array([[False, True], [True, True], [True, True]])
    assert mean_auc(scores, labels) == 1.0


def test_a_collapse_is_seen_second_by_second() -> None:
    new = noise(3.5, 1)
    new[:, RATE_HZ : 2 * RATE_HZ] *= 0.1
    gaps_db = level_gaps_db(new, noise(4.0), RATE_HZ)
    assert gaps_db == pytest.approx([0.0, -20.0, 0.0], abs=0.15)
    assert level_gaps_db(silence(RATE_HZ), noise(1.0), RATE_HZ)[0] < -90.0
    assert level_db(np.full((2, 10), 0.1)) == pytest.approx(-20.0)


def test_residual_is_what_the_stems_lack() -> None:
    stems = {"bass": noise(1.0, 1), "lead": noise(1.0, 2)}
    mix = stems["bass"] + stems["lead"]
    assert residual_db(stems, mix) < -150.0
    apart = mix * 1e-3
    assert residual_db(stems, mix + apart) == pytest.approx(-60.0, abs=0.01)
    assert residual_db({"bass": stems["bass"]}, mix) == pytest.approx(10 * log10(0.5), abs=0.1)


@pytest.mark.parametrize(
    ("found_bpm", "said"),
    [
        (100.0, "right"),
        (101.9, "right"),
        (102.1, "other"),
        (203.0, "double"),
        (50.5, "half"),
        (150.0, "other"),
    ],
)
def test_tempo_counts_double_and_half_apart(found_bpm: float, said: str) -> None:
    assert tempo_verdict(found_bpm, 100.0) == said


def triads(*roots: int) -> Audio:
    """Major triads on MIDI roots, a second each, with a few partials."""
    time_s = np.arange(RATE_HZ) / RATE_HZ
    pitches = np.array([[root, root + 4, root + 7] for root in roots])
    hz = 440.0 * 2.0 ** ((pitches - 69) / 12.0)
    chords = [
        sum(np.sin(2 * np.pi * k * f * time_s) / k for f in row for k in (1, 2, 3)) for row in hz
    ]
    return 0.05 * np.stack([np.concatenate(chords)] * 2)


def test_key_has_tonic_and_family() -> None:
    audio = triads(60, 65, 67, 60)  # C, F, G, C
    assert key_is(audio, RATE_HZ, Key(0, "major"))
    assert key_is(audio, RATE_HZ, Key(0, "mixolydian"))
    assert not key_is(audio, RATE_HZ, Key(0, "minor"))
    assert not key_is(audio, RATE_HZ, Key(7, "major"))


def test_what_was_not_measured_does_not_count() -> None:
    assert middle([3.0, None, 1.0, 2.0]) == 2.0
    assert middle([None]) is None
    assert share([True, False, True, True]) == 0.75
    assert share([]) is None


def cloud(mean: list[float], covariance: list[list[float]], seed: int) -> Audio:
    """Points with exactly this mean and covariance."""
    raw = np.random.default_rng(seed).standard_normal((200, len(mean)))
    raw -= raw.mean(axis=0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw, rowvar=False))).T
    return np.asarray(white @ np.linalg.cholesky(np.array(covariance)).T + np.array(mean))


def test_frechet_distance_of_gaussians_along_the_axes() -> None:
    left = cloud([0.0, 1.0], [[4.0, 0.0], [0.0, 9.0]], 1)
    right = cloud([3.0, 1.0], [[1.0, 0.0], [0.0, 16.0]], 2)
    assert frechet_distance(left, right) == pytest.approx(9.0 + (2 - 1) ** 2 + (3 - 4) ** 2)
    assert frechet_distance(right, left) == pytest.approx(frechet_distance(left, right))
    assert frechet_distance(left, left) == pytest.approx(0.0, abs=1e-9)


def test_frechet_distance_where_covariances_do_not_commute() -> None:
    first, second = [[2.0, 0.9], [0.9, 1.0]], [[1.0, -0.5], [-0.5, 3.0]]
    product = scipy.linalg.sqrtm(np.array(first) @ np.array(second))
    expected = np.trace(np.array(first) + np.array(second) - 2 * np.real(product))
    found = frechet_distance(cloud([0, 0], first, 1), cloud([0, 0], second, 2))
    assert found == pytest.approx(float(expected))


def test_frechet_distance_to_a_single_place() -> None:
    music = cloud([1.0, 2.0], [[4.0, 0.0], [0.0, 1.0]], 3)
    assert frechet_distance(music, np.zeros((50, 2))) == pytest.approx(1 + 4 + 4 + 1)
    with pytest.raises(ValueError, match="two points"):
        frechet_distance(music, music[:1])


def test_last_bar_is_repeated_as_it_is() -> None:
    source = noise(1.0)
    again = repeat_last_bar(source, 10_000, 25_000)
    assert again.shape == (2, 25_000)
    assert np.array_equal(again[:, 10_000:20_000], source[:, -10_000:])
    assert np.array_equal(again[:, 20_000:], source[:, -10_000:-5_000])
    assert repeat_last_bar(source, 10**6, 10).shape == (2, 10)


def test_shuffling_keeps_every_grain_and_not_their_order() -> None:
    grain = round(GRAIN_S * RATE_HZ)
    steps = np.repeat(np.arange(1.0, 9.0), grain)
    source = np.stack([steps, -steps])
    mixed = shuffled(source, source.shape[1], RATE_HZ, np.random.default_rng(0))
    middles = mixed[0, grain // 2 :: grain]
    assert sorted(middles) == list(range(1, 9))
    assert list(middles) != sorted(middles)
    assert np.allclose(mixed[:, ::grain], 0.0), "each grain is faded in"
    longer = shuffled(source, 3 * source.shape[1] + 7, RATE_HZ, np.random.default_rng(0))
    assert longer.shape == (2, 3 * source.shape[1] + 7)


def test_error_of_a_mean_difference_is_of_the_pairs_that_have_both() -> None:
    own, foreign = [0.5, 0.4, None, 0.9], [0.3, 0.4, 0.2, None]
    # Differences 0.2 and 0.0: their deviation is 0.2 / sqrt 2, over sqrt 2.
    assert error_of_difference(own, foreign) == pytest.approx(0.1)
    assert error_of_difference([0.5], [0.3]) is None
