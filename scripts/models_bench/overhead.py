"""Our plain sampling beside the diffusers pipeline's own, in one process, in turn.

What counts is the processor's time in one thread, which other programs hardly change.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from engine.models.public.guided import guided_at_once
from engine.models.studio import Words
from engine.sampling.loop import sample
from engine.sampling.steps import STEP_RULES
from models_bench.checkpoints import ARCHITECTURES, Size, opened, write

PROMPT = "warm slow piano"
# Takes no text from outside of its call, so that the text encoder belongs to both sides.
TEXT_INSIDE = "ace-step"
GUIDED = ("stable-audio-open", "audioldm-2", "musicldm")  # by default


class Rivals:
    """One architecture, sampled by us and by its pipeline from the same noise."""

    def __init__(self, kind: str, folder: Path, size: Size, guidance: float) -> None:
        import diffusers

        self.kind, self.guidance = kind, guidance
        self.model = opened(kind, folder)
        architecture = ARCHITECTURES[kind]
        self.pipeline: Any = getattr(diffusers, architecture.pipeline).from_pretrained(folder)
        self.pipeline.set_progress_bar_config(disable=True)
        if kind == "musicldm":  # theirs is older than what transformers answers now
            features = self.pipeline.text_encoder.get_text_features
            self.pipeline.text_encoder.get_text_features = lambda *a, **b: (
                features(*a, **b).pooler_output
            )
        self.steps = architecture.steps
        self.count = self._count(size.seconds)
        codec = self.model.codec
        step_s = float(codec.step_samples / codec.sample_rate_hz)
        self.seconds = self.count * step_s
        self.runs = 0

    def _count(self, seconds: float) -> int:
        """Latent steps; the U-Nets halve them, and one window is all of its length."""
        if self.kind == "stable-audio-open":
            return int(self.model.window_steps)
        codec = self.model.codec
        steps = round(seconds * float(codec.sample_rate_hz / codec.step_samples))
        return max(4, steps // 4 * 4)

    def words(self) -> Words:
        """The prompt, another one each time where its encoding is to be measured."""
        self.runs += 1
        again = f" {self.runs}" if self.kind == TEXT_INSIDE else ""
        return Words(PROMPT + again, self.seconds)

    def noise(self) -> Tensor:
        """`[1, channels, steps]`."""
        generator = torch.Generator().manual_seed(7)
        return torch.randn(1, self.model.codec.latent_channels, self.count, generator=generator)

    def ours(self, noise: Tensor) -> Tensor:
        """Latent `[1, channels, steps]`."""
        model, words = self.model, self.words()
        told = model.tell(words)
        other = told if self.guidance == 1.0 else model.tell_nothing(words)
        denoiser = guided_at_once(model, told, other, self.guidance)
        levels = model.levels(self.steps)
        noises = None
        if model.usage.rule != "euler":
            noises = torch.randn(self.steps, *noise.shape)
        rule = STEP_RULES[model.usage.rule]
        return sample(denoiser, levels[0] * noise, levels, rule=rule, noises=noises)

    def theirs(self, noise: Tensor) -> Any:
        """The same by the pipeline, in its own form."""
        given: dict[str, Any] = {
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
            "output_type": "latent",
        }
        prompt = self.words().prompt
        match self.kind:
            case "ace-step":
                given |= {"latents": noise.transpose(1, 2)}
                return self.pipeline(prompt, "", self.seconds, **given).audios
            case "stable-audio-3":
                return self.pipeline(prompt, self.seconds, latents=noise, **given).audios
            case "stable-audio-open":
                return self.pipeline(prompt, self.seconds - 0.01, latents=noise, **given).audios
            case _:
                given |= {"latents": self.model.codec.to_picture(noise)}
                return self.pipeline(prompt, audio_length_in_s=self.seconds, **given).audios

    def remember_text(self) -> None:
        """Let the pipeline encode each prompt once, as we do."""
        if self.kind == TEXT_INSIDE:
            return
        name = "_encode_prompt" if self.kind == "musicldm" else "encode_prompt"
        encode = getattr(self.pipeline, name)
        setattr(self.pipeline, name, cache(_no_gradients(encode)))


def _no_gradients(encode: Callable[..., Any]) -> Callable[..., Any]:
    def encoded(*given: Any, **named: Any) -> Any:
        with torch.no_grad():
            return encode(*given, **named)

    return encoded


def compared(kind: str, size: Size, repeats: int, *, with_guidance: bool) -> dict[str, Any]:
    """Median seconds of both and their ratio, for one architecture."""
    with tempfile.TemporaryDirectory() as place:
        folder = write(kind, Path(place) / kind, size)
        model = opened(kind, folder)
        rivals = Rivals(kind, folder, size, model.usage.guidance if with_guidance else 1.0)
        rivals.remember_text()
        noise = rivals.noise()
        rivals.ours(noise), rivals.theirs(noise)
        ours_s: list[float] = []
        theirs_s: list[float] = []
        for number in range(repeats):
            pairs = [(rivals.ours, ours_s), (rivals.theirs, theirs_s)]
            for run, times_s in pairs if number % 2 else reversed(pairs):
                begun = time.process_time()
                run(noise)
                times_s.append(time.process_time() - begun)
    parameters = sum(weight.numel() for weight in model._network.parameters())
    return {
        "kind": kind,
        "guidance": rivals.guidance,
        "steps": rivals.steps,
        "latent_steps": rivals.count,
        "seconds": rivals.seconds,
        "parameters": parameters,
        "ours_s": ours_s,
        "theirs_s": theirs_s,
        "ratio": median(ours_s) / median(theirs_s),
        "spread": _spread(ours_s, theirs_s),
    }


def _spread(ours_s: list[float], theirs_s: list[float]) -> tuple[float, float]:
    """Least and most of the ratios of runs that stood beside each other."""
    ratios = [ours / theirs for ours, theirs in zip(ours_s, theirs_s, strict=True)]
    return min(ratios, default=math.nan), max(ratios, default=math.nan)


def overhead(kind: str, size: Size, repeats: int) -> list[dict[str, Any]]:
    """One architecture, plainly, and guided where it is so by default."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ways = (False, True) if kind in GUIDED else (False,)
        return [compared(kind, size, repeats, with_guidance=way) for way in ways]
    finally:
        torch.set_num_threads(threads)
