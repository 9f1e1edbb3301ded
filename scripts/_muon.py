"""Muon that orthogonalises in bfloat16 only where products of it are fast.

The same update as `torch.optim.Muon` with `adjust_lr_fn="match_rms_adamw"` (Jordan et al. 2024;
Liu et al. 2025, "Muon is Scalable for LLM Training"), which always does and spends most of a
training step there where the processor has no such arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from engine.models.house.model import cpu_has_bfloat16

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration, as in torch.optim.Muon
_ITERATIONS = 5


def fast_bfloat16(device_type: str) -> bool:
    """Whether matrix products in bfloat16 are faster than in float32."""
    return device_type != "cpu" or cpu_has_bfloat16()


def orthogonalised(matrix: Tensor) -> Tensor:
    """Roughly the nearest semi-orthogonal matrix, by Newton-Schulz iterations."""
    a, b, c = _COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp_min(1e-7)
    x = x.bfloat16() if fast_bfloat16(x.device.type) else x
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).to(matrix)


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised, for matrices only."""

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self._update(matrix, group)

    def _update(self, matrix: torch.nn.Parameter, group: dict[str, float]) -> None:
        gradient, momentum = matrix.grad, group["momentum"]
        assert gradient is not None
        mean = self.state[matrix].setdefault("momentum_buffer", torch.zeros_like(matrix))
        mean.lerp_(gradient, 1.0 - momentum)
        direction = orthogonalised(gradient.lerp(mean, momentum))
        rate = group["lr"] * 0.2 * math.sqrt(max(matrix.shape))
        matrix.mul_(1.0 - group["lr"] * group["weight_decay"])
        matrix.add_(direction, alpha=-rate)
