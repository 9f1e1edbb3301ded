"""Stable Audio 3: rectified flow over latents of 93 ms, text by T5Gemma, edits natively.

Distilled checkpoints are sampled in eight ping-pong steps, those named `-base` by Euler's rule.
Facts are those of `StableAudio3Pipeline` and `StableAudio3InpaintPipeline` in diffusers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.models.contracts import Denoiser
from engine.models.public.contract import Kept, Told, Usage
from engine.models.public.folder import ModelFolder
from engine.models.public.levels import log_snr_levels
from engine.models.public.loading import (
    Checkpoint,
    flow_schedule,
    libraries,
    load_part,
    tokenised,
)
from engine.models.public.pieces import PieceCodec, Pieces
from engine.models.public.precise import exponential_frequencies
from engine.models.public.rotations import rotary_frequencies
from engine.models.studio import Words
from engine.spec import BridgeError

PIPELINE = "StableAudio3Pipeline"
MOST_TOKENS = 256
LOG_SNR_AT_NOISE, LOG_SNR_AT_DATA = -6.2, 2.0
_PIECE_STEPS = 128  # 12 s; attention over all of 380 s would take 19 GB
# By the width of the network: small and medium. The embedder reaches to 384 s in both.
_LONGEST_S = {1024: 120.0, 1536: 380.0}


class SameCodec(PieceCodec):
    """The autoencoder SAME. Attention sees one latent step to each side in every layer."""

    def __init__(self, network: Any) -> None:
        settings = network.config
        margin = int(settings.sliding_window * sum(settings.encoder_transformer_depths))
        pieces = Pieces(_PIECE_STEPS, margin, int(network.downsampling_ratio))
        channels = int(settings.latent_dim)
        super().__init__(network, int(settings.sampling_rate), channels, pieces)

    def _latent(self, audio: Tensor) -> Tensor:
        latents: Tensor = self._network.encode(audio).latents
        return latents


class StableAudio3(Checkpoint):
    """A checkpoint of Stable Audio 3."""

    frames_per_step = 8
    edits = True

    @classmethod
    def usage_of(cls, folder: ModelFolder) -> Usage:
        """Ping-pong where the checkpoint is distilled, and Euler's rule where it is not."""
        schedule = flow_schedule(folder)
        said = schedule.get("num_inference_steps")
        if schedule["stochastic_sampling"]:
            return Usage("ping-pong", int(said or 8), 1.0)
        return Usage("euler", int(said or 100), 7.0)

    def _load(self, folder: ModelFolder) -> None:
        with libraries():
            from diffusers import AutoencoderSAME, StableAudio3DiTModel
            from diffusers.pipelines.stable_audio_3.modeling_stable_audio_3 import (
                StableAudio3DurationEmbedder,
            )
            from transformers import AutoTokenizer, T5GemmaEncoderModel

        self._network = self._part("transformer", StableAudio3DiTModel)
        self._encoder = self._text_part("text_encoder", T5GemmaEncoderModel)
        self._embedder = self._exact_part("duration_embedder", StableAudio3DurationEmbedder)
        self._mend_tables()
        self.codec = SameCodec(self._exact_part("vae", AutoencoderSAME))
        self._tokenizer = load_part(folder, "tokenizer", AutoTokenizer, None)
        self._prompts = self._prompts_by(self._read)
        schedule = flow_schedule(folder)
        _check_ends(folder, schedule)
        self._time_scale = float(schedule["num_train_timesteps"])
        reach_s = float(self._embedder.config.max_val)
        self.longest_seconds = min(
            reach_s, _LONGEST_S.get(int(self._network.config.embed_dim), reach_s)
        )

    def _mend_tables(self) -> None:
        """Fixed frequencies that are stored or loaded in half precision, worked out anew."""
        rotary, lengths = self._network.rotary_pos_emb, self._embedder
        width = 2 * len(rotary.inv_freq)
        rotary.inv_freq = rotary_frequencies(width, self.device)
        told = lengths.config
        lengths.freqs = exponential_frequencies(
            told.min_freq, told.max_freq, len(lengths.freqs)
        ).to(self.device)

    @torch.no_grad()
    def tell(self, words: Words) -> Told:
        """Text and length; the length is one more token, and goes to every layer beside."""
        tokens, mask = self._prompts(words.prompt)
        seconds = torch.tensor([words.seconds], device=self.device)
        length = self._embedder(seconds).to(self._dtype)
        return Told(
            torch.cat([tokens, length[:, None].to(tokens.dtype)], dim=1),
            length,
            torch.cat([mask, mask.new_ones(1, 1)], dim=1),
        )

    def tell_nothing(self, words: Words) -> Told:
        """An empty prompt for a piece of the same length."""
        return self.tell(Words("", words.seconds))

    def denoiser(self, told: Told, kept: Kept | None = None) -> Denoiser:
        """The flow's estimate; what is kept goes to every layer, and comes back re-decoded."""
        beside = None
        if kept is not None:
            mask = kept.mask.to(self.device, self._dtype)
            latent = kept.latent.to(self.device, self._dtype)
            beside = torch.cat([mask, latent * mask], dim=1)

        def denoise(x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
            items = x.shape[0]
            here = told.for_batch(items)
            velocity: Tensor = self._network(
                x.to(self._dtype),
                x.new_full((items,), level * self._time_scale),
                encoder_hidden_states=here.tokens,
                global_hidden_states=here.whole,
                encoder_attention_mask=here.mask,
                local_add_cond=None if beside is None else beside.expand(items, -1, -1),
                return_dict=False,
            )[0]
            return x - level * velocity.to(x.dtype)

        return denoise

    def levels(self, steps: int, start: float = 1.0) -> tuple[float, ...]:
        """Even steps of the log signal-to-noise ratio, the first level moved up to `start`.

        From 1 on these are the pipeline's own; a lower start continues the same line from there,
        where the pipeline's second level can lie above its first.
        """
        return log_snr_levels(steps, start, LOG_SNR_AT_NOISE, LOG_SNR_AT_DATA)

    def _read(self, prompt: str) -> tuple[Tensor, Tensor]:
        most = min(self._tokenizer.model_max_length, MOST_TOKENS)
        ids, mask = tokenised(self._tokenizer, prompt, most, self._text_device)
        return self._encoder(ids, attention_mask=mask)[0], mask


def _check_ends(folder: ModelFolder, schedule: dict[str, Any]) -> None:
    """See that the noise levels begin and end where ours do; most folders say nothing of it.

    Raises:
        BridgeError: `not_found` where they do not.
    """
    ours = {"logsnr_min": LOG_SNR_AT_NOISE, "logsnr_max": LOG_SNR_AT_DATA}
    for name, value in ours.items():
        if schedule.get(name, value) != value:
            raise BridgeError(
                "not_found",
                f"{folder.path.name} is scheduled with {name} {schedule[name]}, which is not known "
                "here",
            )
