"""What is measured, and in which order: the first item of everything before any second one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from engine.optimise.fast import FastSettings
from engine.optimise.surrogate import SurrogateSettings

Kind = Literal["run", "memory", "music"]
Start = Literal["fresh", "found"]

OUTPAINTS = ("outpaint-1", "outpaint-2", "outpaint-3", "loop")
INPAINTS = ("inpaint-2", "inpaint-3", "inpaint-4")
CONTROLS = ("intensity", "melody", "structure")
TOGETHER = ("intensity+outpaint-2", "intensity+structure", "intensity+melody")
TASKS = (*OUTPAINTS, *INPAINTS, *CONTROLS, *TOGETHER, "intensity-changed")
GUIDED = ("guidance-gradients", "freedom", "flowchef")
MASKED = ("naive", "multidiffusion", "multidiffusion-half")
ITERATING = ("fast", "ditto-2", "ditto", "ditto-published", "doodl")  # by what they cost
REUSED = ("fast", "ditto")  # methods whose noise is gone on with
LONG_STEPS, MEMORY_STEPS = 50, 5
_LONG_ITEMS, _SAMPLER_ITEMS = 4, 24
_PUBLISHED, _PUBLISHED_SLOW = 70, 150  # iterations; the latter for melody and structure


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is done for each item.

    Attributes:
        steps: of the sampler.
        scale: of the iterations of DITTO and DOODL; 1 is as published.
        fast_iterations, surrogate_iterations: of the fast path and of DITTO-2, which have their own
            numbers.
        long_steps: those that DITTO and DOODL are also timed at.
        tunes: whether there are tunes to ask for.
    """

    steps: int = 20
    scale: float = 1.0
    fast_iterations: int = FastSettings().iterations
    surrogate_iterations: int = SurrogateSettings().steps
    long_steps: int = LONG_STEPS
    tunes: bool = True

    def iterations(self, method: str, task: str) -> int:
        """Of one run; 0 where the method has none."""
        if method not in ITERATING:
            return 0
        if method == "fast":
            return self.fast_iterations
        if method == "ditto-2":
            return self.surrogate_iterations
        slow = "melody" in task or "structure" in task
        return max(2, round(self.scale * (_PUBLISHED_SLOW if slow else _PUBLISHED)))


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to measure; every field is part of what its result is kept under.

    Attributes:
        kind: "run" of a method, its "memory", or an item of the "music" to compare with.
        task: the wish, or several joined by `+`.
        method: of `engine.optimise.methods`, or "conditional".
        start: "found" begins with the noise that the unchanged curve's run has found.
    """

    kind: Kind
    task: str
    method: str
    item: int
    steps: int
    iterations: int
    rule: str = "euler"
    start: Start = "fresh"


def run_job(extent: Extent, task: str, method: str, item: int, **other: str | int) -> Job:
    """A run of a method on a task."""
    job = Job("run", task, method, item, extent.steps, extent.iterations(method, task))
    return replace(job, **other)  # type: ignore[arg-type]


def replace_task(job: Job, task: str) -> Job:
    """The run from fresh noise that differs from a job in its task only."""
    return replace(job, task=task, start="fresh")


def _painting(extent: Extent, item: int) -> Iterator[Job]:
    for task in (*OUTPAINTS, *INPAINTS):
        for method in ("draft", "conditional", *MASKED, *GUIDED, *ITERATING):
            yield run_job(extent, task, method, item)


def _controls(extent: Extent, item: int) -> Iterator[Job]:
    for task in CONTROLS:
        # The model knows no form, so it has no conditional sampling of one.
        own = ("draft",) if task == "structure" else ("draft", "conditional")
        for method in (*own, *GUIDED, *ITERATING):
            yield run_job(extent, task, method, item)


def _efficiency(extent: Extent, item: int) -> Iterator[Job]:
    for method in ("ditto", "doodl"):
        if item == 0:
            for steps in (MEMORY_STEPS, extent.steps, extent.long_steps):
                yield Job("memory", "intensity", method, 0, steps, 0)
        yield run_job(extent, "intensity", method, item)
        if item < _LONG_ITEMS:
            yield run_job(extent, "intensity", method, item, steps=extent.long_steps)


def _samplers(extent: Extent, item: int) -> Iterator[Job]:
    if item < _SAMPLER_ITEMS:
        for task in ("intensity", "outpaint-2"):
            for rule in ("euler", "dpm-solver-2m"):
                yield run_job(extent, task, "ditto", item, rule=rule)


def _together(extent: Extent, item: int) -> Iterator[Job]:
    for task in TOGETHER:
        for method in ("draft", "freedom", "fast", "ditto"):
            yield run_job(extent, task, method, item)


def _latency(extent: Extent, item: int) -> Iterator[Job]:
    for task in ("outpaint-2", *CONTROLS):
        for job in (*_painting(extent, item), *_controls(extent, item)):
            if job.task == task:
                yield job


def _reuse(extent: Extent, item: int) -> Iterator[Job]:
    for method in REUSED:
        yield run_job(extent, "intensity", method, item)
        yield run_job(extent, "intensity-changed", method, item)
        yield run_job(extent, "intensity-changed", method, item, start="found")


def _music(extent: Extent, item: int) -> Iterator[Job]:
    yield Job("music", "", "", item, 0, 0)


SECTIONS: Mapping[str, Callable[[Extent, int], Iterable[Job]]] = {
    "controls": _controls,
    "painting": _painting,
    "efficiency": _efficiency,
    "samplers": _samplers,
    "together": _together,
    "latency": _latency,
    "reuse": _reuse,
    "music": _music,
}


def jobs(extent: Extent, items: int, sections: Iterable[str] = tuple(SECTIONS)) -> tuple[Job, ...]:
    """Every job once: item by item, and within an item what costs least first.

    Methods come in turn, because what a cheap one says of every control tells more than a second
    look at one of them by the dearest; a run from found noise follows the run that finds it.
    """
    names = tuple(sections)
    ordered: list[Job] = []
    for item in range(items):
        found = {job: None for name in names for job in SECTIONS[name](extent, item)}
        asked = [job for job in found if extent.tunes or "melody" not in job.task]
        ordered += sorted(asked, key=_rank)
    return tuple(ordered)


def _rank(job: Job) -> tuple[int, int, float]:
    if job.kind != "run":
        return 0, 0, cost(job)
    tier = ITERATING.index(job.method) + 1 if job.method in ITERATING else 0
    return tier, int(job.start == "found"), cost(job)


# Seconds on two idle cores without fast bfloat16; only the order and the forecast hang on them. A
# model call, one with its gradient, one that is computed anew on the way back; the audio, heard.
_CALL_S, _GRADIENT_S, _AGAIN_S, _LISTEN_S = 0.07, 0.17, 0.22, 1.5


def cost(job: Job) -> float:
    """About how many seconds a job takes."""
    if job.kind == "music":
        return 6.0
    if job.kind == "memory":
        return 10.0 + _AGAIN_S * job.steps * (2 if job.method == "doodl" else 1)
    calls_s = {
        "fast": (_GRADIENT_S + 5 * _CALL_S) * job.iterations,
        "ditto-2": _GRADIENT_S * (0.75 + 2 * 0.25) * job.iterations + 15 * _CALL_S,
        "ditto": _AGAIN_S * job.steps * job.iterations,
        "ditto-published": _AGAIN_S * job.steps * job.iterations,
        "doodl": 2 * _AGAIN_S * job.steps * job.iterations,
        "freedom": (_CALL_S + _GRADIENT_S) * job.steps,
        "guidance-gradients": (_CALL_S + _GRADIENT_S) * job.steps,
        "flowchef": (2 * _CALL_S + 0.2) * job.steps,
    }
    return _LISTEN_S + calls_s.get(job.method, _CALL_S * job.steps)
