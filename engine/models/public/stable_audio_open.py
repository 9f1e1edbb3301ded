"""Stable Audio Open: v-prediction over latents of 46 ms, always in a window of 47 s, text by T5.

Facts are those of `StableAudioPipeline` and its schedulers in diffusers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.models.contracts import Denoiser
from engine.models.public.contract import Kept, Told, Usage
from engine.models.public.folder import ModelFolder
from engine.models.public.loading import Checkpoint, libraries, load_part, tokenised
from engine.models.public.oobleck import OobleckCodec
from engine.models.public.precise import LevelFeatures, stored_weight
from engine.models.public.rotations import Rotations, rotary_frequencies
from engine.models.studio import Words
from engine.spec import BridgeError

PIPELINE = "StableAudioPipeline"
MOST_TOKENS = 128
_SCHEDULER = "CosineDPMSolverMultistepScheduler"
# What the step rule and the levels rely on, where the scheduler's file says something of it.
_RELIED_ON: dict[str, Any] = {
    "sigma_data": 1.0,
    "prediction_type": "v_prediction",
    "solver_order": 2,
    "solver_type": "midpoint",
    "final_sigmas_type": "zero",
}


class StableAudioOpen(Checkpoint):
    """A checkpoint of Stable Audio Open."""

    frames_per_step = 4
    edits = False

    @classmethod
    def usage_of(cls, folder: ModelFolder) -> Usage:
        """As its publishers do."""
        return Usage("sde-dpm-solver-2m", 100, 7.0)

    def _load(self, folder: ModelFolder) -> None:
        with libraries():
            from diffusers import AutoencoderOobleck, StableAudioDiTModel
            from diffusers.pipelines.stable_audio.modeling_stable_audio import (
                StableAudioProjectionModel,
            )
            from transformers import AutoTokenizer, T5EncoderModel

        self._network = self._part("transformer", StableAudioDiTModel)
        self._encoder = self._text_part("text_encoder", T5EncoderModel)
        self._projection = self._exact_part("projection_model", StableAudioProjectionModel)
        self._level = _level_features(folder, self._network, self.device)
        self.codec = OobleckCodec(self._exact_part("vae", AutoencoderOobleck))
        self._tokenizer = load_part(folder, "tokenizer", AutoTokenizer, None)
        self._prompts = self._prompts_by(self._read)
        self._noise = _NoiseRange.of(folder)
        self.window_steps = int(self._network.config.sample_size)
        step_s = self.codec.step_samples / self.codec.sample_rate_hz
        self.longest_seconds = self.window_steps * step_s
        rotated = int(self._network.config.attention_head_dim) // 2
        self._rotation = Rotations(rotary_frequencies(rotated, self.device))

    @torch.no_grad()
    def tell(self, words: Words) -> Told:
        """Text, and where the piece begins and ends in the window, as tokens and as a whole."""
        tokens, _ = self._prompts(words.prompt)
        starts, ends = self._place(words)
        return Told(torch.cat([tokens, starts, ends], dim=1), torch.cat([starts, ends], dim=2))

    @torch.no_grad()
    def tell_nothing(self, words: Words) -> Told:
        """Empty tokens; the place is still told to the whole."""
        told = self.tell(words)
        return Told(torch.zeros_like(told.tokens), told.whole)

    def denoiser(self, told: Told, kept: Kept | None = None) -> Denoiser:
        """The estimate of `x = α x_0 + σ ε` with v-prediction, σ/α from 0.3 to 500 in training.

        Raises:
            ValueError: there is something to keep: this model does not edit.
        """
        if kept is not None:
            raise ValueError("Stable Audio Open does not edit: what is kept is for the optimiser")

        def denoise(x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
            scale = math.hypot(1.0 - level, level)
            state = x / scale
            time = math.atan2(level, 1.0 - level) * 2.0 / math.pi
            here = told.for_batch(x.shape[0])
            self._level.level = told_time = x.new_full((1,), time)
            predicted: Tensor = self._network(
                state.to(self._dtype),
                told_time,
                encoder_hidden_states=here.tokens,
                global_hidden_states=here.whole,
                rotary_embedding=self._rotation(x.shape[-1] + here.whole.shape[1]),
                return_dict=False,
            )[0]
            return ((1.0 - level) * state - level * predicted.to(x.dtype)) / scale

        return denoise

    def levels(self, steps: int, start: float = 1.0) -> tuple[float, ...]:
        """σ evenly spaced on a logarithmic scale (or Karras's), from 500 to 0.3, and 0.

        A start below begins at its own σ; one below the smallest σ is one step to 0.
        """
        if steps < 1 or not 0.0 < start <= 1.0:
            raise ValueError(f"cannot sample from level {start} in {steps} steps")
        highest = self._noise.highest
        first = highest if start == 1.0 else min(highest, start / (1.0 - start))
        sigmas = self._noise.sigmas(first, steps)
        return (*(sigma / (1.0 + sigma) for sigma in sigmas), 0.0)

    def _place(self, words: Words) -> tuple[Tensor, Tensor]:
        seconds = (torch.tensor([value], device=self.device) for value in (0.0, words.seconds))
        place = self._projection(start_seconds=next(seconds), end_seconds=next(seconds))
        starts, ends = place.seconds_start_hidden_states, place.seconds_end_hidden_states
        return starts.to(self._dtype), ends.to(self._dtype)

    def _read(self, prompt: str) -> tuple[Tensor, Tensor]:
        most = min(self._tokenizer.model_max_length, MOST_TOKENS)
        ids, mask = tokenised(self._tokenizer, prompt, most, self._text_device)
        read = self._encoder(ids, attention_mask=mask)[0].to(self.device, self._projection.dtype)
        tokens = self._projection(text_hidden_states=read).text_hidden_states
        return tokens * mask[..., None].to(tokens), mask


def _level_features(folder: ModelFolder, network: Any, device: torch.device) -> LevelFeatures:
    """In place of the network's own."""
    own: Tensor = network.time_proj.weight
    stored = stored_weight(folder, "transformer", "time_proj.weight")
    network.time_proj = LevelFeatures(own.detach() if stored is None else stored).to(device)
    made: LevelFeatures = network.time_proj
    return made


@dataclass(frozen=True, slots=True)
class _NoiseRange:
    """σ/α as the scheduler of a checkpoint spaces it."""

    lowest: float
    highest: float
    rho: float | None  # of Karras's spacing; None where the logarithm is even

    @classmethod
    def of(cls, folder: ModelFolder) -> _NoiseRange:
        """From the scheduler's settings.

        Raises:
            BridgeError: `not_found` for settings that would be sampled wrongly.
        """
        given = folder.settings("scheduler")
        schedule: dict[str, Any] = {"sigma_min": 0.3, "sigma_max": 500.0, "rho": 7.0}
        schedule |= {"sigma_schedule": "exponential"} | given
        known = (
            given.get("_class_name") == _SCHEDULER
            and all(given.get(name, value) == value for name, value in _RELIED_ON.items())
            and schedule["sigma_schedule"] in ("exponential", "karras")
        )
        if not known:
            raise BridgeError(
                "not_found",
                f"{folder.path.name} is scheduled by {given.get('_class_name')} in a way that is "
                "not known here",
            )
        rho = float(schedule["rho"]) if schedule["sigma_schedule"] == "karras" else None
        return cls(float(schedule["sigma_min"]), float(schedule["sigma_max"]), rho)

    def sigmas(self, first: float, steps: int) -> tuple[float, ...]:
        """So many values from `first` down to the lowest."""
        if steps == 1 or first <= self.lowest:
            return (first,)
        shares = [index / (steps - 1) for index in range(steps)]
        if self.rho is None:
            width = math.log(self.lowest / first)
            return tuple(first * math.exp(width * share) for share in shares)
        top, bottom = (value ** (1.0 / self.rho) for value in (first, self.lowest))
        return tuple((top + share * (bottom - top)) ** self.rho for share in shares)
