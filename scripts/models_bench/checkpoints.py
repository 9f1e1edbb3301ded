"""Checkpoints with random weights, of any size, in the on-disk format of diffusers.

The tests' tiny ones are written first; then the parts that count are made anew, as wide and deep as
wanted, at the rates and steps of the published models.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.models.public.ace_step import AceStep
from engine.models.public.audioldm import AudioLDM2, MusicLDM
from engine.models.public.folder import ModelFolder
from engine.models.public.stable_audio_3 import StableAudio3
from engine.models.public.stable_audio_open import StableAudioOpen
from tests.engine.models.public import checkpoints

Changes = dict[str, dict[str, Any]]  # by the name of the part


@dataclass(frozen=True, slots=True)
class Size:
    """How large the networks are.

    Attributes:
        width: of the transformers, a multiple of 64.
        channels: of the U-Nets' highest resolution, a multiple of 32.
        seconds: of the window.
    """

    width: int
    depth: int
    channels: int
    seconds: float


MIDDLE = Size(384, 8, 32, 10.0)
TINY = Size(64, 1, 32, 0.5)
_LATENT = 16


@dataclass(frozen=True, slots=True)
class Architecture:
    """One of the architectures.

    Attributes:
        title: for people.
        write: writes the tiny checkpoint.
        changes: what is larger in one of a size.
        opened: our adapter.
        pipeline: class of diffusers.
        steps: of a run; fewer than by default where those would only repeat themselves.
        frames_per_step: of the spectrum that controls measure.
    """

    title: str
    write: Callable[[Path], Path]
    changes: Callable[[Size], Changes]
    opened: Callable[..., Any]
    pipeline: str
    steps: int
    frames_per_step: int


def _stable_audio_3(size: Size) -> Changes:
    codec = {"patch_size": 256, "encoder_strides": [16], "encoder_channels": 32}
    codec |= {"encoder_c_mults": [6], "dim_heads": 64, "latent_dim": 64, "sampling_rate": 44_100}
    network = {"embed_dim": size.width, "depth": size.depth, "num_heads": size.width // 64}
    network |= {"io_channels": 64, "local_add_cond_dim": 65, "num_memory_tokens": 64}
    return {"vae": codec, "transformer": network}


def _oobleck(ratios: list[int], sample_rate_hz: int) -> dict[str, Any]:
    return {
        "encoder_hidden_size": 2 * _LATENT,
        "decoder_input_channels": _LATENT,
        "decoder_channels": 16,
        "channel_multiples": [1, 2, 2, 4, 4],
        "downsampling_ratios": ratios,
        "sampling_rate": sample_rate_hz,
    }


def _stable_audio_open(size: Size) -> Changes:
    heads = size.width // 64
    network = {
        "sample_size": round(size.seconds * 44_100 / 2048),
        "in_channels": _LATENT,
        "out_channels": _LATENT,
        "num_layers": size.depth,
        "attention_head_dim": 64,
        "num_attention_heads": heads,
        "num_key_value_attention_heads": max(1, heads // 2),
    }
    return {"vae": _oobleck([2, 4, 4, 8, 8], 44_100), "transformer": network}


def _ace_step(size: Size) -> Changes:
    heads = size.width // 64
    shape = {
        "hidden_size": size.width,
        "intermediate_size": 3 * size.width,
        "num_attention_heads": heads,
        "num_key_value_heads": max(1, heads // 2),
        "head_dim": 64,
        "sliding_window": 128,
    }
    network = {"num_hidden_layers": size.depth, "in_channels": 3 * _LATENT}
    network |= {"audio_acoustic_hidden_dim": _LATENT}
    return {
        "vae": _oobleck([2, 4, 4, 6, 10], 48_000),
        "transformer": {**shape, **network},
        "condition_encoder": {**shape, "timbre_hidden_dim": _LATENT},
    }


def _mel(size: Size) -> Changes:
    vocoder: dict[str, Any] = {"model_in_dim": 64, "upsample_rates": [5, 4, 2, 2, 2]}
    vocoder |= {"upsample_kernel_sizes": [10, 8, 4, 4, 4], "upsample_initial_channel": 64}
    network: dict[str, Any] = {"block_out_channels": [size.channels, 3 * size.channels]}
    network |= {"in_channels": 8, "out_channels": 8, "norm_num_groups": 32}
    network |= {"attention_head_dim": 32, "layers_per_block": 2}
    codec = {"latent_channels": 8, "block_out_channels": [16, 16, 16]}
    return {"vae": codec, "vocoder": vocoder, "unet": network}


def _audioldm_2(size: Size) -> Changes:
    changes = _mel(size)
    # itself, what the language model says, and T5's tokens
    changes["unet"]["cross_attention_dim"] = [[None, 16, 20]] * 2
    return changes


def _musicldm(size: Size) -> Changes:
    changes = _mel(size)
    # theirs attends to nothing but itself, where the width is its own
    changes["unet"]["cross_attention_dim"] = [size.channels, 3 * size.channels]
    return changes


ARCHITECTURES = {
    "stable-audio-3": Architecture(
        "Stable Audio 3", checkpoints.stable_audio_3, _stable_audio_3, StableAudio3,
        "StableAudio3Pipeline", 8, 8,
    ),
    "stable-audio-open": Architecture(
        "Stable Audio Open", checkpoints.stable_audio_open, _stable_audio_open, StableAudioOpen,
        "StableAudioPipeline", 16, 4,
    ),
    "ace-step": Architecture(
        "ACE-Step 1.5", checkpoints.ace_step, _ace_step, AceStep, "AceStepPipeline", 8, 4,
    ),
    "audioldm-2": Architecture(
        "AudioLDM 2", checkpoints.audioldm_2, _audioldm_2, AudioLDM2, "AudioLDM2Pipeline", 4, 4,
    ),
    "musicldm": Architecture(
        "MusicLDM", checkpoints.musicldm, _musicldm, MusicLDM, "MusicLDMPipeline", 4, 4,
    ),
}  # fmt: skip


def write(kind: str, folder: Path, size: Size) -> Path:
    """A checkpoint of an architecture and a size."""
    architecture = ARCHITECTURES[kind]
    architecture.write(folder)
    for part, changes in architecture.changes(size).items():
        replace_part(folder, part, changes)
    return folder


def replace_part(
    folder: Path, part: str, changes: dict[str, Any], dtype: torch.dtype = torch.float32
) -> None:
    """Make one part of a checkpoint anew, with random weights, where its settings change."""
    place = folder / part
    settings = json.loads((place / "config.json").read_text())
    if "_class_name" in settings:
        network = _of_diffusers(settings | changes)
    else:
        network = _of_transformers(settings | changes)
    randomise(network)
    for weights in place.glob("*.safetensors"):
        weights.unlink()
    network.to(dtype).save_pretrained(place)


def _of_diffusers(settings: dict[str, Any]) -> Any:
    import diffusers
    from diffusers.pipelines.ace_step.modeling_ace_step import AceStepConditionEncoder
    from diffusers.pipelines.stable_audio_3.modeling_stable_audio_3 import (
        StableAudio3DurationEmbedder,
    )

    name = settings["_class_name"]
    within = {
        kind.__name__: kind for kind in (AceStepConditionEncoder, StableAudio3DurationEmbedder)
    }
    return (within.get(name) or getattr(diffusers, name)).from_config(settings)


def _of_transformers(settings: dict[str, Any]) -> Any:
    import transformers

    kind = getattr(transformers, settings["architectures"][0])
    return kind(kind.config_class.from_dict(settings))


def randomise(network: Any) -> None:
    """Weights that do something: freshly made layers often begin as zeros."""
    for weight in network.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.6 / weight[0].numel() ** 0.5)
    if hasattr(network, "silence_latent"):
        network.silence_latent.normal_()


def opened(kind: str, folder: Path, device: str = "cpu", dtype: torch.dtype | None = None) -> Any:
    """Our adapter of a checkpoint."""
    return ARCHITECTURES[kind].opened(ModelFolder.open(folder), device, dtype)
