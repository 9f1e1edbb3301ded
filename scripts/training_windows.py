"""Random training windows out of latent shards: what to make, beside what, told what.

Everything lies on the training device and every draw is a tensor operation, so that a batch costs
a GPU a few milliseconds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from engine.models.house.codec import MEL_BANDS, PAN_BANDS, SPECTRAL_CHANNELS, SpectralCodec
from engine.models.house.conditions import harmony_curve, level_curve, stack
from engine.models.house.network import Globals, NetworkShape
from engine.models.studio import FrameConditions, beat_channels

WINDOW_STEPS = 256
# What a window asks for: everybody, a part mix alone, or (the rest) a part beside others.
_EVERYBODY, _PART = 0.4, 0.15
_TRIES = 4  # windows drawn for each row, to find one in which the part sounds
_SILENT_TARGET_CHANCE = 0.1  # a part that rests for the whole window is mostly passed over
_PLAYS_FROM = 0.1  # part of the window in which a role must sound to count as playing
# Chances of being told each condition, unless nothing is told at all.
_CHROMA, _BEAT, _LEVEL, _HARMONY = 0.5, 0.65, 0.5, 0.5
_GLOBAL = 0.6
# All: as a render is told, whose melody may be nobody's. Wordless: what guidance leads away from.
_ALL_TOLD, _WORDLESS, _NOTHING_TOLD = 0.4, 0.1, 0.06
_MIXES = 16  # sums of role bits
_FRAME_TRUTH = ("melody_chroma", "melody_onsets", "roles", "beat_phase", "bar_phase")
_TAGS = ("style", "key", "mood", "tempo_bpm", "programs")
# Where `stack` keeps its flags.
_SAID_CHROMA, _SAID_BEAT, _SAID_LEVEL, _SAID_CONTEXT, _SAID_HARMONY = 141, 146, 148, 289, 302


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of windows.

    Attributes:
        latent: what is to be made `[batch, 128, 256]`.
        frames: stacked frame conditions.
        kept_mask: 1 where the latent is given `[batch, 1, 256]`.
        conditions: global conditions.
        untold: global conditions that say nothing, as an unguided model gets them beside the same
            frames: what is told frame by frame is followed closely without guidance, which would
            exaggerate it.
    """

    latent: Tensor
    frames: Tensor
    kept_mask: Tensor
    conditions: Globals
    untold: Globals

    def to(self, device: str) -> Batch:
        """The same batch on another device."""
        return Batch(*(getattr(self, item.name).to(device) for item in fields(self)))


@dataclass(frozen=True, slots=True)
class _Draw:
    """One row each: a piece, where its window begins, what is made and beside what `[batch]`."""

    piece: Tensor
    start: Tensor
    target: Tensor
    context: Tensor
    playing: Tensor  # `[batch, 4]`, which roles sound in the window


@dataclass(frozen=True, slots=True)
class _Telling:
    """How much each row is told `[batch]`: all there is, all but words, nothing, or a draw for each
    condition."""

    everything: Tensor
    wordless: Tensor
    nothing: Tensor
    generator: torch.Generator

    @classmethod
    def draw(cls, size: int, generator: torch.Generator) -> _Telling:
        kind = _uniform(size, generator)
        all_frames, nothing = kind < _ALL_TOLD + _WORDLESS, kind >= 1.0 - _NOTHING_TOLD
        wordless = nothing | (all_frames & (kind >= _ALL_TOLD))
        return cls(all_frames, wordless, nothing, generator)

    def says(self, chance: float) -> Tensor:
        """Which rows are told something that is told with this chance where it is drawn."""
        return (self.drawn(chance) | self.everything) & ~self.nothing

    def drawn(self, chance: float) -> Tensor:
        """Each row with this chance, whatever else it is told."""
        return _uniform(len(self.nothing), self.generator) < chance


class ShardWindows:
    """All shards of a folder in memory; `rescan` picks up those written since."""

    def __init__(
        self, folder: Path, codec: SpectralCodec, shape: NetworkShape, device: str = "cpu"
    ) -> None:
        self.folder = folder
        self.codec = codec
        self.shape = shape
        self.device = device
        self._read: set[str] = set()
        self._latents: list[Tensor] = []
        self._truth: dict[str, list[Tensor]] = {name: [] for name in _FRAME_TRUTH}
        self._tags: list[dict[str, Any]] = []
        self.rescan()

    @property
    def pieces(self) -> int:
        """How many pieces are in memory."""
        return len(self._tags)

    def rescan(self) -> None:
        """Load the shards that are new in the folder; pieces shorter than a window are left out."""
        known = len(self._read)
        for path in sorted(self.folder.glob("shard-*.safetensors")):
            if path.name not in self._read:
                self._read.add(path.name)
                self._load(path)
        if len(self._read) > known:
            self._join()

    def _load(self, path: Path) -> None:
        with safe_open(path, "pt", device=self.device) as file:
            for index, tags in enumerate(json.loads(file.metadata()["pieces"])):
                latents = file.get_tensor(f"{index}.latents")
                if latents.shape[1] < WINDOW_STEPS:
                    continue
                self._latents.append(latents.flatten(0, 1))
                for name in _FRAME_TRUTH:
                    self._truth[name].append(file.get_tensor(f"{index}.{name}"))
                self._tags.append(tags | {"steps": latents.shape[1]})

    def _join(self) -> None:
        """One tensor of everything, and tables of where each piece and mix begins."""
        self._latents = [torch.cat(self._latents)]
        self._truth = {name: [torch.cat(parts)] for name, parts in self._truth.items()}
        steps = [int(tags["steps"]) for tags in self._tags]
        latent_place = torch.full((len(steps), _MIXES), -1)
        truth_place, at, chances = [], 0, torch.zeros(len(steps), _MIXES * _MIXES)
        for row, tags in enumerate(self._tags):
            truth_place.append(sum(steps[:row]))
            for mix in tags["mixes"]:
                latent_place[row, mix] = at
                at += steps[row]
            for (target, context), chance in mix_chances(tags["mixes"]).items():
                chances[row, target * _MIXES + context] = chance
        self._steps = torch.tensor(steps, device=self.device)
        self._latent_place = latent_place.to(self.device)
        self._truth_place = torch.tensor(truth_place, device=self.device)
        self._chances = chances.to(self.device)
        self._columns = {
            name: torch.tensor([tags[name] for tags in self._tags], device=self.device)
            for name in _TAGS
        }
        sounding = self._truth["roles"][0].float().cumsum(dim=0)
        self._sounding = torch.cat([torch.zeros_like(sounding[:1]), sounding])

    def hours(self) -> float:
        """Music in memory, each piece counted once."""
        return float(self._steps.sum()) * 1024 / 44_100 / 3600

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """`size` random windows; the generator lives on the device of the windows."""
        draw = self._draw(size, generator)
        steps = torch.arange(WINDOW_STEPS, device=self.device)
        latent, context = self._latent(draw, draw.target), self._latent(draw, draw.context)
        has_context = (draw.context > 0).float()[:, None, None].expand(-1, 1, WINDOW_STEPS)
        latent, context = augment(latent, context * has_context, self.codec, generator)
        mask = random_masks(draw.context > 0, generator)
        telling = _Telling.draw(size, generator)
        places = (self._truth_place[draw.piece] + draw.start)[:, None] + steps
        truth = {name: parts[0][places].float() for name, parts in self._truth.items()}
        frames = self._frame_conditions(latent, mask, context, draw, truth, telling)
        frames[:, _SAID_CONTEXT] = has_context[:, 0]
        untold = Globals.unknown(size, self.shape, latent.device)
        return Batch(latent, frames, mask, self._globals(draw, telling), untold)

    def _draw(self, size: int, generator: torch.Generator) -> _Draw:
        """Windows of random pieces, long pieces as often as their length says."""
        piece = torch.multinomial(self._steps.float(), size, True, generator=generator)
        spare = (self._steps[piece] - WINDOW_STEPS + 1)[:, None]
        start = (_uniform((size, _TRIES), generator) * spare).long()
        pair = torch.multinomial(self._chances[piece], _TRIES, True, generator=generator)
        target = pair // _MIXES
        first = self._truth_place[piece][:, None] + start
        share = (self._sounding[first + WINDOW_STEPS] - self._sounding[first]) / WINDOW_STEPS
        playing = (share > _PLAYS_FROM) & self._bits(target)
        good = playing.any(dim=-1) | (_uniform((size, _TRIES), generator) < _SILENT_TARGET_CHANCE)
        good[:, -1] = True
        chosen = good.int().argmax(dim=1, keepdim=True)

        def pick(values: Tensor) -> Tensor:
            return values.gather(1, chosen)[:, 0]

        heard = playing[torch.arange(size, device=self.device), chosen[:, 0]]
        return _Draw(piece, pick(start), pick(target), pick(pair % _MIXES), heard)

    def _bits(self, mixes: Tensor) -> Tensor:
        """Which roles are in a mix: `[..., 4]`."""
        return (mixes[..., None] >> torch.arange(self.shape.roles, device=self.device)) & 1 > 0

    def _latent(self, draw: _Draw, mix: Tensor) -> Tensor:
        """`[batch, 128, 256]`; mix 0 gives something that is to be masked."""
        first = self._latent_place[draw.piece, mix].clamp_min(0) + draw.start
        places = first[:, None] + torch.arange(WINDOW_STEPS, device=self.device)
        return self._latents[0][places].float().transpose(1, 2)

    def _frame_conditions(
        self,
        latent: Tensor,
        mask: Tensor,
        context: Tensor,
        draw: _Draw,
        truth: dict[str, Tensor],
        telling: _Telling,
    ) -> Tensor:
        """The stack."""
        plays_melody = self._bits(draw.target)[:, -1]  # who does not is not told it
        chroma, beat, level, harmony = (
            said.float()[:, None, None]
            for said in (
                telling.drawn(_CHROMA) & ~telling.nothing & plays_melody,
                telling.says(_BEAT),
                telling.says(_LEVEL),
                telling.says(_HARMONY),
            )
        )
        log_mel = self.codec.linear_log_mel(latent)
        told_frames = FrameConditions(
            latent,
            mask,
            truth["melody_chroma"].transpose(1, 2) * chroma,
            beat_channels(truth["beat_phase"], truth["bar_phase"]) * beat,
            level_curve(log_mel) * level,
            truth["melody_onsets"].transpose(1, 2) * chroma,
            context,
            harmony_curve(log_mel) * harmony,
        )
        stacked = stack(told_frames)
        # `stack` marks everything it gets as said; for each row of a batch that is decided here.
        flags = {
            _SAID_CHROMA: chroma,
            _SAID_BEAT: beat,
            _SAID_LEVEL: level,
            _SAID_HARMONY: harmony,
        }
        for place, said in flags.items():
            stacked[:, place] = said[:, 0]
        return stacked

    def _globals(self, draw: _Draw, telling: _Telling) -> Globals:
        shape = self.shape

        def drop(value: Tensor, unknown: float, chance: float = _GLOBAL) -> Tensor:
            said = telling.says(chance) & ~telling.wordless
            return value.masked_fill(~said.view(-1, *[1] * (value.ndim - 1)), unknown)

        tags = {name: column[draw.piece] for name, column in self._columns.items()}
        roles = draw.playing.long()
        named = (tags["programs"] >= 0) & draw.playing
        return Globals(
            drop(tags["style"], shape.styles),
            drop(tags["key"], shape.keys),
            drop(tags["tempo_bpm"].float(), 0.0),
            drop(roles, 2, 0.75),
            drop(tags["mood"], shape.moods, 0.4),
            drop(torch.where(named, tags["programs"], shape.programs), shape.programs, 0.5),
        )


def mix_chances(mixes: list[int]) -> dict[tuple[int, int], float]:
    """How often each mix is made beside each other one, as sums of role bits; 0 is no context."""
    everybody = max(mixes)
    chances = dict.fromkeys([(mix, 0) for mix in mixes], _PART / len(mixes))
    chances[everybody, 0] += _EVERYBODY
    # Rendering by stems makes one part at a time: those pairs come twice as often.
    weights = {
        (target, context): 1.0 + (target.bit_count() == 1)
        for target in mixes
        for context in mixes
        if not target & context
    }
    total = sum(weights.values())
    for pair, weight in weights.items():
        chances[pair] = (1.0 - _EVERYBODY - _PART) * weight / total
    return chances


def augment(
    latent: Tensor, context: Tensor, codec: SpectralCodec, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Random level, tone and left-right swap, which are all linear in the latent.

    The context is changed like the part beside it, but for a level of its own; an empty one stays
    empty.
    """
    size = latent.shape[0]

    def between(low: float, high: float) -> Tensor:
        return low + (high - low) * _uniform((size, 1), generator)

    position = torch.linspace(-1.0, 1.0, MEL_BANDS, device=latent.device)
    tone_db = between(-8.0, 6.0) + between(-6.0, 6.0) * position
    tone_db = tone_db + between(-5.0, 5.0) * (position**2 - 0.33)
    flip = torch.where(_uniform((size, 1, 1), generator) < 0.5, -1.0, 1.0)

    def changed(value: Tensor, shift_db: Tensor) -> Tensor:
        shift = (shift_db / 20).repeat(1, 2)
        basis = codec.basis
        moved = shift @ basis.components.to(value).T / basis.scale.to(value)
        spectral = value[:, :SPECTRAL_CHANNELS] + moved[:, :, None]
        return torch.cat([spectral, value[:, -PAN_BANDS:] * flip], dim=1)

    empty = context.abs().sum(dim=(1, 2), keepdim=True) == 0
    beside = changed(context, tone_db + between(-3.0, 3.0))
    return changed(latent, tone_db), torch.where(empty, context, beside)


def random_masks(beside: Tensor, generator: torch.Generator) -> Tensor:
    """What is kept `[batch, 1, 256]`: a head, a tail, both edges, or nothing.

    Args:
        beside: `[batch]`, true where there is a context: parts are mostly made from nothing.
    """
    size = len(beside)
    kind = _uniform(size, generator) * torch.where(beside, 1.6, 1.0)
    reach = (16 + _uniform(size, generator) * 192).long()
    gap = (16 + _uniform(size, generator) * 176).long()
    first = (8 + _uniform(size, generator) * (WINDOW_STEPS - gap - 15)).long()
    step = torch.arange(WINDOW_STEPS, device=beside.device)[None]
    head, tail = step < reach[:, None], step >= WINDOW_STEPS - reach[:, None]
    edges = (step < first[:, None]) | (step >= (first + gap)[:, None])
    which = kind[:, None]
    kept = (
        (head & (which < 0.4))
        | (tail & (which >= 0.4) & (which < 0.5))
        | (edges & (which >= 0.5) & (which < 0.7))
    )
    return kept.float()[:, None]


def _uniform(shape: int | tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Uniform numbers in [0, 1) on the generator's device."""
    size = (shape,) if isinstance(shape, int) else shape
    return torch.rand(size, generator=generator, device=generator.device)
