"""Methods by name: DITTO and its published rivals, in one form so that one run can compare them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from engine.optimise.doodl import DoodlSettings, doodl
from engine.optimise.fast import FastSettings, optimise_fast
from engine.optimise.flowchef import flowchef
from engine.optimise.freedom import freedom
from engine.optimise.guidance_gradients import guidance_gradients
from engine.optimise.in_turn import in_turn
from engine.optimise.keeper import Keeper
from engine.optimise.masking import MULTIDIFFUSION, MULTIDIFFUSION_HALF, NAIVE, masking
from engine.optimise.noise import NoiseSettings, optimise_noise
from engine.optimise.problem import OptimisedNoise, Problem, Reached, Watch
from engine.optimise.surrogate import POLISH_STEPS, SurrogateSettings, optimise_through_surrogate


@dataclass(frozen=True, slots=True)
class Effort:
    """How long an iterating method goes on, and who looks on.

    Attributes:
        iterations: at most; None means the method's own number.
        watch: called after every evaluation; may raise to stop.
        reached: asked after every evaluation; True ends the run early.
        keeper: holds the run's state, so that one that was cut off goes on from there; a method
            without it begins anew.
        sparing: take as little memory as can be, whatever time it costs: candidates one after the
            other.
        near: the noise was found for a wish like this one.
    """

    iterations: int | None = None
    watch: Watch | None = None
    reached: Reached | None = None
    keeper: Keeper | None = None
    sparing: bool = False
    near: bool = False

    def of_candidate(self, number: int) -> Effort:
        """The same for one of several candidates that are refined one after the other."""
        keeper = self.keeper.part(f"candidate-{number}") if self.keeper else None
        return replace(self, keeper=keeper)


Runner = Callable[[Problem, Tensor, Effort], OptimisedNoise]


@dataclass(frozen=True, slots=True)
class Method:
    """One row of the table.

    Attributes:
        description: one line for people.
        run: the method; what has no iterations leaves the effort alone.
        needs_mask: knows the overlap only and cannot run without `problem.mask`.
        whole_run: sends its gradient through the whole sampling run, so that the problem's policy
            of gradients matters.
        kept_calls: model calls whose activations are kept for a gradient; of a `whole_run` in each
            step of the sampler.
    """

    description: str
    run: Runner
    needs_mask: bool = False
    whole_run: bool = False
    kept_calls: int = 0


# DITTO's own settings: as published, but that the result stays near the draft. Without, a melody is
# bought with music's dynamics and attacks; a share twice as large slows the way to it too much.
DITTO = NoiseSettings(proximity=0.3)


def draft(problem: Problem, noise: Tensor) -> OptimisedNoise:
    """The model's own sampling run under its conditions; nothing is optimised."""
    return OptimisedNoise.of(noise, problem.generate(noise, "none"), problem.objective)


def ditto(
    problem: Problem,
    noise: Tensor,
    settings: NoiseSettings = DITTO,
    watch: Watch | None = None,
    *,
    reached: Reached | None = None,
    keeper: Keeper | None = None,
) -> OptimisedNoise:
    """DITTO on a problem; see `engine.optimise.noise`."""
    return optimise_noise(
        noise,
        problem.generate,
        problem.objective,
        settings,
        on_step=watch,
        reached=reached,
        keeper=keeper,
    )


def _ditto(settings: NoiseSettings) -> Runner:
    def run(problem: Problem, noise: Tensor, effort: Effort) -> OptimisedNoise:
        steps = settings.steps if effort.iterations is None else effort.iterations
        asked = replace(settings, steps=steps)
        return ditto(
            problem, noise, asked, effort.watch, reached=effort.reached, keeper=effort.keeper
        )

    return run


def _fast(problem: Problem, noise: Tensor, effort: Effort) -> OptimisedNoise:
    settings = FastSettings()
    if effort.iterations is not None:
        settings = replace(settings, iterations=effort.iterations)
    return optimise_fast(
        problem, noise, settings, effort.watch, reached=effort.reached, near=effort.near
    )


def _ditto_2(problem: Problem, noise: Tensor, effort: Effort) -> OptimisedNoise:
    settings = SurrogateSettings()
    if effort.iterations is not None:
        settings = replace(settings, steps=effort.iterations)
    return optimise_through_surrogate(
        problem, noise, settings, effort.watch, reached=effort.reached
    )


def _doodl(problem: Problem, noise: Tensor, effort: Effort) -> OptimisedNoise:
    settings = DoodlSettings()
    if effort.iterations is not None:
        settings = replace(settings, steps=effort.iterations)
    return doodl(problem, noise, settings, effort.watch, reached=effort.reached)


def _once(run: Callable[[Problem, Tensor], OptimisedNoise]) -> Runner:
    """A runner of what has no iterations."""
    return lambda problem, noise, effort: run(problem, noise)


METHODS: dict[str, Method] = {
    "draft": Method("the model's own conditional sampling, no optimisation", _once(draft)),
    "fast": Method(
        "guided runs, each undone to the noise it stands for",
        _fast,
        kept_calls=1,
    ),
    "ditto-2": Method(
        "the noise optimised through one step of the model, then sampled in a few",
        _ditto_2,
        kept_calls=POLISH_STEPS,
    ),
    "ditto": Method(
        "the initial noise optimised through the sampler, its result held near the draft",
        _ditto(DITTO),
        whole_run=True,
        kept_calls=1,
    ),
    "ditto-published": Method(
        "the same with nothing to hold it",
        _ditto(NoiseSettings()),
        whole_run=True,
        kept_calls=1,
    ),
    "doodl": Method(
        "the noise optimised through EDICT's coupled chains", _doodl, whole_run=True, kept_calls=2
    ),
    "freedom": Method(
        "each step down the gradient of the expected result", _once(freedom), kept_calls=1
    ),
    "guidance-gradients": Method(
        "a constant step down that gradient, and the overlap projected",
        _once(guidance_gradients),
        kept_calls=1,
    ),
    "flowchef": Method("each state down the objective, past the network", _once(flowchef)),
    "naive": Method(
        "the overlap overwritten by the noised reference after each step",
        _once(lambda problem, noise: masking(problem, noise, NAIVE)),
        needs_mask=True,
    ),
    "multidiffusion": Method(
        "the overlap averaged with the noised reference after each step",
        _once(lambda problem, noise: masking(problem, noise, MULTIDIFFUSION)),
        needs_mask=True,
    ),
    "multidiffusion-half": Method(
        "the same in the first half of the steps only",
        _once(lambda problem, noise: masking(problem, noise, MULTIDIFFUSION_HALF)),
        needs_mask=True,
    ),
}


def run_method(
    name: str,
    problem: Problem,
    noise: Tensor,
    iterations: int | None = None,
    watch: Watch | None = None,
    *,
    reached: Reached | None = None,
    keeper: Keeper | None = None,
    sparing: bool = False,
    near: bool = False,
) -> OptimisedNoise:
    """Run one method on a problem.

    Args:
        name: a key of `METHODS`.
        noise: start, `[batch, channels, steps]`.
        iterations: of a method that iterates, None for its own number; no matter to the others.
        watch: called after every evaluation of a method that iterates; may raise to stop.
        reached: asked after every such evaluation; True ends the run early.
        keeper: holds the state of a method that can go on from it.
        sparing: take as little memory as can be.
        near: the noise was found for a wish like this one, which the fast path makes use of.

    Raises:
        ValueError: there is no method of that name, or it needs a mask that the problem lacks.
    """
    method = METHODS.get(name)
    if method is None:
        raise ValueError(f"there is no method {name!r}; choose one of {', '.join(METHODS)}")
    effort = Effort(iterations, watch, reached, keeper, sparing, near)
    if not sparing or len(noise) == 1:
        return method.run(problem, noise, effort)
    return in_turn(
        lambda item, number: method.run(problem, item, effort.of_candidate(number)), noise
    )
