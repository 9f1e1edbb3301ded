"""A model with a closed form, for tests of everything that takes a denoiser.

For data distributed as N(μ, s²) per element the best estimate of x_0 and the whole trajectory of
the probability-flow equation are known: with `r(t)² = (1 - t)² s² + t²`,

    E[x_0 | x_t] = μ + (1 - t) s² / r(t)² · (x_t - (1 - t) μ)
    x_t = (1 - t) μ + r(t) z   with z constant along the trajectory
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class GaussianModel:
    """Data N(mean, deviation²); `mean` broadcasts against the latent."""

    mean: Tensor
    deviation: float

    def __call__(self, x: Tensor, level: float, next_level: float | None = None) -> Tensor:
        """The denoiser; no flow map, so `next_level` says nothing to it."""
        keep = 1.0 - level
        variance = self.deviation**2
        return self.mean + keep * variance / self._spread(level) ** 2 * (x - keep * self.mean)

    def trajectory(self, x: Tensor, level: float, target: float) -> Tensor:
        """Exact solution of the flow from `level` to `target`."""
        standard = (x - (1.0 - level) * self.mean) / self._spread(level)
        return (1.0 - target) * self.mean + self._spread(target) * standard

    def _spread(self, level: float) -> float:
        return math.sqrt(((1.0 - level) * self.deviation) ** 2 + level**2)
