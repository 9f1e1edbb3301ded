"""The fast path: runs that are guided towards the wish, each undone to the noise it stands for.

A run whose states are pulled towards the wish (`engine.optimise.freedom`) comes near to it in as
many evaluations as it has steps, and stays among what the model knows, since each correction is
short beside the step it corrects and goes no further than the wish asks for, and none is made once
the result that is expected meets the wish. What the run ends at is no function of its noise,
though. So it is undone (`engine.optimise.inversion`): the noise is sought from which the plain
sampler arrives where the guided run did. The run's own states are first guesses that are off by the
corrections only, so a few calls a step are enough, and the noise found lies near the one the run
began with. Where the wish is not met yet, the next run begins there and has less to correct. The
last run is undone when somebody asks for its noise (`engine.optimise.later`): what it ended at is
there before, and the undoing takes about as long as the run did. A denoiser that remembers the
steps before does so in these runs as in the plain sampler's.

Noise that was found for a wish much like this one is mended first: its run is nearly what is wanted
from the start, and two short corrections in the middle of it are enough where the wish has changed
a little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from engine.optimise.guidance import rms, share_of_step, towards
from engine.optimise.inversion import InversionSettings, Step, noise_of, undone
from engine.optimise.later import Found, Later
from engine.optimise.problem import OptimisedNoise, Problem, Reached, Watch
from engine.optimise.regularisers import hold_norm
from engine.sampling.steps import asked

_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class FastSettings:
    """How the runs are guided and undone.

    Attributes:
        iterations: evaluations with a gradient at most; as many runs are made as have room. One
            run is enough for the embedded model: a second one comes nearer to the wish, and on
            melodies further from music.
        steps: of a run; the last of several may be shorter.
        strength: length of a correction as a share of the step's own, or less where the wish asks
            for less. Our choice, between FreeDoM's 0.2, after which a fifth of a melody is still
            missing, and what leaves the range of music.
        locally: times that length a correction may have at any one moment (our choice).
        fall: of the strength from one run to the next, which has less to correct.
        mended: steps of a run that are corrected where the noise is near already. Of eight the
            first ones foresee too little of the result, and the last ones change too little of it
            (our choice; the benchmark's changed curves show what it is worth).
        mending: the strength of these corrections.
        undoing: of each step: in the end it misses by 2 % of its length. Of the embedded model's
            eight steps the last one takes about nine calls and the first ones one.
        norm_drift: largest relative change of the norm of an item's noise.
    """

    iterations: int = 8
    steps: int = 8
    strength: float = 0.275
    locally: float = 2.0
    fall: float = 0.5
    mended: tuple[int, ...] = (2, 4)
    mending: float = 0.15
    undoing: InversionSettings = field(
        default_factory=lambda: InversionSettings(refinements=9, near_enough=0.02)
    )
    norm_drift: float = 0.03


def optimise_fast(
    problem: Problem,
    noise: Tensor,
    settings: FastSettings = FastSettings(),
    watch: Watch | None = None,
    *,
    reached: Reached | None = None,
    near: bool = False,
) -> OptimisedNoise:
    """Guided runs until the wish is met or the iterations are spent.

    Args:
        noise: `[batch, channels, steps]`; the first run begins with it.
        watch: called after every evaluation; may raise to stop.
        reached: asked after every evaluation; True ends the optimisation after the result of a run,
            and leaves a step inside of it uncorrected.
        near: the noise was found for a wish like this one, and is mended before anything else.

    Returns:
        Each item's best of all runs and of the start's own sampling: what the guided run ended at,
        and the noise, to be found later, from which the plain sampler in `settings.steps` gives it
        again. Looking for the noise calls `problem.on_call`, too.
    """
    met = reached if reached is not None else _never
    with torch.no_grad():
        latent = problem.draft(noise)
    best = OptimisedNoise.of(noise, latent, problem.objective)
    if met():
        return best
    best.losses = []  # those of the iterations follow
    run: OptimisedNoise | None = None
    for plan in plans(settings, near, problem.fewest_steps):
        begun = noise if run is None else run.noise  # undoes the run before: now it is needed
        told = _Told(best.losses, watch)
        run, walk = _guided_run(problem.in_steps(plan.steps), begun, plan, settings, told, met)
        run.own = Later(partial(walk.undone, noise, settings), range(len(noise)))
        best = better_of(best, run)
        if met():
            break
    return best


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: in how many steps, which of them may be corrected, and how strongly."""

    steps: int
    corrected: frozenset[int]
    strength: float


def plans(settings: FastSettings, near: bool, fewest_steps: int = 1) -> Iterator[Plan]:
    """The runs for which there are iterations, an evaluation with a gradient each.

    Where the model needs more steps than that, the corrections are spread over them.
    """
    left, strength = settings.iterations, settings.strength
    mended = frozenset(step for step in settings.mended if step < settings.steps)
    if near and len(mended) <= left:
        yield _spread(Plan(settings.steps, mended, settings.mending), fewest_steps)
        left -= len(mended)
    while left > 0:
        steps = min(settings.steps, left)
        yield _spread(Plan(steps, frozenset(range(steps)), strength), fewest_steps)
        left, strength = left - steps, strength * settings.fall


def _spread(plan: Plan, fewest_steps: int) -> Plan:
    times = -(-fewest_steps // plan.steps)
    corrected = frozenset(times * step for step in plan.corrected)
    return Plan(times * plan.steps, corrected, plan.strength)


def better_of(first: OptimisedNoise, second: OptimisedNoise) -> OptimisedNoise:
    """Each item of that run in which its loss is lower; the losses are the second one's.

    The noise of a run none of whose items is kept is not looked for.
    """
    kept = first.best <= second.best

    def look(items: slice) -> Found:
        runs = [run.only(items) for run in (first, second)]
        if bool(kept[items].all()):
            return runs[0].noise, runs[0].drift
        noise = torch.where(_over(kept[items], runs[0].latent), runs[0].noise, runs[1].noise)
        return noise, max(run.drift for run in runs)

    return replace(
        second,
        own=Later(look, range(len(kept))),
        latent=torch.where(_over(kept, first.latent), first.latent, second.latent),
        best=torch.where(kept, first.best, second.best),
        best_step=min(range(len(second.losses)), key=second.losses.__getitem__),
    )


def _over(items: Tensor, latent: Tensor) -> Tensor:
    """One value for each item, to be spread over its latent."""
    return items.view(-1, *[1] * (latent.ndim - 1))


def _never() -> bool:
    return False


def _guided_run(
    problem: Problem,
    begun: Tensor,
    plan: Plan,
    settings: FastSettings,
    told: _Told,
    met: Reached,
) -> tuple[OptimisedNoise, _Walk]:
    """One run, its noise still that which it began with, and what it takes to undo it."""
    x, memory, steps, left = problem.start(begun.detach()), None, [], 0
    corrected = x  # where the last correction led, after `left` steps
    for number, (t, t_next) in enumerate(pairwise(problem.levels)):
        pull = None
        if number in plan.corrected:
            pull = _pull(problem, x, t, memory, partial(told, begun), met)
        with torch.no_grad():
            estimate, after = asked(problem.denoiser, x, t, t_next, memory)
            step = Step(x, towards(x, estimate, t, t_next), memory)
            steps.append(step)
            x, memory = step.led, after
            if pull is not None:
                x = x - pull.correction(x - step.begun, plan.strength, settings.locally)
                corrected, left = x, len(steps)
        problem.on_call()
    with torch.no_grad():
        run = told(begun, x, problem.objective(x))
    # From the last correction on the run is the plain sampler's own.
    return run, _Walk(replace(problem, objective=_unasked), tuple(steps[:left]), corrected)


class _Told:
    """What is told of a run after each evaluation: its losses follow those of the best so far."""

    def __init__(self, before: Sequence[float], watch: Watch | None) -> None:
        self._losses, self._watch = list(before), watch

    def __call__(self, begun: Tensor, latent: Tensor, each: Tensor) -> OptimisedNoise:
        self._losses.append(float(each.mean()))
        run = OptimisedNoise(begun, latent, each, len(self._losses) - 1, list(self._losses))
        if self._watch is not None:
            self._watch(run)
        return run


@dataclass(frozen=True, slots=True)
class _Walk:
    """What it takes to undo a guided run; nothing of it holds a graph or the goals.

    Attributes:
        steps: up to the last correction, which led to `corrected`.
    """

    problem: Problem
    steps: tuple[Step, ...]
    corrected: Tensor = field(repr=False)

    @torch.no_grad()
    def undone(self, start: Tensor, settings: FastSettings, items: slice) -> Found:
        """The noise of some items, its norm held near that of `start`."""
        steps = [step.of(items) for step in self.steps]
        state = undone(self.problem, steps, self.corrected[items], settings.undoing)
        noise = noise_of(self.problem, state)
        return noise, hold_norm(noise, start[items], settings.norm_drift)


def _unasked(latent: Tensor) -> Tensor:
    raise AssertionError("undoing a run asks for no loss")


def _length(value: Tensor) -> Tensor:
    """Norm of each item `[batch, 1, 1]`, never 0."""
    norm: Tensor = torch.linalg.vector_norm(value, dim=(1, 2), keepdim=True)
    return norm.clamp_min(_TINY)


@dataclass(frozen=True, slots=True)
class _Pull:
    """What a state should change by.

    Attributes:
        gradient: of each item's loss by the state `[batch, channels, steps]`.
        losses: of what is expected from it `[batch]`; None where the gradient is not theirs.
    """

    gradient: Tensor
    losses: Tensor | None

    def correction(self, step: Tensor, strength: float, locally: float) -> Tensor:
        """Against the pull, as long as that share of the step, but nowhere in time much longer.

        A wish that is met but for a few moments pulls at those alone; all of the correction's
        length there would throw them far off the music. Nor is the whole longer than twice Polyak's
        step, the loss over the length of its gradient (Polyak 1969): that is all a squared error
        asks for, and a long step close to the end would lead as far beyond it again.
        """
        whole = share_of_step(step, self.gradient) * self.gradient
        local = whole.square().mean(dim=1, keepdim=True).sqrt()
        whole = whole * (locally * rms(step) / local.clamp_min(_TINY)).clamp_max(1.0)
        if self.losses is None:
            return strength * whole
        asked_for = 2.0 * _over(self.losses, whole) / _length(self.gradient)
        return whole * (asked_for / _length(whole)).clamp_max(strength)


def _pull(
    problem: Problem,
    x: Tensor,
    t: float,
    memory: Tensor | None,
    told: Callable[[Tensor, Tensor], object],
    met: Reached,
) -> _Pull | None:
    """What the losses of what is expected from a state say of it; None where that meets the wish,
    for which no gradient is made."""
    with torch.enable_grad():
        variable = x.detach().requires_grad_(True)
        expected, _ = asked(problem.denoiser, variable, t, None, memory)
        each = problem.objective(expected)
        told(expected.detach(), each.detach())
        if met():
            return None
        losses = None if problem.balanced else each.detach()
        return _Pull(torch.autograd.grad(each.sum(), variable)[0], losses)
