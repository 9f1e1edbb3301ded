"""Where a model's windows lie on a stretch of latents, and how what they make is let in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_CONTEXT = 4  # a window of a chain begins with this part of known steps
_LAST_PART = 8  # left for the next window where one would end just before a known tail
_FADE_IN_S = 56 * 1024 / 44_100  # 1.3 s at a variation near 0, half of that at 0.5


@dataclass(frozen=True, slots=True)
class Window:
    """Steps `[start, stop)` of a timeline."""

    start: int
    stop: int

    def of(self, tensor: Tensor) -> Tensor:
        """That part of `[..., steps]`."""
        return tensor[..., self.start : self.stop]

    def of_known(self, tensor: Tensor | None) -> Tensor | None:
        """That part of a condition, where there is one."""
        return None if tensor is None else self.of(tensor)


def plan_windows(
    known: Sequence[bool], window_steps: int, *, backwards: bool = False
) -> tuple[Window, ...]:
    """Windows that make every unknown step once, each beside something known.

    Args:
        known: for each step of the timeline.
        window_steps: the longest stretch that the model sees at once.
    """
    if backwards:
        mirrored = plan_windows(list(reversed(known)), window_steps)
        return tuple(Window(len(known) - w.stop, len(known) - w.start) for w in mirrored)
    unknown = [index for index, value in enumerate(known) if not value]
    context, last_part = window_steps // _CONTEXT, window_steps // _LAST_PART
    windows: list[Window] = []
    position, end, steps = (unknown[0], unknown[-1] + 1, len(known)) if unknown else (0, 0, 0)
    while position < end:
        start = max(0, min(position - context, steps - window_steps))
        stop = min(steps, start + window_steps)
        if end <= stop < min(steps, end + last_part):  # hardly any of the tail seen
            stop = max(position + 1, end - last_part)
        windows.append(Window(start, stop))
        position = stop
    return tuple(windows)


def fade_in_s(variation: float) -> float:
    """Over how many seconds the model's change of the prior is let in beside a seam.

    The prior leaves the known audio as the clip itself would, so the seam is as quiet as the
    prior's. The more variation is asked for, the sooner the model's version counts; at 1, where
    the prior is ignored, at once.
    """
    return _FADE_IN_S * (1.0 - variation)


def fade_in(known: Tensor, reach_steps: float) -> Tensor:
    """A weight that grows from 0 at the musician's audio to 1 `reach_steps` away from it.

    Args:
        known: `[steps]`, 1 at the musician's own audio.

    Returns:
        `[steps]`; 1 everywhere where nothing is known or there is no reach.
    """
    places = torch.nonzero(known > 0)[:, 0].float()
    if reach_steps < 1.0 or len(places) == 0:
        return torch.ones_like(known)
    steps = torch.arange(len(known), device=known.device).float()
    distance = (steps[:, None] - places[None]).abs().amin(dim=1)
    return 0.5 - 0.5 * torch.cos(torch.pi * (distance / (reach_steps + 1.0)).clamp(0.0, 1.0))
