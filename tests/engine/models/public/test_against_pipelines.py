"""With the same weights, seed and steps: our latents and audio are the diffusers pipeline's."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.models.contracts import Denoiser
from engine.models.public.ace_step import AceStep
from engine.models.public.audioldm import AudioLDM2, MusicLDM
from engine.models.public.contract import Kept, Projection, PublicModel
from engine.models.public.folder import ModelFolder
from engine.models.public.guided import guided_at_once
from engine.models.public.stable_audio_3 import StableAudio3
from engine.models.public.stable_audio_open import StableAudioOpen
from engine.models.studio import Words
from engine.sampling.guidance import guided
from engine.sampling.loop import sample
from engine.sampling.steps import STEP_RULES

PROMPT = "warm slow piano in a minor"
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning"),  # theirs
    pytest.mark.filterwarnings("ignore:`past_key_values` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Should have t[ab]:UserWarning"),  # their Brownian motion
]
CLOSE = 1e-4  # of the norm, in float32
SECONDS_3 = 3.0  # 375 steps of 64 samples at 8 kHz: three pieces of the codec
SECONDS_OPEN = 0.3


def _far(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).norm() / theirs.norm())


def _pipeline(kind: str, folder: Path) -> Any:
    import diffusers

    pipeline = getattr(diffusers, kind).from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def _sampled(
    model: PublicModel,
    noise: Tensor,
    *,
    steps: int,
    seconds: float,
    noises: Tensor | None = None,
    kept: Kept | None = None,
    scale: float = 1.0,
    against: str | None = None,
) -> Tensor:
    words = Words(PROMPT, seconds)
    denoiser = model.denoiser(model.tell(words), kept)
    if scale != 1.0:
        other = (
            model.tell_nothing(words) if against is None else model.tell(Words(against, seconds))
        )
        denoiser = guided(denoiser, model.denoiser(other), scale)
    levels = model.levels(steps)
    rule = STEP_RULES[model.usage.rule]
    return sample(denoiser, levels[0] * noise, levels, rule=rule, noises=noises)


def _ping_pong_noises(shape: tuple[int, ...], steps: int) -> tuple[Tensor, Tensor]:
    """What the pipeline draws: the start, then one after each step."""
    generator = _generator()
    drawn = [torch.randn(shape, generator=generator) for _ in range(steps + 1)]
    return drawn[0], torch.stack(drawn[1:])


def test_stable_audio_3_in_ping_pong_steps(library: Path) -> None:
    model = StableAudio3(ModelFolder.open(library / "sa3"))
    pipeline = _pipeline("StableAudio3Pipeline", library / "sa3")
    assert (model.usage.rule, model.usage.steps) == ("ping-pong", 8)
    steps = model.usage.steps
    noise, noises = _ping_pong_noises((1, 8, 375), steps)
    ours = _sampled(model, noise, steps=steps, seconds=SECONDS_3, noises=noises)
    theirs = pipeline(
        PROMPT, SECONDS_3, latents=noise, generator=_after_one(noise), output_type="latent"
    )
    assert _far(ours, theirs.audios) < CLOSE
    heard = pipeline(PROMPT, SECONDS_3, latents=noise, generator=_after_one(noise)).audios
    with torch.no_grad():
        decoded = model.codec.decode(ours)
    assert _far(decoded[..., : heard.shape[-1]].clamp(-1.0, 1.0), heard) < CLOSE


def _after_one(noise: Tensor) -> torch.Generator:
    """The generator after the start is drawn, which the pipeline is given instead."""
    generator = _generator()
    torch.randn(noise.shape, generator=generator)
    return generator


@pytest.mark.parametrize(("scale", "against"), [(1.0, None), (4.0, None), (4.0, "fast drums")])
def test_stable_audio_3_base_with_guidance(
    library: Path, scale: float, against: str | None
) -> None:
    model = StableAudio3(ModelFolder.open(library / "sa3-base"))
    pipeline = _pipeline("StableAudio3Pipeline", library / "sa3-base")
    assert (model.usage.rule, model.usage.steps) == ("euler", 100)
    noise = torch.randn(1, 8, 40, generator=_generator())
    seconds = 40 * 64 / 8_000
    ours = _sampled(model, noise, steps=20, seconds=seconds, scale=scale, against=against)
    theirs = pipeline(
        PROMPT,
        seconds,
        num_inference_steps=20,
        latents=noise,
        guidance_scale=scale,
        negative_prompt=against,
        output_type="latent",
    ).audios
    assert _far(ours, theirs) < CLOSE


def test_stable_audio_3_edits_natively(library: Path) -> None:
    model = StableAudio3(ModelFolder.open(library / "sa3"))
    pipeline = _pipeline("StableAudio3InpaintPipeline", library / "sa3")
    seconds, steps = 1.0, 8
    rng = np.random.default_rng(3)
    clip = torch.from_numpy(rng.uniform(-0.5, 0.5, (1, 2, 8_000)).astype(np.float32))
    with torch.no_grad():
        latent = model.codec.encode(clip)
    mask = torch.ones(1, 1, 125)
    for start_s, end_s in ((0.2, 0.4), (0.7, 0.8)):  # several regions at once
        mask[..., int(start_s * 125) : int(end_s * 125)] = 0.0
    noise, noises = _ping_pong_noises((1, 8, 125), steps)
    ours = _sampled(
        model, noise, steps=steps, seconds=seconds, noises=noises, kept=Kept(latent, mask)
    )
    theirs = pipeline(
        PROMPT,
        seconds,
        audio=clip,
        mask_start_seconds=[0.2, 0.7],
        mask_end_seconds=[0.4, 0.8],
        latents=noise,
        generator=_after_one(noise),
        output_type="latent",
    ).audios
    assert _far(ours, theirs) < CLOSE
    free = _sampled(model, noise, steps=steps, seconds=seconds, noises=noises)
    assert _far(free, theirs) > 0.05, "what is kept makes no difference"


@pytest.mark.parametrize("name", ["sao", "sao-karras"])
@pytest.mark.parametrize(("scale", "against"), [(1.0, None), (7.0, None), (7.0, "fast drums")])
def test_stable_audio_open(library: Path, name: str, scale: float, against: str | None) -> None:
    model = StableAudioOpen(ModelFolder.open(library / name))
    pipeline = _pipeline("StableAudioPipeline", library / name)
    noise = torch.randn(1, 3, 96, generator=_generator())
    steps = 12
    theirs = pipeline(
        PROMPT,
        SECONDS_OPEN,
        num_inference_steps=steps,
        guidance_scale=scale,
        negative_prompt=against,
        latents=noise,
        generator=_generator(),
        output_type="latent",
    ).audios
    brownian = pipeline.scheduler.noise_sampler
    sigmas = pipeline.scheduler.sigmas
    noises = torch.stack([brownian(sigmas[at], sigmas[at + 1]) for at in range(steps)])
    ours = _sampled(
        model,
        noise,
        steps=steps,
        seconds=SECONDS_OPEN,
        noises=noises,
        scale=scale,
        against=against,
    )
    assert _far(ours, theirs) < CLOSE
    with torch.no_grad():
        assert _far(model.codec.decode(ours), pipeline.vae.decode(theirs).sample) < CLOSE


def _ace_pipeline(folder: Path) -> Any:
    pipeline = _pipeline("AceStepPipeline", folder)
    pipeline.transformer.eval()
    return pipeline


@pytest.mark.parametrize("steps", [8, 3])
def test_ace_step_turbo(library: Path, steps: int) -> None:
    """With everything it can be told; 41 steps, an odd number for its patches of two."""
    model = AceStep(ModelFolder.open(library / "ace"))
    assert (model.usage.rule, model.usage.steps, model.usage.guidance) == ("euler", 8, 1.0)
    seconds = 41 * 32 / 800
    noise = torch.randn(1, 3, 41, generator=_generator())
    words = Words(PROMPT, seconds, "[verse]\nlow light", 97.0, 9, "minor", 3)
    levels = model.levels(steps)
    with torch.no_grad():
        ours = sample(model.denoiser(model.tell(words)), noise, levels)
    pipeline = _ace_pipeline(library / "ace")
    theirs = pipeline(
        PROMPT,
        words.lyrics,
        seconds,
        num_inference_steps=steps,
        bpm=97,
        keyscale="A minor",
        timesignature="3",
        guidance_scale=1.0,
        latents=noise.transpose(1, 2),
        output_type="latent",
    ).audios.transpose(1, 2)
    assert _far(ours, theirs) < CLOSE
    with torch.no_grad():
        assert _far(model.codec.decode(ours), pipeline.vae.decode(theirs).sample) < CLOSE


def test_ace_step_repaints(library: Path) -> None:
    model = AceStep(ModelFolder.open(library / "ace"))
    pipeline = _ace_pipeline(library / "ace")
    seconds, rate_hz = 2.4, 800
    rng = np.random.default_rng(3)
    clip = torch.from_numpy(rng.uniform(-0.5, 0.5, (2, 1_920)).astype(np.float32))
    torch.manual_seed(11)  # theirs keeps a sample of the posterior, which we are given here
    with torch.no_grad():
        latent = pipeline.vae.encode(clip[None]).latent_dist.sample()
    noise = torch.randn(1, 3, 60, generator=_generator())
    mask = torch.ones(1, 1, 60)
    mask[..., int(0.8 * rate_hz / 32) : int(1.6 * rate_hz / 32)] = 0.0
    words = Words(PROMPT, seconds, bpm=120.0, edits=True)
    levels = model.levels(8)
    with torch.no_grad():
        ours = sample(model.denoiser(model.tell(words), Kept(latent, mask)), noise, levels)
        free = sample(model.denoiser(model.tell(words)), noise, levels)
    torch.manual_seed(11)
    theirs = pipeline(
        PROMPT,
        "",
        seconds,
        bpm=120,
        guidance_scale=1.0,
        task_type="repaint",
        src_audio=clip,
        repainting_start=0.8,
        repainting_end=1.6,
        latents=noise.transpose(1, 2),
        output_type="latent",
    ).audios.transpose(1, 2)
    assert _far(ours, theirs) < CLOSE
    assert _far(free, theirs) > 0.05, "what is kept makes no difference"


def test_ace_step_base_without_guidance(library: Path) -> None:
    model = AceStep(ModelFolder.open(library / "ace-base"))
    assert (model.usage.rule, model.usage.steps) == ("remembering-euler", 50)
    noise = torch.randn(1, 3, 40, generator=_generator())
    seconds = 40 * 32 / 800
    ours = _sampled(model, noise, steps=12, seconds=seconds)
    theirs = _ace_pipeline(library / "ace-base")(
        PROMPT,
        "",
        seconds,
        num_inference_steps=12,
        guidance_scale=1.0,
        latents=noise.transpose(1, 2),
        output_type="latent",
    ).audios.transpose(1, 2)
    assert _far(ours, theirs) < CLOSE
    nothing = model.tell_nothing(Words(PROMPT, seconds)).tokens
    assert torch.equal(nothing, nothing[:, :1].expand_as(nothing))


@pytest.mark.parametrize("interval", [(0.0, 1.0), (0.2, 0.7)])  # of levels
@pytest.mark.parametrize("count", [40, 200])  # few of the averages are shortened, and all of them
def test_ace_step_base_with_projected_guidance(
    library: Path, count: int, interval: tuple[float, float]
) -> None:
    model = AceStep(ModelFolder.open(library / "ace-base"))
    projection, scale = model.usage.projection, model.usage.guidance
    assert (projection, scale) == (Projection(-0.75, 2.5), 7.0)
    assert projection is not None
    model.usage = replace(model.usage, projection=replace(projection, interval=interval))
    noise = torch.randn(1, 3, count, generator=_generator())
    words = Words(PROMPT, count * 32 / 800)
    sides = model.tell(words), model.tell_nothing(words)
    remembering = guided_at_once(model, *sides, scale)
    model.usage = replace(model.usage, projection=None)
    plain = guided_at_once(model, *sides, scale)
    theirs = _ace_pipeline(library / "ace-base")(
        PROMPT,
        "",
        words.seconds,
        num_inference_steps=12,
        guidance_scale=scale,
        cfg_interval_start=1.0 - interval[1],
        cfg_interval_end=1.0 - interval[0],
        latents=noise.transpose(1, 2),
        output_type="latent",
    ).audios.transpose(1, 2)

    def far(denoiser: Denoiser, rule: str) -> float:
        return _far(sample(denoiser, noise, model.levels(12), rule=STEP_RULES[rule]), theirs)

    assert far(remembering, model.usage.rule) < CLOSE
    assert far(remembering, "euler") > 0.01, "what is remembered makes no difference"
    assert far(plain, model.usage.rule) > 0.05, "the projection makes no difference"


@pytest.mark.parametrize(
    ("name", "kind", "pipeline_name"),
    [("ldm2", AudioLDM2, "AudioLDM2Pipeline"), ("mldm", MusicLDM, "MusicLDMPipeline")],
)
@pytest.mark.parametrize(("scale", "against"), [(1.0, None), (3.5, None), (3.5, "fast drums")])
def test_mel_latents(
    library: Path,
    name: str,
    kind: type[AudioLDM2 | MusicLDM],
    pipeline_name: str,
    scale: float,
    against: str | None,
) -> None:
    """Up to the pipeline's last level, which keeps a rest of noise; ours goes on to the data."""
    model = kind(ModelFolder.open(library / name))
    pipeline = _pipeline(pipeline_name, library / name)
    if kind is MusicLDM:  # theirs is older than what transformers answers now
        features = pipeline.text_encoder.get_text_features
        pipeline.text_encoder.get_text_features = lambda *a, **b: features(*a, **b).pooler_output
    steps, count = 10, 24
    noise = torch.randn(1, 2, count, 2, generator=_generator())
    theirs = pipeline(
        PROMPT,
        audio_length_in_s=count * 64 / 16_000,
        num_inference_steps=steps,
        guidance_scale=scale,
        negative_prompt=against,
        latents=noise,
        output_type="latent",
    ).audios
    words = Words(PROMPT, 0.1)
    with torch.no_grad():
        denoiser = model.denoiser(model.tell(words))
        if scale != 1.0:
            other = model.tell_against(words, against or "")
            denoiser = guided(denoiser, model.denoiser(other), scale)
        levels = (*model.levels(steps)[:-1], model.noise.level(0))
        state = _unit(levels[0]) * model.codec.from_picture(noise)
        ours = sample(denoiser, state, levels) / _unit(levels[-1])
        assert _far(ours, model.codec.from_picture(theirs)) < CLOSE
        spectrogram = pipeline.vae.decode(theirs / pipeline.vae.config.scaling_factor).sample
        heard = pipeline.mel_spectrogram_to_waveform(spectrogram)
        decoded = model.codec.decode(ours)
    assert torch.equal(decoded[:, 0], decoded[:, 1])
    assert _far(decoded[:, 0], heard) < CLOSE


def _unit(level: float) -> float:
    """Size of noise on the straight path that has unit variance on the model's own."""
    return math.hypot(1.0 - level, level)
