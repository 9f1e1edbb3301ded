"""What is measured: sampling, and noise that is optimised towards a drawn level or a tune."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from engine.controls.intensity import intensity_objective
from engine.controls.melody import melody_objective
from engine.models.house.spectra import SAMPLE_RATE_HZ
from engine.models.public.spectrum import DecodedMel
from engine.models.studio import Words
from engine.optimise.problem import Objective, Problem
from engine.sampling.levels import levels

Wish = Literal["intensity", "melody"]
_TUNE = (0, 4, 7, 0)  # pitch classes, a quarter of the piece each


def steps_of(model: Any, seconds: float) -> int:
    """Latent steps that hold so many seconds: a multiple of four, as U-Nets want it."""
    steps = round(seconds * float(model.codec.sample_rate_hz / model.codec.step_samples))
    return max(4, -(-steps // 4) * 4)


def noise_of(model: Any, steps: int, seed: int = 0) -> Tensor:
    """`[1, channels, steps]` on the model's device."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, model.codec.latent_channels, steps, generator=generator)
    return noise.to(model.device)


def objective(model: Any, frames_per_step: int, steps: int, wish: Wish) -> Objective:
    """A level that rises by 18 dB, or a tune of four notes, measured on the decoded audio."""
    mel = DecodedMel(model.codec, frames_per_step)
    if wish == "melody":
        chroma = torch.zeros(1, 12, steps, device=model.device)
        for step in range(steps):
            chroma[0, _TUNE[step * len(_TUNE) // steps], step] = 1.0
        return melody_objective(mel, chroma, SAMPLE_RATE_HZ)
    frames = steps * frames_per_step
    target_db = torch.linspace(-30.0, -12.0, frames, device=model.device)
    frame_s = float(mel.hop_samples) / SAMPLE_RATE_HZ
    free = torch.ones(frames, device=model.device)
    return intensity_objective(mel, target_db, free, SAMPLE_RATE_HZ, frame_s)


def problem(
    model: Any, frames_per_step: int, latent_steps: int, wish: Wish, sampler_steps: int = 8
) -> Problem:
    """A window from pure noise, through Euler's steps."""
    step_s = model.codec.step_samples / model.codec.sample_rate_hz
    denoiser = model.denoiser(model.tell(Words("warm slow piano", latent_steps * step_s)))
    blank = torch.zeros(1, model.codec.latent_channels, latent_steps, device=model.device)
    wished = objective(model, frames_per_step, latent_steps, wish)
    return Problem(denoiser, levels(1.0, sampler_steps), wished, blank)
