"""What the engine's tasks ask of a model: whichever it is, they write for this one contract.

Audio between tasks and models is stereo at 44.1 kHz; a model of another rate converts it at its
codec. What a model has no place for, it is told in vain: a request never fails for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from engine.models.contracts import Codec, Denoiser

Span = tuple[int, int]  # the first latent step, and the one that is no more part of it
STUDIO_RATE_HZ = 44_100
TONICS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


class StudioCodec(Codec, Protocol):
    """A codec as the engine's tasks and controls need it: audio at `STUDIO_RATE_HZ`.

    Attributes:
        window_samples: length of what a frame of a step is made of; a latent step depends on half
            of it to either side of its first and its last frame.
        frames_per_step: frames of `log_mel` in a latent step, the first at the step's first sample.
    """

    window_samples: int
    frames_per_step: int

    def log_mel(self, latent: Tensor, span: Span | None = None) -> Tensor:
        """Log10 mel amplitudes `[..., bands, frames_per_step × steps]`; differentiable.

        Args:
            span: the steps whose frames are wanted; None for all. A codec that pays for what it
                decodes pays for these alone.
        """
        ...


@dataclass(frozen=True, slots=True)
class Words:
    """What a model is told of a piece as a whole; what one has no place for counts nothing.

    Attributes:
        prompt: as the musician wrote it.
        seconds: length of the whole piece, of which a window may be a part.
        lyrics: words to be sung, with `[verse]` and the like between them.
        bpm, tonic, mode, beats_per_bar, style, mood: None where nothing is to be said; the tonic
            counts semitones from C.
        roles: those that are to play, all others silent; None where nothing is to be said.
        programs: General MIDI program by role, as far as it is known.
        edits: the piece is to go on from audio that is kept.
    """

    prompt: str
    seconds: float
    lyrics: str = ""
    bpm: float | None = None
    tonic: int | None = None
    mode: str | None = None
    beats_per_bar: int | None = None
    style: str | None = None
    mood: str | None = None
    roles: tuple[str, ...] | None = None
    programs: Mapping[str, int] = field(default_factory=dict)
    edits: bool = False

    @property
    def key(self) -> str | None:
        """As people write it: "A minor"."""
        if self.tonic is None or self.mode is None:
            return None
        return f"{TONICS[self.tonic]} {self.mode}"


@dataclass(frozen=True, slots=True)
class FrameConditions:
    """Per-frame conditions of a batch of windows; `None` means not said.

    Attributes:
        kept: latent to keep `[batch, channels, steps]`.
        kept_mask: 1 where `kept` is given, 0 where the model is free `[batch, 1, steps]`.
        melody_chroma: 0/1 pitch classes of the melody `[batch, 12, steps]`.
        beat: sines and cosines of the beat and bar phases `[batch, 4, steps]`.
        level: what the model's own `told_level` gives `[batch, 1, steps]`.
        melody_onsets: 1 where a note of the melody begins `[batch, 12, steps]`; heard only beside
            `melody_chroma`.
        context: latent of what sounds beside the part to be made `[batch, channels, steps]`.
        harmony: what the model's own `told_harmony` gives `[batch, 12, steps]`.
    """

    kept: Tensor
    kept_mask: Tensor
    melody_chroma: Tensor | None = None
    beat: Tensor | None = None
    level: Tensor | None = None
    melody_onsets: Tensor | None = None
    context: Tensor | None = None
    harmony: Tensor | None = None


def beat_channels(beat_phase: Tensor, bar_phase: Tensor) -> Tensor:
    """Phases in [0, 1) `[..., steps]` as `[..., 4, steps]`."""
    angles = 2 * torch.pi * torch.stack([beat_phase, bar_phase], dim=-2)
    return torch.cat([angles.sin(), angles.cos()], dim=-2)


Conditioned = Callable[[FrameConditions], Denoiser]  # a piece's model, told what holds throughout


@dataclass(frozen=True, slots=True)
class Habits:
    """How a model is used where a request leaves it open.

    Attributes:
        rule: name of the step rule of its plain sampling (`engine.sampling.steps.STEP_RULES`).
        added_noise: the rule adds noise at every step.
        steps: of that rule.
        variation: by task, how far from the prior a render goes, 0 to 1.
        few_steps: it was distilled to answer in a step or a few for the whole way.
        fewest_steps: in fewer it makes nothing of use.
    """

    rule: str
    added_noise: bool
    steps: int
    variation: Mapping[str, float]
    few_steps: bool = False
    fewest_steps: int = 1


class Model(Protocol):
    """What the engine renders with.

    Attributes:
        name, digest: of the weights and their settings; part of every recipe and cache key.
        habits: its defaults.
        window_steps: the longest stretch that it sees at once.
        hears_context: it is told what sounds beside the part to be made.
        reads_text: its prompt is free text, all of which counts.
    """

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def codec(self) -> StudioCodec: ...

    @property
    def habits(self) -> Habits: ...

    @property
    def window_steps(self) -> int: ...

    @property
    def hears_context(self) -> bool: ...

    @property
    def reads_text(self) -> bool: ...

    def told(self, words: Words) -> Conditioned:
        """The model, told what holds for the whole piece."""
        ...

    def told_level(self, latent: Tensor) -> Tensor | None:
        """The loudness of `[batch, channels, steps]` over time as the model is told it `[batch, 1,
        steps]`; None where it cannot be told."""
        ...

    def told_harmony(self, latent: Tensor) -> Tensor | None:
        """The pitch classes of `[batch, channels, steps]` over time as the model is told them
        `[batch, 12, steps]`; None where it cannot be told."""
        ...

    def levels(self, start: float, steps: int) -> tuple[float, ...]:
        """`steps + 1` noise levels from `start` down to 0; a model whose noise begins below level 1
        gives its own first level where `start` is above.

        Raises:
            ValueError: no step, or a start outside (0, 1].
        """
        ...

    def warm_up(self) -> None:
        """Run everything once, so that the first request pays for no initialisation."""
        ...


def step_seconds(codec: Codec) -> float:
    """Length of a latent step."""
    return codec.step_samples / codec.sample_rate_hz
