"""The lines the methods have to keep to, each with its figure and whether it is met."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evaluation.verdicts import Verdict, number, scaled

from ditto_bench.plan import CONTROLS, INPAINTS, MEMORY_STEPS, OUTPAINTS, TOGETHER
from ditto_bench.results import (
    TOLERANCES,
    Found,
    Mean,
    Race,
    check,
    loss,
    own,
    race,
    reuse,
    take_s,
)

RIVALS = ("freedom", "guidance-gradients", "doodl")
OURS = ("ditto", "fast")
_HEARD = (*CONTROLS, "outpaint-2")  # tasks whose Fréchet distance is compared with the draft's


@dataclass(frozen=True, slots=True)
class Line:
    """One target, how many items its figure stands on, and what else has to be said."""

    verdict: Verdict
    items: int
    note: str = ""

    def row(self) -> list[str]:
        """Target, measured, items, wanted, verdict."""
        what, measured, _, wanted, said = (str(cell) for cell in self.verdict.row())
        said = f"{said}; {self.note}" if self.note else said
        return [what, measured, str(self.items), wanted, said]


def lines(found: Found) -> list[Line]:
    """Every line, in the order of the page."""
    return [
        *_losses(found),
        *_quality(found),
        *_rivals(found),
        *_efficiency(found),
        *_speed(found),
        *_reused(found),
    ]


def _line(what: str, measured: Mean, limit: float, unit: str = "", **other: bool) -> Line:
    return Line(Verdict(what, measured.value, limit, unit, **other), measured.items)


def _losses(found: Found) -> Iterator[Line]:
    for method, limit in (("ditto", 4.8), ("fast", 3.4)):
        error = found.mean("intensity", method, loss("intensity"))
        yield _line(f"intensity, {method}", error, limit, "dB²")
    for name, limit, how in (
        ("melody_latent_accuracy", 0.9, "by the latent's chroma"),
        ("melody_accuracy", 0.7, "by the audio's constant-Q chroma"),
    ):
        for method in OURS:
            right = found.mean("melody", method, check(name))
            yield _line(f"melody {how}, {method}", right, limit, "%", at_least=True)
    for method in OURS:
        pair = found.both("structure", "draft", method, loss("structure"))
        times = None if pair is None else pair[0] / max(pair[1], 1e-12)
        below = Mean(times, 0 if pair is None else pair[2])
        yield _line(f"structure, random over {method}", below, 5.0, "times", at_least=True)


def _quality(found: Found) -> Iterator[Line]:
    tasks = (*OUTPAINTS, *INPAINTS, *CONTROLS, *TOGETHER)
    for method in OURS:
        drifts = [
            value
            for task in tasks
            for row in found.rows(task, method).values()
            if (value := own("drift")(row)) is not None
        ]
        largest = Mean(max(drifts) if drifts else None, len(drifts))
        yield _line(f"largest drift of the noise's norm, {method}", largest, 0.05, "%", strict=True)
    for method in OURS:
        for task in _HEARD:
            pair = found.distances(task, method, "draft")
            what = f"Fréchet distance on {task}, {method} against the draft"
            value, limit, items = pair if pair is not None else (None, None, 0)
            error = found.distance_error(task, method, "draft")
            note = (
                "" if error is None else f"the difference has a standard error of {number(error)}"
            )
            yield Line(Verdict(what, value, limit), items, note)


def _rivals(found: Found) -> Iterator[Line]:
    """DITTO against each rival on every task; the loss is the weighted sum where there are two."""
    for rival in RIVALS:
        pairs = {
            task: pair
            for task in (*OUTPAINTS, *INPAINTS, *CONTROLS, *TOGETHER)
            if (pair := found.both(task, "ditto", rival, own("best"))) is not None
        }
        lost = {task: ours for task, (ours, theirs, _) in pairs.items() if ours >= theirs}
        named = (
            f"{task} (stopped early, near enough)" if ours <= TOLERANCES.get(task, -1.0) else task
            for task, ours in lost.items()
        )
        fewest = min((items for _, _, items in pairs.values()), default=0)
        value = float(len(lost)) if pairs else None
        what = f"tasks of {len(pairs)} where DITTO's loss is not below that of {rival}"
        yield Line(Verdict(what, value, 0.0), fewest, ", ".join(named))


def _efficiency(found: Found) -> Iterator[Line]:
    pair = found.both("intensity", "doodl", "ditto", own("iteration_busy_s"))
    times = Mean(None if pair is None else pair[0] / pair[1], 0 if pair is None else pair[2])
    yield _line("time of an iteration, DOODL over DITTO", times, 1.8, "times", at_least=True)
    ours, theirs = (found.memory_mb(method, found.extent.steps) for method in ("ditto", "doodl"))
    ratio = None if ours is None or theirs is None else theirs / ours
    memory = Mean(ratio, int(ratio is not None))
    yield _line("memory of an iteration, DOODL over DITTO", memory, 1.4, "times", at_least=True)
    few, many = (
        found.memory_mb("ditto", steps) for steps in (MEMORY_STEPS, found.extent.long_steps)
    )
    growth = Mean(None if few is None or many is None else many / few - 1.0, int(many is not None))
    what = f"growth of DITTO's memory from {MEMORY_STEPS} to {found.extent.long_steps} steps"
    yield _line(what, growth, 0.1, "%", strict=True)


def _speed(found: Found) -> Iterator[Line]:
    for task in CONTROLS:
        run = race(found, task)
        ratio = Mean(None if run is None else run.ratio, 0 if run is None else run.items)
        what = f"time of DITTO over that of fast, to the same loss, {task}"
        verdict = Verdict(what, ratio.value, 15.0, "times", at_least=True)
        yield Line(verdict, ratio.items, "" if run is None else _said_of(run))
    seconds = found.mean("melody", "fast", take_s)
    yield _line("a melody take of 6 s, fast, to the audio", seconds, 10.0, "s")


def _said_of(run: Race) -> str:
    """What a ratio leaves out, and where it is a bound."""
    said = [f"until the result; {number(run.ratio_with_undoing)} times with finding its noise"]
    if run.short:
        said.append(f"DITTO never had that loss in {run.short}, so the ratio is a lower bound")
    return "; ".join(said)


def _reused(found: Found) -> Iterator[Line]:
    for method in OURS:
        run = reuse(found, method)
        share = None if run is None else run.share
        what = f"iterations for a changed curve, found noise over fresh, {method}"
        items = 0 if run is None else run.items
        yield Line(Verdict(what, share, scaled(1.0, 1 / 3), "%"), items)


def summary(judged: Sequence[Line]) -> str:
    """How many lines are met."""
    met = sum(line.verdict.met is True for line in judged)
    measured = sum(line.verdict.met is not None for line in judged)
    return f"{met} of the {measured} lines that were measured are met; {len(judged)} are asked for."
