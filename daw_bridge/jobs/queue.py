"""The state of every job, as a pure state machine: no I/O, no clock, no tasks.

    queued ──start──► running ──finish──► done
      │  ▲               │ └───fail─────► failed
      │  ├──crash, once──┤ └──stopped───► cancelled
      │  └───makes way───┘
      └────cancel────────────────────────► cancelled

A job whose engine, or whose daemon, died while it ran is queued again once, at the front; the
second time it is poison and fails. Interactive jobs come before batch jobs, the first in first out
within each; a batch job that makes way for an interactive one goes back to the front of its own.
Times are seconds since the epoch, given by the caller; where its clock is set back, a job ends no
sooner than it began.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from daw_bridge.ids import job_id
from engine.spec import BridgeError, Failed, Progress, RenderRequest

MAX_CRASHES = 2
# A batch job that was interrupted so often runs to its end, however much is asked for meanwhile.
MAX_INTERRUPTIONS = 3
# What is over sooner than this is not interrupted: the way back costs about as much.
_WORTH_WAITING_S = 5.0


class State(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Priority(StrEnum):
    """Which jobs come first: those that a musician waits for, or those that have time."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a request stands among the others.

    Attributes:
        slot: the place in the client that it is for; a newer request for it supersedes this one.
            Empty for none.
    """

    slot: str = ""
    priority: Priority = Priority.INTERACTIVE


ANYWHERE = Placement()

_NEXT: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED, State.FAILED}),
    State.RUNNING: frozenset({State.QUEUED, State.DONE, State.FAILED, State.CANCELLED}),
    State.DONE: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}


@dataclass(slots=True)
class Job:
    """One job and all that is known of it.

    Attributes:
        crashes: how often the engine or the daemon died while it ran.
        fraction: progress from 0 to 1; never falls, not even when the job starts again.
        take: id of its take once done.
        reason: why it is, or is to be, cancelled.
        interruptions: how often it made way for an interactive job.
        making_way: it was told to stop and will go on later.
        first_revision, revisions: the number of this attempt's first preview, and of the next one.
    """

    number: int
    request: RenderRequest
    created_s: float
    state: State = State.QUEUED
    crashes: int = 0
    started_s: float | None = None
    finished_s: float | None = None
    stage: str = ""
    fraction: float = 0.0
    eta_s: float | None = None
    take: str | None = None
    error: Failed | None = None
    cancel_requested: bool = False
    placement: Placement = ANYWHERE
    reason: str = ""
    interruptions: int = 0
    making_way: bool = False
    first_revision: int = 0
    revisions: int = 0

    @property
    def id(self) -> str:
        """The id clients use."""
        return job_id(self.number)

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return not _NEXT[self.state]

    @property
    def may_make_way(self) -> bool:
        """Whether this running job should stop for an interactive one."""
        return (
            self.state is State.RUNNING
            and self.placement.priority is Priority.BATCH
            and self.interruptions < MAX_INTERRUPTIONS
            and not (self.making_way or self.cancel_requested)
            and (self.eta_s is None or self.eta_s > _WORTH_WAITING_S)
        )


class JobQueue:
    """Every live job, and the finished ones that are still remembered.

    Args:
        max_queued: jobs that may wait.
        max_finished: finished jobs to remember; older ones are forgotten.
        next_number: number of the next job; above any that was used before.
    """

    def __init__(self, max_queued: int, max_finished: int, next_number: int = 1) -> None:
        self._max_queued = max_queued
        self._max_finished = max_finished
        self._next_number = next_number
        self._jobs: dict[str, Job] = {}
        self._waiting: dict[Priority, deque[Job]] = {each: deque() for each in Priority}
        self._finished: deque[Job] = deque()

    def restore(
        self, jobs: Iterable[Job], now_s: float, take_of: Callable[[str], str | None]
    ) -> list[Job]:
        """Take over the jobs of an earlier daemon, oldest first; those that changed.

        What ran when that daemon died is queued again, unless it is the second time, or
        `take_of(job id)` knows a take: then the daemon died just before it noted the end.
        """
        changed = []
        for job in jobs:
            self._jobs[job.id] = job
            self._next_number = max(self._next_number, job.number + 1)
            if job.state is State.RUNNING:
                if take := take_of(job.id):
                    self.finish(job, take, now_s)
                else:
                    job.cancel_requested = bool(job.reason)
                    self.crash(job, now_s, "the daemon died while it worked on this job")
                changed.append(job)
            elif job.state is State.QUEUED:
                self._line(job).append(job)
            else:
                self._finished.append(job)
        return changed

    def submit(
        self, requests: Sequence[RenderRequest], now_s: float, placement: Placement = ANYWHERE
    ) -> list[Job]:
        """Queue new jobs, all of them or none.

        Those that wait in the same slot leave their places to them, so they must be cancelled next.

        Raises:
            BridgeError: `too_large` when the queue has no room for them.
        """
        leaving = sum(job.state is State.QUEUED for job in self.in_slot(placement.slot))
        if self.waiting_count - leaving + len(requests) > self._max_queued:
            raise BridgeError(
                "too_large",
                f"{self.waiting_count} jobs are waiting already, of {self._max_queued} at most",
                "wait for one to finish or cancel some",
            )
        jobs = []
        for request in requests:
            job = Job(self._next_number, request, now_s, placement=placement)
            self._next_number += 1
            self._jobs[job.id] = job
            self._line(job).append(job)
            jobs.append(job)
        return jobs

    def in_slot(self, slot: str) -> list[Job]:
        """The jobs of a slot that are not over."""
        if not slot:
            return []
        return [job for job in self._jobs.values() if job.placement.slot == slot and not job.over]

    def start_next(self, now_s: float) -> Job | None:
        """Take the next job out of the queue and start it."""
        line = next(filter(None, self._waiting.values()), None)
        if line is None:
            return None
        job = line.popleft()
        self._move(job, State.RUNNING)
        job.started_s = max(now_s, job.created_s)
        job.making_way = False
        job.first_revision = job.revisions
        return job

    def progress(self, job: Job, event: Progress) -> None:
        """Note how far a running job is."""
        job.stage = event.stage
        job.fraction = max(job.fraction, min(1.0, event.fraction))
        job.eta_s = event.eta_s

    def revised(self, job: Job, revision: int) -> int:
        """Number of a preview, of this attempt's `revision`; it rises over all attempts."""
        number = job.first_revision + revision
        job.revisions = max(job.revisions, number + 1)
        return number

    def finish(self, job: Job, take: str, now_s: float) -> None:
        """A running job has its take."""
        job.take = take
        job.fraction = 1.0
        self._end(job, State.DONE, now_s)

    def fail(self, job: Job, error: Failed, now_s: float) -> None:
        """A job cannot be finished."""
        job.error = error
        self._end(job, State.FAILED, now_s)

    def stopped(self, job: Job, now_s: float) -> None:
        """A running job has obeyed its cancel."""
        self._end(job, State.CANCELLED, now_s)

    def crash(self, job: Job, now_s: float, reason: str) -> None:
        """What rendered the job died. Queues it again, or ends it: look at its state after."""
        job.crashes += 1
        if job.cancel_requested:
            self._end(job, State.CANCELLED, now_s)
        elif job.crashes >= MAX_CRASHES:
            at = f", at {job.fraction:.0%} in the stage {job.stage}" if job.stage else ""
            hint = f"it was tried {job.crashes} times and is not tried again; the log says more"
            self.fail(job, Failed("engine_crashed", reason + at, hint), now_s)
        else:
            self.requeue(job)

    def requeue(self, job: Job) -> None:
        """Put a running job back at the front, as when the daemon shuts down."""
        self._move(job, State.QUEUED)
        job.eta_s = None
        self._line(job).appendleft(job)

    def made_way(self, job: Job) -> None:
        """A running job has stopped for an interactive one and waits to go on."""
        job.interruptions += 1
        self.requeue(job)

    def cancel(self, wanted_id: str, now_s: float, reason: str = "") -> Job:
        """Cancel a queued job at once; note the wish for a running one, which is stopped outside.

        Args:
            reason: what its clients are told.

        Raises:
            BridgeError: `not_found` for an unknown job, `bad_request` for one that is over.
        """
        job = self.get(wanted_id)
        if job.over:
            raise BridgeError("bad_request", f"{job.id} is over, it is {job.state}")
        job.cancel_requested = True
        job.reason = job.reason or reason
        if job.state is State.QUEUED:
            self._line(job).remove(job)
            self._end(job, State.CANCELLED, now_s)
        return job

    def get(self, wanted_id: str) -> Job:
        """A job by its id.

        Raises:
            BridgeError: `not_found`.
        """
        job = self._jobs.get(wanted_id)
        if job is None:
            raise BridgeError("not_found", f"no job {wanted_id[:40]!r}", "jobs lists them")
        return job

    @property
    def waiting_count(self) -> int:
        """Jobs that wait."""
        return sum(map(len, self._waiting.values()))

    def newest(self) -> Iterator[Job]:
        """Every remembered job, newest first."""
        return iter(sorted(self._jobs.values(), key=lambda job: job.number, reverse=True))

    def _line(self, job: Job) -> deque[Job]:
        return self._waiting[job.placement.priority]

    def _end(self, job: Job, state: State, now_s: float) -> None:
        self._move(job, state)
        job.finished_s = max(now_s, job.started_s or job.created_s)
        job.eta_s = None
        self._finished.append(job)
        while len(self._finished) > self._max_finished:
            del self._jobs[self._finished.popleft().id]

    @staticmethod
    def _move(job: Job, state: State) -> None:
        assert state in _NEXT[job.state], f"{job.id}: {job.state} to {state}"
        job.state = state
