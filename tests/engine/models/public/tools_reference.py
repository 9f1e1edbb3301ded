"""Stable Audio Open small once more, in plain torch and by the names in its own file.

Written from the description of the architecture, to compare the adapter with: nothing of diffusers
or transformers is in it.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Weights = dict[str, Tensor]


def velocity(
    weights: Weights,
    settings: dict[str, Any],
    x: Tensor,
    level: float,
    tokens: Tensor,
    all_: Tensor,
) -> Tensor:
    """The flow at `x` `[batch, channels, steps]`; `all_` `[1, width]` is told to all of it."""
    config = settings["model"]["diffusion"]["config"]
    mine = {
        name.removeprefix("model.model."): weight
        for name, weight in weights.items()
        if name.startswith("model.model.")
    }

    def mapped(name: str, given: Tensor) -> Tensor:
        """Two layers with SiLU between them."""
        hidden = functional.linear(given, mine[f"{name}.0.weight"], mine.get(f"{name}.0.bias"))
        hidden = hidden * torch.sigmoid(hidden)
        return functional.linear(hidden, mine[f"{name}.2.weight"], mine.get(f"{name}.2.bias"))

    angle = 2.0 * math.pi * level * mine["timestep_features.weight"][:, 0]
    time = mapped("to_timestep_embed", torch.cat([angle.cos(), angle.sin()])[None])
    first = mapped("to_global_embed", all_) + time
    context = mapped("to_cond_embed", tokens).expand(len(x), -1, -1)
    x = x + torch.einsum("oi,bis->bos", mine["preprocess_conv.weight"][..., 0], x)
    row = x.transpose(1, 2) @ mine["transformer.project_in.weight"].T
    row = torch.cat([first[:, None].expand(len(x), -1, -1), row], dim=1)
    turns = torch.outer(
        torch.arange(row.shape[1]).float(), mine["transformer.rotary_pos_emb.inv_freq"]
    )
    for layer in range(config["depth"]):
        at = f"transformer.layers.{layer}."
        block = {
            name.removeprefix(at): weight for name, weight in mine.items() if name.startswith(at)
        }
        row = row + _attention(
            block, "self_attn", _normed(block, "pre_norm", row), None, turns, config
        )
        row = row + _attention(
            block, "cross_attn", _normed(block, "cross_attend_norm", row), context, None, config
        )
        hidden = _normed(block, "ff_norm", row) @ block["ff.ff.0.proj.weight"].T
        value, gate = (hidden + block["ff.ff.0.proj.bias"]).chunk(2, dim=-1)
        hidden = value * gate * torch.sigmoid(gate)
        row = row + hidden @ block["ff.ff.2.weight"].T + block["ff.ff.2.bias"]
    out = (row[:, 1:] @ mine["transformer.project_out.weight"].T).transpose(1, 2)
    return out + torch.einsum("oi,bis->bos", mine["postprocess_conv.weight"][..., 0], out)


def _normed(block: Weights, name: str, row: Tensor) -> Tensor:
    centred = row - row.mean(dim=-1, keepdim=True)
    unit = centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt()
    return unit * block[f"{name}.gamma"] + block[f"{name}.beta"]


def _attention(
    block: Weights,
    name: str,
    row: Tensor,
    context: Tensor | None,
    turns: Tensor | None,
    config: dict[str, Any],
) -> Tensor:
    head = config["embed_dim"] // config["num_heads"]
    if context is None:
        parts = (row @ block[f"{name}.to_qkv.weight"].T).chunk(3, dim=-1)
    else:
        kept = (context @ block[f"{name}.to_kv.weight"].T).chunk(2, dim=-1)
        parts = (row @ block[f"{name}.to_q.weight"].T, *kept)
    query, key, value = (part.unflatten(-1, (-1, head)).transpose(1, 2) for part in parts)
    if config["attn_kwargs"]["qk_norm"] == "ln":
        query, key = (
            functional.layer_norm(
                part,
                (head,),
                block[f"{name}.{letter}_norm.weight"],
                block[f"{name}.{letter}_norm.bias"],
                1e-6,
            )
            for part, letter in ((query, "q"), (key, "k"))
        )
    if turns is not None:
        query, key = _turned(query, turns), _turned(key, turns)
    shared = query.shape[1] // key.shape[1]
    key, value = (part.repeat_interleave(shared, dim=1) for part in (key, value))
    scores = (query @ key.transpose(-1, -2) / math.sqrt(head)).softmax(dim=-1)
    out: Tensor = (scores @ value).transpose(1, 2).flatten(-2)
    return out @ block[f"{name}.to_out.weight"].T


def _turned(heads: Tensor, turns: Tensor) -> Tensor:
    """The first channels by their angles, a channel of the first half with one of the second."""
    half = turns.shape[-1]
    left, right, rest = heads[..., :half], heads[..., half : 2 * half], heads[..., 2 * half :]
    cos, sin = turns.cos(), turns.sin()
    return torch.cat([left * cos - right * sin, right * cos + left * sin, rest], dim=-1)


def seconds_token(weights: Weights, seconds: float, most: float = 256.0) -> Tensor:
    """`[1, width]`."""
    base = "conditioner.conditioners.seconds_total.embedder.embedding"
    share = torch.tensor([min(max(seconds, 0.0), most) / most])
    angle = 2.0 * math.pi * share * weights[f"{base}.0.weights"]
    features = torch.cat([share, angle.sin(), angle.cos()])[None]
    return features @ weights[f"{base}.1.weight"].T + weights[f"{base}.1.bias"]


def decoded(weights: Weights, latent: Tensor, strides: list[int]) -> Tensor:
    """Audio of a latent."""
    base = "pretransform.model.decoder.layers"
    x = _conv(weights, f"{base}.0", latent, padding=3)
    for block, stride in enumerate(reversed(strides), 1):
        at = f"{base}.{block}.layers"
        x = _snake(weights, f"{at}.0", x)
        kernel = _kernel(weights, f"{at}.1")
        x = functional.conv_transpose1d(
            x, kernel, weights[f"{at}.1.bias"], stride, math.ceil(stride / 2)
        )
        for number, dilation in ((2, 1), (3, 3), (4, 9)):
            x = _unit(weights, f"{at}.{number}", x, dilation)
    x = _snake(weights, f"{base}.{len(strides) + 1}", x)
    return _conv(weights, f"{base}.{len(strides) + 2}", x, padding=3)


def encoded(weights: Weights, audio: Tensor, strides: list[int]) -> Tensor:
    """The mean of what the encoder says of audio."""
    base = "pretransform.model.encoder.layers"
    x = _conv(weights, f"{base}.0", audio, padding=3)
    for block, stride in enumerate(strides, 1):
        at = f"{base}.{block}.layers"
        for number, dilation in enumerate((1, 3, 9)):
            x = _unit(weights, f"{at}.{number}", x, dilation)
        x = _snake(weights, f"{at}.3", x)
        x = _conv(weights, f"{at}.4", x, padding=math.ceil(stride / 2), stride=stride)
    x = _snake(weights, f"{base}.{len(strides) + 1}", x)
    return _conv(weights, f"{base}.{len(strides) + 2}", x, padding=1).chunk(2, dim=1)[0]


def _unit(weights: Weights, at: str, x: Tensor, dilation: int) -> Tensor:
    hidden = _snake(weights, f"{at}.layers.0", x)
    hidden = _conv(weights, f"{at}.layers.1", hidden, padding=3 * dilation, dilation=dilation)
    return x + _conv(weights, f"{at}.layers.3", _snake(weights, f"{at}.layers.2", hidden))


def _snake(weights: Weights, at: str, x: Tensor) -> Tensor:
    alpha, beta = (weights[f"{at}.{name}"][:, None].exp() for name in ("alpha", "beta"))
    return x + (x * alpha).sin().square() / (beta + 1e-9)


def _kernel(weights: Weights, at: str) -> Tensor:
    """A direction for each of its first dimension, and how long it is."""
    direction = weights[f"{at}.weight_v"]
    return weights[f"{at}.weight_g"] * direction / direction.flatten(1).norm(dim=1)[:, None, None]


def _conv(weights: Weights, at: str, x: Tensor, **how: int) -> Tensor:
    return functional.conv1d(x, _kernel(weights, at), weights.get(f"{at}.bias"), **how)
