"""A public model as the engine's tasks know one: told words, asked for windows."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from engine.models.contracts import Denoiser
from engine.models.public.contract import Kept, PublicModel, Usage
from engine.models.public.guided import guided_at_once
from engine.models.studio import Conditioned, FrameConditions, Habits, Words, step_seconds
from engine.shelf.codec import AtStudioRate

_ADDING_RULES = ("ping-pong", "sde-dpm-solver-2m")
_FEW_STEPS = 8
_SHORTER_RUN = 32  # steps in which a model that is not distilled still makes something of use
# A model that edits goes on from what it is given, and needs no prior. One that does not has to be
# led by a prior of the clip's own material. Words alone are what such models make music from.
_VARIATIONS = {"melody": 0.75, "accompany": 0.75, "vary": 0.6, "generate": 1.0}
_EDITING, _LED = 1.0, 0.7


def habits_of(usage: Usage, *, edits: bool) -> Habits:
    """How a model is used where a request leaves it open."""
    painted = dict.fromkeys(("extend", "inpaint", "loop"), _EDITING if edits else _LED)
    return Habits(
        usage.rule,
        added_noise=usage.rule in _ADDING_RULES,
        steps=usage.steps,
        variation=painted | _VARIATIONS,
        few_steps=usage.rule == "ping-pong",
        fewest_steps=1 if usage.steps <= _FEW_STEPS else _SHORTER_RUN,
    )


class PublicStudio:
    """One public model, loaded."""

    hears_context = False
    reads_text = True

    def __init__(self, model: PublicModel, name: str | None = None) -> None:
        """Take a loaded model.

        Args:
            name: what it is called here, where that is not what its folder is called.

        Raises:
            BridgeError: as `AtStudioRate`.
        """
        self._model = model
        self.name, self.digest, self.device = name or model.name, model.digest, model.device
        self.codec = AtStudioRate(model.codec, model.frames_per_step)
        self.habits = habits_of(model.usage, edits=model.edits)
        whole = math.floor(model.longest_seconds / step_seconds(self.codec) + 1e-6)
        self.window_steps = model.window_steps or whole

    def told(self, words: Words) -> Conditioned:
        """The model, told the prompt and what else it has a place for; the rest goes into the
        prompt, as people who use such models write it."""
        model, scale = self._model, self._model.usage.guidance
        seconds = min(words.seconds, model.longest_seconds)
        said = replace(words, prompt=self._prompt(words), seconds=seconds)

        def conditioned(frames: FrameConditions) -> Denoiser:
            keeps = model.edits and bool(frames.kept_mask.any())
            kept = Kept(frames.kept, frames.kept_mask) if keeps else None
            here = replace(said, edits=keeps)
            plain = model.tell(here)
            other = plain if scale == 1.0 else model.tell_nothing(here)
            denoiser = guided_at_once(model, plain, other, scale, kept)
            missing = (model.window_steps or 0) - frames.kept.shape[-1]
            return denoiser if missing <= 0 else self._filled_up(denoiser, missing)

        return conditioned

    def told_level(self, latent: Tensor) -> None:
        """It cannot be told a level."""

    def told_harmony(self, latent: Tensor) -> None:
        """It cannot be told harmony."""

    def levels(self, start: float, steps: int) -> tuple[float, ...]:
        """As the model was made for."""
        return self._model.levels(steps, start)

    def warm_up(self) -> None:
        """Nothing is slow the first time but loading, which is done."""

    def _prompt(self, words: Words) -> str:
        """The prompt with tempo and key, where they are known and have no other place."""
        prompt = words.prompt.strip()
        parts = [prompt] if prompt else []
        if words.roles is not None and len(words.roles) == 1:
            parts.append(f"solo {words.roles[0]}")
        if not self._model.names_tempo:
            if words.bpm and "bpm" not in prompt.lower():
                parts.append(f"{words.bpm:.0f} BPM")
            if words.key and str(words.mode) not in prompt.lower():
                parts.append(f"in {words.key}")
        return ", ".join(parts)

    def _filled_up(self, denoiser: Denoiser, missing: int) -> Denoiser:
        """A network that is always given a whole window: what is missing is silence, as noisy as
        the rest, which is what it saw after the end of shorter music in training."""
        silence = self._silence(missing)
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(silence.shape, generator=generator).to(silence)

        def denoise(x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
            tail = (1.0 - level) * silence + level * noise
            whole = torch.cat([x, tail.expand(x.shape[0], -1, -1)], dim=-1)
            return denoiser(whole, level, next_level)[..., : x.shape[-1]]

        return denoise

    @torch.no_grad()
    def _silence(self, steps: int) -> Tensor:
        """Latent of silence `[1, channels, steps]`."""
        codec = self.codec
        audio = torch.zeros(1, 2, steps * codec.step_samples, device=self.device)
        return codec.encode(audio)
