"""A stretch of latents to be made: what is known of it, what it starts from, what is wished."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from engine.controls.control import Control
from engine.models.studio import Conditioned
from engine.windows import fade_in, fade_in_s

_AUDIO_FADE_IN_S = 8 * 1024 / 44_100


@dataclass(frozen=True, slots=True)
class Timeline:
    """What is to be made.

    Attributes:
        prior: latent of the known audio and of the prior `[1, channels, steps]`.
        known: 1 where the latent is the musician's own audio `[1, 1, steps]`.
        conditioned: the model, told what holds for all of it.
        step_s: length of a latent step.
        melody_chroma: `[1, 12, steps]` or None.
        melody_onsets: 1 where a note of the melody begins `[1, 12, steps]`, or None.
        beat: `[1, 4, steps]` or None where there is no trusted beat.
        context: latent of what sounds beside the result `[1, channels, steps]`; None where nothing
            does.
        backwards: make the last window first (audio that leads up to a clip).
        level, harmony: of the prior, as the model is told them `[1, 1 or 12, steps]`, or None.
        inverted: begin with the noise from which the model gives the prior back.
        controls: what the result is to meet beside what is known.
        starts_s: where it begins on the result's time axis; negative before it.
    """

    prior: Tensor
    known: Tensor
    conditioned: Conditioned
    step_s: float
    melody_chroma: Tensor | None = None
    beat: Tensor | None = None
    backwards: bool = False
    melody_onsets: Tensor | None = None
    context: Tensor | None = None
    level: Tensor | None = None
    harmony: Tensor | None = None
    inverted: bool = False
    controls: tuple[Control, ...] = ()
    starts_s: float = 0.0

    def to(self, device: torch.device | str) -> Timeline:
        """The same timeline on another device."""
        moved: dict[str, Any] = {
            item.name: value.to(device)
            for item in fields(self)
            if isinstance(value := getattr(self, item.name), Tensor)
        }
        return replace(self, **moved)

    @property
    def steps(self) -> int:
        """Length in latent steps."""
        return int(self.prior.shape[-1])


def led_in(guide: Tensor, decoded: Tensor, timeline: Timeline, variation: float) -> Tensor:
    """Audio of a rendered timeline: the guide at the known parts, `decoded` away from them.

    At variation 1 the guide says nothing about the new part, and `decoded` counts everywhere. Else
    both nearly agree over the first tenth of a second beside a seam, so their mixture is the
    prior's own waveform giving way to the decoded one, and the codec is not heard at the seam.

    Args:
        guide, decoded: `[2, samples]`.
    """
    reach_s = min(_AUDIO_FADE_IN_S, fade_in_s(variation))
    weight = fade_in(timeline.known[0, 0], reach_s / timeline.step_s)
    fine = functional.interpolate(weight[None, None], decoded.shape[-1], mode="linear")[0, 0]
    return guide + fine * (decoded - guide)
