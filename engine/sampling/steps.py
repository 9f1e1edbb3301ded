"""Step rules: one interval of a sampling run, along the flow `dx/dt = (x - x̂_0) / t`.

A rule takes the model, the state at `t`, both levels of the interval and that interval's noise, and
gives the state at `t_next`. Everything it knows of earlier intervals is in the state, so a step can
be checkpointed, and nothing is left behind between runs.

A flow map's answer to `model(x, t, t_next)` is true of that pair of levels only. Each rule below
says what it asks; rules that combine slopes of several levels need the plain expectation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from engine.models.contracts import Denoiser, Remembering


@dataclass(frozen=True, slots=True)
class State:
    """Where a sampling run is.

    Attributes:
        x: `[batch, channels, steps]`.
        memory: what the rule keeps of the intervals before, of the same shape: x̂_0 of the last
            one, or what a denoiser that remembers has handed on. None at the start, and with rules
            that do not look back.
        level: where `memory` was asked; None with rules to which that is all the same.
    """

    x: Tensor = field(repr=False)
    memory: Tensor | None = field(default=None, repr=False)
    level: float | None = None


class StepRule(Protocol):
    """How to get from one level to the next."""

    def __call__(
        self, model: Denoiser, state: State, t: float, t_next: float, noise: Tensor | None = None, /
    ) -> State:
        """The state at `t_next`.

        Args:
            state: at `t`, in (0, 1].
            noise: of the shape of `state.x`, N(0, 1); stochastic rules only.

        Raises:
            ValueError: a stochastic rule got no noise.
        """
        ...


def euler(
    model: Denoiser, state: State, t: float, t_next: float, noise: Tensor | None = None, /
) -> State:
    """First order. On the straight path this is DDIM with η = 0 (Song et al. 2021, eq. 12).

    With a flow map it is the map itself, exact at any number of steps.
    """
    slope = (state.x - model(state.x, t, t_next)) / t
    return State(state.x + (t_next - t) * slope)


def remembering_euler(
    model: Denoiser, state: State, t: float, t_next: float, noise: Tensor | None = None, /
) -> State:
    """`euler` with a denoiser that remembers; with any other the two are the same."""
    estimate, memory = asked(model, state.x, t, t_next, state.memory)
    slope = (state.x - estimate) / t
    return State(state.x + (t_next - t) * slope, memory)


def asked(
    model: Denoiser, x: Tensor, t: float, t_next: float | None, memory: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """The model's estimate in the middle of a run, and what it hands on to the next step."""
    if isinstance(model, Remembering):
        return model.recalling(x, t, memory)
    return model(x, t, t_next), None


def heun(
    model: Denoiser, state: State, t: float, t_next: float, noise: Tensor | None = None, /
) -> State:
    """Second order, two evaluations (Karras et al. 2022, algorithm 1).

    The last step, where the slope has no limit, is Euler's. Asks the plain expectation, whose
    slope is the flow's own at a level; a map's slope is a mean over the interval already.
    """
    slope = (state.x - model(state.x, t)) / t
    ahead = state.x + (t_next - t) * slope
    if t_next == 0.0:
        return State(ahead)
    slope_ahead = (ahead - model(ahead, t_next)) / t_next
    return State(state.x + (t_next - t) * 0.5 * (slope + slope_ahead))


def dpm_solver_2m(
    model: Denoiser, state: State, t: float, t_next: float, noise: Tensor | None = None, /
) -> State:
    """DPM-Solver++(2M): second order, one evaluation (Lu et al. 2022, algorithm 2).

    The paper's `x_s = σ_s/σ_t x - α_s (exp(-h) - 1) D` is a straight step towards D for α = 1 - t
    and σ = t, because `α_s exp(-h) = α_t σ_s / σ_t`. What is left of the method is D: the estimate
    led from `t` to the middle of the interval on the scale of λ = log(α/σ). Asks the plain
    expectation: estimates of a map belong to intervals and cannot be led on to another.
    """
    estimate = model(state.x, t)
    towards = estimate
    if state.memory is not None and state.level is not None:
        lead = _lead(state.level, t, t_next)
        towards = estimate + lead * (estimate - state.memory)
    return State(state.x + (1.0 - t_next / t) * (towards - state.x), estimate, t)


def sde_dpm_solver_2m(
    model: Denoiser, state: State, t: float, t_next: float, noise: Tensor | None = None, /
) -> State:
    """SDE-DPM-Solver++(2M): second order with fresh noise (Lu et al. 2022, appendix A, eq. 22).

    In u = t / (1 - t), with r = u_s / u_t = exp(-h), the paper's step is

        x_s / (1 - s) = r² x_t / (1 - t) + (1 - r²) D + u_s sqrt(1 - r²) z

    where D is led on to the middle of the interval as in `dpm_solver_2m`, of which this is the
    stochastic sister: each step takes away twice as much noise and gives back the half.

    Raises:
        ValueError: no noise; it is asked for in the last interval too, where it counts nothing.
    """
    drawn = _needed(noise)
    estimate = model(state.x, t)
    towards = estimate
    if state.memory is not None and state.level is not None:
        towards = estimate + _lead(state.level, t, t_next) * (estimate - state.memory)
    ratio = t_next * (1.0 - t) / (t * (1.0 - t_next))
    fresh = 1.0 - ratio**2
    # (1 - s) r² x / (1 - t), written so that it has its limit at t = 1, where r is 0
    kept = ratio * t_next / t
    x = kept * state.x + (1.0 - t_next) * fresh * towards + t_next * math.sqrt(fresh) * drawn
    return State(x, estimate, t)


def _lead(before: float, t: float, t_next: float) -> float:
    """h / (2 h_before), the part of the last change of the estimate that is added to it.

    At level 1 λ is -∞, so after an interval that began there the limit is 0: first order, once.
    At level 0 it is +∞ and there is no limit; the paper's last step is first order too.
    """
    if before >= 1.0 or t_next == 0.0:
        return 0.0
    return (
        0.5
        * (_half_log_snr(t_next) - _half_log_snr(t))
        / (_half_log_snr(t) - _half_log_snr(before))
    )


def _half_log_snr(level: float) -> float:
    return math.log1p(-level) - math.log(level)


def ddim(eta: float = 0.0) -> StepRule:
    """DDIM with fresh noise (Song et al. 2021, eq. 12 and 16); first order.

    In u = t / (1 - t), where `x / (1 - t) = x_0 + u ε`, the paper's step is

        x_s = (1 - s) [x̂_0 + sqrt(u_s² - η² σ̃²) ε̂ + η σ̃ z],   σ̃ = u_s sqrt(1 - u_s²/u_t²)
        ε̂ = (x - (1 - t) x̂_0) / t

    and since (1 - s) u_s = s, only the quotient u_s / u_t is left, which is 0 at t = 1.

    Of a flow map this asks for the step to the level `d` with `u_d² = u_s² - η² σ̃²`, not for that
    to `s`: without z the line above is a step down to `d`, and z takes the state from there up
    to `s`. With the map's own point at `d` each of the two keeps the distribution of its level
    exactly, however few the steps, as in γ-sampling (CTM, Kim et al. 2024); the map's answer for
    `s` would carry the noise of another interval. A plain model answers alike for both.

    Args:
        eta: 0 adds nothing and is `euler` to rounding; 1 is ancestral sampling (DDPM).

    Raises:
        ValueError: `eta` is outside [0, 1]. From the rule: no noise though `eta` is above 0, or an
            interval that does not fall.
    """
    if not 0.0 <= eta <= 1.0:
        raise ValueError(f"eta {eta} is outside 0 to 1")

    def step(
        model: Denoiser, state: State, t: float, t_next: float, noise: Tensor | None = None, /
    ) -> State:
        if t_next >= t:
            raise ValueError(f"ddim cannot step from level {t} up to {t_next}")
        ratio = t_next * (1.0 - t) / (t * (1.0 - t_next))
        fresh = eta * math.sqrt(max(0.0, 1.0 - ratio**2))  # levels close together may round above 1
        kept = math.sqrt(1.0 - fresh**2)
        below = kept * t_next / (1.0 - t_next + kept * t_next)
        drawn = _needed(noise) if eta > 0.0 else None
        estimate = model(state.x, t, below)
        direction = (state.x - (1.0 - t) * estimate) / t
        x = (1.0 - t_next) * estimate + t_next * kept * direction
        return State(x if drawn is None else x + t_next * fresh * drawn)

    return step


def ping_pong(
    model: Denoiser, state: State, t: float, t_next: float, noise: Tensor | None = None, /
) -> State:
    """To the end of the flow and back up with new noise: `x_s = (1 - s) x̂_0 + s z`.

    The multistep sampling of consistency models (Song et al. 2023, algorithm 1), used by distilled
    models of few steps. Asks for the end of the flow, level 0: only a sample of the data may be
    noised anew. A plain expectation is no such sample, it lacks deviation, and so would the result.

    Raises:
        ValueError: no noise; it is asked for in the last interval too, where it counts nothing.
    """
    drawn = _needed(noise)
    return State((1.0 - t_next) * model(state.x, t, 0.0) + t_next * drawn)


def _needed(noise: Tensor | None) -> Tensor:
    if noise is None:
        raise ValueError(
            "this step rule is stochastic: give it noises of [intervals, batch, channels, steps]"
        )
    return noise


STEP_RULES: dict[str, StepRule] = {
    "euler": euler,
    "remembering-euler": remembering_euler,
    "heun": heun,
    "dpm-solver-2m": dpm_solver_2m,
    "sde-dpm-solver-2m": sde_dpm_solver_2m,
    "ddim": ddim(),
    "ping-pong": ping_pong,
}
