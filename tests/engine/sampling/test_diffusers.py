"""The same trajectories as the schedulers of diffusers, a second implementation of the papers.

Both sides are driven by one analytic function on the same timesteps; theirs in the
variance-preserving coordinates they know, ours on the straight path. Every state on the way is
compared, not the last one alone.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.models.contracts import Denoiser
from engine.models.parametrisation import AlphaBars, variance_preserving, velocity
from engine.sampling.guidance import thresholded
from engine.sampling.loop import sample
from engine.sampling.steps import STEP_RULES, StepRule, ddim
from tests.engine.sampling.models import mixture, toy

STEPS = 20
CLOSE = 2e-5  # of the largest value; their tables and states are single precision


@functools.cache
def _scheduler_class(name: str) -> Any:
    """Loaded when asked for: the import takes seconds that other tests need not wait."""
    import diffusers

    return getattr(diffusers, name)


def _scheduler(name: str, **settings: Any) -> Any:
    scheduler = _scheduler_class(name)(**settings)
    scheduler.set_timesteps(STEPS)
    return scheduler


def _start() -> tuple[Tensor, Tensor]:
    """State and the noise of each interval, in single precision."""
    _, x = toy(2)
    generator = torch.Generator().manual_seed(12)
    return x.float(), torch.randn(STEPS, *x.shape, generator=generator)


def _eps(table: AlphaBars) -> Callable[[Tensor, float], Tensor]:
    """The mixture's ε, exact at the integer next to the timestep."""

    def predict(state: Tensor, timestep: float) -> Tensor:
        alpha = math.sqrt(table.values[round(timestep)])
        sigma = math.sqrt(1.0 - table.values[round(timestep)])
        estimate = mixture(state / (alpha + sigma), sigma / (alpha + sigma))
        return (state - alpha * estimate) / sigma

    return predict


def _ours(
    model: Denoiser, x: Tensor, path: tuple[float, ...], rule: StepRule, noises: Tensor | None
) -> list[Tensor]:
    """States after 1, 2 ... intervals."""
    return [
        sample(
            model,
            x,
            path[: count + 1],
            rule=rule,
            noises=None if noises is None else noises[:count],
        )
        for count in range(1, len(path))
    ]


def _assert_close(ours: list[Tensor], theirs: list[Tensor]) -> None:
    assert len(ours) == len(theirs) == STEPS
    for one, other in zip(ours, theirs, strict=True):
        assert float((one - other).abs().max() / other.abs().max()) < CLOSE


def _compare_variance_preserving(
    scheduler: Any,
    rule: StepRule,
    step: Callable[[int, Tensor, int, Tensor], Tensor],
    *,
    noises: Tensor | None = None,
    wrap: Callable[[Denoiser], Denoiser] = lambda model: model,
) -> None:
    """`step(interval, eps, timestep, state)` is theirs."""
    table = AlphaBars(tuple(scheduler.alphas_cumprod.tolist()))
    timesteps = [int(timestep) for timestep in scheduler.timesteps]
    x, _ = _start()
    state, theirs = x, []
    for index, timestep in enumerate(timesteps):
        state = step(index, _eps(table)(state, timestep), timestep, state)
        theirs.append(state)
    path = table.levels(timesteps)
    scales = [math.hypot(1.0 - level, level) for level in path]
    model = wrap(variance_preserving(_eps(table), table, "eps"))
    ours = _ours(model, x * scales[0], path, rule, noises)
    unscaled = [state / scale for state, scale in zip(ours, scales[1:], strict=True)]
    _assert_close(unscaled, theirs)


@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim(eta: float, schedule: str) -> None:
    scheduler = _scheduler(
        "DDIMScheduler", clip_sample=False, timestep_spacing="trailing", beta_schedule=schedule
    )
    _, noises = _start()

    def step(index: int, eps: Tensor, timestep: int, state: Tensor) -> Tensor:
        noise = noises[index] if eta else None
        taken = scheduler.step(eps, timestep, state, eta=eta, variance_noise=noise)
        return torch.as_tensor(taken.prev_sample)

    _compare_variance_preserving(scheduler, ddim(eta), step, noises=noises)


def test_ddim_with_dynamic_thresholding() -> None:
    scheduler = _scheduler(
        "DDIMScheduler",
        clip_sample=False,
        timestep_spacing="trailing",
        thresholding=True,
        dynamic_thresholding_ratio=0.8,
        sample_max_value=1e9,  # theirs bounds the quantile from above, too
    )
    reached: list[float] = []

    def step(index: int, eps: Tensor, timestep: int, state: Tensor) -> Tensor:
        taken = scheduler.step(eps, timestep, state, use_clipped_model_output=True)
        reached.append(float(taken.pred_original_sample.abs().max()))
        return torch.as_tensor(taken.prev_sample)

    _compare_variance_preserving(
        scheduler, ddim(0.0), step, wrap=lambda model: thresholded(model, 1.0, 0.8)
    )
    assert max(reached) == pytest.approx(1.0, abs=1e-6), "nothing was clamped"


@pytest.mark.filterwarnings(  # a tensor to np.array() under numpy 2, in their set_timesteps
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
    ":diffusers.schedulers.scheduling_dpmsolver_multistep"
)
@pytest.mark.parametrize("schedule", ["linear", "scaled_linear"])
def test_dpm_solver_2m(schedule: str) -> None:
    """Not the cosine schedule: at its last α of 5e-5 their rounded σ is off by 1e-3 of x̂_0."""
    scheduler = _scheduler(
        "DPMSolverMultistepScheduler",
        algorithm_type="dpmsolver++",
        solver_order=2,
        solver_type="midpoint",
        timestep_spacing="trailing",
        beta_schedule=schedule,
    )

    def step(index: int, eps: Tensor, timestep: int, state: Tensor) -> Tensor:
        return torch.as_tensor(scheduler.step(eps, timestep, state).prev_sample)

    _compare_variance_preserving(scheduler, STEP_RULES["dpm-solver-2m"], step)


def _flow_velocity(x: Tensor, level: float) -> Tensor:
    return (x - mixture(x, level)) / level


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow_matching_euler(shift: float) -> None:
    scheduler = _scheduler("FlowMatchEulerDiscreteScheduler", shift=shift)
    x, _ = _start()
    path = tuple(scheduler.sigmas.tolist())
    state, theirs = x, []
    for timestep, level in zip(scheduler.timesteps, path, strict=False):
        state = scheduler.step(_flow_velocity(state, level), timestep, state).prev_sample
        theirs.append(state)
    _assert_close(_ours(velocity(_flow_velocity), x, path, STEP_RULES["euler"], None), theirs)


def test_flow_matching_heun() -> None:
    """Theirs takes two calls an interval, the last one apart."""
    scheduler = _scheduler("FlowMatchHeunDiscreteScheduler")
    x, _ = _start()
    path = tuple(dict.fromkeys(scheduler.sigmas.tolist()))
    state, theirs = x, []
    calls = 2 * STEPS - 1
    assert len(scheduler.timesteps) == calls
    for call, timestep in enumerate(scheduler.timesteps, start=1):
        level = float(timestep) / scheduler.config.num_train_timesteps
        state = scheduler.step(_flow_velocity(state, level), timestep, state).prev_sample
        if call % 2 == 0 or call == calls:
            theirs.append(state)
    _assert_close(_ours(velocity(_flow_velocity), x, path, STEP_RULES["heun"], None), theirs)
