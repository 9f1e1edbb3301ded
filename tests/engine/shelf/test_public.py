"""Public models as the tasks know them: words, windows, spectra, and gradients to the noise."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.controls.intensity import intensity_objective
from engine.costs import iterations_of
from engine.job import settings_for
from engine.models.public.contract import PublicModel, Told
from engine.models.public.folder import ModelFolder
from engine.models.public.opening import open_model
from engine.models.studio import FrameConditions, Words, step_seconds
from engine.optimise.problem import Problem
from engine.sampling.steps import STEP_RULES
from engine.shelf.public import PublicStudio
from engine.spec import RenderRequest

STEP_SAMPLES = {
    "sa3": 4096,
    "sao": 2048,
    "small": 2048,
    "ace": 1764,
    "ace-base": 1764,
    "ldm2": 1764,
    "mldm": 1764,
}
WORDS = Words("warm piano", 0.4, bpm=97.4, tonic=9, mode="minor", beats_per_bar=3)
STEPS = 8


@pytest.fixture(scope="module", params=STEP_SAMPLES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(real_steps: Path, name: str) -> PublicModel:
    return open_model(ModelFolder.open(real_steps / name))


@pytest.fixture(scope="module")
def studio(model: PublicModel) -> PublicStudio:
    return PublicStudio(model)


def frames_of(studio: PublicStudio, steps: int = STEPS, known: int = 0) -> FrameConditions:
    kept = torch.randn(1, studio.codec.latent_channels, steps, generator=seeded(3))
    mask = torch.zeros(1, 1, steps)
    mask[..., :known] = 1.0
    return FrameConditions(kept, mask)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_spectrum_of_some_steps_is_that_of_the_whole(studio: PublicStudio) -> None:
    codec, frames = studio.codec, studio.codec.frames_per_step
    latent = torch.randn(2, codec.latent_channels, 4 * STEPS, generator=seeded(6))
    with torch.no_grad():
        whole = codec.log_mel(latent)
        for first, last in ((0, 3), (9, 20), (4 * STEPS - 2, 4 * STEPS)):
            part = codec.log_mel(latent, (first, last))
            assert torch.allclose(part, whole[..., frames * first : frames * last], atol=1e-3)


def noise_of(studio: PublicStudio, steps: int = STEPS) -> Tensor:
    return torch.randn(1, studio.codec.latent_channels, steps, generator=seeded(4))


def test_a_step_is_a_whole_number_of_samples_at_the_studios_rate(
    studio: PublicStudio, name: str
) -> None:
    codec = studio.codec
    assert (codec.sample_rate_hz, codec.step_samples) == (44_100, STEP_SAMPLES[name])
    audio = 0.1 * torch.randn(2, 6 * codec.step_samples, generator=seeded(1))
    latent = codec.encode(audio)
    assert latent.shape == (codec.latent_channels, 6)
    assert codec.decode(latent).shape == audio.shape
    assert codec.encode(audio[:, : 5 * codec.step_samples + 1]).shape[-1] == 6
    assert codec.log_mel(latent[None]).shape == (1, 192, 6 * codec.frames_per_step)


def test_the_window_is_what_the_model_sees(studio: PublicStudio, model: PublicModel) -> None:
    seconds = studio.window_steps * step_seconds(studio.codec)
    assert seconds == pytest.approx(model.longest_seconds, abs=step_seconds(studio.codec))
    assert model.window_steps in (None, studio.window_steps)


def test_gradients_to_the_noise_are_the_finite_differences(studio: PublicStudio) -> None:
    """Through the model's own rule in three steps, its guidance, codec, resampler and spectrum."""
    codec, steps = studio.codec, 3
    denoiser = studio.told(WORDS)(frames_of(studio))
    count = codec.frames_per_step * STEPS
    objective = intensity_objective(
        codec.log_mel,
        torch.full((count,), -30.0),
        torch.ones(count),
        44_100,
        step_seconds(codec) / codec.frames_per_step,
    )
    noise = noise_of(studio)
    added = torch.randn(steps, *noise.shape[1:], generator=seeded(5))
    problem = Problem(
        denoiser,
        studio.levels(1.0, steps),
        objective,
        torch.zeros_like(noise),
        gradient="full",
        rule=STEP_RULES[studio.habits.rule],
        added=added if studio.habits.added_noise else None,
        from_prior=False,
    )
    variable = noise.clone().requires_grad_(True)
    loss = objective(problem.generate(variable)).sum()
    (gradient,) = torch.autograd.grad(loss, variable)
    assert bool(gradient.isfinite().all())
    direction = gradient / gradient.norm()
    reach = 0.02
    with torch.no_grad():
        ends = [float(objective(problem.generate(noise + s * reach * direction))) for s in (1, -1)]
    slope = (ends[0] - ends[1]) / (2.0 * reach)
    assert slope == pytest.approx(float(gradient.norm()), rel=0.02)
    assert slope > 1e-3


def test_known_audio_is_told_to_models_that_edit(
    studio: PublicStudio, model: PublicModel, name: str
) -> None:
    conditioned, x = studio.told(WORDS), noise_of(studio)
    with torch.no_grad():
        free = conditioned(frames_of(studio))(x, 0.7)
        beside = conditioned(frames_of(studio, known=4))(x, 0.7)
    assert model.edits == (name in ("sa3", "ace", "ace-base"))
    assert torch.allclose(free, beside, atol=1e-6) == (not model.edits)


def test_a_piece_is_told_its_length_up_to_what_the_model_sees(
    studio: PublicStudio, model: PublicModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Words] = []
    tell = model.tell

    def heard(words: Words) -> Told:
        asked.append(words)
        return tell(words)

    monkeypatch.setattr(model, "tell", heard)
    studio.told(Words("warm", 10_000.0))(frames_of(studio))
    assert asked[0].seconds == model.longest_seconds


@pytest.mark.parametrize(
    ("words", "prompt"),
    [
        (WORDS, "warm piano, 97 BPM, in A minor"),
        (Words("slow, 120 bpm, in D minor", 1.0, bpm=90.0, tonic=2, mode="minor"), None),
        (Words("", 1.0), ""),
        (Words("", 1.0, bpm=90.0, roles=("drums",)), "solo drums, 90 BPM"),
        (Words("house", 1.0, roles=("drums", "bass")), "house"),
    ],
)
def test_tempo_and_key_are_written_where_there_is_no_other_place(
    real_steps: Path, words: Words, prompt: str | None
) -> None:
    studio = PublicStudio(open_model(ModelFolder.open(real_steps / "mldm")))
    assert studio._prompt(words) == (words.prompt if prompt is None else prompt)


def test_tempo_and_key_have_their_own_place_where_there_is_one(real_steps: Path) -> None:
    studio = PublicStudio(open_model(ModelFolder.open(real_steps / "ace")))
    assert studio._prompt(WORDS) == "warm piano"


def test_a_whole_window_is_filled_up_with_noisy_silence(real_steps: Path) -> None:
    model = open_model(ModelFolder.open(real_steps / "sao"))
    studio = PublicStudio(model)
    assert model.window_steps == studio.window_steps == 96
    x = noise_of(studio, 96)
    with torch.no_grad():
        whole = studio.told(WORDS)(frames_of(studio, 96))(x, 0.6)
        part = studio.told(WORDS)(frames_of(studio, 40))(x[..., :40], 0.6)
        again = studio.told(WORDS)(frames_of(studio, 40))(x[..., :40], 0.6)
        pair = studio.told(WORDS)(frames_of(studio, 40))(x[..., :40].expand(2, -1, -1), 0.6)
    assert (whole.shape[-1], part.shape[-1]) == (96, 40)
    assert torch.equal(part, again)
    assert torch.allclose(pair[1:], part, atol=1e-5)
    # By hand: the tail is silence on the straight line to a noise that is always the same.
    silence = studio.codec.encode(torch.zeros(1, 2, 56 * studio.codec.step_samples))
    tail = 0.4 * silence + 0.6 * torch.randn(silence.shape, generator=seeded(0))
    told = Words(studio._prompt(WORDS), WORDS.seconds)
    with torch.no_grad():
        full = torch.cat([x[..., :40], tail], dim=-1)
        here = model.denoiser(model.tell(told))(full, 0.6)
        nothing = model.denoiser(model.tell_nothing(told))(full, 0.6)
    expected = nothing + model.usage.guidance * (here - nothing)
    assert torch.allclose(part, expected[..., :40], atol=1e-4)


def test_habits_are_known_from_the_settings_alone(studio: PublicStudio, name: str) -> None:
    habits = studio.habits
    assert habits.added_noise == (name in ("sa3", "sao", "small"))
    assert habits.few_steps == (name in ("sa3", "small"))
    assert (habits.steps <= 8) == (name in ("sa3", "small", "ace")) == (habits.fewest_steps == 1)
    assert habits.variation["generate"] == 1.0
    levels = studio.levels(1.0, habits.steps)
    assert len(levels) == habits.steps + 1
    assert levels[-1] == 0.0
    assert math.isclose(levels[0], 1.0, abs_tol=0.1)


def test_the_fast_path_of_a_distilled_model_is_its_own(studio: PublicStudio, name: str) -> None:
    request = RenderRequest.from_mapping({"task": "generate", "prompt": "house", "seconds": 1})
    settings = settings_for(request, studio.habits)
    own = name in ("sa3", "small")
    assert settings.method == ("ditto-2" if own else "fast")
    assert settings.refine == iterations_of(settings.method)
    assert (settings.steps, settings.variation) == (studio.habits.steps, 1.0)
    asked = replace(request, method="ditto", refine=3)
    assert settings_for(asked, studio.habits).method == "ditto"
    assert settings_for(asked, studio.habits).refine == 3
