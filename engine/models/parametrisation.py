"""Networks that predict something else, as denoisers on the straight path.

A variance-preserving network was trained on `x_k = α_k x_0 + σ_k ε` at discrete timesteps `k`, with
`α_k² = ᾱ_k` and `α_k² + σ_k² = 1`. Its state lies on the straight path at

    t = σ / (α + σ),   x_t = x_k / (α + σ),   and back   x_k = x_t / sqrt((1 - t)² + t²)

Between timesteps log(α/σ), half the log-SNR, is interpolated linearly, so that every level has a
timestep, a fraction as a rule.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from torch import Tensor

from engine.models.contracts import Denoiser

Network = Callable[[Tensor, float], Tensor]  # (state of its own path, its time) -> its prediction
Prediction = Literal["eps", "v", "x0"]


@dataclass(frozen=True, slots=True)
class AlphaBars:
    """The noise schedule of a variance-preserving model.

    Attributes:
        values: ᾱ of each timestep, falling within (0, 1). A table for zero terminal SNR ends in a
            small number instead of 0 (2⁻²⁴, say), where log(α/σ) is still finite.

    Raises:
        ValueError: the table has fewer than two entries, does not fall or leaves (0, 1).
    """

    values: tuple[float, ...] = field(repr=False)

    def __post_init__(self) -> None:
        inside = all(0.0 < value < 1.0 for value in self.values)
        falls = all(a > b for a, b in pairwise(self.values))
        if len(self.values) < 2 or not inside or not falls:
            raise ValueError("a table of alpha bars needs two entries that fall within (0, 1)")

    @property
    def last_level(self) -> float:
        """Level of the last timestep: below 1, as far as the model was trained."""
        return self.level(len(self.values) - 1)

    def level(self, timestep: float) -> float:
        """Level of a timestep or of a fraction between two.

        Raises:
            ValueError: the timestep is outside the table.
        """
        last = len(self.values) - 1
        if not 0.0 <= timestep <= last:
            raise ValueError(f"timestep {timestep} is outside 0 to {last}")
        index = min(int(timestep), last - 1)
        here, there = self._half_log_snr(index), self._half_log_snr(index + 1)
        return 1.0 / (1.0 + math.exp(here + (timestep - index) * (there - here)))

    def levels(self, timesteps: Sequence[float]) -> tuple[float, ...]:
        """Levels of a run over these timesteps, the data's own level 0 at its end."""
        return (*(self.level(timestep) for timestep in timesteps), 0.0)

    def timestep(self, level: float) -> float:
        """The inverse of `level`; above the last level the last timestep, below the first one 0."""
        keep = (1.0 - level) ** 2
        target = keep / (keep + level**2)
        index = bisect_left(self.values, -target, key=lambda value: -value)  # first not above it
        if index == 0 or index == len(self.values):
            return float(min(index, len(self.values) - 1))
        here, there = self._half_log_snr(index - 1), self._half_log_snr(index)
        wanted = math.log1p(-level) - math.log(level)
        return index - 1 + min(max((here - wanted) / (here - there), 0.0), 1.0)

    def _half_log_snr(self, index: int) -> float:
        """log(α/σ) of a table entry."""
        return 0.5 * (math.log(self.values[index]) - math.log1p(-self.values[index]))


def variance_preserving(network: Network, table: AlphaBars, prediction: Prediction) -> Denoiser:
    """A denoiser from a network that predicts ε, v = α ε - σ x_0 (Salimans & Ho 2022) or x_0.

    Beyond the last timestep the network has learned nothing: its last state still holds α_K x_0,
    while level 1 is noise alone (Lin et al. 2024, section 3.1). There the state is scaled to its
    own unit variance as everywhere, so noise stays N(0, 1) as the network knows it, and is given
    with the last timestep; and the answer is read with the α and σ of that timestep, never with
    those of the level, whose α vanishes. The estimate is then what the network believes at its
    last timestep, off by the order of α_K. A run that is to know nothing but trained timesteps
    begins at `table.last_level`. Below timestep 0 the level's own α and σ serve: they lead to the
    state itself at level 0.

    Args:
        network: called with the variance-preserving state `[batch, channels, steps]` and the
            timestep, fractional as a rule and next to an integer at that timestep's own level: a
            network of integers wants it rounded.
    """
    last = table.last_level

    def denoise(x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
        state = x / math.hypot(1.0 - level, level)
        predicted = network(state, table.timestep(level))
        known = min(level, last)
        alpha = (1.0 - known) / math.hypot(1.0 - known, known)
        sigma = known / math.hypot(1.0 - known, known)
        if prediction == "eps":
            return (state - sigma * predicted) / alpha
        return alpha * state - sigma * predicted if prediction == "v" else predicted

    return denoise


def velocity(network: Network) -> Denoiser:
    """A denoiser from a network of the flow's velocity dx/dt = ε - x_0 (Liu et al. 2023).

    Args:
        network: called with the state `[batch, channels, steps]` and the level, whose 1 is noise.
            One whose time runs towards the data wants `lambda x, t: -other(x, 1 - t)`.
    """

    def denoise(x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
        return x - level * network(x, level)

    return denoise
