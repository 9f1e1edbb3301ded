"""What a rendering costs, in model calls: the unit of the progress that is told."""

from __future__ import annotations

from dataclasses import dataclass

from engine.optimise.fast import FastSettings, Plan, plans
from engine.optimise.surrogate import DECODES, POLISH_STEPS
from engine.timeline import Timeline
from engine.window_task import RenderSettings

_REFINE = 32
_GRADIENT_COST = 3.0  # of a call with its gradient
_UNDOING_COST = 4.0  # of a step of a guided run
_DECODE_STEPS_COST = 20.0  # decoding a second of audio costs about as much as so many model calls


def iterations_of(method: str) -> int:
    """How long a method refines where nobody says it: enough to be heard in a minute."""
    return FastSettings().iterations if method == "fast" else _REFINE


@dataclass(frozen=True, slots=True)
class StepCosts:
    """What the meter counts, in model calls, for each sampler step and each evaluation told."""

    call: float
    evaluation: float = 0.0

    @classmethod
    def of(cls, settings: RenderSettings) -> StepCosts:
        if not settings.refine:
            return cls(1.0)
        beside = 1 if settings.sparing else settings.candidates
        if settings.method == "fast":
            return cls(1.0 * beside, _GRADIENT_COST * beside)
        return cls(_GRADIENT_COST * beside)


def refine_cost(settings: RenderSettings) -> float:
    """Model calls of a window's refinement, as the meter counts them: each differentiated one is
    three. What comes after the result is not among them."""
    evaluations = settings.refine + 1
    match settings.method:
        case "fast":
            return settings.candidates * _guided_cost(settings)
        case "ditto-2":
            return _GRADIENT_COST * (
                evaluations * settings.candidates + POLISH_STEPS + sum(DECODES) + settings.steps
            )
        case "ditto" | "ditto-published":
            return _GRADIENT_COST * settings.steps * evaluations * settings.candidates
        case "doodl":
            return 2 * _GRADIENT_COST * settings.steps * evaluations * settings.candidates
        case _:
            return _GRADIENT_COST * settings.steps * settings.candidates


def start_cost(settings: RenderSettings) -> float:
    """What of `refine_cost` is the plain run from a window's start."""
    match settings.method:
        case "fast":
            return settings.candidates * settings.steps
        case "ditto-2":
            return _GRADIENT_COST * settings.steps
        case _:
            return 0.0


def _guided_cost(settings: RenderSettings) -> float:
    """Of the start's own sampling and of guided runs, all but the last of them undone."""
    near = settings.near and settings.candidates == 1
    runs = list(plans(FastSettings(iterations=settings.refine), near))
    evaluations = settings.refine + len(runs)  # at every correction, and of every result
    guided = sum(run.steps for run in runs) + _GRADIENT_COST * evaluations
    return settings.steps + guided + sum(_undoing_cost(run) for run in runs[:-1])


def _undoing_cost(run: Plan) -> float:
    """Steps after the last correction need none; where few were corrected, one call a step does."""
    corrected_lightly = len(run.corrected) < run.steps
    return (1 + max(run.corrected)) * (1.0 if corrected_lightly else _UNDOING_COST)


def decode_cost(timeline: Timeline) -> float:
    """Of decoding a timeline once."""
    return timeline.steps * timeline.step_s * _DECODE_STEPS_COST
