"""Continuations that need no model: what a generated one has to be better than."""

from __future__ import annotations

import numpy as np

from evaluation.measures import Audio

GRAIN_S = 0.25
_FADE_S = 0.005


def repeat_last_bar(source: Audio, bar_samples: int, samples: int) -> Audio:
    """The last bar of the source over and over."""
    bar = source[:, -min(bar_samples, source.shape[1]) :]
    return np.tile(bar, (1, -(-samples // bar.shape[1])))[:, :samples]


def silence(samples: int) -> Audio:
    """Nothing."""
    return np.zeros((2, samples))


def shuffled(source: Audio, samples: int, rate_hz: int, rng: np.random.Generator) -> Audio:
    """The source cut into quarter seconds, each faded over 5 ms, in random order.

    A source that is too short for the length is shuffled again.
    """
    grain = round(GRAIN_S * rate_hz)
    fade = round(_FADE_S * rate_hz)
    padded = np.pad(source, ((0, 0), (0, -source.shape[1] % grain)), mode="wrap")
    grains = padded.reshape(2, -1, grain).copy()
    ramp = np.linspace(0.0, 1.0, fade)
    grains[..., :fade] *= ramp
    grains[..., -fade:] *= ramp[::-1]
    turns = -(-samples // padded.shape[1])
    order = np.concatenate([rng.permutation(grains.shape[1]) for _ in range(turns)])
    return grains[:, order].reshape(2, -1)[:, :samples]


def noise_like(source: Audio, rng: np.random.Generator) -> Audio:
    """White noise at the level of the source."""
    return rng.standard_normal(source.shape) * float(np.sqrt(np.mean(source**2)))
