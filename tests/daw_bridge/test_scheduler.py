"""The scheduler with an engine, a store and clients that are lists."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from daw_bridge.jobs.queue import Job, JobQueue, Placement, Priority, State
from daw_bridge.jobs.scheduler import Ports, Scheduler
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

REQUEST = RenderRequest("generate", seconds=1.0)
STEM = Stem("mix", "/spool/mix.wav", 48_000, 2, 480)
CRASH = Failed("engine_crashed", "the engine process died")


class Desk:
    """Plays every part that the scheduler talks to."""

    def __init__(self) -> None:
        self.script: list[list[Event]] = []
        self.told: list[tuple[str, str]] = []
        self.reasons: dict[str, str] = {}
        self.revisions: list[int] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.recorded: list[tuple[str, str]] = []
        self.discarded: list[str] = []
        self.may_adopt = asyncio.Event()
        self.may_adopt.set()
        self.ports = Ports(
            render=self.render,
            cancel_render=self.cancel_render,
            adopt=self.adopt,
            discard=self.discard,
            record=lambda job: self.recorded.append((job.id, str(job.state))),
            publish=self.publish,
            now_s=lambda: 1.0,
        )
        self.scheduler = Scheduler(JobQueue(9, 9), self.ports)

    async def render(self, job_id: str, request: RenderRequest) -> AsyncGenerator[Event, None]:
        for event in self.script.pop(0):
            yield event
            await asyncio.sleep(0)

    def cancel_render(self, job_id: str) -> None:
        self.gates.setdefault(job_id, asyncio.Event()).set()

    async def until_cancelled(
        self, job_id: str, request: RenderRequest
    ) -> AsyncGenerator[Event, None]:
        """A render that ends when it is asked to, if the script says nothing else."""
        yield Progress("refine", 0.5)
        gate = self.gates[job_id] = asyncio.Event()
        if not self.script:
            await gate.wait()
            yield Cancelled()
            return
        for event in self.script.pop(0):
            yield event

    def publish(self, job: Job, fields: dict[str, Any], event: Event | None) -> None:
        self.told.append((job.id, fields["event"]))
        if fields["event"] == "preview":
            self.revisions.append(fields["revision"])
        if fields["event"] == "cancelled":
            self.reasons[job.id] = fields["reason"]

    async def adopt(self, job: Job, stems: Sequence[Stem], done: Done) -> dict[str, Any]:
        await self.may_adopt.wait()
        return {"take": f"t-{job.number:04d}", "stems": len(stems)}

    async def discard(self, job_id: str) -> None:
        self.discarded.append(job_id)

    async def until(self, event: str, times: int = 1) -> None:
        while [name for _, name in self.told].count(event) < times:
            await asyncio.sleep(0)


def submit(desk: Desk, slot: str = "", priority: str = "interactive") -> Job:
    return desk.scheduler.submit([REQUEST], Placement(slot, Priority(priority)))[0]


@pytest_asyncio.fixture
async def desk() -> AsyncIterator[Desk]:
    made = Desk()
    task = asyncio.create_task(made.scheduler.run())
    yield made
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_job_is_journalled_at_every_step(desk: Desk) -> None:
    desk.script = [[Progress("draft", 0.5), STEM, Done({}, {})]]
    job = submit(desk)
    await desk.until("done")
    states = ["queued", "running", "done"]
    assert desk.recorded == [(job.id, state) for state in states]
    assert desk.told == [(job.id, "progress"), (job.id, "done")]
    while not desk.discarded:
        await asyncio.sleep(0)
    assert desk.discarded == [job.id]


async def test_crash_is_retried_once_and_the_next_job_goes_on(desk: Desk) -> None:
    desk.script = [[CRASH], [CRASH], [STEM, Done({}, {})]]
    poison, other = submit(desk), submit(desk)
    await desk.until("done")
    assert (poison.state, poison.crashes) == (State.FAILED, 2)
    assert other.state is State.DONE
    assert desk.told == [
        (poison.id, "progress"),
        (poison.id, "failed"),
        (other.id, "done"),
    ]


async def test_ordinary_failure_is_not_retried(desk: Desk) -> None:
    desk.script = [[Failed("bad_audio", "empty")]]
    job = submit(desk)
    await desk.until("failed")
    assert (job.state, job.crashes) == (State.FAILED, 0)


async def test_silent_end_and_unforeseen_errors_fail_the_job(desk: Desk) -> None:
    desk.script = [[Progress("draft", 0.5)]]
    silent = submit(desk)
    unforeseen = submit(desk)  # the script is empty: IndexError
    await desk.until("failed", times=2)
    for job in (silent, unforeseen):
        assert job.error is not None
        assert job.error.code == "engine_failed"


async def test_cancel_of_a_waiting_job_is_immediate() -> None:
    desk = Desk()
    job = submit(desk)
    desk.scheduler.cancel(job.id)
    assert desk.told == [(job.id, "cancelled")]
    assert desk.recorded[-1] == (job.id, "cancelled")


async def test_engine_that_stopped_ends_in_cancelled(desk: Desk) -> None:
    desk.script = [[Progress("draft", 0.1), Cancelled()]]
    job = submit(desk)
    await desk.until("cancelled")
    assert job.state is State.CANCELLED


@pytest.mark.parametrize(("cancelled", "state"), [(False, "queued"), (True, "cancelled")])
async def test_stopping_puts_the_running_job_back_unless_it_was_cancelled(
    cancelled: bool, state: str
) -> None:
    desk = Desk()
    started = asyncio.Event()

    async def render(job_id: str, request: RenderRequest) -> AsyncGenerator[Event, None]:
        started.set()
        await asyncio.Event().wait()
        yield Cancelled()

    desk.render = render  # type: ignore[method-assign]
    scheduler = Scheduler(
        JobQueue(9, 9),
        Ports(render, *(getattr(desk.ports, n) for n in Ports.__slots__[1:])),
    )
    (job,) = scheduler.submit([REQUEST])
    task = asyncio.create_task(scheduler.run())
    await started.wait()
    if cancelled:
        scheduler.cancel(job.id)
    task.cancel()
    await asyncio.wait([task])
    assert (job.state, job.crashes) == (State(state), 0)
    assert desk.recorded[-1] == (job.id, state)
    assert desk.told == ([(job.id, "cancelled")] if cancelled else [])


async def stopped_while_keeping(desk: Desk) -> Job:
    """A job whose take was being kept when the scheduler was told to stop, once it has."""
    desk.may_adopt.clear()
    desk.script = [[STEM, Done({}, {})]]
    job = submit(desk)
    task = asyncio.create_task(desk.scheduler.run())
    while desk.script:
        await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    desk.may_adopt.set()
    await asyncio.wait([task], timeout=5.0)
    assert task.cancelled()
    return job


async def test_stopping_waits_for_a_take_that_is_being_kept() -> None:
    job = await stopped_while_keeping(Desk())
    assert (job.state, job.take) == (State.DONE, "t-0001")


async def test_stopping_puts_a_job_back_whose_take_cannot_be_kept() -> None:
    desk = Desk()

    async def adopt(*_: object) -> dict[str, Any]:
        await desk.may_adopt.wait()
        raise BridgeError("unavailable", "the disk is full")

    desk.scheduler = Scheduler(JobQueue(9, 9), replace(desk.ports, adopt=adopt))
    assert (await stopped_while_keeping(desk)).state is State.QUEUED


@contextlib.asynccontextmanager
async def patient_desk() -> AsyncIterator[Desk]:
    """A desk whose renders go on until they are asked to stop."""
    desk = Desk()
    render = desk.until_cancelled
    ports = Ports(render, *(getattr(desk.ports, name) for name in Ports.__slots__[1:]))
    desk.scheduler = Scheduler(JobQueue(9, 9), ports)
    task = asyncio.create_task(desk.scheduler.run())
    yield desk
    task.cancel()
    await asyncio.wait([task])


async def test_a_newer_request_supersedes_what_waits_and_what_runs() -> None:
    async with patient_desk() as desk:
        running = submit(desk, "verse")
        await desk.until("progress")
        waiting, other = submit(desk, "chorus"), submit(desk, "bridge")
        newer = submit(desk, "chorus")
        assert waiting.state is State.CANCELLED
        assert desk.reasons == {waiting.id: f"superseded by {newer.id} in slot chorus"}
        newest = submit(desk, "verse")
        await desk.until("cancelled", times=2)
        assert desk.reasons[running.id] == f"superseded by {newest.id} in slot verse"
        assert running.state is State.CANCELLED
        await desk.until("progress", times=2)
        assert desk.scheduler.running is other
        assert [newer.state, newest.state] == [State.QUEUED] * 2


async def test_takes_of_one_request_do_not_supersede_each_other() -> None:
    async with patient_desk() as desk:
        first = desk.scheduler.submit([REQUEST] * 3, Placement("verse"))
        assert [job.state for job in first] == [State.QUEUED] * 3
        second = desk.scheduler.submit([REQUEST] * 2, Placement("verse"))
        assert [job.state for job in first] == [State.CANCELLED] * 3
        assert [job.state for job in second] == [State.QUEUED] * 2


async def test_a_request_that_is_not_journalled_supersedes_nothing(desk: Desk) -> None:
    old = submit(desk, "verse")

    def refuse(job: Job) -> None:
        raise BridgeError("unavailable", "the journal cannot be written")

    ports = Ports(*(getattr(desk.ports, n) if n != "record" else refuse for n in Ports.__slots__))
    desk.scheduler._ports = ports
    with pytest.raises(BridgeError):
        desk.scheduler.submit([REQUEST] * 2, Placement("verse"))
    assert old.state is State.QUEUED
    assert desk.scheduler.queue.waiting_count == 1


async def test_previews_of_a_job_that_starts_again_rise_on(desk: Desk) -> None:
    previews = [Preview(number, 0, 44_100, 2, bytes(8)) for number in range(3)]
    desk.script = [[*previews, CRASH], [*previews, STEM, Done({}, {})], [*previews, CRASH]]
    submit(desk)
    await desk.until("done")
    assert desk.revisions == [0, 1, 2, 3, 4, 5]
    submit(desk)
    await desk.until("preview", 9)
    assert desk.revisions[6:] == [0, 1, 2], "another job's are its own"


async def test_a_batch_job_makes_way_and_goes_on_with_what_it_left() -> None:
    async with patient_desk() as desk:
        batch = submit(desk, priority="batch")
        await desk.until("progress")
        urgent = submit(desk)
        while desk.scheduler.running is not urgent:
            await asyncio.sleep(0)
        assert (batch.state, batch.interruptions, batch.crashes) == (State.QUEUED, 1, 0)
        assert batch.id not in desk.discarded, "its checkpoints are there"
        desk.script = [[STEM, Done({}, {})]]
        desk.scheduler.cancel(urgent.id)
        await desk.until("done")
        assert batch.state is State.DONE


async def test_an_interactive_job_is_not_interrupted_and_comes_before_batch() -> None:
    async with patient_desk() as desk:
        first = submit(desk)
        await desk.until("progress")
        late, urgent = submit(desk, priority="batch"), submit(desk)
        assert desk.scheduler.running is first
        desk.scheduler.cancel(first.id)
        while desk.scheduler.running in (None, first):
            await asyncio.sleep(0)
        assert desk.scheduler.running is urgent
        assert late.state is State.QUEUED


async def test_what_waited_to_go_on_leaves_nothing_in_the_spool_when_it_is_cancelled() -> None:
    async with patient_desk() as desk:
        batch = submit(desk, priority="batch")
        await desk.until("progress")
        urgent = submit(desk)
        while desk.scheduler.running is not urgent:
            await asyncio.sleep(0)
        desk.scheduler.cancel(batch.id)
        while batch.id not in desk.discarded:
            await asyncio.sleep(0)
