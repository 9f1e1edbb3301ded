"""Random training windows out of latent shards: what to make, beside what, told what."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from engine.models.house.codec import MEL_BANDS, PAN_BANDS, SPECTRAL_CHANNELS, SpectralCodec
from engine.models.house.conditions import FrameConditions, beat_channels, level_curve
from engine.models.house.network import Globals, NetworkShape

WINDOW_STEPS = 256
# Chances of what a window asks for: everybody, some part mix alone, or a part beside others.
_EVERYBODY, _PART = 0.4, 0.15
_SILENT_TARGET_CHANCE = 0.1  # a part that rests for the whole window is tried again, mostly
_PLAYS_FROM = 0.1  # part of the window in which a role must sound to count as playing
# Chances of being told each condition, unless nothing is told at all.
_CHROMA, _BEAT, _LEVEL = 0.4, 0.65, 0.3
_GLOBAL = 0.6
_NOTHING_TOLD = 0.12

Piece = tuple[dict[str, Tensor], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of windows.

    Attributes:
        latent: what is to be made `[batch, 128, 256]`.
        frames: stacked frame conditions.
        kept_mask: 1 where the latent is given `[batch, 1, 256]`.
        conditions: global conditions.
        untold_frames, untold: the same conditions as an unguided model gets them: kept audio and
            context, nothing else.
    """

    latent: Tensor
    frames: Tensor
    kept_mask: Tensor
    conditions: Globals
    untold_frames: Tensor
    untold: Globals

    def to(self, device: str) -> Batch:
        """The same batch on another device."""
        return Batch(
            self.latent.to(device),
            self.frames.to(device),
            self.kept_mask.to(device),
            self.conditions.to(device),
            self.untold_frames.to(device),
            self.untold.to(device),
        )


class ShardWindows:
    """All shards of a folder in memory; `rescan` picks up those written since."""

    def __init__(self, folder: Path, codec: SpectralCodec, shape: NetworkShape) -> None:
        self.folder = folder
        self.codec = codec
        self.shape = shape
        self.pieces: list[Piece] = []
        self._read: set[str] = set()
        self.rescan()

    def rescan(self) -> None:
        """Load the shards that are new in the folder; pieces shorter than a window are left out."""
        for path in sorted(self.folder.glob("shard-*.safetensors")):
            if path.name in self._read:
                continue
            self._read.add(path.name)
            with safe_open(path, "pt") as file:
                names = list(file.keys())
                for index, tags in enumerate(json.loads(file.metadata()["pieces"])):
                    mine = [name for name in names if name.startswith(f"{index}.")]
                    tensors = {name.split(".", 1)[1]: file.get_tensor(name) for name in mine}
                    if tensors["latents"].shape[1] >= WINDOW_STEPS:
                        self.pieces.append((tensors, tags))

    def hours(self) -> float:
        """Music in memory, each piece counted once."""
        return sum(tensors["latents"].shape[1] for tensors, _ in self.pieces) * 1024 / 44_100 / 3600

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """`size` random windows."""
        lengths = torch.tensor([float(tensors["latents"].shape[1]) for tensors, _ in self.pieces])
        chosen = torch.multinomial(lengths, size, replacement=True, generator=generator).tolist()
        rows = [self._row(self.pieces[index], generator) for index in chosen]
        joined = {name: torch.stack([row[name] for row in rows]).float() for name in rows[0]}
        latent, context = augment(joined["latent"], joined["context"], self.codec, generator)
        mask = random_masks(size, joined["has_context"][:, 0, 0] > 0, generator)
        told = torch.rand(size, generator=generator) >= _NOTHING_TOLD
        frames = self._frame_conditions(latent, mask, context, joined, told, generator)
        tags = [self.pieces[index][1] for index in chosen]
        conditions = self._globals(tags, joined["roles"][:, :, 0].long(), told, generator)
        untold_frames = FrameConditions(latent, mask, context=context).stack()
        untold_frames[:, -1:] *= joined["has_context"]
        untold = Globals.unknown(size, self.shape, latent.device)
        return Batch(latent, frames, mask, conditions, untold_frames, untold)

    def _row(self, piece: Piece, generator: torch.Generator) -> dict[str, Tensor]:
        """One window: a target mix and, or not, a context mix that plays beside it."""
        tensors, tags = piece
        steps = tensors["latents"].shape[1]
        start = _integer(0, steps - WINDOW_STEPS, generator)
        span = slice(start, start + WINDOW_STEPS)
        playing = tensors["roles"][span].float().mean(dim=0) > _PLAYS_FROM
        for _ in range(8):
            target, context = choose_mixes(tags["mixes"], generator)
            heard = any(playing[index] for index in range(self.shape.roles) if target >> index & 1)
            if heard or _uniform(generator) < _SILENT_TARGET_CHANCE:
                break
        mixes = tags["mixes"]
        latent = tensors["latents"][mixes.index(target), span].T
        has_context = torch.full((1, WINDOW_STEPS), float(context > 0))
        beside = tensors["latents"][mixes.index(context), span].T if context else latent * 0
        in_target = torch.tensor([target >> index & 1 for index in range(self.shape.roles)])
        return {
            "latent": latent,
            "context": beside,
            "has_context": has_context,
            "roles": (playing.long() * in_target)[:, None],
            "melody_chroma": tensors["melody_chroma"][span].T,
            "melody_onsets": tensors["melody_onsets"][span].T,
            # The melody is told to whoever plays it.
            "has_melody": in_target[-1:, None].float(),
            "beat": beat_channels(tensors["beat_phase"][span], tensors["bar_phase"][span]),
        }

    def _frame_conditions(
        self,
        latent: Tensor,
        mask: Tensor,
        context: Tensor,
        rows: dict[str, Tensor],
        told: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        size = latent.shape[0]

        def say(chance: float) -> Tensor:
            said = (torch.rand(size, generator=generator) < chance) & told
            return said.float()[:, None, None]

        chroma, beat, level = say(_CHROMA) * rows["has_melody"], say(_BEAT), say(_LEVEL)
        stacked = FrameConditions(
            latent,
            mask,
            rows["melody_chroma"] * chroma,
            rows["beat"] * beat,
            level_curve(self.codec, latent) * level,
            rows["melody_onsets"] * chroma,
            context,
        ).stack()
        # `stack` marks everything it gets as said; for each row of a batch that is decided here.
        for place, said in ((141, chroma), (146, beat), (148, level), (-1, rows["has_context"])):
            stacked[:, place] = said[:, 0]
        return stacked

    def _globals(
        self,
        tags: list[dict[str, Any]],
        roles: Tensor,
        told: Tensor,
        generator: torch.Generator,
    ) -> Globals:
        size, shape = len(tags), self.shape

        def drop(value: Tensor, unknown: float, chance: float = _GLOBAL) -> Tensor:
            said = (torch.rand(size, generator=generator) < chance) & told
            return value.masked_fill(~said.view(-1, *[1] * (value.ndim - 1)), unknown)

        def column(name: str) -> Tensor:
            return torch.tensor([tag[name] for tag in tags])

        programs = column("programs")
        programs = torch.where((programs >= 0) & (roles > 0), programs, shape.programs)
        return Globals(
            drop(column("style"), shape.styles),
            drop(column("key"), shape.keys),
            drop(column("tempo_bpm").float(), 0.0),
            drop(roles, 2, 0.75),
            drop(column("mood"), shape.moods, 0.4),
            drop(programs, shape.programs, 0.5),
        )


def choose_mixes(mixes: list[int], generator: torch.Generator) -> tuple[int, int]:
    """What to make and beside what, as sums of role bits; 0 is no context."""
    pairs = [(a, b) for a in mixes for b in mixes if not a & b]
    chance = _uniform(generator)
    if chance < _EVERYBODY or len(mixes) == 1:
        return max(mixes), 0
    if chance < _EVERYBODY + _PART or not pairs:
        return mixes[_integer(0, len(mixes) - 1, generator)], 0
    # Rendering by stems makes one part at a time: those pairs come twice as often.
    pairs += [pair for pair in pairs if pair[0].bit_count() == 1]
    return pairs[_integer(0, len(pairs) - 1, generator)]


def augment(
    latent: Tensor, context: Tensor, codec: SpectralCodec, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Random level, tone and left-right swap, which are all linear in the latent.

    The context is changed like the part beside it, but for a level of its own.
    """
    size = latent.shape[0]
    gain_db = torch.empty(size, 1).uniform_(-8.0, 6.0, generator=generator)
    position = torch.linspace(-1.0, 1.0, MEL_BANDS)
    tilt_db = torch.empty(size, 1).uniform_(-6.0, 6.0, generator=generator) * position
    curve_db = torch.empty(size, 1).uniform_(-5.0, 5.0, generator=generator) * (position**2 - 0.33)
    balance_db = torch.empty(size, 1).uniform_(-3.0, 3.0, generator=generator)
    flip = torch.where(torch.rand(size, 1, 1, generator=generator) < 0.5, -1.0, 1.0)

    def changed(value: Tensor, shift_db: Tensor) -> Tensor:
        shift = (shift_db / 20).repeat(1, 2)
        moved = shift @ codec.basis.components.T / codec.basis.scale
        spectral = value[:, :SPECTRAL_CHANNELS] + moved[:, :, None]
        return torch.cat([spectral, value[:, -PAN_BANDS:] * flip], dim=1)

    tone_db = gain_db + tilt_db + curve_db
    empty = context.abs().sum(dim=(1, 2), keepdim=True) == 0
    beside = torch.where(empty, context, changed(context, tone_db + balance_db))
    return changed(latent, tone_db), beside


def random_masks(size: int, beside: Tensor, generator: torch.Generator) -> Tensor:
    """What is kept `[size, 1, 256]`: a head, a tail, both edges, or nothing.

    Args:
        beside: `[size]`, true where there is a context: parts are mostly made from nothing.
    """
    mask = torch.zeros(size, 1, WINDOW_STEPS)
    for row in range(size):
        kind = _uniform(generator)
        if bool(beside[row]):
            kind = kind * 1.6
        if kind < 0.4:
            mask[row, :, : _integer(16, 208, generator)] = 1.0
        elif kind < 0.5:
            mask[row, :, -_integer(16, 208, generator) :] = 1.0
        elif kind < 0.7:
            gap = _integer(16, 192, generator)
            start = _integer(8, WINDOW_STEPS - gap - 8, generator)
            mask[row] = 1.0
            mask[row, :, start : start + gap] = 0.0
    return mask


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand(1, generator=generator))


def _integer(low: int, high: int, generator: torch.Generator) -> int:
    """Uniform integer of `[low, high]`."""
    return int(torch.randint(low, max(high, low) + 1, (1,), generator=generator))
