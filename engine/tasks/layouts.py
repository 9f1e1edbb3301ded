"""What a clip's timeline looks like: known audio, what is to be made, known audio again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.analysis.bridge import BridgePrior, bridge_prior
from engine.analysis.continuation import Prior, Segment, continuation
from engine.analysis.tempo import Grid
from engine.files.audio import Clip
from engine.models.studio import STUDIO_RATE_HZ, Model, step_seconds
from engine.render.splice import Side
from engine.spec import RenderRequest
from engine.tasks.scene import Samples

_MOST_CONTEXT_S = 12.0  # beside what is made, in the window of a model that sees minutes
_TOUCHED_S = 0.025  # the joins of a bridge change at most this much of the known audio


@dataclass(frozen=True, slots=True)
class Layout:
    """Audio of a timeline at the host's rate: `left` known samples, new ones, `right` known ones.

    Attributes:
        audio: float64 `[channels, left + new + right]`.
        starts_at: sample of the clip with which `audio` begins; negative before the clip.
        touched: known samples beside each seam that the prior's join has already changed.
    """

    audio: Samples
    left: int
    right: int
    starts_at: int
    touched: int

    @property
    def new(self) -> int:
        return int(self.audio.shape[1]) - self.left - self.right

    def known_ranges_s(self, rate: int, step_samples: int) -> list[tuple[float, float]]:
        """Known audio that no join has changed, in seconds; to the end of the last whole step."""
        ranges = []
        if self.left:
            ranges.append((0.0, (self.left - self.touched) / rate))
        if self.right:
            steps = -(-self.audio.shape[1] / rate * STUDIO_RATE_HZ // step_samples)
            first = self.left + self.new + self.touched
            ranges.append((first / rate, steps * step_samples / STUDIO_RATE_HZ))
        return ranges


def window_seconds(model: Model) -> float:
    """The longest stretch that a model sees at once."""
    return model.window_steps * step_seconds(model.codec)


def context_samples(request: RenderRequest, window_s: float, new: int, rate: int) -> int:
    """Known audio on each side: the overlap asked for, or what fills a window of the model."""
    filling_s = min((window_s - new / rate) / 2, _MOST_CONTEXT_S)
    return max(round(max(request.overlap, filling_s) * rate), fade_samples(request, rate))


def fade_samples(request: RenderRequest, rate: int) -> int:
    """Length of a crossfade that is not cut short."""
    return round(request.crossfade_ms * rate / 1000)


def gap_layout(
    request: RenderRequest, window_s: float, clip: Clip, grid: Grid, start: int, end: int
) -> tuple[Layout, list[dict[str, float]]]:
    """The clip around samples `[start, end)`; at an end of the clip the gap has one side only."""
    rate, length = clip.sample_rate_hz, end - start
    before, after = clip.samples[:, :start], clip.samples[:, end:]
    if start and end < clip.length_samples:
        context = context_samples(request, window_s, length, rate)
        bridge = bridge_prior(before, after, rate, grid, length)
        left, right = min(context, start), min(context, after.shape[1])
        facts = prior_facts(bridge.segments, rate, start - bridge.left_context)
        return bridge_layout(before, after, bridge, left, right, rate), facts
    side: Side = "end" if start else "start"
    known = before if start else after
    context_s = min(max(request.overlap, fade_samples(request, rate) / rate), known.shape[1] / rate)
    prior = continuation(known, rate, grid, length, side=side, context_s=context_s)
    begins_at, origin = (start - prior.context_samples, 0) if start else (0, end)
    facts = prior_facts(prior.segments, rate, begins_at, origin)
    return extension_layout(known, origin, rate, window_s, prior), facts


def extension_layout(
    known: Samples, origin: int, rate: int, window_s: float, prior: Prior
) -> Layout:
    """The prior with as much more of the known audio as fills a window.

    Args:
        origin: sample of the clip with which `known` begins.
    """
    length, total = int(prior.new.shape[1]), int(known.shape[1])
    most = round(_MOST_CONTEXT_S * rate)
    filling = min(round(window_s * rate) - length, most) - prior.context_samples
    spare = total - prior.context_samples
    extra = max(0, min(filling, spare))
    kept = prior.context_samples + extra
    if prior.side == "start":
        more = known[:, prior.context_samples : kept]
        audio = np.concatenate([prior.audio, more], axis=1)
        return Layout(audio, 0, kept, origin - length, prior.joined_samples)
    more = known[:, total - kept : spare]
    audio = np.concatenate([more, prior.audio], axis=1)
    return Layout(audio, kept, 0, origin + total - kept, prior.joined_samples)


def bridge_layout(
    before: Samples, after: Samples, bridge: BridgePrior, left: int, right: int, rate: int
) -> Layout:
    """The bridge with its contexts lengthened (or cut) to `left` and `right` samples."""
    touched = round(_TOUCHED_S * rate)
    own_left, own_right = min(left, bridge.left_context), min(right, bridge.right_context)
    end = bridge.audio.shape[1] - bridge.right_context
    middle = bridge.audio[:, bridge.left_context - own_left : end + own_right]
    more_left = before[:, before.shape[1] - left : before.shape[1] - own_left]
    more_right = after[:, own_right:right]
    audio = np.concatenate([more_left, middle, more_right], axis=1)
    return Layout(audio, left, right, before.shape[1] - left, touched)


def prior_facts(
    segments: tuple[Segment, ...], rate: int, begins_at: int, origin: int = 0, period: int = 0
) -> list[dict[str, float]]:
    """Where the prior was taken from and where it lies, in seconds of the clip.

    Args:
        begins_at: sample of the clip at which the prior's own context begins.
        origin: sample of the clip with which the material begins.
        period: after so many samples the material comes again; 0 for never.
    """
    sources = [origin + segment.source_start for segment in segments]
    if period:
        sources = [source % period for source in sources]
    return [
        {
            "at_s": round((begins_at + segment.at) / rate, 4),
            "from_s": round(source / rate, 4),
            "seconds": round(segment.length / rate, 4),
            "cost_db": round(segment.cost_db, 3),
        }
        for segment, source in zip(segments, sources, strict=True)
    ]
