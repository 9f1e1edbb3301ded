"""AudioLDM 2 and MusicLDM: ε-prediction over mel latents of 40 ms, in windows of ten seconds.

The nearest of the public models to the one that DITTO was published with. Facts are those of
`AudioLDM2Pipeline` and `MusicLDMPipeline` in diffusers.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from engine.models.contracts import Denoiser
from engine.models.parametrisation import AlphaBars, Prediction, variance_preserving
from engine.models.public.contract import Kept, Told, Usage
from engine.models.public.folder import ModelFolder
from engine.models.public.loading import Checkpoint, libraries, load_part, tokenised
from engine.models.public.mel_latents import MelCodec
from engine.models.studio import Words
from engine.spec import BridgeError

PIPELINE, MUSIC_PIPELINE = "AudioLDM2Pipeline", "MusicLDMPipeline"
MOST_TOKENS, MOST_CLAP_TOKENS = 128, 512  # of T5 and of CLAP
_PREDICTIONS: dict[str, Prediction] = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}


class _MelDiffusion(Checkpoint):
    """What both have in common: the latents, the noise and the levels."""

    longest_seconds = 10.24
    frames_per_step = 4
    edits = False
    codec: MelCodec

    @classmethod
    def usage_of(cls, folder: ModelFolder) -> Usage:
        """DDIM without noise."""
        return Usage("euler", 200, 3.5)

    def _load(self, folder: ModelFolder) -> None:
        self.noise, self._prediction = _schedule(folder)

    def denoiser(self, told: Told, kept: Kept | None = None) -> Denoiser:
        """The estimate of a variance-preserving model; its timesteps are integers.

        Raises:
            ValueError: there is something to keep: this model does not edit.
        """
        if kept is not None:
            raise ValueError(f"{self.name} does not edit: what is kept is for the optimiser")

        def network(state: Tensor, timestep: float) -> Tensor:
            picture = self.codec.to_picture(state).to(self._dtype)
            predicted = self._asked(picture, round(timestep), told.for_batch(state.shape[0]))
            return self.codec.from_picture(predicted).to(state.dtype)

        return variance_preserving(network, self.noise, self._prediction)

    def levels(self, steps: int, start: float = 1.0) -> tuple[float, ...]:
        """Timesteps evenly apart, each one above a multiple, and the data's own level 0.

        The pipeline ends at its first timestep's level instead, with a rest of noise.
        """
        last = len(self.noise.values) - 1
        if not 1 <= steps <= last or not 0.0 < start <= 1.0:
            raise ValueError(f"cannot sample from level {start} in {steps} steps")
        if start == 1.0:
            apart = (last + 1) // steps
            return self.noise.levels([1 + apart * step for step in reversed(range(steps))])
        first = self.noise.timestep(start)
        below = (first * (1.0 - step / steps) for step in range(1, steps))
        return (start, *(self.noise.level(timestep) for timestep in below), 0.0)

    @abstractmethod
    def _asked(self, picture: Tensor, timestep: int, told: Told) -> Tensor:
        """What the network predicts of a picture `[batch, channels, steps, bins]`."""


class AudioLDM2(_MelDiffusion):
    """A checkpoint of AudioLDM 2: text by CLAP and T5, and what a language model makes of both."""

    def _load(self, folder: ModelFolder) -> None:
        super()._load(folder)
        with libraries():
            from diffusers import (
                AudioLDM2ProjectionModel,
                AudioLDM2UNet2DConditionModel,
                AutoencoderKL,
            )
            from transformers import (
                AutoTokenizer,
                ClapModel,
                GPT2Model,
                SpeechT5HifiGan,
                T5EncoderModel,
            )
        self._network = self._part("unet", AudioLDM2UNet2DConditionModel)
        self._clap = self._text_part("text_encoder", ClapModel)
        self._encoder = self._text_part("text_encoder_2", T5EncoderModel)
        self._projection = self._text_part("projection_model", AudioLDM2ProjectionModel)
        self._language = self._text_part("language_model", GPT2Model)
        self.codec = MelCodec(
            self._exact_part("vae", AutoencoderKL), self._exact_part("vocoder", SpeechT5HifiGan)
        )
        self._tokenizer = load_part(folder, "tokenizer", AutoTokenizer, None)
        self._tokenizer_2 = load_part(folder, "tokenizer_2", AutoTokenizer, None)
        self._new_tokens = int(getattr(self._language.config, "max_new_tokens", None) or 8)
        self._prompts = self._prompts_by(self._read)

    def tell(self, words: Words) -> Told:
        """T5's tokens, and as a whole what the language model says after CLAP's and T5's."""
        return self._told(words.prompt, "")

    def tell_nothing(self, words: Words) -> Told:
        """An empty prompt, filled up to as many tokens."""
        return self.tell_against(words, "")

    def tell_against(self, words: Words, prompt: str) -> Told:
        """What the piece is not to be like, cut or filled up to as many tokens."""
        return self._told(prompt, words.prompt)

    def _told(self, prompt: str, as_long_as: str) -> Told:
        tokens, mask, whole = self._prompts(prompt, as_long_as)
        return Told(tokens, whole, mask)

    def _read(self, prompt: str, as_long_as: str) -> tuple[Tensor, Tensor, Tensor]:
        """T5's tokens and mask, and what the language model says."""
        most, device = min(self._tokenizer_2.model_max_length, MOST_TOKENS), self._text_device
        if as_long_as:
            ids, _ = tokenised(self._tokenizer_2, as_long_as, most, device, filled=False)
            ids, mask = tokenised(self._tokenizer_2, prompt, ids.shape[1], device)
        else:
            ids, mask = tokenised(self._tokenizer_2, prompt, most, device, filled=False)
        tokens = self._encoder(ids, attention_mask=mask)[0]
        return tokens, mask, self._continued(prompt, tokens, mask)

    def _continued(self, prompt: str, tokens: Tensor, mask: Tensor) -> Tensor:
        """Hidden states that the language model puts behind the text, one after the other."""
        clap = _clap_features(self._clap, self._tokenizer, prompt, self._text_device)[:, None]
        joined = self._projection(
            hidden_states=clap,
            hidden_states_1=tokens,
            attention_mask=mask.new_ones(1, 1),
            attention_mask_1=mask,
        )
        row: Tensor = joined.hidden_states
        mask = joined.attention_mask
        for _ in range(self._new_tokens):
            states = self._language(inputs_embeds=row, attention_mask=mask).last_hidden_state
            row = torch.cat([row, states[:, -1:]], dim=1)
            mask = torch.cat([mask, mask.new_ones(1, 1)], dim=1)
        return row[:, -self._new_tokens :]

    def _asked(self, picture: Tensor, timestep: int, told: Told) -> Tensor:
        predicted: Tensor = self._network(
            picture,
            timestep,
            encoder_hidden_states=told.whole,
            encoder_hidden_states_1=told.tokens,
            encoder_attention_mask_1=told.mask,
            return_dict=False,
        )[0]
        return predicted


class MusicLDM(_MelDiffusion):
    """A checkpoint of MusicLDM: text by CLAP, as one vector for the whole."""

    @classmethod
    def usage_of(cls, folder: ModelFolder) -> Usage:
        """DDIM without noise."""
        return Usage("euler", 200, 2.0)

    def _load(self, folder: ModelFolder) -> None:
        super()._load(folder)
        with libraries():
            from diffusers import AutoencoderKL, UNet2DConditionModel
            from transformers import AutoTokenizer, ClapModel, SpeechT5HifiGan
        self._network = self._part("unet", UNet2DConditionModel)
        self._clap = self._text_part("text_encoder", ClapModel)
        self.codec = MelCodec(
            self._exact_part("vae", AutoencoderKL), self._exact_part("vocoder", SpeechT5HifiGan)
        )
        self._tokenizer = load_part(folder, "tokenizer", AutoTokenizer, None)
        self._prompts = self._prompts_by(self._read)

    def tell(self, words: Words) -> Told:
        """CLAP's vector."""
        whole, tokens = self._prompts(words.prompt)
        return Told(tokens, whole)

    def tell_nothing(self, words: Words) -> Told:
        """That of an empty prompt."""
        return self.tell_against(words, "")

    def tell_against(self, words: Words, prompt: str) -> Told:
        """CLAP's vector of what the piece is not to be like."""
        return self.tell(replace(words, prompt=prompt))

    def _read(self, prompt: str) -> tuple[Tensor, Tensor]:
        whole = _clap_features(self._clap, self._tokenizer, prompt, self._text_device)
        return whole, whole.new_zeros(1, 0, 0)

    def _asked(self, picture: Tensor, timestep: int, told: Told) -> Tensor:
        predicted: Tensor = self._network(
            picture,
            timestep,
            encoder_hidden_states=None,
            class_labels=told.whole,
            return_dict=False,
        )[0]
        return predicted


def _clap_features(clap: Any, tokenizer: Any, prompt: str, device: torch.device) -> Tensor:
    """CLAP's vector of a text `[1, width]`."""
    most = min(tokenizer.model_max_length, MOST_CLAP_TOKENS)
    ids, mask = tokenised(tokenizer, prompt, most, device)
    found = clap.get_text_features(ids, attention_mask=mask)
    features: Tensor = getattr(found, "pooler_output", found)
    return features


def _schedule(folder: ModelFolder) -> tuple[AlphaBars, Prediction]:
    """ᾱ of the timesteps, and what the network predicts.

    Raises:
        BridgeError: `not_found` for settings that would be sampled wrongly.
    """
    given = folder.settings("scheduler")
    steps = int(given.get("num_train_timesteps", 1000))
    first, last = float(given.get("beta_start", 1e-4)), float(given.get("beta_end", 0.02))
    predicts = _PREDICTIONS.get(given.get("prediction_type", "epsilon"))
    unknown = (
        given.get("beta_schedule", "linear") not in ("linear", "scaled_linear")
        or given.get("trained_betas") is not None
        or given.get("rescale_betas_zero_snr", False)
        or given.get("thresholding", False)
    )
    if unknown or predicts is None:
        raise BridgeError(
            "not_found",
            f"{folder.path.name} is scheduled by {given.get('_class_name')} in a way that is "
            "not known here",
        )
    if given.get("beta_schedule", "linear") == "scaled_linear":
        roots = torch.linspace(math.sqrt(first), math.sqrt(last), steps, dtype=torch.float64)
        betas = roots**2
    else:
        betas = torch.linspace(first, last, steps, dtype=torch.float64)
    return AlphaBars(tuple((1.0 - betas).cumprod(dim=0).tolist())), predicts
