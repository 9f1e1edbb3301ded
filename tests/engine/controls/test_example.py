"""The control that `docs/controls.md` shows: it falls, its gradient is true, its check is apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from engine.controls.control import Control, Goal, Scope, Setting
from engine.controls.together import Together
from engine.curves import Lane
from engine.models.house.codec import log_mel_and_pan
from engine.models.toy import GaussianModel
from engine.optimise.methods import run_method
from engine.optimise.noise import NoiseSettings, optimise_noise
from engine.optimise.problem import Problem
from engine.sampling.levels import levels
from engine.spec import RenderRequest
from tests.engine.controls.example_brightness import (
    ROW,
    Brightness,
    centroid,
    mel_brightness,
    read,
)
from tests.engine.optimise.toys import ToyMap

BANDS, STEPS, RATE_HZ = 24, 12, 44_100
LANE = Lane(((0.0, -1.0), (0.2, 1.0)))


def setting(steps: int = STEPS) -> Setting:
    def nothing(path: str) -> tuple[npt.NDArray[np.float64], int]:
        raise AssertionError(path)

    return Setting(steps, 1024 / RATE_HZ, 0.0, steps * 1024 / RATE_HZ, None, nothing, str)


def log_mel(latent: Tensor, span: tuple[int, int] | None = None) -> Tensor:
    """Latents that are mel bands themselves, two frames to a step."""
    first, last = span or (0, latent.shape[-1])
    return 0.3 * latent[..., first:last].repeat_interleave(2, dim=-1) - 1.0


def scope(made_steps: int = 0) -> Scope:
    made = torch.zeros(1, 1, STEPS, dtype=torch.float64)
    made[..., :made_steps] = 1.0
    latent = torch.zeros(1, BANDS, STEPS, dtype=torch.float64)
    return Scope(0, STEPS, latent, made, log_mel)


def problem() -> Problem:
    goal = Goal.of(read(LANE, setting()), scope())
    assert goal is not None
    mean = torch.zeros(BANDS, STEPS, dtype=torch.float64)
    denoiser = ToyMap(GaussianModel(mean, 1.0))
    return Problem(denoiser, levels(1.0, 4), Together([goal]), scope().latent, gradient="full")


def noise(batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(batch, BANDS, STEPS, generator=generator, dtype=torch.float64)


def test_the_loss_falls_in_the_optimiser() -> None:
    whole = problem()
    settings = NoiseSettings(steps=40, rate=5e-2)
    run = optimise_noise(noise(), whole.generate, whole.objective, settings)
    assert run.best_loss < 0.2 * run.losses[0]
    assert run.drift <= settings.norm_drift + 1e-9


@pytest.mark.parametrize("method", ["fast", "ditto"])
def test_the_loss_falls_by_every_method_of_ours(method: str) -> None:
    whole, start = problem(), noise(2)
    draft = run_method("draft", whole, start)
    run = run_method(method, whole, start, iterations=40)
    assert bool((run.best < 0.9 * draft.best).all())
    assert torch.allclose(whole.objective(run.latent), run.best)


def test_the_gradient_equals_finite_differences() -> None:
    whole = problem()
    start = noise().requires_grad_(True)
    assert torch.autograd.gradcheck(
        lambda value: whole.objective(whole.generate(value)), start, eps=1e-6, rtol=1e-5
    )


def test_what_is_made_already_pulls_at_nothing() -> None:
    control = read(LANE, setting())
    assert control.objective(scope(STEPS)) is None
    loss = control.objective(scope(made_steps=5))
    assert loss is not None
    latent = noise().requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss(latent).sum(), latent)
    assert not gradient[..., :5].any()
    assert gradient[..., 5:].any()


def test_a_tone_lies_where_it_is() -> None:
    time_s = np.arange(RATE_HZ) / RATE_HZ
    tone = 0.3 * np.sin(2 * np.pi * 2000.0 * time_s)[None]
    assert float(np.median(centroid(tone, RATE_HZ))) == pytest.approx(1.0, abs=0.02)
    found = read(1.0, setting(43)).compare(tone, RATE_HZ)
    assert found is not None
    assert found.figures["brightness_rmse_octaves"] < 0.1
    assert found.score == pytest.approx(found.figures["brightness_rmse_octaves"] ** 2)


@pytest.mark.parametrize("tilt_db", [-6.0, -3.0, 0.0])
def test_loss_and_check_agree_on_noise(tilt_db: float) -> None:
    """Noise that falls by so many dB an octave: the bands say what the Fourier transform says."""
    generator = np.random.default_rng(1)
    spectrum = np.fft.rfft(generator.normal(size=2 * RATE_HZ))
    hz = np.fft.rfftfreq(2 * RATE_HZ, 1 / RATE_HZ)
    spectrum *= (hz > 60.0) * np.maximum(hz / 1000.0, 0.06) ** (tilt_db / 6.02)
    mono = np.fft.irfft(spectrum)
    audio = torch.from_numpy(0.1 * mono / mono.std())[None].expand(2, -1).float()
    audio = audio[:, : 1024 * (audio.shape[1] // 1024)]
    bands, _ = log_mel_and_pan(audio)
    pairs = bands.unflatten(-1, (2, -1)).flatten(0, 1).T
    ours = float(mel_brightness(pairs, RATE_HZ).mean())
    theirs = float(centroid(audio.double().numpy(), RATE_HZ).mean())
    assert ours == pytest.approx(theirs, abs=0.15)


def test_the_row_makes_a_control() -> None:
    request = RenderRequest.from_mapping({"task": "generate", "seconds": 1.0})
    control = ROW.read(request, setting())
    assert isinstance(control, Brightness)
    checked: Control = control
    assert (checked.name, checked.unit, checked.weight) == (ROW.name, ROW.unit, ROW.weight)


def test_the_example_is_short() -> None:
    source = Path(__file__).with_name("example_brightness.py").read_text(encoding="utf-8")
    assert len(source.splitlines()) < 150
