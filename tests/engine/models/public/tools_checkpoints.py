"""Tiny checkpoints as stable-audio-tools writes them: its names, its table, T5 beside them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.engine.models.public.checkpoints import tokens_of

Weights = dict[str, Tensor]
TEXT_WIDTH, WIDTH, STEP_SAMPLES = 24, 32, 32


def settings(
    *,
    objective: str = "rf_denoiser",
    embed_dim: int = 64,
    qk_norm: str = "ln",
    project_cond_tokens: bool = True,
    text_width: int = WIDTH,
    real_steps: bool = False,
) -> dict[str, Any]:
    """The published table of Stable Audio Open small with smaller numbers in it.

    Args:
        real_steps: 2048 samples to a step at 44.1 kHz, as published; else 32 at 8 kHz.
    """
    strides = [2, 4, 4, 8, 8] if real_steps else [2, 4, 4]
    step_samples = math.prod(strides)
    mults = list(range(1, len(strides) + 1))
    side = {"channels": 6, "c_mults": mults, "strides": strides, "use_snake": True}
    network: dict[str, Any] = {
        "io_channels": 3,
        "embed_dim": embed_dim,
        "depth": 2,
        "num_heads": 2,
        "cond_token_dim": WIDTH,
        "global_cond_dim": WIDTH,
        "transformer_type": "continuous_transformer",
        "attn_kwargs": {"qk_norm": qk_norm},
    }
    if not project_cond_tokens:
        network["project_cond_tokens"] = False
    text = {"t5_model_name": "google-t5/t5-tiny", "max_length": 10}
    if text_width != WIDTH:
        text["project_out"] = True
    return {
        "model_type": "diffusion_cond",
        "sample_size": 48 * step_samples,
        "sample_rate": 44_100 if real_steps else 8_000,
        "audio_channels": 2,
        "model": {
            "pretransform": {
                "type": "autoencoder",
                "iterate_batch": True,
                "model_half": True,
                "config": {
                    "encoder": {
                        "type": "oobleck",
                        "requires_grad": False,
                        "config": side | {"in_channels": 2, "latent_dim": 6},
                    },
                    "decoder": {
                        "type": "oobleck",
                        "config": side | {"out_channels": 2, "latent_dim": 3, "final_tanh": False},
                    },
                    "bottleneck": {"type": "vae"},
                    "latent_dim": 3,
                    "downsampling_ratio": step_samples,
                    "io_channels": 2,
                },
            },
            "conditioning": {
                "configs": [
                    {"id": "prompt", "type": "t5", "config": text},
                    {
                        "id": "seconds_total",
                        "type": "number",
                        "config": {"min_val": 0} | {"max_val": 256},
                    },
                ],
                "cond_dim": WIDTH,
            },
            "diffusion": {
                "cross_attention_cond_ids": ["prompt", "seconds_total"],
                "global_cond_ids": ["seconds_total"],
                "diffusion_objective": objective,
                "distribution_shift_options": {"min_length": 256, "max_length": 4096},
                "type": "dit",
                "config": network,
            },
            "io_channels": 3,
        },
        "training": {"use_ema": True, "demo": {"demo_steps": 8}},
    }


def write(folder: Path, table: dict[str, Any], *, seed: int = 0) -> tuple[Path, Weights]:
    """The folder, and the weights in it."""
    import transformers

    torch.manual_seed(seed)
    folder.mkdir()
    (folder / "model_config.json").write_text(json.dumps(table, indent=4))
    text = table["model"]["conditioning"]["configs"][0]["config"]
    width = TEXT_WIDTH if text.get("project_out") else WIDTH
    weights = {
        name: torch.randn(shape) * (0.6 / math.sqrt(max(1, math.prod(shape[1:]))))
        for name, shape in shapes(table, width).items()
    }
    for name, weight in weights.items():
        if name.startswith("pretransform."):
            weight *= 0.2  # activations that are steep make chaos of the last digits
        if name.endswith((".gamma", "_norm.weight", ".weight_g")):
            weight += 0.8
        if name.endswith(".inv_freq"):  # not quite those of the formula
            weight.copy_(1.1 / 10_000 ** (torch.arange(len(weight)) / len(weight)))
    save_file(weights, folder / "model.safetensors")
    tokenizer = tokens_of("t5")
    tokenizer.model_max_length = 512
    place = folder / text["t5_model_name"].rpartition("/")[2]
    tokenizer.save_pretrained(place)
    config = transformers.T5Config(
        vocab_size=len(tokenizer), d_model=width, d_kv=8, d_ff=32, num_layers=2, num_heads=2
    )
    transformers.T5ForConditionalGeneration(config).eval().save_pretrained(place)
    return folder, weights


def shapes(table: dict[str, Any], text_width: int) -> dict[str, tuple[int, ...]]:
    """Of everything that stable-audio-tools keeps in the file."""
    conditions = "conditioner.conditioners."
    width = table["model"]["conditioning"]["cond_dim"]
    found: dict[str, tuple[int, ...]] = {
        f"{conditions}seconds_total.embedder.embedding.0.weights": (128,),
        f"{conditions}seconds_total.embedder.embedding.1.weight": (width, 257),
        f"{conditions}seconds_total.embedder.embedding.1.bias": (width,),
    }
    if text_width != width:
        found[f"{conditions}prompt.proj_out.weight"] = (width, text_width)
        found[f"{conditions}prompt.proj_out.bias"] = (width,)
    found |= _network_shapes(table["model"]["diffusion"]["config"])
    codec = table["model"]["pretransform"]["config"]
    for side in ("encoder", "decoder"):
        found |= _codec_shapes(side, codec[side]["config"])
    return found


def _network_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    width, channels = config["embed_dim"], config["io_channels"]
    head = width // config["num_heads"]
    attended = width if config.get("project_cond_tokens", True) else config["cond_token_dim"]
    found: dict[str, tuple[int, ...]] = {
        "timestep_features.weight": (128, 1),
        "to_timestep_embed.0.weight": (width, 256),
        "to_timestep_embed.0.bias": (width,),
        "to_timestep_embed.2.weight": (width, width),
        "to_timestep_embed.2.bias": (width,),
        "to_cond_embed.0.weight": (attended, config["cond_token_dim"]),
        "to_cond_embed.2.weight": (attended, attended),
        "to_global_embed.0.weight": (width, config["global_cond_dim"]),
        "to_global_embed.2.weight": (width, width),
        "preprocess_conv.weight": (channels, channels, 1),
        "postprocess_conv.weight": (channels, channels, 1),
        "transformer.project_in.weight": (width, channels),
        "transformer.project_out.weight": (channels, width),
        "transformer.rotary_pos_emb.inv_freq": (max(head // 2, 32) // 2,),
    }
    for layer in range(config["depth"]):
        at = f"transformer.layers.{layer}."
        for norm in ("pre_norm", "cross_attend_norm", "ff_norm"):
            found |= {f"{at}{norm}.gamma": (width,), f"{at}{norm}.beta": (width,)}
        found |= {
            f"{at}self_attn.to_qkv.weight": (3 * width, width),
            f"{at}self_attn.to_out.weight": (width, width),
            f"{at}cross_attn.to_q.weight": (width, width),
            f"{at}cross_attn.to_kv.weight": (2 * attended, attended),
            f"{at}cross_attn.to_out.weight": (width, width),
            f"{at}ff.ff.0.proj.weight": (8 * width, width),
            f"{at}ff.ff.0.proj.bias": (8 * width,),
            f"{at}ff.ff.2.weight": (width, 4 * width),
            f"{at}ff.ff.2.bias": (width,),
        }
        if config["attn_kwargs"]["qk_norm"] == "ln":
            for which in ("self_attn.q", "self_attn.k", "cross_attn.q", "cross_attn.k"):
                found |= {f"{at}{which}_norm.weight": (head,), f"{at}{which}_norm.bias": (head,)}
    return {f"model.model.{name}": shape for name, shape in found.items()}


def _codec_shapes(side: str, config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    widths = [config["channels"] * multiple for multiple in (1, *config["c_mults"])]
    strides, latent = config["strides"], config["latent_dim"]
    found: dict[str, tuple[int, ...]] = {}

    def conv(at: str, out: int, into: int, kernel: int, bias: int = 0) -> None:
        """`bias` channels of it; 0 for as many as come out, less than 0 for none."""
        found[f"{at}.weight_g"] = (out, 1, 1)
        found[f"{at}.weight_v"] = (out, into, kernel)
        if bias >= 0:
            found[f"{at}.bias"] = (bias or out,)

    def snake(at: str, width: int) -> None:
        found.update({f"{at}.alpha": (width,), f"{at}.beta": (width,)})

    def unit(at: str, width: int) -> None:
        snake(f"{at}.layers.0", width)
        conv(f"{at}.layers.1", width, width, 7)
        snake(f"{at}.layers.2", width)
        conv(f"{at}.layers.3", width, width, 1)

    base, last = f"pretransform.model.{side}.layers", len(strides)
    if side == "encoder":
        conv(f"{base}.0", widths[0], config["in_channels"], 7)
        for block, stride in enumerate(strides, 1):
            at = f"{base}.{block}"
            for number in range(3):
                unit(f"{at}.layers.{number}", widths[block - 1])
            snake(f"{at}.layers.3", widths[block - 1])
            conv(f"{at}.layers.4", widths[block], widths[block - 1], 2 * stride)
        snake(f"{base}.{last + 1}", widths[-1])
        conv(f"{base}.{last + 2}", latent, widths[-1], 3)
        return found
    conv(f"{base}.0", widths[-1], latent, 7)
    for block, stride in enumerate(reversed(strides), 1):
        at, into, out = f"{base}.{block}", widths[last + 1 - block], widths[last - block]
        snake(f"{at}.layers.0", into)
        # turned around: its first dimension is what goes in
        conv(f"{at}.layers.1", into, out, 2 * stride, bias=out)
        for number in range(2, 5):
            unit(f"{at}.layers.{number}", out)
    snake(f"{base}.{last + 1}", widths[0])
    conv(f"{base}.{last + 2}", config["out_channels"], widths[0], 7, bias=-1)
    return found
