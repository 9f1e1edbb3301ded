"""The level from mel bands against the waveform's own, and the filter against SciPy's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch

from engine.analysis.intensity import intensity_curve, smoothing_window
from engine.controls.intensity import (
    Intensity,
    band_powers,
    intensity_objective,
    lane_of_json,
    level_db,
    smooth,
)
from engine.models.house.codec import SAMPLE_RATE_HZ, log_mel_and_pan
from engine.models.house.spectra import mel_filter_bank

CLIPS = Path(__file__).parents[3] / "scripts" / "clips"
FRAME_S = 512 / SAMPLE_RATE_HZ


def _level(audio: np.ndarray) -> np.ndarray:
    """Smoothed level of `[2, samples]` from its mel bands."""
    pairs, _ = log_mel_and_pan(torch.from_numpy(audio).float())
    log_mel = pairs.reshape(-1, 192).T[None]
    level = level_db(log_mel, SAMPLE_RATE_HZ)[0].double()
    return smooth(level, FRAME_S).numpy()


def _noise(seconds: float = 4.0) -> np.ndarray:
    """White noise of deviation 1, the same in both channels."""
    mono = np.random.default_rng(4).standard_normal(round(seconds * SAMPLE_RATE_HZ))
    return np.tile(mono, (2, 1))


@pytest.mark.parametrize("gain_db", [-50.0, -20.0])
def test_white_noise_has_the_level_that_its_deviation_says(gain_db: float) -> None:
    found = _level(10 ** (gain_db / 20) * _noise())
    assert np.abs(found[20:-20] - gain_db).max() < 0.4


@pytest.mark.parametrize("hz", [60.0, 110.0, 440.0])
def test_a_low_sinusoid_has_the_level_of_its_amplitude(hz: float) -> None:
    t = np.arange(3 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    found = _level(np.tile(0.1 * np.sin(2 * np.pi * hz * t), (2, 1)))
    wanted = 20 * np.log10(0.1 / np.sqrt(2))
    assert np.abs(found[40:-40] - wanted).max() < 1.5


@pytest.mark.parametrize("name", ["drums.flac", "harmonic.flac"])
def test_music_has_the_level_of_its_waveform(name: str) -> None:
    samples, rate = soundfile.read(CLIPS / name, always_2d=True)
    assert rate == SAMPLE_RATE_HZ
    audio = np.tile(samples.T[:2], (2 // samples.shape[1], 1))[:, : 1024 * (len(samples) // 1024)]
    wanted = intensity_curve(audio, rate, 1 / FRAME_S)
    difference = _level(audio) - wanted[: audio.shape[1] // 512]
    assert abs(float(difference.mean())) < 1.0
    assert float(difference.std()) < 0.3


def test_band_powers_agree_with_the_codecs_own_filters() -> None:
    bank = mel_filter_bank()
    wide = bank.sum(dim=1) > 4.0
    window = torch.hann_window(2048).square().sum()
    assert int(wide.sum()) > 50
    total, squares = bank.sum(dim=1), bank.square().sum(dim=1)
    noise = (torch.pi / 4 * total.square() + (1 - torch.pi / 4) * squares) / total
    expected = 2.0 / (noise * 2048 * window)
    assert torch.allclose(band_powers(192, SAMPLE_RATE_HZ)[wide], expected[wide], rtol=2e-2)


def test_smoothing_is_scipys_filter_over_a_second() -> None:
    curve = np.random.default_rng(0).standard_normal(300)
    window = smoothing_window(300, 1 / FRAME_S)
    assert window * FRAME_S == pytest.approx(1.0, abs=0.02)
    assert window % 2 == 1
    filtered = scipy.signal.savgol_filter(curve, window, 1)
    assert np.allclose(smooth(torch.from_numpy(curve), FRAME_S).numpy(), filtered, atol=1e-12)
    line = np.linspace(-40, -10, 300)
    assert np.allclose(smooth(torch.from_numpy(line), FRAME_S).numpy(), line, atol=1e-9)
    assert smoothing_window(5, 86.0) == 5
    assert smoothing_window(4, 86.0) == 3
    assert smoothing_window(1, 86.0) == 1


@pytest.mark.parametrize("frames", [1, 2, 3, 40, 87, 88, 500])
def test_smoothing_keeps_shapes_and_ends(frames: int) -> None:
    curves = np.random.default_rng(1).standard_normal((2, 3, frames))
    window = smoothing_window(frames, 1 / FRAME_S)
    wanted = curves if window < 3 else scipy.signal.savgol_filter(curves, window, 1, axis=-1)
    assert np.allclose(smooth(torch.from_numpy(curves), FRAME_S).numpy(), wanted, atol=1e-12)


def test_smoothing_a_long_curve_takes_no_square_of_it() -> None:
    """Ten minutes at a hundred frames a second: a matrix of them would have 29 gigabytes."""
    curve = np.cumsum(np.random.default_rng(2).standard_normal(60_000))
    wanted = scipy.signal.savgol_filter(curve, smoothing_window(60_000, 100.0), 1)
    assert np.allclose(smooth(torch.from_numpy(curve), 0.01).numpy(), wanted, atol=1e-9)


def test_the_loss_is_the_squared_distance_in_db_or_the_lack_of_correlation() -> None:
    frames = 200
    rise = torch.linspace(-2.0, -1.0, frames).double()  # log10 amplitude: 20 dB in all
    log_mel = rise.expand(1, 192, frames)
    level = level_db(log_mel, SAMPLE_RATE_HZ)[0]
    free = torch.ones(frames).double()

    def loss(target: torch.Tensor, match: str) -> float:
        objective = intensity_objective(
            lambda _: log_mel,
            target,
            free,
            SAMPLE_RATE_HZ,
            FRAME_S,
            match,  # type: ignore[arg-type]
        )
        return float(objective(torch.zeros(1, 1, 100)))

    assert loss(level, "level") == pytest.approx(0.0, abs=1e-3)
    assert loss(level + 3.0, "level") == pytest.approx(9.0, rel=0.02)
    assert loss(0.5 * level - 30.0, "shape") == pytest.approx(0.0, abs=1e-4)
    assert loss(-level, "shape") == pytest.approx(2.0, abs=1e-3)


def test_the_independent_check_hears_a_fade_as_it_is() -> None:
    seconds = 4.0
    frames = round(seconds / FRAME_S)
    target = torch.linspace(-40.0, -10.0, frames)
    wish = Intensity(target, 1.0, FRAME_S, 6.0)
    gain = 10 ** (np.interp(np.arange(4 * 44_100) / 44_100, [0, 4], [-40, -10]) / 20)
    found = wish.compare(gain * _noise(), SAMPLE_RATE_HZ, starts_s=1.0)
    assert found is not None
    assert found.figures["intensity_rmse_db"] < 0.6
    assert found.figures["intensity_correlation"] > 0.99
    assert found.score == pytest.approx(found.figures["intensity_rmse_db"] ** 2)
    assert found.times_s[0] == 1.0
    louder = wish.compare(2.0 * gain * _noise(), SAMPLE_RATE_HZ, starts_s=1.0)
    assert louder is not None
    assert louder.figures["intensity_bias_db"] - found.figures["intensity_bias_db"] == (
        pytest.approx(6.02, abs=0.01)
    )
    assert wish.compare(_noise(1.0), SAMPLE_RATE_HZ, starts_s=30.0) is None


def test_what_was_there_before_is_heard_and_not_judged() -> None:
    """At a seam the second before counts for the level, as it does for the loss."""
    frames = round(4.0 / FRAME_S)
    target = torch.full((frames,), -20.0)
    wish = Intensity(target, 0.0, FRAME_S, 4.0)
    loud = _noise() * 10 ** (np.where(np.arange(4 * 44_100) < 2 * 44_100, -5.0, -20.0) / 20)
    whole = wish.compare(loud, SAMPLE_RATE_HZ)
    new = wish.compare(loud, SAMPLE_RATE_HZ, new_s=(2.0, 4.0))
    apart = wish.compare(loud[:, 2 * 44_100 :], SAMPLE_RATE_HZ, starts_s=2.0)
    assert whole is not None
    assert new is not None
    assert apart is not None
    assert (new.times_s[0], new.times_s[-1]) == pytest.approx((2.0, 4.0), abs=0.03)
    assert apart.score < new.score < whole.score
    assert new.result[0] == pytest.approx(-12.5, abs=1.0)


@pytest.mark.parametrize(
    ("text", "says"), [("{", "no JSON"), ("{}", "points"), ("[[0, 10]]", "10 dB"), ("3", "points")]
)
def test_a_file_without_a_lane_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        lane_of_json(text)


def test_a_lane_in_a_file_is_a_list_or_an_object() -> None:
    listed = lane_of_json("[[0, -30], [2, -10]]")
    assert listed == lane_of_json('{"points": [[0, -30], [2, -10]]}')
    assert listed.at(1.0) == -20.0
