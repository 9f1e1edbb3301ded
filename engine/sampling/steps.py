"""Step rules: `(model, x, t, t_next) -> x` along the flow `dx/dt = (x - x̂_0) / t`."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from engine.models.contracts import Denoiser

StepRule = Callable[[Denoiser, Tensor, float, float], Tensor]


def euler(model: Denoiser, x: Tensor, t: float, t_next: float) -> Tensor:
    """First order. On the straight path this is DDIM with η = 0 (Song et al. 2021).

    With a flow map it is the map itself, exact at any number of steps.
    """
    slope = (x - model(x, t, t_next)) / t
    return x + (t_next - t) * slope


def heun(model: Denoiser, x: Tensor, t: float, t_next: float) -> Tensor:
    """Second order, two evaluations; the last step, where the slope has no limit, is Euler's."""
    slope = (x - model(x, t)) / t
    ahead = x + (t_next - t) * slope
    if t_next == 0.0:
        return ahead
    slope_ahead = (ahead - model(ahead, t_next)) / t_next
    return x + (t_next - t) * 0.5 * (slope + slope_ahead)


STEP_RULES: dict[str, StepRule] = {"euler": euler, "heun": heun}
