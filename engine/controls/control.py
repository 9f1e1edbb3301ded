"""What a control is: something the result is measured against, window by window.

A control lives in one file of this package: its target, its differentiable loss on a latent, its
unit, and the name of the independent check that judges the finished audio. `docs/controls.md` says
how to add one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Samples = npt.NDArray[np.float64]  # `[channels, samples]`
Objective = Callable[[Tensor], Tensor]  # latent `[batch, channels, steps]` -> loss `[batch]`
LogMel = Callable[[Tensor], Tensor]  # latent -> log10 mel amplitudes `[..., bands, frames]`


class Spectrum(Protocol):
    """A codec's decoded spectrum."""

    def __call__(self, latent: Tensor, span: tuple[int, int] | None = None, /) -> Tensor:
        """Log10 mel amplitudes `[..., bands, frames]` of a latent, or of some steps of it."""
        ...


@dataclass(frozen=True, slots=True)
class Scope:
    """The window a control is asked about: steps `[start, stop)` of a timeline.

    Attributes:
        latent: the timeline as it stands `[1, channels, steps]`: what is finished, and the prior.
        made: 1 where it is finished, the musician's audio or an earlier window `[1, 1, steps]`.
        log_mel: the codec's decoded spectrum.
        step_samples, sample_rate_hz: a latent step in samples of the audio.
        frames_per_step: frames of `log_mel` in a latent step.
    """

    start: int
    stop: int
    latent: Tensor = field(repr=False)
    made: Tensor = field(repr=False)
    log_mel: Spectrum = field(repr=False)
    sample_rate_hz: int = 44_100
    step_samples: int = 1024
    frames_per_step: int = 2

    @property
    def steps(self) -> int:
        """Length of the window."""
        return self.stop - self.start

    @property
    def free(self) -> Tensor:
        """1 where this window may still change the result `[steps]`."""
        return 1.0 - self.made[0, 0, self.start : self.stop]

    def heard(self) -> LogMel:
        """The spectrum of this window's latent as it will be heard.

        Where the window changes nothing, what is finished is heard, whatever a run makes of it
        there; a codec that pays for what it decodes pays for the rest alone.
        """
        free = self.free.nonzero()
        first, last = int(free[0]), int(free[-1]) + 1
        if last - first == self.steps:
            return self.log_mel
        with torch.no_grad():
            finished = self.log_mel(self.cut(self.latent))
        before = finished[..., : self.frames_per_step * first]
        after = finished[..., self.frames_per_step * last :]

        def log_mel(latent: Tensor) -> Tensor:
            made = self.log_mel(latent, (first, last))
            beside = (part.to(made).expand(*made.shape[:-1], -1) for part in (before, after))
            return torch.cat([next(beside), made, next(beside)], dim=-1)

        return log_mel

    def cut(self, tensor: Tensor) -> Tensor:
        """The window's part of `[..., steps of the timeline]`."""
        return tensor[..., self.start : self.stop]


def is_named_json(path: str) -> bool:
    """Whether the name says that it is a lane and no clip."""
    return PurePath(path).suffix.lower() == ".json"


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a control is asked for: a timeline and the result it becomes a part of.

    Attributes:
        steps: latent steps of the timeline.
        step_s: length of one in seconds.
        starts_s: where the timeline begins on the result's time axis; negative before it.
        length_s: length of the result.
        bar_s: length of a bar; None where no tempo is known.
        hear: reads a clip: path -> samples and rate in Hz.
        read_text: reads a small text file.
        frames_per_step: of the spectrum that controls look at.
        is_text: tells a small text file from a clip.
    """

    steps: int
    step_s: float
    starts_s: float
    length_s: float
    bar_s: float | None
    hear: Callable[[str], tuple[Samples, int]]
    read_text: Callable[[str], str]
    frames_per_step: int = 2
    is_text: Callable[[str], bool] = is_named_json

    def times_s(self, per_step: int = 1) -> npt.NDArray[np.float64]:
        """Where each step, or part of one, begins on the result's time axis."""
        places = np.arange(self.steps * per_step) / per_step
        return np.asarray(self.starts_s + places * self.step_s, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was wished for beside what the finished audio does, by an independent measurement.

    Attributes:
        kind: "curve": values over time; "matrix": values of pairs of times.
        times_s: `[n]`.
        target, result: `[n]` or `[n, n]`; NaN where nothing was wished for.
        figures: for the report, units in their names.
        score: how far off it is, in the unit of the control's loss; the lower the better.
    """

    kind: Literal["curve", "matrix"]
    times_s: npt.NDArray[np.float64] = field(repr=False)
    target: npt.NDArray[np.float64] = field(repr=False)
    result: npt.NDArray[np.float64] = field(repr=False)
    score: float
    figures: Mapping[str, float] = field(default_factory=dict)


Span = tuple[float, float]  # seconds of the result
ALL: Span = (-np.inf, np.inf)


class Control(Protocol):
    """One wish of the musician.

    Attributes:
        name: in reports.
        unit: of the loss.
        weight: in the sum of several (DITTO, appendix H).
        tolerance: a loss that is good enough, in `unit`; 0 for none.
    """

    @property
    def name(self) -> str: ...

    @property
    def unit(self) -> str: ...

    @property
    def weight(self) -> float: ...

    @property
    def tolerance(self) -> float: ...

    def objective(self, scope: Scope) -> Objective | None:
        """The loss of this window's latent; None where the wish has nothing to say about it."""
        ...

    def compare(
        self, samples: Samples, sample_rate_hz: int, starts_s: float = 0.0, new_s: Span = ALL
    ) -> Comparison | None:
        """Judge finished audio by other means than the loss; None where there are none.

        Args:
            samples: the result, or the part of it from `starts_s` on.
            new_s: from when to when in the result the audio is new; what was there before is heard
                and not judged.
        """
        ...


@dataclass(frozen=True, slots=True)
class Goal:
    """A control's loss for one window.

    Attributes:
        name, unit, weight, tolerance: the control's.
        loss: its objective.
    """

    name: str
    unit: str
    weight: float
    tolerance: float
    loss: Objective = field(repr=False)

    @classmethod
    def of(cls, control: Control, scope: Scope) -> Goal | None:
        """The goal of a window, where the control has one."""
        loss = control.objective(scope)
        if loss is None:
            return None
        return cls(control.name, control.unit, control.weight, control.tolerance, loss)
