"""Joining stretches of a clip so that the join is not heard.

A join replaces the last milliseconds before it: they fade from what played to the own past of what
comes next, at the level of what played, with the power kept (`crossfade`). Material from the very
start of a clip has no past; its attack must stay, so the sound before it is led to meet its first
sample instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine.analysis.crossfade import correlation, crossfade
from engine.analysis.spectra import TINY, Samples

FADE_S = 0.02
HEAL_S = 0.004
LEAD_S = 0.25
_LEVEL_WINDOW_S = 0.3
_LEVEL_LIMIT_DB = 3.0
_LEVEL_RETURN_S = 1.5


@dataclass(frozen=True, slots=True)
class Join:
    """At its end the clip goes on from sample `point` of itself."""

    point: int
    cost_db: float


@dataclass(frozen=True, slots=True)
class Assembled:
    """Context and new audio `[channels, context + length]`; see `continuation.Prior`."""

    audio: Samples = field(repr=False)
    lead: Samples = field(repr=False)
    joined_samples: int


def assemble(
    samples: Samples,
    sample_rate_hz: int,
    joins: list[Join],
    context: int,
    length: int,
    *,
    forward: bool = True,
) -> Assembled:
    """Play the clip's end, then follow the joins.

    Args:
        samples: float64 `[channels, samples]`, mirrored in time when `forward` is false.
        context: samples of the clip's end to begin with.
        length: samples of new audio; the joins' runs must cover it.
    """
    channels, end = samples.shape
    audio = np.zeros((channels, context + length))
    audio[:, :context] = samples[:, end - context :]
    lead = np.zeros((channels, 0))
    at, joined = context, 0
    for index, join in enumerate(joins):
        run = min(end - join.point, audio.shape[1] - at)
        gain = _level_gain(samples, join.point, sample_rate_hz)
        before = min(join.point, round(LEAD_S * sample_rate_hz))
        gains = _gain_curve(gain, before + run, before, sample_rate_hz)
        material = samples[:, join.point - before : join.point + run] * gains
        audio[:, at : at + run] = material[:, before:]
        if index == 0:
            lead = material[:, :before]
        changed = join_at(audio, at, material[:, :before], sample_rate_hz, forward=forward)
        joined = changed if index == 0 else joined
        at += run
    return Assembled(audio, lead, joined)


def join_at(
    audio: Samples, at: int, past: Samples, sample_rate_hz: int, *, forward: bool = True
) -> int:
    """Smooth the join at sample `at` in place; returns how many samples before it changed.

    Args:
        past: `[channels, samples]`, what came before the material that starts at `at`.
        forward: false when the audio is mirrored in time.
    """
    fade = int(min(round(FADE_S * sample_rate_hz), past.shape[1], at))
    if fade >= round(0.005 * sample_rate_hz):
        outgoing = audio[:, at - fade : at]
        audio[:, at - fade : at] = crossfade(outgoing, past[:, past.shape[1] - fade :])
        return fade
    return _heal(audio, at, sample_rate_hz, forward)


def _heal(audio: Samples, at: int, sample_rate_hz: int, forward: bool) -> int:
    """Lead the earlier of two sounds to the first sample of the later one.

    The earlier sound in real time gives way, the attack of the later one stays.
    """
    heal = int(min(round(HEAL_S * sample_rate_hz), at, audio.shape[1] - at))
    if heal < 2:
        return 0
    weight = 0.5 - 0.5 * np.cos(np.pi * (np.arange(heal) + 0.5) / heal)
    if forward:
        meet = audio[:, at : at + 1]
        audio[:, at - heal : at] = audio[:, at - heal : at] * (1 - weight) + meet * weight
        return heal
    meet = audio[:, at - 1 : at]
    audio[:, at : at + heal] = audio[:, at : at + heal] * weight + meet * (1 - weight)
    return 0


def _level_gain(samples: Samples, point: int, sample_rate_hz: int) -> float:
    """Gain that brings the past of `point` to the level of the end, within a few dB."""
    width = min(point, round(_LEVEL_WINDOW_S * sample_rate_hz))
    if width < round(0.05 * sample_rate_hz):
        return 1.0
    here = np.sqrt(np.mean(samples[:, -width:] ** 2))
    there = np.sqrt(np.mean(samples[:, point - width : point] ** 2))
    if correlation(samples[:, -width:], samples[:, point - width : point]) < 0.5 and (
        min(here, there) < 1e-3 * (np.max(np.abs(samples)) + TINY)
    ):
        return 1.0
    limit = 10 ** (_LEVEL_LIMIT_DB / 20)
    return float(np.clip(here / (there + TINY), 1 / limit, limit))


def _gain_curve(gain: float, length: int, hold: int, sample_rate_hz: int) -> Samples:
    """`gain` for `hold` samples, then gliding in dB to 1 within a second or two."""
    glide = np.clip((np.arange(length) - hold) / (_LEVEL_RETURN_S * sample_rate_hz), 0.0, 1.0)
    return np.asarray(gain ** (0.5 + 0.5 * np.cos(np.pi * glide)))
