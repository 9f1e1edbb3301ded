"""Weights of stable-audio-tools under the names that the networks in diffusers have for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.spec import BridgeError

_NETWORK, _CODEC = "model.model.", "pretransform.model."
_CONDITIONS = "conditioner.conditioners."
_OF_NETWORK = tuple(
    (re.compile(theirs), ours)
    for theirs, ours in (
        (r"timestep_features\.weight", "time_proj.weight"),
        (r"to_timestep_embed\.", "timestep_proj."),
        (r"to_cond_embed\.", "cross_attention_proj."),
        (r"to_global_embed\.", "global_proj."),
        (r"transformer\.project_(in|out)\.", r"proj_\1."),
        (r"transformer\.layers\.", "transformer_blocks."),
        (r"\.pre_norm\.", ".norm1."),
        (r"\.cross_attend_norm\.", ".norm2."),
        (r"\.ff_norm\.", ".norm3."),
        (r"\.self_attn\.", ".attn1."),
        (r"\.cross_attn\.", ".attn2."),
        (r"\.to_out\.", ".to_out.0."),
        (r"\.q_norm\.", ".norm_q."),
        (r"\.k_norm\.", ".norm_k."),
        (r"\.ff\.ff\.", ".ff.net."),
        (r"\.gamma$", ".weight"),
        (r"\.beta$", ".bias"),
    )
)
ROTARY_FREQUENCIES = "model.model.transformer.rotary_pos_emb.inv_freq"
# By position in a residual unit, and in a block of the encoder and of the decoder.
_IN_UNIT = ("snake1", "conv1", "snake2", "conv2")
_IN_BLOCK = {
    "encoder": ("res_unit1", "res_unit2", "res_unit3", "snake1", "conv1"),
    "decoder": ("snake1", "conv_t1", "res_unit1", "res_unit2", "res_unit3"),
}
_LAYER = re.compile(
    r"(?P<side>encoder|decoder)\.layers\.(?P<layer>\d+)"
    r"(?:\.layers\.(?P<block>\d+)(?:\.layers\.(?P<unit>\d+))?)?\.(?P<rest>.+)"
)
_NORMS = {"parametrizations.weight.original0": "weight_g"} | {
    "parametrizations.weight.original1": "weight_v"
}


def read_weights(path: Path) -> dict[str, Tensor]:
    """All of a file, by their own names.

    Raises:
        BridgeError: `not_found` where it cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise BridgeError(
            "not_found",
            f"{path.parent.name}/{path.name} cannot be read: {error}"[:300],
            "download the model again, and all of it",
        ) from None


def network_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those of the diffusion transformer, for `StableAudioDiTModel`."""
    found: dict[str, Tensor] = {}
    for name, weight in _under(_NETWORK, weights):
        if _NETWORK + name == ROTARY_FREQUENCIES:  # no weight of ours
            continue
        for theirs, ours in _OF_NETWORK:
            name = theirs.sub(ours, name)
        if name == "time_proj.weight":
            found[name] = weight.flatten()
        elif joined := re.search(r"to_(qkv|kv)\.", name):
            letters = joined[1]
            for letter, part in zip(letters, weight.chunk(len(letters)), strict=True):
                found[name.replace(joined[0], f"to_{letter}.")] = part
        else:
            found[name] = weight
    return found


def codec_weights(weights: dict[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """Those of the autoencoder with so many blocks to a side, for `AutoencoderOobleck`."""
    found = {}
    for name, weight in _under(_CODEC, weights):
        for theirs, ours in _NORMS.items():
            name = name.replace(theirs, ours)
        if layer := _LAYER.fullmatch(name):
            name = ".".join([layer["side"], *_codec_path(layer, blocks), layer["rest"]])
        found[name] = weight[None, :, None] if ".snake" in name else weight
    return found


def condition_weights(weights: dict[str, Tensor], condition: str) -> dict[str, Tensor]:
    """Those of one condition, for `StableAudioNumberConditioner` where it is a number."""
    return {
        name.replace("embedder.embedding.", "time_positional_embedding."): weight
        for name, weight in _under(f"{_CONDITIONS}{condition}.", weights)
    }


def fill(part: torch.nn.Module, weights: dict[str, Tensor], named: str) -> None:
    """Put weights into a part that was made on the meta device.

    Raises:
        BridgeError: `not_found` where one is missing, too many or of another shape.
    """
    try:
        part.load_state_dict(weights, strict=True, assign=True)
    except RuntimeError as error:
        raise BridgeError(
            "not_found",
            f"the weights of {named} do not fit its settings: {error}"[:300],
            "download the model again, and all of it",
        ) from None


def _codec_path(layer: re.Match[str], blocks: int) -> list[str]:
    """A convolution, the blocks, an activation and another convolution, and what is in a block."""
    at = int(layer["layer"])
    if not 1 <= at <= blocks:
        return [{0: "conv1", blocks + 1: "snake1", blocks + 2: "conv2"}.get(at, f"layers.{at}")]
    path = ["block", str(at - 1)]
    if layer["block"] is not None:
        path.append(_IN_BLOCK[layer["side"]][int(layer["block"])])
    if layer["unit"] is not None:
        path.append(_IN_UNIT[int(layer["unit"])])
    return path


def _under(prefix: str, weights: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for name, weight in weights.items():
        if name.startswith(prefix):
            yield name.removeprefix(prefix), weight
