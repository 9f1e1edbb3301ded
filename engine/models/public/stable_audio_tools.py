"""Stable Audio Open small: rectified flow over latents of 46 ms in a window of 12 s, text by T5.

Published as stable-audio-tools writes it: `model_config.json` and `model.safetensors`, without the
text encoder. Post-trained checkpoints are sampled in eight ping-pong steps without guidance, those
before in fifty of Euler's rule. Facts are those of stable-audio-tools 0.0.19; the networks are
those of diffusers, which differ in names only, and in norms of queries and keys, which are added.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from engine.models.contracts import Denoiser
from engine.models.public.contract import Kept, Told, Usage
from engine.models.public.folder import TOOLS_PIPELINE, ModelFolder, read_table
from engine.models.public.levels import log_snr_levels
from engine.models.public.loading import Checkpoint, libraries, load_part, tokenised
from engine.models.public.oobleck import OobleckCodec
from engine.models.public.precise import LevelFeatures
from engine.models.public.rotations import Rotations, rotary_frequencies
from engine.models.public.tools_design import Design, read_design
from engine.models.public.tools_weights import (
    ROTARY_FREQUENCIES,
    codec_weights,
    condition_weights,
    fill,
    network_weights,
    read_weights,
)
from engine.models.studio import Words

PIPELINE = TOOLS_PIPELINE
LOG_SNR_AT_NOISE, LOG_SNR_AT_DATA = -6.0, 2.0
_NORM_EPSILON = 1e-6
_FEWEST_ROTATED = 32


class StableAudioTools(Checkpoint):
    """A checkpoint of Stable Audio Open small."""

    frames_per_step = 4
    edits = False

    @classmethod
    def usage_of(cls, folder: ModelFolder) -> Usage:
        """Ping-pong where the checkpoint is post-trained, and Euler's rule where it is not."""
        design = read_design(read_table(folder.path / folder.index), folder.path.name)
        return Usage("ping-pong", 8, 1.0) if design.distilled else Usage("euler", 50, 7.0)

    def _load(self, folder: ModelFolder) -> None:
        with libraries():
            from diffusers import AutoencoderOobleck, StableAudioDiTModel
            from diffusers.pipelines.stable_audio.modeling_stable_audio import (
                StableAudioNumberConditioner,
            )
            from transformers import AutoTokenizer, T5EncoderModel
        self._design = design = read_design(read_table(folder.path / folder.index), self.name)
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of weight norms, as `load_part`
            network = _made(StableAudioDiTModel, design.network)
            codec = _made(AutoencoderOobleck, design.codec)
            numbers = {
                name: StableAudioNumberConditioner(design.width, *ends)
                for name, ends in design.numbers.items()
            }
            if design.heads_normed:
                _norm_heads(network)
        weights = read_weights(folder.path / folder.whole)
        blocks = len(design.codec["downsampling_ratios"])
        found = network_weights(weights)
        self._network = self._filled(network, found, "network")
        self._level = self._network.time_proj = LevelFeatures(found["time_proj.weight"])
        self._level.to(self.device)
        codec = self._filled(codec, codec_weights(weights, blocks), "autoencoder", torch.float32)
        self.codec = OobleckCodec(codec)
        self._numbers = {
            name: self._filled(number, condition_weights(weights, name), name, torch.float32)
            for name, number in numbers.items()
        }
        self._encoder = self._text_part("text_encoder", T5EncoderModel)
        self._projection = self._text_projection(weights)
        self._tokenizer = load_part(folder, "tokenizer", AutoTokenizer, None)
        self._prompts = self._prompts_by(self._read)
        self._rotation = Rotations(self._frequencies(weights))
        self._set_facts(design)

    @torch.no_grad()
    def tell(self, words: Words) -> Told:
        """Text and the length of the piece as tokens, and the length as a whole."""
        tokens, _ = self._prompts(words.prompt)
        told = {self._design.prompt: tokens} | {
            name: number(torch.tensor([value], device=self.device)).to(self._dtype)
            for name, value in (("seconds_start", 0.0), ("seconds_total", words.seconds))
            if (number := self._numbers.get(name)) is not None
        }
        return Told(
            torch.cat([told[name] for name in self._design.tokens], dim=1),
            torch.cat([told[name] for name in self._design.whole], dim=2),
        )

    def tell_nothing(self, words: Words) -> Told:
        """Empty tokens; the length is still told to the whole."""
        told = self.tell(words)
        return Told(torch.zeros_like(told.tokens), told.whole)

    def denoiser(self, told: Told, kept: Kept | None = None) -> Denoiser:
        """The flow's estimate.

        Raises:
            ValueError: there is something to keep: this model does not edit.
        """
        if kept is not None:
            raise ValueError(f"{self.name} does not edit: what is kept is for the optimiser")

        def denoise(x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
            here = told.for_batch(x.shape[0])
            self._level.level = told_level = x.new_full((1,), level)
            velocity: Tensor = self._network(
                x.to(self._dtype),
                told_level,
                encoder_hidden_states=here.tokens,
                global_hidden_states=here.whole,
                rotary_embedding=self._rotation(x.shape[-1] + 1),
                return_dict=False,
            )[0]
            return x - level * velocity.to(x.dtype)

        return denoise

    def levels(self, steps: int, start: float = 1.0) -> tuple[float, ...]:
        """Even steps of the log signal-to-noise ratio from the start's own, or from -6."""
        return log_snr_levels(steps, start, LOG_SNR_AT_NOISE, LOG_SNR_AT_DATA)

    def _set_facts(self, design: Design) -> None:
        self.window_steps = design.window_steps
        self.longest_seconds = (
            self.window_steps * self.codec.step_samples / self.codec.sample_rate_hz
        )

    def _filled(
        self,
        part: Any,
        weights: dict[str, Tensor],
        named: str,
        dtype: torch.dtype | None = None,
    ) -> Any:
        """The part with its weights, in the model's precision or another one."""
        kind = dtype or self._dtype
        here = {name: weight.to(self.device, kind) for name, weight in weights.items()}
        fill(part, here, f"{self.name}'s {named}")
        return part.requires_grad_(False).eval()

    def _frequencies(self, weights: dict[str, Tensor]) -> Tensor:
        """Of the rotation, as the checkpoint holds them."""
        rotated = max(int(self._design.network["attention_head_dim"]) // 2, _FEWEST_ROTATED)
        kept = weights.get(ROTARY_FREQUENCIES)
        if kept is None or kept.shape != (rotated // 2,):
            return rotary_frequencies(rotated, self.device)
        return kept.to(self.device)

    def _text_projection(self, weights: dict[str, Tensor]) -> torch.nn.Module:
        """From the text encoder's width to that of the conditions, where these differ."""
        width = int(self._encoder.config.d_model)
        if width == self._design.width and not self._design.text_projected:
            return torch.nn.Identity()
        with torch.device("meta"):
            layer = torch.nn.Linear(width, self._design.width)
        found = condition_weights(weights, f"{self._design.prompt}.proj_out")
        part: torch.nn.Module = self._filled(layer, found, "text projection")
        return part

    def _read(self, prompt: str) -> tuple[Tensor, Tensor]:
        ids, mask = tokenised(self._tokenizer, prompt, self._design.most_tokens, self._text_device)
        read = self._encoder(ids, attention_mask=mask)[0].to(self.device, self._dtype)
        tokens = self._projection(read)
        return tokens * mask[..., None].to(tokens), mask


def _made(kind: Any, settings: dict[str, Any]) -> Any:
    return kind(**settings)


def _norm_heads(network: Any) -> None:
    """Norms of queries and keys, for which the network's attention has a place."""
    width = int(network.config.attention_head_dim)
    for block in network.transformer_blocks:
        for attention in (block.attn1, block.attn2):
            attention.norm_q = torch.nn.LayerNorm(width, _NORM_EPSILON)
            attention.norm_k = torch.nn.LayerNorm(width, _NORM_EPSILON)
