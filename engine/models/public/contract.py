"""What every public model offers beside the denoiser and the codec: being told something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from engine.models.contracts import Codec, Denoiser
from engine.models.studio import Span, Words

Rule = Literal["euler", "remembering-euler", "ping-pong", "sde-dpm-solver-2m"]


@dataclass(frozen=True, slots=True)
class Projection:
    """How guidance is projected (`engine.models.public.guided`).

    Attributes:
        momentum: β, what of the running average goes on into the next step.
        longest: r, norm over time of a channel's average; a longer one is shortened.
        interval: lowest and highest level at which guidance acts; at the others the average waits.
    """

    momentum: float
    longest: float
    interval: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Usage:
    """How a checkpoint is sampled where nobody says otherwise.

    Attributes:
        rule: name of the step rule.
        steps: of that rule.
        guidance: scale of classifier-free guidance; 1 is none.
        projection: of that guidance; None where it is the plain one.
    """

    rule: Rule
    steps: int
    guidance: float
    projection: Projection | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """The same in the model's own numbers.

    Attributes:
        tokens: `[1, tokens, width]`, what the network attends to.
        whole: what counts for the whole piece, with one item first; empty where there is nothing.
        mask: 1 at tokens that say something `[1, tokens]`; None where the tokens hold that already.
    """

    tokens: Tensor = field(repr=False)
    whole: Tensor = field(repr=False)
    mask: Tensor | None = field(default=None, repr=False)

    def for_batch(self, items: int) -> Told:
        """The same for every item of a batch; of several told together, each for its share."""
        if items == len(self.tokens):
            return self
        times = items // len(self.tokens)
        mask = None if self.mask is None else _each(self.mask, times)
        return replace(
            self, tokens=_each(self.tokens, times), whole=_each(self.whole, times), mask=mask
        )

    def beside(self, other: Told) -> Told:
        """Both, for a batch whose first half is told this and whose second half the other."""
        masks = [told.mask for told in (self, other) if told.mask is not None]
        return Told(
            torch.cat([self.tokens, other.tokens]),
            torch.cat([self.whole, other.whole]),
            torch.cat(masks) if len(masks) == 2 else None,
        )


def _each(part: Tensor, times: int) -> Tensor:
    """Each item so many times in a row; nothing is copied where there is one."""
    if len(part) == 1:
        return part.expand(times, *part.shape[1:])
    return part.repeat_interleave(times, dim=0)


@dataclass(frozen=True, slots=True)
class Kept:
    """Audio that a model which edits natively is to go on from.

    Attributes:
        latent: `[1, channels, steps]`; of no account where the mask is 0.
        mask: `[1, 1, steps]`, 1 where the latent is kept.
    """

    latent: Tensor = field(repr=False)
    mask: Tensor = field(repr=False)


class PublicCodec(Codec, Protocol):
    """A codec that gives a part of what a latent stands for."""

    def decode_part(
        self, latent: Tensor, span: Span, on_step: Callable[[], None] = lambda: None
    ) -> Tensor:
        """The audio of some steps of a latent as `decode` gives it, at the price of those where
        the codec sees only so far: `[..., 2, steps of the span × step_samples]`."""
        ...


class PublicModel(Protocol):
    """A model somebody else has trained.

    Attributes:
        name: what it is called here.
        digest: SHA-256 of its weights and settings; part of every recipe and cache key.
        usage: how it is sampled.
        longest_seconds: of one window.
        frames_per_step: of the spectrum that controls look at.
        window_steps: latents that the network is always given, whatever the length; None where it
            takes any.
        edits: takes `Kept`.
        names_tempo: has places of their own for tempo, key and metre.
    """

    name: str
    digest: str
    device: torch.device
    usage: Usage
    longest_seconds: float
    frames_per_step: int
    window_steps: int | None
    edits: bool
    names_tempo: bool

    @property
    def codec(self) -> PublicCodec:
        """Audio to latents and back."""
        ...

    def adapt(self, path: Path, scale: float = 1.0) -> object:
        """Add an adapter (LoRA) to the denoising network; the digest is then one of both.

        Raises:
            BridgeError: it is no adapter, or does not fit.
        """
        ...

    def tell(self, words: Words) -> Told:
        """Words as the network knows them; the text encoder runs once for each prompt."""
        ...

    def tell_nothing(self, words: Words) -> Told:
        """The other side of classifier-free guidance, for a piece of the same length."""
        ...

    def denoiser(self, told: Told, kept: Kept | None = None) -> Denoiser:
        """The denoiser under these conditions; states are float32.

        Raises:
            ValueError: there is something to keep, and the model does not edit.
        """
        ...

    def levels(self, steps: int, start: float = 1.0) -> tuple[float, ...]:
        """`steps + 1` noise levels from `start` down to 0, spaced as the model was made for.

        A model whose noise begins below level 1 gives its own first level where `start` is above.

        Raises:
            ValueError: no step, or a start outside (0, 1].
        """
        ...
