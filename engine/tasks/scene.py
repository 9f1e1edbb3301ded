"""A scene: everything a render needs, made from a request before any noise is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.analysis.tempo import Grid
from engine.controls.control import Control
from engine.files.audio import Clip
from engine.files.midi import Melody
from engine.models.studio import STUDIO_RATE_HZ, StudioCodec, beat_channels
from engine.musical_time import MusicalTime
from engine.render.finish import to_model
from engine.timeline import Timeline

Samples = npt.NDArray[np.float64]
Stereo = npt.NDArray[np.float32]
Range = tuple[int, int]

_SILENT_POWER = 1e-9
_GAIN_LIMITS = (0.1, 4.0)
_LEVEL_SLACK_DB = 1.5  # seconds of one piece lie about as far from its level
_LEVEL_WINDOW_S = 1.0
_LEVEL_HOP_S = 0.025


@dataclass(frozen=True, slots=True)
class Finished:
    """The assembled result.

    Attributes:
        samples: float64 `[channels, samples]` at the host's rate.
        seams: where old and new audio meet, in samples; 0 is the wrap of a loop.
        kept: ranges of the result with the source sample each begins with.
        new: the range of the result that holds new audio.
        headroom_db: deepest dip of the limiter that keeps the new audio inside an integer file.
        stems: the parts that sum to `samples`, by name and of its shape; empty where the result
            is given as a whole.
    """

    samples: Samples = field(repr=False)
    seams: tuple[int, ...]
    kept: tuple[tuple[Range, int], ...]
    new: Range
    headroom_db: float = 0.0
    stems: Mapping[str, Samples] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Part:
    """One thing the model renders: the whole result, or one stem of it.

    Attributes:
        timeline: known latents, prior latents and conditions, but for the context: that is the
            scene's `beside` and the parts rendered before.
        guide: the prior as audio, float32 `[2, samples of whole steps]` at 44.1 kHz.
        holds_level: whether the rendering as a whole is brought to the guide's level; else each
            second of it is brought near it.
        refined: whether the noise of this part may be optimised.
    """

    name: str
    timeline: Timeline
    guide: Tensor = field(repr=False)
    holds_level: bool = False
    refined: bool = True

    def settled(self, rendered: Tensor) -> Tensor:
        """The rendering `[2, samples]` as it sounds in the mix."""
        if self.holds_level:
            return at_level_of(self.guide, rendered)
        # A model that cannot be told a level is left its own dynamics.
        return rendered if self.timeline.level is None else near_level_of(self.guide, rendered)


@dataclass(frozen=True, slots=True)
class Scene:
    """What to render and how to put it together.

    Attributes:
        parts: what the model makes, in this order.
        finish: audio of the first parts, or of all, in their order -> the assembled result.
        facts: what was found on the way, for the report.
        digest: of the source clip or the melody.
        expected_samples: the length asked for.
        beside: what sounds beside every part, float32 `[2, samples of whole steps]` at 44.1 kHz.
        grid_start_samples: where the result begins on the grid's own time axis.
        controls: what the finished result is compared with, on its own time axis.
    """

    parts: tuple[Part, ...]
    finish: Callable[[Sequence[Stereo]], Finished]
    sample_rate_hz: int
    subtype: str
    digest: str
    name: str
    expected_samples: int
    beside: Tensor | None = field(default=None, repr=False)
    source: Clip | None = None
    melody: Melody | None = None
    grid: Grid | None = None
    grid_start_samples: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    controls: tuple[Control, ...] = ()


def at_level_of(guide: Tensor, rendered: Tensor) -> Tensor:
    """The rendering at the guide's level: a control must not be met by playing louder.

    Where the guide is silent nothing is to be heard.
    """
    wanted, found = float(guide.square().mean()), float(rendered.square().mean())
    if wanted < _SILENT_POWER:
        return torch.zeros_like(rendered)
    gain = (wanted / max(found, _SILENT_POWER)) ** 0.5
    settled: Tensor = rendered * min(max(gain, _GAIN_LIMITS[0]), _GAIN_LIMITS[1])
    return settled


def near_level_of(guide: Tensor, rendered: Tensor) -> Tensor:
    """The rendering `[2, samples]`, where a second of it is louder or quieter than the guide's by
    more than 1.5 dB, under a gain that takes the rest back: music goes on as loud as it was.
    """
    size, hop = (round(STUDIO_RATE_HZ * each) for each in (_LEVEL_WINDOW_S, _LEVEL_HOP_S))
    wanted, found = (_power(audio, size, hop) + _SILENT_POWER for audio in (guide, rendered))
    apart_db = 10.0 * np.log10(wanted / found)
    gain_db = np.sign(apart_db) * np.clip(np.abs(apart_db) - _LEVEL_SLACK_DB, 0.0, None)
    if not gain_db.any():
        return rendered
    gain = np.clip(10.0 ** (gain_db / 20.0), *_GAIN_LIMITS)
    each = np.interp(np.arange(rendered.shape[1]), hop * np.arange(len(gain)), gain)
    return rendered * torch.from_numpy(each).to(rendered)


def _power(audio: Tensor, size: int, hop: int) -> npt.NDArray[np.float64]:
    """Mean power of the `size` samples around every `hop`-th sample, of what there is of them."""
    total = np.cumsum(audio.double().square().mean(dim=0).numpy())
    total = np.concatenate([[0.0], total])
    centres = np.arange(0, audio.shape[1] + hop, hop)
    first = np.clip(centres - size // 2, 0, audio.shape[1] - 1)
    last = np.clip(centres + size // 2, first + 1, audio.shape[1])
    return np.asarray((total[last] - total[first]) / (last - first))


def whole_steps(audio: Stereo, step_samples: int) -> Tensor:
    """Pad `[2, samples]` with its own last samples mirrored to whole latent steps."""
    missing = -audio.shape[1] % step_samples
    padded = np.pad(audio, ((0, 0), (0, missing)), mode="symmetric") if missing else audio
    return torch.from_numpy(np.ascontiguousarray(padded))


def model_audio(samples: Samples, sample_rate_hz: int, step_samples: int) -> Tensor:
    """The host's audio as the model hears it, float32 `[2, whole steps]`."""
    return whole_steps(to_model(samples, sample_rate_hz), step_samples)


def known_steps(codec: StudioCodec, steps: int, ranges_s: list[tuple[float, float]]) -> Tensor:
    """1 for each latent step whose analysis windows lie wholly inside one of the ranges.

    Args:
        codec: whose steps they are.
        ranges_s: known audio, in seconds from the timeline's start; a range that begins at 0 or
            reaches the end is not cut short there.

    Returns:
        `[1, 1, steps]`.
    """
    half, step_samples = codec.window_samples // 2, codec.step_samples
    last_frame = step_samples - step_samples // codec.frames_per_step
    total = steps * step_samples
    known = torch.zeros(1, 1, steps)
    for start_s, end_s in ranges_s:
        first, last = start_s * STUDIO_RATE_HZ, end_s * STUDIO_RATE_HZ
        for step in range(steps):
            at = step * step_samples
            from_sample = 0 if step == 0 else at - half
            to_sample = min(total, at + last_frame + half)
            if from_sample >= first - 1 and to_sample <= last + 1:
                known[..., step] = 1.0
    return known


def beat_phases(steps: int, step_samples: int, grid: Grid, start_s: float) -> Tensor:
    """Beat and bar phases of a timeline that begins `start_s` seconds into the grid's clip.

    Beats are counted from each bar line, as in the training pieces: `[1, 4, steps]`.
    """
    if grid.time is not None:
        return _phases_in(grid.time, steps, step_samples, start_s)
    times_s = start_s + np.arange(steps) * step_samples / STUDIO_RATE_HZ
    beats = np.mod((times_s - grid.first_beat_s) / grid.beat_s + 1e-9, grid.bar_s / grid.beat_s)
    beat = torch.from_numpy(np.mod(beats, 1.0).astype(np.float32))
    bar = torch.from_numpy((beats * grid.beat_s / grid.bar_s).astype(np.float32))
    return beat_channels(beat, bar)[None]


def _phases_in(time: MusicalTime, steps: int, step_samples: int, start_s: float) -> Tensor:
    """The same through tempo and metre changes, each step exact."""
    step_s, start = Fraction(step_samples, STUDIO_RATE_HZ), Fraction(start_s)
    phases = [time.phase(start + step * step_s) for step in range(steps)]
    beat = torch.tensor([float(since % 1) for since, _ in phases])
    bar = torch.tensor([float(since / size) for since, size in phases])
    return beat_channels(beat, bar)[None]
