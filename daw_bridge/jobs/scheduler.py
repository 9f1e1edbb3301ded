"""The loop that gives one job after the other to the engine and tells what becomes of it.

The engine, the take store, the journal and the clients are callables given by the composition
root, so that this file knows only of jobs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from daw_bridge.jobs.queue import ANYWHERE, Job, JobQueue, Placement, Priority, State
from engine.spec import (
    BridgeError,
    Cancelled,
    Done,
    Event,
    Failed,
    Preview,
    Progress,
    RenderRequest,
    Stem,
)

_log = logging.getLogger(__name__)

_RESTARTING = "waiting for the engine to restart"
_MAKING_WAY = "waiting for an interactive job"


@dataclass(frozen=True, slots=True)
class Ports:
    """What the scheduler asks of others.

    Attributes:
        render: renders a request, given the job id; a dead engine is `Failed(engine_crashed)`.
        cancel_render: asks the engine to stop a job.
        adopt: keeps the stems as a take and returns it as the fields of `done`.
        discard: removes what a job that is over left in the spool; a job that starts again goes on
            from what it finds there.
        record: journals a job.
        publish: tells the job's clients of an event.
        now_s: seconds since the epoch.
    """

    render: Callable[[str, RenderRequest], AsyncGenerator[Event, None]]
    cancel_render: Callable[[str], None]
    adopt: Callable[[Job, Sequence[Stem], Done], Awaitable[dict[str, Any]]]
    discard: Callable[[str], Coroutine[Any, Any, None]]
    record: Callable[[Job], None]
    publish: Callable[[Job, dict[str, Any], Event | None], None]
    now_s: Callable[[], float]


class Scheduler:
    """Runs jobs from a queue, one at a time."""

    def __init__(self, queue: JobQueue, ports: Ports) -> None:
        self._queue = queue
        self._ports = ports
        self._wake = asyncio.Event()
        self._running: Job | None = None
        self._discarding: set[asyncio.Task[None]] = set()
        self._unwritten: dict[str, Job] = {}

    @property
    def queue(self) -> JobQueue:
        """All jobs."""
        return self._queue

    @property
    def running(self) -> Job | None:
        """The job in the engine."""
        return self._running

    def submit(
        self, requests: Sequence[RenderRequest], placement: Placement = ANYWHERE
    ) -> list[Job]:
        """Queue and journal jobs, all of them or none; what they supersede is cancelled.

        Raises:
            BridgeError: `too_large` when the queue is full, `unavailable` when the disk refuses.
        """
        superseded = self._queue.in_slot(placement.slot)
        jobs = self._queue.submit(requests, self._ports.now_s(), placement)
        written: list[Job] = []
        try:
            for job in jobs:
                self._ports.record(job)
                written.append(job)
        except Exception:
            # What is not in the journal has not been accepted.
            for job in jobs:
                self._queue.cancel(job.id, self._ports.now_s(), "the journal refused it")
            for job in written:
                self._record(job)
            raise
        for old in superseded:
            self.cancel(old.id, f"superseded by {jobs[0].id} in slot {placement.slot}")
        if placement.priority is Priority.INTERACTIVE:
            self._make_way()
        self._wake.set()
        return jobs

    def _make_way(self) -> None:
        """Let a batch job stop for an interactive one; it goes on from its checkpoint later."""
        job = self._running
        if job is not None and job.may_make_way:
            job.making_way = True
            self._ports.cancel_render(job.id)

    def cancel(self, job_id: str, reason: str = "a client asked for it") -> Job:
        """Cancel a job: at once when it waits, through the engine when it runs.

        Raises:
            BridgeError: `not_found` or `bad_request`, as `JobQueue.cancel`.
        """
        job = self._queue.cancel(job_id, self._ports.now_s(), reason)
        if job.state is State.CANCELLED:
            self._tell_end(job)
            if job.started_s is not None:  # what waited to go on has left something in the spool
                discarding = asyncio.create_task(self._ports.discard(job.id))
                self._discarding.add(discarding)
                discarding.add_done_callback(self._discarding.discard)
        else:
            self._record(job)  # a daemon that dies now must not render it again
            self._ports.cancel_render(job.id)
        return job

    async def run(self) -> None:
        """Work until cancelled; the job in the engine then goes back into the queue.

        One that a client has asked to stop does not: it would play again after a restart.
        """
        while True:
            job = self._queue.start_next(self._ports.now_s())
            if job is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            self._running = job
            try:
                await self._work(job)
            finally:
                if job.state is State.RUNNING and job.cancel_requested:
                    self._queue.stopped(job, self._ports.now_s())
                    self._tell_end(job)
                elif job.state is State.RUNNING:
                    self._queue.requeue(job)
                    self._record(job)
                self._running = None

    async def _work(self, job: Job) -> None:
        self._record(job)
        try:
            ending, stems = await self._render(job)
            if isinstance(ending, Done):
                await self._keep(job, stems, ending)
                return
        except BridgeError as error:
            ending = Failed(**error.to_mapping())
        except Exception as error:
            _log.exception("job %s", job.id)
            ending = Failed("engine_failed", f"{type(error).__name__}: {error}"[:500])
        self._running = None
        self._end_without_take(job, ending)
        if job.over:
            await self._ports.discard(job.id)

    async def _keep(self, job: Job, stems: Sequence[Stem], done: Done) -> None:
        async def keep() -> None:
            fields = await self._ports.adopt(job, stems, done)
            await self._ports.discard(job.id)
            self._running = None
            self._queue.finish(job, fields["take"], self._ports.now_s())
            self._record(job)
            self._ports.publish(job, {"event": "done", **fields}, None)

        keeping = asyncio.ensure_future(keep())
        try:
            await asyncio.shield(keeping)
        except asyncio.CancelledError:
            # Stopping now would leave a take that the journal does not know.
            await asyncio.wait([keeping])
            if (error := keeping.exception()) is not None:
                _log.error("the take of %s cannot be kept: %s", job.id, error)
            raise

    async def _render(self, job: Job) -> tuple[Event, list[Stem]]:
        stems: list[Stem] = []
        events = self._ports.render(job.id, job.request)
        async with contextlib.aclosing(events):
            async for event in events:
                match event:
                    case Progress():
                        self._queue.progress(job, event)
                        event = replace(event, fraction=job.fraction)
                        self._ports.publish(job, _progress_fields(event), event)
                    case Preview():
                        event = replace(event, revision=self._queue.revised(job, event.revision))
                        self._ports.publish(job, _preview_fields(event), event)
                    case Stem():
                        stems.append(event)
                    case _:
                        return event, stems
        return Failed("engine_failed", "the engine ended without a result"), stems

    def _end_without_take(self, job: Job, ending: Event) -> None:
        now_s = self._ports.now_s()
        match ending:
            case Cancelled() if job.making_way and not job.cancel_requested:
                self._queue.made_way(job)
            case Cancelled():
                job.cancel_requested = True
                self._queue.stopped(job, now_s)
            case Failed(code="engine_crashed"):
                self._queue.crash(job, now_s, ending.message)
            case Failed():
                self._queue.fail(job, ending, now_s)
            case _:
                self._queue.fail(job, Failed("engine_failed", f"no ending: {ending.kind}"), now_s)
        if job.state is State.QUEUED:
            self._record(job)
            event = Progress(_MAKING_WAY if job.making_way else _RESTARTING, job.fraction)
            self._ports.publish(job, _progress_fields(event), event)
        else:
            self._tell_end(job)

    def _tell_end(self, job: Job) -> None:
        self._record(job)
        if job.error is not None:
            self._ports.publish(job, {"event": "failed", **asdict(job.error)}, None)
        else:
            self._ports.publish(job, {"event": "cancelled", "reason": job.reason}, None)

    def _record(self, job: Job) -> None:
        """Journal a job, after those that the disk has refused before."""
        self._unwritten[job.id] = job
        try:
            for each in list(self._unwritten.values()):
                self._ports.record(each)
                del self._unwritten[each.id]
        except BridgeError:
            # The job itself can go on; only its survival of a restart is at stake until then.
            _log.exception("job %s is not journalled", job.id)


def _progress_fields(event: Progress) -> dict[str, Any]:
    return {
        "event": event.kind,
        "stage": event.stage,
        "fraction": event.fraction,
        "eta_s": event.eta_s,
        "step": event.step,
        "steps": event.steps,
        "loss": event.loss,
        "best": event.best,
    }


def _preview_fields(event: Preview) -> dict[str, Any]:
    return {
        "event": event.kind,
        "revision": event.revision,
        "offset_samples": event.offset_samples,
        "sample_rate_hz": event.sample_rate_hz,
        "channels": event.channels,
        "length_samples": len(event.pcm) // (4 * max(1, event.channels)),
    }
