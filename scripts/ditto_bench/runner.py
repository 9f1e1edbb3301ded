"""The jobs in their order, until they are done or the time is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ditto_bench.measure import Bench, MissingError, OutOfTimeError
from ditto_bench.plan import Job, cost
from ditto_bench.store import Results

Say = Callable[[str], None]


@dataclass
class Clock:
    """How much time is left, and how this machine's pace compares with the forecast.

    Attributes:
        ends_s: on the clock; None for no end.
        now: the clock.
    """

    ends_s: float | None = None
    now: Callable[[], float] = time.monotonic
    _expected_s: float = 0.0
    _taken_s: float = 0.0

    def is_over(self) -> bool:
        """Whether the time is over."""
        return self.ends_s is not None and self.now() >= self.ends_s

    def fits(self, job: Job) -> bool:
        """Whether a job would be done in time, as far as can be told."""
        return self.ends_s is None or self.now() + self.pace * cost(job) <= self.ends_s

    def note(self, job: Job, taken_s: float) -> None:
        """A job has taken so long."""
        self._expected_s += cost(job)
        self._taken_s += taken_s

    @property
    def pace(self) -> float:
        """Seconds for each second of the forecast."""
        return self._taken_s / self._expected_s if self._expected_s else 1.0


def work(bench: Bench, planned: Sequence[Job], clock: Clock, say: Say) -> None:
    """Measure what is not kept yet, in order; a second item waits for every first one.

    What would not be done in time is passed over; once anything of an item has been, no later item
    is begun.
    """
    passed: int | None = None
    missing = [job for job in planned if bench.results.load(job) is None]
    say(f"{len(planned) - len(missing)} of {len(planned)} jobs are done already")
    for number, job in enumerate(missing):
        if clock.is_over() or (passed is not None and job.item > passed):
            say("the time is over")
            return
        if not clock.fits(job):
            passed = job.item
            continue
        begun_s = clock.now()
        try:
            bench.results.measured(job, bench.measure)
        except MissingError as error:
            say(f"left out: {error}")
            continue
        except (OutOfTimeError, KeyboardInterrupt):
            say("stopped; what is finished is kept")
            return
        taken_s = clock.now() - begun_s
        clock.note(job, taken_s)
        say(f"{number + 1}/{len(missing)} {said(job)}: {taken_s:.1f} s")


def said(job: Job) -> str:
    """A job in a few words."""
    parts = [job.kind if job.kind != "run" else "", job.task, job.method]
    parts += [f"item {job.item}", f"{job.steps} steps" if job.steps else ""]
    parts += [job.rule if job.rule != "euler" else "", "from found noise" * (job.start == "found")]
    return " ".join(part for part in parts if part)


def forecast_s(results: Results, planned: Sequence[Job]) -> str:
    """About how long what is missing takes on an idle machine."""
    missing = [job for job in planned if results.load(job) is None]
    hours = sum(cost(job) for job in missing) / 3600.0
    return f"{len(missing)} jobs are missing, about {hours:.1f} hours"
