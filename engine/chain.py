"""A timeline made window by window.

The model sees a window of so many steps at a time; a timeline is longer or shorter than that. Its
windows are made in order, each beside what is known by then, so pieces of any length chain without
a seam of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from engine.models.studio import Model
from engine.optimise.keeper import Keeper
from engine.optimise.later import Later
from engine.optimise.problem import OptimisedNoise
from engine.timeline import Timeline
from engine.window_task import RenderSettings, Score, WindowOutcome, WindowTask
from engine.windows import Window, fade_in, fade_in_s, plan_windows

Keep = Callable[[Window], Keeper]  # where the optimisation of a window keeps its state


def render_timeline(
    model: Model,
    timeline: Timeline,
    noise: Tensor,
    settings: RenderSettings,
    *,
    added: Tensor | None = None,
    score: Score | None = None,
    keep: Keep | None = None,
    check: Callable[[], None] | None = None,
    drafted: Tensor | None = None,
    on_step: Callable[[int, OptimisedNoise | None], None] | None = None,
) -> tuple[Tensor, tuple[WindowOutcome, ...]]:
    """Make every unknown step.

    Args:
        noise: `[candidates, channels, steps]`, initial noises of the whole timeline; a draft is
            made of the first one. What is added on the way of an inverted timeline, one for each
            step.
        added: what the model's own rule adds at each step `[intervals, channels, steps]`; None
            where it adds nothing.
        score: judges the candidates of a window by each wish; its loss does where that cannot.
        keep: gives each window's optimisation a place to keep its state.
        check: asked wherever a run can be stopped and nothing is counted; raises to stop it.
        drafted: the first window's latent as a draft of the same timeline from the same noise has
            it `[1, channels, steps]`, so that it need not be made again.
        on_step: after each sampler step (number of the window, None) and each optimisation step
            (number of the window, run so far); may raise to stop.

    Returns:
        the latent, and the outcome of each window.
    """
    latent = timeline.prior.clone()
    if settings.variation == 0.0:
        return latent, ()
    known = timeline.known.clone()
    outcomes: list[WindowOutcome] = []
    blend = fade_in(timeline.known[0, 0], fade_in_s(settings.variation) / timeline.step_s)
    for number, window in enumerate(windows_of(model, timeline)):
        keeper = keep(window) if keep is not None else None
        task = WindowTask(
            model, timeline, window, latent, known, settings, keeper, check, window.of_known(added),
            window.of(blend),
        )  # fmt: skip

        def step(run: OptimisedNoise | None, number: int = number) -> None:
            if on_step is not None:
                on_step(number, run)

        outcome = task.make(window.of(noise), step, score, None if number else drafted)
        heard = torch.where(window.of(known) > 0, window.of(latent), task.let_in(outcome.latent))
        latent[..., window.start : window.stop] = heard
        known[..., window.start : window.stop] = 1.0
        outcomes.append(outcome)
    return latent, tuple(outcomes)


def is_undone(outcomes: Iterable[WindowOutcome]) -> bool:
    """Whether the noise of every window is there."""
    return not any(isinstance(outcome.noise, Later) for outcome in outcomes)


def timeline_noise(noise: Tensor, outcomes: Iterable[WindowOutcome]) -> Tensor:
    """The noise that a timeline was made of `[1, channels, steps]`, on the CPU.

    Each step's is that of the window which made it: what a later window found beneath the steps
    that it only went on from is not kept.

    What is not there yet is looked for, window by window; that may raise to stop.

    Args:
        noise: what it was begun with `[candidates, channels, steps]`, on the CPU.
    """
    used = noise[:1].clone()
    taken = torch.zeros(used.shape[-1], dtype=torch.bool)
    for outcome in outcomes:
        window = outcome.window
        found = outcome.noise.find()[0] if isinstance(outcome.noise, Later) else outcome.noise
        made = torch.where(window.of(taken), window.of(used), found.cpu())
        used[..., window.start : window.stop] = made
        taken[window.start : window.stop] = True
    return used


def windows_of(model: Model, timeline: Timeline) -> tuple[Window, ...]:
    """The windows in which a model makes a timeline."""
    flags = [bool(value) for value in timeline.known[0, 0]]
    return plan_windows(flags, model.window_steps, backwards=timeline.backwards)
