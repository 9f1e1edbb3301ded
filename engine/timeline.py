"""A stretch of latents to be made, window by window.

The model sees a window of so many steps at a time. A timeline is longer or shorter than that: part
of it is known (the musician's audio), the rest starts from a prior. Windows are made in order, each
beside what is known by then, so pieces of any length chain without a seam of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from engine.controls.control import Control, Goal, Scope
from engine.controls.overlap import Overlap
from engine.controls.together import Together
from engine.models.studio import Conditioned, FrameConditions, Model
from engine.optimise.inversion import InversionSettings, invert, inverted, noise_of
from engine.optimise.keeper import Keeper
from engine.optimise.later import Later, Noise
from engine.optimise.memory import MemoryPlan, plan_memory
from engine.optimise.methods import METHODS, run_method
from engine.optimise.problem import OptimisedNoise, Problem
from engine.sampling.loop import GradientPolicy, sample
from engine.sampling.steps import STEP_RULES, ddim
from engine.spec import BridgeError
from engine.windows import Window, fade_in, fade_in_s, plan_windows

_AUDIO_FADE_IN_S = 8 * 1024 / 44_100
INVERSION = InversionSettings(refinements=12)  # of each step; exact to the ear
_FULL_GRADIENT_STEPS = 6  # up to here keeping all activations costs little memory and saves a pass


@dataclass(frozen=True, slots=True)
class Timeline:
    """What is to be made.

    Attributes:
        prior: latent of the known audio and of the prior `[1, channels, steps]`.
        known: 1 where the latent is the musician's own audio `[1, 1, steps]`.
        conditioned: the model, told what holds for all of it.
        step_s: length of a latent step.
        melody_chroma: `[1, 12, steps]` or None.
        melody_onsets: 1 where a note of the melody begins `[1, 12, steps]`, or None.
        beat: `[1, 4, steps]` or None where there is no trusted beat.
        context: latent of what sounds beside the result `[1, channels, steps]`; None where nothing
            does.
        backwards: make the last window first (audio that leads up to a clip).
        level, harmony: of the prior, as the model is told them `[1, 1 or 12, steps]`, or None.
        inverted: begin with the noise from which the model gives the prior back.
        controls: what the result is to meet beside what is known.
        starts_s: where it begins on the result's time axis; negative before it.
    """

    prior: Tensor
    known: Tensor
    conditioned: Conditioned
    step_s: float
    melody_chroma: Tensor | None = None
    beat: Tensor | None = None
    backwards: bool = False
    melody_onsets: Tensor | None = None
    context: Tensor | None = None
    level: Tensor | None = None
    harmony: Tensor | None = None
    inverted: bool = False
    controls: tuple[Control, ...] = ()
    starts_s: float = 0.0

    def to(self, device: torch.device | str) -> Timeline:
        """The same timeline on another device."""
        moved: dict[str, Any] = {
            item.name: value.to(device)
            for item in fields(self)
            if isinstance(value := getattr(self, item.name), Tensor)
        }
        return replace(self, **moved)

    @property
    def steps(self) -> int:
        """Length in latent steps."""
        return int(self.prior.shape[-1])


@dataclass(frozen=True, slots=True)
class RenderSettings:
    """How a timeline is rendered.

    Attributes:
        variation: noise level the prior is taken to; 0 keeps it, 1 ignores it.
        steps: sampler steps.
        refine: optimisation steps; 0 samples once.
        method: how the refinement works, of `engine.optimise.methods`.
        balanced: several controls pull equally, whatever their units.
        candidates: initial noises that are refined side by side.
        fresh: share of new noise at each step of an inverted timeline; 0 gives its prior back.
        sparing: take as little memory as can be.
        near: the noise to begin with was found for a wish like this one.
    """

    variation: float
    steps: int
    refine: int = 0
    method: str = "fast"
    balanced: bool = False
    candidates: int = 1
    fresh: float = 0.0
    sparing: bool = False
    near: bool = False


Step = Callable[[OptimisedNoise | None], None]
Score = Callable[["Window", Tensor], Tensor]  # latents of a window -> how far off each is
Keep = Callable[["Window"], Keeper]  # where the optimisation of a window keeps its state


@dataclass(frozen=True, slots=True)
class WindowOutcome:
    """One finished window: losses are empty without optimisation."""

    window: Window
    latent: Tensor
    noise: Noise
    losses: dict[str, float]
    curve: tuple[float, ...] = ()


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
    on_window: Callable[[WindowOutcome, Tensor], None] | None = None,
) -> tuple[Tensor, tuple[WindowOutcome, ...]]:
    """Make every unknown step.

    Args:
        noise: `[candidates, channels, steps]`, initial noises of the whole timeline; a draft is
            made of the first one. What is added on the way of an inverted timeline, one for each
            step.
        added: what the model's own rule adds at each step `[intervals, channels, steps]`; None
            where it adds nothing.
        score: judges the candidates of a window; their losses do where it cannot.
        keep: gives each window's optimisation a place to keep its state.
        check: asked wherever a run can be stopped and nothing is counted; raises to stop it.
        drafted: the first window's latent as a draft of the same timeline from the same noise has
            it `[1, channels, steps]`, so that it need not be made again.
        on_step: after each sampler step (number of the window, None) and each optimisation step
            (number of the window, run so far); may raise to stop.
        on_window: after each window, with the timeline's latent so far.

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
            model, timeline, window, latent, known, settings, keeper, check, window.of_known(added)
        )

        def step(run: OptimisedNoise | None, number: int = number) -> None:
            if on_step is not None:
                on_step(number, run)

        outcome = task.make(window.of(noise), step, score, None if number else drafted)
        mask = window.of(known)
        kept = window.of(latent)
        varied = kept + window.of(blend) * (outcome.latent - kept)
        latent[..., window.start : window.stop] = torch.where(mask > 0, kept, varied)
        known[..., window.start : window.stop] = 1.0
        outcomes.append(outcome)
        if on_window is not None:
            on_window(outcome, latent)
    return latent, tuple(outcomes)


def is_undone(outcomes: Iterable[WindowOutcome]) -> bool:
    """Whether the noise of every window is there."""
    return not any(isinstance(outcome.noise, Later) for outcome in outcomes)


def timeline_noise(noise: Tensor, outcomes: Iterable[WindowOutcome]) -> Tensor:
    """The noise that a timeline was made of `[1, channels, steps]`, on the CPU.

    What is not there yet is looked for, window by window; that may raise to stop.

    Args:
        noise: what it was begun with `[candidates, channels, steps]`, on the CPU.
    """
    used = noise[:1].clone()
    for outcome in outcomes:
        found = outcome.noise.find()[0] if isinstance(outcome.noise, Later) else outcome.noise
        used[..., outcome.window.start : outcome.window.stop] = found.cpu()
    return used


def windows_of(model: Model, timeline: Timeline) -> tuple[Window, ...]:
    """The windows in which a model makes a timeline."""
    flags = [bool(value) for value in timeline.known[0, 0]]
    return plan_windows(flags, model.window_steps, backwards=timeline.backwards)


def led_in(guide: Tensor, decoded: Tensor, timeline: Timeline, variation: float) -> Tensor:
    """Audio of a rendered timeline: the guide at the known parts, `decoded` away from them.

    At variation 1 the guide says nothing about the new part, and `decoded` counts everywhere. Else
    both nearly agree over the first tenth of a second beside a seam, so their mixture is the
    prior's own waveform giving way to the decoded one, and the codec is not heard at the seam.

    Args:
        guide, decoded: `[2, samples]`.
    """
    reach_s = min(_AUDIO_FADE_IN_S, fade_in_s(variation))
    weight = fade_in(timeline.known[0, 0], reach_s / timeline.step_s)
    fine = functional.interpolate(weight[None, None], decoded.shape[-1], mode="linear")[0, 0]
    return guide + fine * (decoded - guide)


class WindowTask:
    """One window: its denoiser, its start, its goals. `problem` has no objective yet."""

    def __init__(
        self,
        model: Model,
        timeline: Timeline,
        window: Window,
        latent: Tensor,
        known: Tensor,
        settings: RenderSettings,
        keeper: Keeper | None = None,
        check: Callable[[], None] | None = None,
        added: Tensor | None = None,
    ) -> None:
        self.window = window
        self.added = added
        self.habits, self.spacing = model.habits, model.levels
        self.check = check
        self.settings = settings
        self.inverted = timeline.inverted
        self.keeper = keeper
        self.prior = window.of(latent).clone()
        self.mask = window.of(known).clone()
        frames = FrameConditions(
            self.prior,
            self.mask,
            window.of_known(timeline.melody_chroma),
            window.of_known(timeline.beat),
            window.of_known(timeline.level),
            melody_onsets=window.of_known(timeline.melody_onsets),
            context=window.of_known(timeline.context),
            harmony=window.of_known(timeline.harmony),
        )
        self.denoiser = timeline.conditioned(frames)
        scope = Scope(
            window.start,
            window.stop,
            latent.clone(),
            known.clone(),
            model.codec.log_mel,
            model.codec.sample_rate_hz,
            model.codec.step_samples,
            model.codec.frames_per_step,
        )
        goals = (Goal.of(control, scope) for control in (Overlap(), *timeline.controls))
        self.goals = tuple(goal for goal in goals if goal is not None)

    def make(
        self, noises: Tensor, step: Step, score: Score | None, drafted: Tensor | None = None
    ) -> WindowOutcome:
        """The window as it is wished: varied, refined, or drafted from the first of the noises."""
        if self.inverted:
            return self.vary(noises, step)
        if self.settings.refine:
            return self.refine(noises, step, score, drafted)
        return self.draft(noises[:1], step)

    def draft(self, noise: Tensor, step: Step) -> WindowOutcome:
        """One sampling run."""
        latent = self.problem(step).generate(noise, "none")
        return self._outcome(latent, noise, ())

    def vary(self, fresh: Tensor, step: Step) -> WindowOutcome:
        """The prior inverted and sampled again with fresh noise on the way; what is wished is
        sought from the variation's own noise.

        Jitter around the inverted noise leaves the model's range, noise on the way does not (DITTO,
        appendix I).

        Args:
            fresh: `[intervals, channels, steps]`.
        """
        problem = self.problem(step)
        state = invert(self.denoiser, self.prior, problem.levels, INVERSION, problem.on_call)
        latent = sample(
            self.denoiser,
            state,
            problem.levels,
            rule=ddim(self.settings.fresh),
            noises=fresh[: len(problem.levels) - 1, None],
            on_step=lambda _: step(None),
        )
        if not self.settings.refine or not self.goals:
            return self._outcome(latent, noise_of(problem, state), ())
        varied = inverted(problem, latent, INVERSION)
        return self.refine(noise_of(problem, varied), step, None)

    def refine(
        self, noises: Tensor, step: Step, score: Score | None, drafted: Tensor | None = None
    ) -> WindowOutcome:
        """Meet the goals by the settings' method; a window without any is sampled once.

        Args:
            drafted: what the only noise gives unrefined, where that is known.
        """
        if not self.goals:
            return self.draft(noises[:1], step)
        together = Together(self.goals, balanced=self.settings.balanced)
        problem = replace(
            self.problem(step), objective=together, drafted=drafted, balanced=together.balanced
        )
        if METHODS[self.settings.method].whole_run:
            problem = replace(problem, gradient=self._policy(problem, noises))
        try:
            run = run_method(
                self.settings.method,
                problem,
                noises,
                iterations=self.settings.refine,
                watch=step,
                reached=together.reached,
                keeper=self.keeper,
                sparing=self.settings.sparing,
                near=self.settings.near and len(noises) == 1,  # other candidates begin anew
            )
        except ValueError as error:
            raise BridgeError("bad_request", str(error), "choose fast or ditto") from None
        judged = run.best
        if score is not None and len(noises) > 1:
            heard = score(self.window, run.latent).to(judged)
            judged = torch.where(heard.isfinite(), heard, judged)
        best = int(judged.argmin())
        chosen = run.only(slice(best, best + 1))
        return self._outcome(chosen.latent, chosen.own, tuple(run.losses))

    def problem(self, step: Step) -> Problem:
        """The window's sampling run; it has no objective yet."""
        return Problem(
            self.denoiser,
            self.spacing(self.settings.variation, self.settings.steps),
            lambda latent: latent.new_zeros(latent.shape[0]),
            self.prior,
            self.mask if bool(self.mask.any()) else None,
            on_call=lambda: step(None),
            on_back=self.check or (lambda: None),
            rule=STEP_RULES[self.habits.rule],
            added=self.added,
            spacing=self.spacing,
            fewest_steps=self.habits.fewest_steps,
            from_prior=self.settings.variation < 1.0,
        )

    def _policy(self, problem: Problem, noises: Tensor) -> GradientPolicy:
        """How gradients pass through the run; a model call is measured where it matters."""
        if self.settings.sparing or self.settings.steps > _FULL_GRADIENT_STEPS:
            return "checkpointed"
        return self.plan(problem, noises).policy(self.settings.steps, _FULL_GRADIENT_STEPS)

    def plan(self, problem: Problem, noises: Tensor) -> MemoryPlan:
        """What gradients through a run would take, measured on one model call."""
        first = problem.levels[0]
        return plan_memory(lambda x: self.denoiser(x, first, 0.0), problem.start(noises))

    def _outcome(self, latent: Tensor, noise: Noise, curve: tuple[float, ...]) -> WindowOutcome:
        with torch.no_grad():
            losses = {goal.name: float(goal.loss(latent).mean()) for goal in self.goals}
        return WindowOutcome(self.window, latent, noise, losses, curve)
