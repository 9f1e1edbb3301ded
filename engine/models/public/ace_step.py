"""ACE-Step 1.5: flow matching over latents of 40 ms, text with tempo, key and metre, and lyrics.

Turbo checkpoints are sampled in eight steps without guidance, others in fifty with projected
guidance. Repaints natively: what is kept is given beside the noise, silence in place of the rest.
Facts are those of `AceStepPipeline` in diffusers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.models.contracts import Denoiser
from engine.models.public.contract import Kept, Projection, Told, Usage
from engine.models.public.folder import ModelFolder
from engine.models.public.loading import (
    Checkpoint,
    flow_schedule,
    libraries,
    load_part,
    tokenised,
)
from engine.models.public.oobleck import OobleckCodec
from engine.models.studio import Words

PIPELINE = "AceStepPipeline"
MOST_TOKENS, MOST_LYRIC_TOKENS = 256, 2048
_SHIFT = 3.0  # the noise levels that turbo checkpoints were distilled on
_PROJECTION = Projection(momentum=-0.75, longest=2.5)
_TIMBRE_S = 30.0  # of silence, where no recording shows the timbre


class AceStep(Checkpoint):
    """A checkpoint of ACE-Step 1.5."""

    longest_seconds = 600.0
    frames_per_step = 4
    edits = True
    names_tempo = True

    @classmethod
    def usage_of(cls, folder: ModelFolder) -> Usage:
        """Eight steps where the checkpoint is a turbo, and guidance where it is not."""
        settings = folder.settings("transformer")
        turbo = settings.get("is_turbo") or settings.get("model_version") == "turbo"
        if turbo:
            return Usage("euler", 8, 1.0)
        return Usage("remembering-euler", 50, 7.0, _PROJECTION)

    def _load(self, folder: ModelFolder) -> None:
        with libraries():
            from diffusers import AceStepTransformer1DModel, AutoencoderOobleck
            from diffusers.pipelines.ace_step.modeling_ace_step import AceStepConditionEncoder
            from diffusers.pipelines.ace_step.pipeline_ace_step import (
                SFT_GEN_PROMPT,
                TASK_INSTRUCTIONS,
            )
            from transformers import AutoModel, AutoTokenizer
        if "scheduler" in folder.parts:  # the first converted ones have none; the levels are ours
            flow_schedule(folder)
        self._template, self._instructions = SFT_GEN_PROMPT, TASK_INSTRUCTIONS

        self._network = self._part("transformer", AceStepTransformer1DModel)
        self._encoder = self._text_part("text_encoder", AutoModel)
        self._conditions = self._text_part("condition_encoder", AceStepConditionEncoder)
        # The denoiser needs these two of it beside what it is told.
        self._nothing, self._silent = (
            known.to(self.device, self._dtype)
            for known in (self._conditions.null_condition_emb, self._conditions.silence_latent)
        )
        self.codec = OobleckCodec(self._exact_part("vae", AutoencoderOobleck))
        self._tokenizer = load_part(folder, "tokenizer", AutoTokenizer, None)
        self._prompts = self._prompts_by(self._read)

    def tell(self, words: Words) -> Told:
        """Lyrics, timbre (of silence) and text in one row, without a mask: all of it is read."""
        tokens, _ = self._prompts(self._caption(words), _lyric_sheet(words.lyrics))
        return Told(tokens, tokens.new_zeros(1, 0))

    def tell_nothing(self, words: Words) -> Told:
        """The learned token that says nothing, as often as there are others."""
        told = self.tell(words)
        return Told(self._nothing.expand_as(told.tokens), told.whole)

    def denoiser(self, told: Told, kept: Kept | None = None) -> Denoiser:
        """The flow's estimate; what is kept comes back re-decoded."""

        def denoise(x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
            items = x.shape[0]
            time = x.new_full((items,), level).to(self._dtype)
            velocity: Tensor = self._network(
                hidden_states=x.transpose(1, 2).to(self._dtype),
                timestep=time,
                timestep_r=time,
                encoder_hidden_states=told.for_batch(items).tokens,
                context_latents=self._beside(kept, x.shape[-1]).expand(items, -1, -1),
                return_dict=False,
            )[0]
            return x - level * velocity.transpose(1, 2).to(x.dtype)

        return denoise

    def levels(self, steps: int, start: float = 1.0) -> tuple[float, ...]:
        """Even steps before the shift towards noise that the checkpoints were distilled with."""
        if steps < 1 or not 0.0 < start <= 1.0:
            raise ValueError(f"cannot sample from level {start} in {steps} steps")
        first = start / (_SHIFT - (_SHIFT - 1.0) * start)
        plain = (first * (1.0 - index / steps) for index in range(1, steps))
        return (start, *(_SHIFT * t / (1.0 + (_SHIFT - 1.0) * t) for t in plain), 0.0)

    def _beside(self, kept: Kept | None, steps: int) -> Tensor:
        """What is kept, silence in place of the rest, and 1 where that is: `[1, steps, 2 C]`."""
        silence = _as_long_as(steps, self._silent)
        if kept is None:
            return torch.cat([silence, torch.ones_like(silence)], dim=-1)
        made = 1.0 - kept.mask.to(self.device, self._dtype).transpose(1, 2)
        latent = kept.latent.to(self.device, self._dtype).transpose(1, 2)
        return torch.cat([torch.where(made > 0.5, silence, latent), made.expand_as(latent)], dim=-1)

    def _caption(self, words: Words) -> str:
        bpm = "N/A" if words.bpm is None else str(round(words.bpm))
        facts = (
            f"- bpm: {bpm}\n- timesignature: {words.beats_per_bar or 'N/A'}\n"
            f"- keyscale: {words.key or 'N/A'}\n- duration: {int(words.seconds)} seconds\n"
        )
        task = "repaint" if words.edits else "text2music"
        return str(self._template.format(self._instructions[task], words.prompt, facts))

    def _read(self, caption: str, lyric_sheet: str) -> tuple[Tensor, Tensor]:
        device = self._text_device
        ids, mask = tokenised(self._tokenizer, caption, MOST_TOKENS, device, filled=False)
        sung, sung_mask = tokenised(
            self._tokenizer, lyric_sheet, MOST_LYRIC_TOKENS, device, filled=False
        )
        steps_hz = self.codec.sample_rate_hz / self.codec.step_samples
        tokens, tokens_mask = self._conditions(
            text_hidden_states=self._encoder(input_ids=ids).last_hidden_state,
            text_attention_mask=mask.bool(),
            lyric_hidden_states=self._encoder.get_input_embeddings()(sung),
            lyric_attention_mask=sung_mask.bool(),
            refer_audio_acoustic_hidden_states_packed=_as_long_as(
                -int(-_TIMBRE_S * steps_hz // 1), self._conditions.silence_latent
            ),
            refer_audio_order_mask=torch.zeros(1, dtype=torch.long, device=device),
        )
        return tokens, tokens_mask


def _as_long_as(steps: int, silence: Tensor) -> Tensor:
    """Silence as the model knows it, over and over: `[1, steps, C]`."""
    return silence.repeat(1, -(-steps // silence.shape[1]), 1)[:, :steps]


def _lyric_sheet(lyrics: str) -> str:
    return f"# Languages\nen\n\n# Lyric\n{lyrics}<|endoftext|>"
