"""What has been measured, read again: means with the number of items they stand on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from evaluation.frechet import Points, frechet_distance
from evaluation.store import Figures
from evaluation.verdicts import number, percent

from ditto_bench.plan import Extent, Job, run_job
from engine.controls.intensity import TOLERANCE_DB2
from engine.controls.melody import TOLERANCE_NATS
from engine.controls.structure import TOLERANCE as TOLERANCE_SQUARED_COSINE

FEWEST_ITEMS = 8  # below this a Fréchet distance says nothing
# Where a run stops: a loss below that is as good as any.
TOLERANCES = {
    "intensity": TOLERANCE_DB2,
    "melody": TOLERANCE_NATS,
    "structure": TOLERANCE_SQUARED_COSINE,
}
Figure = Callable[[Figures], float | None]
Rows = Mapping[int, Figures]  # by item


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean and how many items it is of."""

    value: float | None
    items: int

    @property
    def cell(self) -> str:
        """For a table."""
        return "–" if self.value is None else f"{number(self.value)} ({self.items})"

    @property
    def share(self) -> str:
        """For a table, in per cent."""
        return "–" if self.value is None else f"{percent(self.value)} ({self.items})"


def loss(name: str) -> Figure:
    """The loss of a goal on the result."""
    return lambda figures: _known(figures["losses"].get(name))


def check(name: str) -> Figure:
    """A figure of the decoded audio or the latent."""
    return lambda figures: _known(figures["checks"].get(name))


def own(name: str) -> Figure:
    """A figure of the run itself."""
    return lambda figures: _known(figures.get(name))


def worked_s(figures: Figures) -> float | None:
    """The processor's seconds from the noise to the latent, of all cores together."""
    return _known(figures["busy_s"][-1]) if "busy_s" in figures else None


def take_s(figures: Figures) -> float | None:
    """Seconds from the noise to the audio."""
    return float(figures["seconds"]) + float(figures["decode_s"])


def _known(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def mean(rows: Iterable[Figures], figure: Figure) -> Mean:
    """The mean over the items that have the figure."""
    known = [value for row in rows if (value := figure(row)) is not None]
    return Mean(float(np.mean(known)) if known else None, len(known))


@dataclass(frozen=True)
class Found:
    """All results of an extent.

    Attributes:
        figures: what is kept for each job.
    """

    extent: Extent
    figures: Mapping[Job, Figures] = field(repr=False)

    def rows(self, task: str, method: str, **other: str | int) -> Rows:
        """The results of a method on a task by item; `other` are fields of the job."""
        wanted = run_job(self.extent, task, method, 0, **other)
        found = (
            (job.item, figures) for job, figures in self._by_question.get(_question(wanted), ())
        )
        return dict(sorted(found))

    @cached_property
    def _by_question(self) -> dict[object, list[tuple[Job, Figures]]]:
        grouped: dict[object, list[tuple[Job, Figures]]] = {}
        for job, figures in self.figures.items():
            grouped.setdefault(_question(job), []).append((job, figures))
        return grouped

    def mean(self, task: str, method: str, figure: Figure, **other: str | int) -> Mean:
        """The mean of a figure over a method's items of a task."""
        return mean(self.rows(task, method, **other).values(), figure)

    def both(
        self, task: str, first: str, second: str, figure: Figure
    ) -> tuple[float, float, int] | None:
        """Means of two methods over the items that both have."""
        pairs = common(self.rows(task, first), self.rows(task, second))
        known = [
            (one, other)
            for left, right in pairs
            if (one := figure(left)) is not None and (other := figure(right)) is not None
        ]
        if not known:
            return None
        means = np.mean(np.array(known), axis=0)
        return float(means[0]), float(means[1]), len(known)

    @cached_property
    def music(self) -> Points | None:
        """Points of other music of the kind; None while there are too few pieces."""
        rows = [figures for job, figures in self.figures.items() if job.kind == "music"]
        return _cloud(rows)

    def distance(self, task: str, method: str) -> Mean:
        """Fréchet distance of what is heard from other music of the kind."""
        rows = list(self.rows(task, method).values())
        cloud = _cloud(rows)
        if cloud is None or self.music is None:
            return Mean(None, len(rows))
        return Mean(frechet_distance(cloud, self.music), len(rows))

    def distances(self, task: str, first: str, second: str) -> tuple[float, float, int] | None:
        """Fréchet distances of two methods over the items that both have."""
        pairs = common(self.rows(task, first), self.rows(task, second))
        clouds = [_cloud([pair[side] for pair in pairs]) for side in (0, 1)]
        if self.music is None or clouds[0] is None or clouds[1] is None:
            return None
        left, right = (frechet_distance(cloud, self.music) for cloud in clouds if cloud is not None)
        return left, right, len(pairs)

    def distance_error(self, task: str, first: str, second: str) -> float | None:
        """How uncertain the difference of these two is for the few items it stands on.

        Standard error by the jackknife: each item that both have is left out in turn.
        """
        pairs = common(self.rows(task, first), self.rows(task, second))
        heard = [pair for pair in pairs if all(row.get("points") for row in pair)]
        music, count = self.music, len(heard)
        if music is None or count < FEWEST_ITEMS:
            return None
        found = []
        for out in range(count):
            left = [pair for number, pair in enumerate(heard) if number != out]
            clouds = (_joined([pair[side] for pair in left]) for side in (0, 1))
            ours, theirs = (frechet_distance(cloud, music) for cloud in clouds)
            found.append(ours - theirs)
        return float(np.sqrt(count - 1) * np.std(found))

    def memory_mb(self, method: str, steps: int) -> float | None:
        """Peak of one iteration."""
        figures = self.figures.get(Job("memory", "intensity", method, 0, steps, 0))
        return None if figures is None else float(figures["peak_mb"])


def _question(job: Job) -> tuple[object, ...]:
    return job.kind, job.task, job.method, job.steps, job.iterations, job.rule, job.start


def common(first: Rows, second: Rows) -> list[tuple[Figures, Figures]]:
    """Results of the items that both have."""
    return [(first[item], second[item]) for item in first if item in second]


def _cloud(rows: Sequence[Figures]) -> Points | None:
    """The points of several results; None where fewer than eight have any."""
    known = [row for row in rows if row.get("points")]
    return _joined(known) if len(known) >= FEWEST_ITEMS else None


def _joined(rows: Sequence[Figures]) -> Points:
    return np.array([point for row in rows for point in row["points"]])


def updates_to(trace: Sequence[Sequence[float]], target: float) -> int:
    """How many updates the noise had when the loss first was at most `target`, or all of them."""
    reached = (index for index, (_, value) in enumerate(trace) if value <= target)
    return next(reached, len(trace) - 1)


def iterations_to_tolerance(figures: Figures) -> float | None:
    """Updates until the intensity was near enough, or the most there were."""
    trace = figures["trace"]
    return float(updates_to(trace, TOLERANCE_DB2)) if trace else None


@dataclass(frozen=True, slots=True)
class Reuse:
    """A changed curve from found noise against fresh noise.

    Attributes:
        fresh, found: mean updates to the loss of the fresh run, or to the tolerance.
        start_fresh, start_found: mean loss before the first update.
    """

    fresh: float
    found: float
    start_fresh: float
    start_found: float
    items: int

    @property
    def share(self) -> float | None:
        """Updates from found noise for each one from fresh noise."""
        return self.found / self.fresh if self.fresh > 0.0 else None


def reuse(found: Found, method: str) -> Reuse | None:
    """How much sooner a changed curve is met from the noise of the curve before."""
    fresh = found.rows("intensity-changed", method)
    again = found.rows("intensity-changed", method, start="found")
    rows = []
    for one, other in common(fresh, again):
        # A run whose start is near enough has no iterations: its best is what it began with.
        traces = [row["trace"] or [[0.0, row["best"]]] for row in (one, other)]
        target = max(TOLERANCE_DB2, min(value for _, value in traces[0]))
        counts = [float(updates_to(trace, target)) for trace in traces]
        rows.append((*counts, traces[0][0][1], traces[1][0][1]))
    if not rows:
        return None
    means = np.mean(np.array(rows), axis=0)
    return Reuse(*(float(value) for value in means), items=len(rows))


@dataclass(frozen=True, slots=True)
class Race:
    """DITTO against the fast path, in seconds of the processor, of all cores together.

    Attributes:
        ditto_s, fast_s: mean seconds until the result of a whole run is there.
        undoing_s: mean seconds in which the fast path finds the noise of its result after that.
        same_s: DITTO's mean seconds until it had the fast path's loss, or the tolerance where that
            is larger, or of its whole run.
        short: items in which it never had it.
    """

    ditto_s: float
    fast_s: float
    undoing_s: float
    same_s: float
    short: int
    items: int

    @property
    def ratio(self) -> float:
        """How much longer DITTO takes to the same loss; at least so much where it falls short."""
        return self.same_s / self.fast_s

    @property
    def ratio_with_undoing(self) -> float:
        """The same where the fast path's noise is waited for, too."""
        return self.same_s / (self.fast_s + self.undoing_s)


def race(found: Found, task: str) -> Race | None:
    """How long DITTO takes to what the fast path reaches."""
    rows, short = [], 0
    for slow, quick in common(found.rows(task, "ditto"), found.rows(task, "fast")):
        target = max(quick["best"], TOLERANCES.get(task, 0.0))
        *along_s, whole_s = slow["busy_s"]
        points = zip(along_s, slow["trace"], strict=True)
        at_s = [second for second, (_, value) in points if value <= target]
        short += not at_s
        # A draft that is near enough is the result, and nothing is undone.
        undoing_s = quick.get("undoing_busy_s") or 0.0
        rows.append((whole_s, quick["busy_s"][-1], undoing_s, at_s[0] if at_s else whole_s))
    if not rows:
        return None
    means = np.mean(np.array(rows), axis=0)
    return Race(*(float(value) for value in means), short=short, items=len(rows))
