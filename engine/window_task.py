"""One window of a timeline: drafted, varied or refined beside what is known by then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from engine.controls.control import Goal, Scope
from engine.controls.once import once
from engine.controls.overlap import Overlap
from engine.controls.together import Together
from engine.models.studio import FrameConditions, Model
from engine.optimise.inversion import InversionSettings, invert, inverted, noise_of
from engine.optimise.keeper import Keeper
from engine.optimise.later import Noise
from engine.optimise.memory import MemoryPlan, plan_memory
from engine.optimise.methods import METHODS, run_method
from engine.optimise.problem import OptimisedNoise, Problem
from engine.sampling.loop import GradientPolicy, sample
from engine.sampling.steps import STEP_RULES, ddim, dpm_solver_2m, euler
from engine.spec import BridgeError
from engine.timeline import Timeline
from engine.windows import Window

INVERSION = InversionSettings(refinements=12)  # of each step; exact to the ear
_FULL_GRADIENT_STEPS = 6  # up to here keeping all activations costs little memory and saves a pass

Step = Callable[[OptimisedNoise | None], None]
# A window, its new steps in the timeline, latents of it -> how far off each is, by the wish's name.
Score = Callable[[Window, tuple[int, int], Tensor], Mapping[str, Tensor]]


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


@dataclass(frozen=True, slots=True)
class WindowOutcome:
    """One finished window: losses are empty without optimisation."""

    window: Window
    latent: Tensor
    noise: Noise
    losses: dict[str, float]
    curve: tuple[float, ...] = ()


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
        blend: Tensor | None = None,
    ) -> None:
        """Prepare a window.

        Args:
            latent, known: the timeline's, as it stands.
            added: noise that a stochastic rule adds, of this window.
            blend: how much of the model's version is let in `[steps]`; None for all of it.
        """
        self.window = window
        self.blend = blend
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
            once(model.codec.log_mel),
            model.codec.sample_rate_hz,
            model.codec.step_samples,
            model.codec.frames_per_step,
        )
        let_in = once(self.let_in)
        overlap = Goal.of(Overlap(), scope)
        wishes = (Goal.of(control, scope) for control in timeline.controls)
        self.goals = tuple(
            goal
            for goal in (overlap, *(self._as_heard(wish, let_in) for wish in wishes))
            if goal is not None
        )

    def let_in(self, latent: Tensor) -> Tensor:
        """What is heard of the window's latent: the prior gives way to it beside what is known."""
        if self.blend is None:
            return latent
        return self.prior + self.blend * (latent - self.prior)

    def _as_heard(self, goal: Goal | None, let_in: Callable[[Tensor], Tensor]) -> Goal | None:
        """A wish measured on what is let in; the overlap is a matter of what the model makes."""
        if goal is None or self.blend is None or bool((self.blend == 1.0).all()):
            return goal
        loss = goal.loss
        return replace(goal, loss=lambda latent: loss(let_in(latent)))

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
        drafted = latent if self.habits.added_noise else None
        return self.refine(noise_of(problem, varied), step, None, drafted)

    def refine(
        self, noises: Tensor, step: Step, score: Score | None, drafted: Tensor | None = None
    ) -> WindowOutcome:
        """Meet the goals by the settings' method; a window without any is sampled once.

        Args:
            drafted: what the only noise gives unrefined, where that is known; where the model's
                rule adds noise, what the refinement must not be worse than.
        """
        if not self.goals:
            return self.draft(noises[:1], step)
        together = Together(self.goals, balanced=self.settings.balanced)
        problem = replace(
            self.problem(step),
            objective=together,
            drafted=None if self.habits.added_noise else drafted,
            balanced=together.balanced,
            **self._refining_rule(),
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
        best = 0 if len(noises) == 1 else int(self._judged(run, score).argmin())
        chosen = run.only(slice(best, best + 1))
        outcome = self._outcome(chosen.latent, chosen.own, tuple(run.losses))
        if not self.habits.added_noise:
            return outcome
        return self._no_worse_than_the_models_own(outcome, noises[:1], drafted, step)

    @torch.no_grad()
    def _judged(self, run: OptimisedNoise, score: Score | None) -> Tensor:
        """How far each candidate is from what is wished, as it would be heard `[candidates]`."""
        heard: Mapping[str, Tensor] = {}
        if score is not None:
            free = self.window.start + (self.mask[0, 0] == 0).nonzero()
            latents = torch.where(self.mask > 0, self.prior, self.let_in(run.latent))
            heard = score(self.window, (int(free[0]), int(free[-1]) + 1), latents)
        each = [
            goal.weight
            * (heard[goal.name].to(run.best) if goal.name in heard else goal.loss(run.latent))
            for goal in self.goals
        ]
        return torch.stack(each).sum(dim=0)

    def _no_worse_than_the_models_own(
        self, refined: WindowOutcome, noise: Tensor, drafted: Tensor | None, step: Step
    ) -> WindowOutcome:
        """The refined window, or the draft by the model's own rule where that is nearer to what is
        wished: the methods have compared theirs with a draft by another rule."""
        latent = self.problem(step).generate(noise, "none") if drafted is None else drafted
        own = self._outcome(latent, noise, refined.curve)
        apart = [
            sum(goal.weight * outcome.losses[goal.name] for goal in self.goals)
            for outcome in (refined, own)
        ]
        return refined if apart[0] <= apart[1] else own

    def _refining_rule(self) -> dict[str, Any]:
        """The rule by which noise is optimised, where the model's own adds noise at every step.

        What is added drowns the initial noise: of an exact flow map's eight ping-pong steps hardly
        a millionth of it is left, so there is nothing to optimise. DITTO's sampler is
        deterministic.
        """
        if not self.habits.added_noise:
            return {}
        second_order = self.habits.rule == "sde-dpm-solver-2m" and self.settings.method != "fast"
        return {"rule": dpm_solver_2m if second_order else euler, "added": None}

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
