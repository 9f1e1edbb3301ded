"""The codec's training on made-up windows: what is moved, fitted and kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from train_codec import (
    LOG_FLOOR_LOG10,
    Windows,
    augmented,
    export,
    figures,
    fit_linear,
    make_run,
    narrowed,
    spectra,
    update,
)

from engine.models.house.codec import SpectralCodec
from engine.models.house.model import default_weights_path

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def windows() -> Windows:
    """Noise whose colour and place drift, so that neighbouring steps tell of each other."""
    generator = torch.Generator().manual_seed(0)
    audio = torch.randn(16, 2, 34 * 1024, generator=generator).cumsum(-1)
    audio = audio - torch.nn.functional.avg_pool1d(audio, 65, 1, 32)
    gain = torch.rand(16, 2, 1, generator=generator)
    return Windows(*spectra(0.01 * gain * audio))


@pytest.fixture
def codec() -> SpectralCodec:
    linear = SpectralCodec.from_mapping(load_file(default_weights_path()))
    return SpectralCodec(linear.basis, make_run(CPU).refiner)


def test_spectra_are_those_of_the_codec(windows: Windows) -> None:
    assert windows.bands.shape == (16, 3, 32, 384)
    assert windows.pan.shape == (16, 32, 16)


def test_windows_without_width_have_equal_sides(windows: Windows) -> None:
    generator = torch.Generator().manual_seed(3)
    bands, pan = narrowed(windows.bands.float(), windows.pan.float(), generator)
    one = (pan == 0).all(dim=-1).all(dim=-1)
    assert 0 < int(one.sum()) < 16
    assert torch.equal(bands[one, 1], bands[one, 2])
    assert torch.equal(bands[one, 1], bands[one, 0])


def test_augmented_windows_stay_above_the_floor(windows: Windows) -> None:
    bands, pan = augmented(windows.bands, windows.pan, torch.Generator().manual_seed(1))
    assert float(bands.min()) >= LOG_FLOOR_LOG10
    assert float(pan.abs().max()) <= 1.0


def test_the_closed_form_gains_and_training_goes_on(windows: Windows, codec: SpectralCodec) -> None:
    run = make_run(CPU)
    codec = SpectralCodec(codec.basis, run.refiner)
    fit_linear(run.refiner, codec, windows)
    fitted = figures(codec, windows, CPU, 0.0)
    assert fitted["refined"] < fitted["linear"]
    assert update(run, codec, windows, 4, 1e-4, CPU) > 0
    assert run.update == 1


def test_what_is_exported_is_a_codec(
    windows: Windows, codec: SpectralCodec, tmp_path: Path
) -> None:
    export(codec, tmp_path / "codec.safetensors")
    again = SpectralCodec.from_mapping(load_file(tmp_path / "codec.safetensors"))
    assert again.refiner is not None
    latent = codec.project(windows.bands[:2, 0].float(), windows.pan[:2].float())
    assert torch.allclose(again.log_mel(latent), codec.log_mel(latent), atol=1e-3)
