"""What the settings of a checkpoint of stable-audio-tools describe, as far as it is known here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from engine.spec import BridgeError

Settings = dict[str, Any]
# Settings of the transformer that leave it what it is here; all others change it.
_PLAIN = {
    "transformer_type": "continuous_transformer",
    "global_cond_type": "prepend",
    "timestep_cond_type": "global",
    "project_global_cond": True,
    "patch_size": 1,
}
_SIZES = ("io_channels", "embed_dim", "depth", "num_heads", "cond_token_dim", "global_cond_dim")
_NUMBERS = ("seconds_start", "seconds_total")


@dataclass(frozen=True, slots=True)
class Design:
    """Sizes and kinds.

    Attributes:
        network, codec: what `StableAudioDiTModel` and `AutoencoderOobleck` are made of.
        heads_normed: queries and keys go through a norm of their head's width.
        prompt: name of the condition that is text.
        most_tokens: of a prompt.
        text_projected: text goes through a layer to the width of the conditions.
        width: of the conditions.
        numbers: range in seconds of each condition that is a number, by its name.
        tokens, whole: names of the conditions that are attended to, and that count for all.
        window_steps: latent steps that it was trained on, and is always run with.
        distilled: made for a few ping-pong steps without guidance.
    """

    network: Settings
    codec: Settings
    heads_normed: bool
    prompt: str
    most_tokens: int
    text_projected: bool
    width: int
    numbers: dict[str, tuple[float, float]]
    tokens: tuple[str, ...]
    whole: tuple[str, ...]
    window_steps: int
    distilled: bool


def read_design(settings: Settings, named: str) -> Design:
    """Of a model's `model_config.json`.

    Raises:
        BridgeError: `not_found` for settings that are missing or would be run wrongly.
    """
    try:
        return _read(settings)
    except _UnknownError as error:
        said = f"{named} has {error}, which is not known here"
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        said = f"the settings of {named} cannot be read: {type(error).__name__}: {error}"
    raise BridgeError(
        "not_found", said[:300], "of this format only Stable Audio Open small is known"
    ) from None


class _UnknownError(Exception):
    """A setting that would be run wrongly, as it is to be named."""


def _read(settings: Settings) -> Design:
    model = settings["model"]
    diffusion = model["diffusion"]
    objective = diffusion.get("diffusion_objective", "v")
    _only("model_type", settings["model_type"], "diffusion_cond")
    _only("diffusion type", diffusion["type"], "dit")
    _only("diffusion_objective", objective, "rf_denoiser", "rectified_flow")
    for name in ("input_concat_ids", "prepend_cond_ids"):
        _only(name, diffusion.get(name) or [], [])
    conditions = model["conditioning"]
    kinds = {one["id"]: (one["type"], one["config"]) for one in conditions["configs"]}
    prompts = [name for name, (kind, _) in kinds.items() if kind == "t5"]
    numbers = {
        name: (float(config["min_val"]), float(config["max_val"]))
        for name, (kind, config) in kinds.items()
        if kind == "number" and name in _NUMBERS
    }
    for name, (kind, _) in kinds.items():
        if name not in numbers and name not in prompts[:1]:
            raise _UnknownError(f"the condition {name} ({kind})")
    text = kinds[prompts[0]][1]
    tokens, whole = (
        tuple(diffusion[f"{which}_ids"]) for which in ("cross_attention_cond", "global_cond")
    )
    _only("whole conditions", [name for name in whole if name not in numbers], [])
    _only("attended conditions", [name for name in tokens if name not in kinds], [])
    codec, step_samples = _codec(model["pretransform"], settings)
    network, normed = _network(diffusion["config"], int(settings["sample_size"]) // step_samples)
    return Design(
        network=network,
        codec=codec,
        heads_normed=normed,
        prompt=prompts[0],
        most_tokens=int(text.get("max_length", 128)),
        text_projected=bool(text.get("project_out", False)),
        width=int(conditions["cond_dim"]),
        numbers=numbers,
        tokens=tokens,
        whole=whole,
        window_steps=int(network["sample_size"]),
        distilled=objective == "rf_denoiser",
    )


def _network(config: Settings, window_steps: int) -> tuple[Settings, bool]:
    """What the transformer is made of, and whether queries and keys are normed."""
    for name, value in config.items():
        if name in _PLAIN:
            _only(name, value, _PLAIN[name])
        elif name not in (*_SIZES, "project_cond_tokens", "attn_kwargs"):
            raise _UnknownError(f"the transformer's {name}")
    attention = config.get("attn_kwargs", {})
    norm = attention.get("qk_norm", "none")
    _only("qk_norm", norm, "ln", "none")
    _only("attn_kwargs", sorted(set(attention) - {"qk_norm"}), [])
    channels, width, depth, heads, attended, whole = (int(config[name]) for name in _SIZES)
    _only("heads", width % heads, 0)
    inner = width if config.get("project_cond_tokens", True) else attended
    return {
        "sample_size": window_steps,
        "in_channels": channels,
        "out_channels": channels,
        "num_layers": depth,
        "attention_head_dim": width // heads,
        "num_attention_heads": heads,
        "num_key_value_attention_heads": inner // (width // heads),
        "cross_attention_dim": inner,
        "cross_attention_input_dim": attended,
        "global_states_input_dim": whole,
        "time_proj_dim": 256,
    }, norm == "ln"


def _codec(pretransform: Settings, settings: Settings) -> tuple[Settings, int]:
    """What the autoencoder is made of, and samples to a step."""
    _only("pretransform", pretransform["type"], "autoencoder")
    _only("scale of the autoencoder", pretransform.get("scale", 1.0), 1.0)
    config = pretransform["config"]
    encoder, decoder = config["encoder"], config["decoder"]
    _only("encoder", encoder["type"], "oobleck")
    _only("decoder", decoder["type"], "oobleck")
    _only("bottleneck", config["bottleneck"]["type"], "vae")
    _only("soft_clip", decoder.get("soft_clip", False), False)
    coded, heard = encoder["config"], decoder["config"]
    for side in (coded, heard):
        _only("use_snake", side.get("use_snake"), True)
        _only("antialias_activation", side.get("antialias_activation", False), False)
    _only("final_tanh", heard.get("final_tanh", True), False)
    _only("use_nearest_upsample", heard.get("use_nearest_upsample", False), False)
    for name in ("strides", "c_mults"):
        _only(f"decoder's {name}", heard[name], coded[name])
    _only("encoder's latent_dim", coded["latent_dim"], 2 * config["latent_dim"])
    step_samples = math.prod(coded["strides"])
    _only("downsampling_ratio", config["downsampling_ratio"], step_samples)
    return {
        "encoder_hidden_size": int(coded["channels"]),
        "downsampling_ratios": list(coded["strides"]),
        "channel_multiples": list(coded["c_mults"]),
        "decoder_channels": int(heard["channels"]),
        "decoder_input_channels": int(heard["latent_dim"]),
        "audio_channels": int(config["io_channels"]),
        "sampling_rate": int(settings["sample_rate"]),
    }, step_samples


def _only(name: str, value: Any, *known: Any) -> None:
    if value not in known:
        raise _UnknownError(f"{name} {value!r}")
