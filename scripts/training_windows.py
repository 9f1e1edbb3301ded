"""Random training windows out of latent shards, augmented and with conditions dropped at random."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from engine.models.house.codec import MEL_BANDS, PAN_BANDS, SPECTRAL_CHANNELS, SpectralCodec
from engine.models.house.conditions import FrameConditions, beat_channels, level_curve
from engine.models.house.network import Globals, NetworkShape

WINDOW_STEPS = 256


@dataclass(frozen=True, slots=True)
class Batch:
    """Clean latents `[batch, 128, 256]`, stacked frame conditions, masks and global conditions."""

    latent: Tensor
    frames: Tensor
    kept_mask: Tensor
    conditions: Globals

    def to(self, device: str) -> Batch:
        """The same batch on another device."""
        return Batch(
            self.latent.to(device),
            self.frames.to(device),
            self.kept_mask.to(device),
            self.conditions.to(device),
        )


class ShardWindows:
    """All shards of a folder in memory; `rescan` picks up those written since."""

    def __init__(self, folder: Path, codec: SpectralCodec, shape: NetworkShape) -> None:
        self.folder = folder
        self.codec = codec
        self.shape = shape
        self.pieces: list[tuple[dict[str, Tensor], dict[str, float]]] = []
        self._read: set[str] = set()
        self.rescan()

    def rescan(self) -> None:
        """Load the shards that are new in the folder."""
        for path in sorted(self.folder.glob("shard-*.safetensors")):
            if path.name in self._read:
                continue
            self._read.add(path.name)
            with safe_open(path, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                tags = json.loads(file.metadata()["pieces"])
            offset = 0
            for tag in tags:
                end = offset + tag["steps"]
                if tag["steps"] >= WINDOW_STEPS:
                    piece = {name: value[offset:end] for name, value in tensors.items()}
                    self.pieces.append((piece, tag))
                offset = end

    def hours(self) -> float:
        """Music in memory."""
        return sum(tag["steps"] for _, tag in self.pieces) * 1024 / 44_100 / 3600

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """`size` random windows."""
        lengths = torch.tensor([float(tag["steps"]) for _, tag in self.pieces])
        chosen = torch.multinomial(lengths, size, replacement=True, generator=generator).tolist()
        rows = []
        for index in chosen:
            piece, tag = self.pieces[index]
            start = _integer(0, int(tag["steps"]) - WINDOW_STEPS, generator)
            rows.append(
                {name: value[start : start + WINDOW_STEPS] for name, value in piece.items()}
            )
        joined = {name: torch.stack([row[name] for row in rows]).float() for name in rows[0]}
        latent = augment(joined["latent"].transpose(1, 2), self.codec, generator)
        mask = random_masks(size, generator)
        frames = self._frame_conditions(latent, mask, joined, generator)
        conditions = self._globals([self.pieces[i][1] for i in chosen], joined["roles"], generator)
        return Batch(latent, frames, mask, conditions)

    def _frame_conditions(
        self, latent: Tensor, mask: Tensor, rows: dict[str, Tensor], generator: torch.Generator
    ) -> Tensor:
        size = latent.shape[0]
        stacked = FrameConditions(
            latent,
            mask,
            rows["chroma"].transpose(1, 2),
            beat_channels(rows["beat_phase"], rows["bar_phase"]),
            level_curve(self.codec, latent),
        ).stack()
        start = 129
        for channels, chance in ((12, 0.35), (4, 0.6), (1, 0.3)):
            said = (torch.rand(size, 1, 1, generator=generator) < chance).float()
            stacked[:, start : start + channels + 1] *= said
            start += channels + 1
        return stacked

    def _globals(
        self, tags: list[dict[str, float]], roles: Tensor, generator: torch.Generator
    ) -> Globals:
        size = len(tags)
        all_dropped = torch.rand(size, generator=generator) < 0.15

        def dropped(chance: float) -> Tensor:
            return (torch.rand(size, generator=generator) < chance) | all_dropped

        style = torch.tensor([int(tag["style"]) for tag in tags])
        key = torch.tensor([int(tag["key"]) for tag in tags])
        tempo = torch.tensor([float(tag["tempo_bpm"]) for tag in tags])
        active = (roles.mean(dim=1) > 0.1).long()
        return Globals(
            style.masked_fill(dropped(0.4), self.shape.styles),
            key.masked_fill(dropped(0.4), self.shape.keys),
            tempo.masked_fill(dropped(0.4), 0.0),
            active.masked_fill(dropped(0.4)[:, None], 2),
        )


def augment(latent: Tensor, codec: SpectralCodec, generator: torch.Generator) -> Tensor:
    """Random level, tone and left-right swap, which are all linear in the latent."""
    size = latent.shape[0]
    gain_db = torch.empty(size, 1).uniform_(-8.0, 6.0, generator=generator)
    position = torch.linspace(-1.0, 1.0, MEL_BANDS)
    tilt_db = torch.empty(size, 1).uniform_(-6.0, 6.0, generator=generator) * position
    curve_db = torch.empty(size, 1).uniform_(-5.0, 5.0, generator=generator) * (position**2 - 0.33)
    shift = ((gain_db + tilt_db + curve_db) / 20).repeat(1, 2)
    moved = shift @ codec.basis.components.T / codec.basis.scale
    spectral = latent[:, :SPECTRAL_CHANNELS] + moved[:, :, None]
    flip = torch.where(torch.rand(size, 1, 1, generator=generator) < 0.5, -1.0, 1.0)
    return torch.cat([spectral, latent[:, -PAN_BANDS:] * flip], dim=1)


def random_masks(size: int, generator: torch.Generator) -> Tensor:
    """What is kept `[size, 1, 256]`: a head, a tail, both edges, or nothing."""
    mask = torch.zeros(size, 1, WINDOW_STEPS)
    for row in range(size):
        kind = float(torch.rand(1, generator=generator))
        if kind < 0.4:
            mask[row, :, : _integer(16, 208, generator)] = 1.0
        elif kind < 0.55:
            mask[row, :, -_integer(16, 208, generator) :] = 1.0
        elif kind < 0.82:
            gap = _integer(16, 192, generator)
            start = _integer(8, WINDOW_STEPS - gap - 8, generator)
            mask[row] = 1.0
            mask[row, :, start : start + gap] = 0.0
    return mask


def _integer(low: int, high: int, generator: torch.Generator) -> int:
    """Uniform integer of `[low, high]`."""
    return int(torch.randint(low, max(high, low) + 1, (1,), generator=generator))
