"""The embedded flow model: a diffusion transformer over codec latents (rectified flow).

Straight paths `x_t = (1 - t) x_0 + t ε`, the network predicts their velocity `ε - x_0` (Liu, Gong &
Liu 2022). It is a flow map, too: told a *span* it predicts the mean velocity of the flow from level
t to level t - span, so that one evaluation makes the whole step (shortcut models, Frans et al.
2024); span 0 is the velocity itself. Blocks follow DiT (Peebles & Xie 2022) with the single shared
modulation of PixArt-α (Chen et al. 2023), rotary positions (Su et al. 2021) and normalised queries
and keys, which keep bfloat16 training stable at high rates; the squared ReLU (So et al. 2021) costs
less than GELU.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.models.house.codec import LATENT_CHANNELS

CHROMA_CHANNELS = 12
BEAT_CHANNELS = 4  # sine and cosine of the phase in the beat and in the bar
# kept latents, their mask, melody chroma + known, beat phases + known, level + known; then melody
# onsets, the latents of what already sounds beside the part to be made + known, harmony + known
FRAME_CHANNELS = LATENT_CHANNELS + 1 + CHROMA_CHANNELS + 1 + BEAT_CHANNELS + 1 + 2
FRAME_CHANNELS += CHROMA_CHANNELS + LATENT_CHANNELS + 1 + CHROMA_CHANNELS + 1
TEMPO_FEATURES = 16
SPAN_FEATURES = 32


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """Sizes of the network; stored in the weights file."""

    width: int = 384
    depth: int = 8
    head_width: int = 64
    feed_forward: int = 3
    styles: int = 32
    keys: int = 96  # tonic + 12 × mode
    roles: int = 4
    moods: int = 16
    programs: int = 128  # General MIDI instruments, one table for each role

    def to_mapping(self) -> dict[str, Any]:
        """Plain numbers for the weights file's metadata."""
        return asdict(self)


def fourier_features(values: Tensor, count: int, lowest: float, highest: float) -> Tensor:
    """Sines and cosines of `values` at `count / 2` geometric frequencies: `[..., count]`."""
    frequencies = torch.exp(
        torch.linspace(math.log(lowest), math.log(highest), count // 2, device=values.device)
    )
    angles = values[..., None].float() * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def rotary_table(positions: Tensor, head_width: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines `[steps, head_width / 2]` of the rotary angles."""
    exponents = torch.arange(0, head_width, 2, device=positions.device) / head_width
    angles = positions[:, None].float() * (10_000.0**-exponents)[None]
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Apply rotary positions to `[batch, heads, steps, head_width]`."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)


class Block(nn.Module):
    """Attention and feed-forward with modulated normalisation."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        width = shape.width
        self.heads = width // shape.head_width
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, shape.feed_forward * width, bias=False)
        self.down = nn.Linear(shape.feed_forward * width, width, bias=False)
        self.modulation = nn.Parameter(torch.zeros(6, width))

    def forward(self, x: Tensor, shared: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
        """`x` is `[batch, steps, width]`, `shared` the modulation `[batch, 6, width]`."""
        shift1, scale1, gate1, shift2, scale2, gate2 = (
            (shared + self.modulation)[:, :, None].to(x.dtype).unbind(1)
        )
        normed = functional.layer_norm(x, x.shape[-1:]) * (1 + scale1) + shift1
        x = x + gate1 * self._attend(normed, rotary)
        normed = functional.layer_norm(x, x.shape[-1:]) * (1 + scale2) + shift2
        widened: Tensor = functional.relu(self.up(normed)).square()
        narrowed: Tensor = self.down(widened)
        return x + gate2 * narrowed

    def _attend(self, x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
        batch, steps, width = x.shape
        split = self.qkv(x).view(batch, steps, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = split.unbind(0)
        cosine, sine = (table.to(query.dtype) for table in rotary)
        query = rotate(functional.rms_norm(query, query.shape[-1:]), cosine, sine)
        key = rotate(functional.rms_norm(key, key.shape[-1:]), cosine, sine)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        merged: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, steps, width))
        return merged


@dataclass(frozen=True, slots=True)
class Globals:
    """Conditions of the whole window; the last index of each table means "not said".

    Attributes:
        style, key, mood: `[batch]` integers; the shape's own number of each stands for unknown.
        tempo_bpm: `[batch]`; 0 for unknown.
        roles: `[batch, 4]` integers of the audio to be made: 0 silent, 1 plays, 2 unknown.
        programs: `[batch, 4]` General MIDI program of each role; `programs` of the shape: unknown.
    """

    style: Tensor
    key: Tensor
    tempo_bpm: Tensor
    roles: Tensor
    mood: Tensor
    programs: Tensor

    def to(self, device: torch.device | str) -> Globals:
        """The same conditions on another device."""
        return Globals(*(getattr(self, item.name).to(device) for item in fields(self)))

    def rows(self, chosen: slice) -> Globals:
        """Some windows of the batch."""
        return Globals(*(getattr(self, item.name)[chosen] for item in fields(self)))

    def for_batch(self, batch: int) -> Globals:
        """The conditions of one window, said of each of a batch."""
        values = (getattr(self, item.name) for item in fields(self))
        return Globals(*(value.expand(batch, *value.shape[1:]) for value in values))

    @classmethod
    def unknown(cls, batch: int, shape: NetworkShape, device: torch.device) -> Globals:
        """Nothing said about any window of the batch."""
        return cls(
            torch.full((batch,), shape.styles, device=device),
            torch.full((batch,), shape.keys, device=device),
            torch.zeros(batch, device=device),
            torch.full((batch, shape.roles), 2, device=device),
            torch.full((batch,), shape.moods, device=device),
            torch.full((batch, shape.roles), shape.programs, device=device),
        )


class HouseNetwork(nn.Module):
    """Velocity of the flow; see the module's text."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.inward = nn.Linear(LATENT_CHANNELS + FRAME_CHANNELS, width)
        self.time = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width))
        self.style = nn.Embedding(shape.styles + 1, width)
        self.key = nn.Embedding(shape.keys + 1, width)
        self.roles = nn.Embedding(shape.roles * 3, width)
        self.tempo = nn.Linear(TEMPO_FEATURES + 1, width)
        self.mood = nn.Embedding(shape.moods + 1, width)
        self.programs = nn.Embedding(shape.roles * (shape.programs + 1), width)
        self.span = nn.Sequential(
            nn.Linear(SPAN_FEATURES, width), nn.SiLU(), nn.Linear(width, width, bias=False)
        )
        self.shared = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        self.final_modulation = nn.Linear(width, 2 * width)
        self.outward = nn.Linear(width, LATENT_CHANNELS)
        self._initialise()

    def _initialise(self) -> None:
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2 and name.startswith("blocks") and "modulation" not in name:
                nn.init.xavier_uniform_(parameter)
            elif name.startswith(("style", "key", "roles", "mood", "programs")):
                nn.init.normal_(parameter, std=0.02)
        for name, parameter in self.span[-1].named_parameters():
            assert name == "weight"  # a span says nothing until it is trained
            nn.init.zeros_(parameter)
        for layer in (self.shared, self.final_modulation, self.outward):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def embed(self, time: Tensor, span: Tensor, conditions: Globals) -> Tensor:
        """Sum of the embeddings of time, span and the global conditions: `[batch, width]`."""
        known = (conditions.tempo_bpm > 0).float()
        octaves = torch.log2(conditions.tempo_bpm.clamp_min(1.0) / 120.0)
        tempo = fourier_features(octaves, TEMPO_FEATURES, 1.0, 16.0) * known[:, None]
        slots = torch.arange(self.shape.roles, device=time.device)
        signal: Tensor = (
            self.time(fourier_features(time, 64, 1.0, 200.0))
            + self.span(fourier_features(span, SPAN_FEATURES, 1.0, 60.0))
            + self.style(conditions.style)
            + self.key(conditions.key)
            + self.mood(conditions.mood)
            + self.roles(conditions.roles + 3 * slots).sum(dim=1)
            + self.programs(conditions.programs + (self.shape.programs + 1) * slots).sum(dim=1)
            + self.tempo(torch.cat([tempo, known[:, None]], dim=-1))
        )
        return signal

    def forward(
        self, x: Tensor, time: Tensor, span: Tensor, frames: Tensor, conditions: Globals
    ) -> Tensor:
        """Mean velocity from `x` over the next `span` of the flow.

        Args:
            x: noisy latent `[batch, 128, steps]`.
            time: `[batch]`, 1 is noise and 0 is data.
            span: `[batch]`, 0 to `time`; 0 asks for the velocity at `x` itself.
            frames: per-frame conditions `[batch, FRAME_CHANNELS, steps]`.
            conditions: global conditions.

        Returns:
            `[batch, 128, steps]` in float32.
        """
        signal = functional.silu(self.embed(time, span, conditions))
        shared = self.shared(signal).view(x.shape[0], 6, -1)
        rotary = rotary_table(torch.arange(x.shape[-1], device=x.device), self.shape.head_width)
        hidden = self.inward(torch.cat([x, frames], dim=1).transpose(1, 2))
        for block in self.blocks:
            hidden = block(hidden, shared, rotary)
        shift, scale = self.final_modulation(signal)[:, None].to(hidden.dtype).chunk(2, dim=-1)
        hidden = functional.layer_norm(hidden, hidden.shape[-1:]) * (1 + scale) + shift
        velocity: Tensor = self.outward(hidden)
        return velocity.transpose(1, 2).float()
