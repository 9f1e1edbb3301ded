"""What a render will need, said before it: memory, evaluations of the network, time.

No formula repeats what the methods do. The render's own windows and methods are rehearsed on short
tensors, with a network that answers at once and counts how often it was asked. The memory is
measured on one call of the real network and one of the real objective.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.chain import windows_of
from engine.controls.together import Together
from engine.job import SCENES, Host, Job
from engine.models.contracts import Denoiser
from engine.optimise.memory import MemoryPlan, Taken, free_bytes, peak_bytes, taken_by
from engine.optimise.methods import METHODS
from engine.optimise.problem import OptimisedNoise, Problem
from engine.optimise.surrogate import DECODES
from engine.rendering import Rendering
from engine.sampling.loop import GradientPolicy
from engine.spec import RenderRequest
from engine.tasks.scene import Part
from engine.window_task import RenderSettings, WindowTask

_SHORT_STEPS = 8  # of the rehearsal's tensors
_UNREACHED = 1e9  # a loss that no goal is content with
ONE_CALL = "one call"  # the policy of methods that look no further than a step


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a request needs.

    Attributes:
        cached: it has been rendered before and needs next to nothing.
        policy: what is kept for gradients: `none`, `one call` of the network at a time, all of the
            sampler's calls (`full`), or their states alone (`checkpointed`).
        needed_bytes: memory of the optimisation, beside that of the model.
        free_bytes: what the device has; None where that cannot be told.
        evaluations_least, evaluations_most: of the network until the result is there, with and
            without a gradient; equal unless the method may be content sooner or look more closely.
            The undoing of a guided run, which comes after that, is not among them.
        seconds: as long as the last render of its kind took for as much work; None where there
            was none since the engine began.
    """

    cached: bool
    policy: str
    needed_bytes: int
    free_bytes: int | None
    evaluations_least: int
    evaluations_most: int
    seconds: float | None

    def to_mapping(self) -> dict[str, Any]:
        """Plain JSON object."""
        return asdict(self)


def pace_name(model: str, settings: RenderSettings) -> str:
    """What renders of one kind have in common, so that one tells how fast another will be."""
    return f"{model} {settings.method if settings.refine else 'draft'}"


@torch.no_grad()
def estimate_of(host: Host, request: RenderRequest, pace_s: Mapping[str, float]) -> Estimate:
    """What a request needs.

    Args:
        pace_s: seconds that a unit of the meter's work took lately, by `pace_name`.

    Raises:
        BridgeError: bad input.
    """
    job = Job(host, request, Path(), lambda event: None, lambda: False)
    if host.cached(job.key()) is not None:
        return Estimate(True, "none", 0, free_bytes(torch.device(host.device)), 0, 0, 0.0)
    model = host.model(request.model)
    scene = SCENES[request.task](request, model)
    rendering = Rendering(
        model,
        str(model.device),
        scene,
        job.settings,
        request.seed,
        job.meter,
        job.emit,
        job.start(),
    )
    found = [_Needs.of_part(rendering, part) for part in scene.parts]
    largest = max(found, key=lambda needs: needs.memory_bytes)
    pace = pace_s.get(pace_name(request.model, job.settings))
    return Estimate(
        False,
        largest.policy,
        largest.memory_bytes,
        free_bytes(model.device),
        sum(needs.least for needs in found),
        sum(needs.most for needs in found),
        None if pace is None else round(pace * job.meter.total, 2),
    )


@dataclass(frozen=True, slots=True)
class _Needs:
    """Of one part."""

    policy: str = "none"
    memory_bytes: int = 0
    least: int = 0
    most: int = 0

    @classmethod
    def of_part(cls, rendering: Rendering, part: Part) -> _Needs:
        settings, noise = rendering.settings_of(part), rendering.noise_of(part)
        drafts = list(_tasks(rendering, part, replace(settings, refine=0)))
        counts = [_rehearsed(task, noise, None) for task in drafts]
        if not (settings.refine and part.refined and any(task.goals for task in drafts)):
            return cls(least=sum(c.least for c in counts), most=sum(c.most for c in counts))
        tasks = list(_tasks(rendering, part, settings))
        goals = [task for task in tasks if task.goals]
        widest = max(goals, key=lambda task: task.window.stop - task.window.start)
        measured = _Measured.of(widest, noise)
        known = rendering.begins_as_drafted(part)
        counts += [
            _rehearsed(task, noise, measured, drafted=known and number == 0)
            for number, task in enumerate(tasks)
        ]
        policy = next((c.policy for c in counts[::-1] if c.policy != "none"), "none")
        return cls(
            policy,
            measured.needed_bytes(settings, policy),
            sum(c.least for c in counts),
            sum(c.most for c in counts),
        )


def _tasks(rendering: Rendering, part: Part, settings: RenderSettings) -> Iterator[WindowTask]:
    """The windows as the render will make them, each beside what is known by then."""
    if settings.variation == 0.0:
        return
    timeline = part.timeline.to(rendering.device)
    known = timeline.known.clone()
    for window in windows_of(rendering.model, timeline):
        yield WindowTask(rendering.model, timeline, window, timeline.prior, known, settings)
        known[..., window.start : window.stop] = 1.0


@dataclass(frozen=True, slots=True)
class _Measured:
    """What gradients take in one window."""

    plan: MemoryPlan
    call: Taken
    objective: Taken

    @classmethod
    def of(cls, task: WindowTask, noise: Tensor) -> _Measured:
        noises = task.window.of(noise).to(task.prior.device)
        problem = task.problem(lambda run: None)
        latent = task.prior.expand(len(noises), -1, -1).clone().requires_grad_(True)
        together, level = Together(task.goals), problem.levels[0]
        in_heap = latent.device.type == "cpu"
        with torch.enable_grad():
            call = taken_by(lambda x: task.denoiser(x, level, 0.0), latent, in_heap=in_heap)
            objective = taken_by(together, latent, in_heap=in_heap)
        return cls(task.plan(problem, noises), call, objective)

    def needed_bytes(self, settings: RenderSettings, policy: str) -> int:
        """Memory of one iteration."""
        calls, steps = METHODS[settings.method].kept_calls, settings.steps
        state_bytes = self.plan.state_bytes
        match policy:
            case "full":
                held = peak_bytes("full", self.call, self.objective, state_bytes, calls * steps)
            case "checkpointed":
                held = peak_bytes("checkpointed", self.call, self.objective, state_bytes, steps)
                held += (calls - 1) * self.call.kept_bytes
            case _:
                held = peak_bytes("full", self.call, self.objective, state_bytes, calls)
        return held


@dataclass(frozen=True, slots=True)
class _Counted:
    policy: str
    least: int
    most: int


def _rehearsed(
    task: WindowTask, noise: Tensor, measured: _Measured | None, *, drafted: bool = False
) -> _Counted:
    """Count the network's evaluations in one window at best and at worst.

    Args:
        noise: of the whole timeline `[candidates, 128, steps]`.
        measured: None for the draft.
        drafted: the window's draft is known.
    """
    quick = _Rehearsal(task, measured, _agrees, content=True, drafted=drafted)
    slow = _Rehearsal(task, measured, _disagrees, content=False, drafted=drafted)
    for rehearsal in (quick, slow):
        rehearsal.play(task.window.of(noise)[..., :_SHORT_STEPS].to(task.prior.device))
    return _Counted(slow.policy, quick.evaluations, slow.evaluations)


def _agrees(x: Tensor) -> Tensor:
    """A network with which every inversion is exact at once."""
    return x


def _disagrees(x: Tensor) -> Tensor:
    """A network with which no inversion comes to an end."""
    return 0.0 * x + torch.randn_like(x)


class _Rehearsal(WindowTask):
    """A window played on short tensors, with a network that counts.

    Args:
        content: whether the goals that can be reached are so at once.
    """

    def __init__(
        self,
        task: WindowTask,
        measured: _Measured | None,
        network: Callable[[Tensor], Tensor],
        *,
        content: bool,
        drafted: bool,
    ) -> None:
        self.window, self.settings = task.window, task.settings
        self.keeper, self.check = None, None
        self.habits, self.spacing = task.habits, task.spacing
        self.added = _short_noise(task)
        self.prior = task.prior[..., :_SHORT_STEPS].clone()
        self._drafted = self.prior if drafted else None
        self.mask = torch.ones_like(task.mask[..., :_SHORT_STEPS]) * task.mask.amax()
        self.goals = tuple(
            replace(goal, loss=_constant(goal.tolerance or 1.0 if content else _UNREACHED))
            for goal in task.goals
        )
        self.denoiser = self._counted(network)
        self.inverted, self.blend = task.inverted, None
        self.evaluations, self.policy = 0, "none"
        self._measured = measured

    def _counted(self, network: Callable[[Tensor], Tensor]) -> Denoiser:
        def denoise(x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
            self.evaluations += 1
            return network(x)

        return denoise

    def play(self, noises: Tensor) -> None:
        """Make the window as `render_timeline` would."""
        if self._measured is not None and self.goals and METHODS[self.settings.method].kept_calls:
            self.policy = ONE_CALL
        with torch.enable_grad():
            self.make(noises, _unwatched, None, self._drafted)

    def _policy(self, problem: Problem, noises: Tensor) -> GradientPolicy:
        self.policy = policy = super()._policy(problem, noises)
        return policy

    def plan(self, problem: Problem, noises: Tensor) -> MemoryPlan:
        """That of the real window, which a call of the network told."""
        assert self._measured is not None
        self.evaluations += 1
        return self._measured.plan


def _short_noise(task: WindowTask) -> Tensor | None:
    """What the rule of a model that adds noise is to be given."""
    if not task.habits.added_noise:
        return None
    intervals = max(task.settings.steps, *DECODES)
    return task.prior.new_zeros(intervals, task.prior.shape[1], _SHORT_STEPS)


def _unwatched(run: OptimisedNoise | None) -> None:
    """Nobody looks on."""


def _constant(value: float) -> Callable[[Tensor], Tensor]:
    """A loss that is always the same and has a gradient."""
    return lambda latent: value + 0.0 * latent.flatten(1).sum(dim=1)
