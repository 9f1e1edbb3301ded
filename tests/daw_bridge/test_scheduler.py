"""The scheduler with an engine, a store and clients that are lists."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio

from daw_bridge.jobs.queue import Job, JobQueue, State
from daw_bridge.jobs.scheduler import Ports, Scheduler
from engine.spec import Cancelled, Done, Event, Failed, Progress, RenderRequest, Stem

REQUEST = RenderRequest("generate", seconds=1.0)
STEM = Stem("mix", "/spool/mix.wav", 48_000, 2, 480)
CRASH = Failed("engine_crashed", "the engine process died")


class Desk:
    """Plays every part that the scheduler talks to."""

    def __init__(self) -> None:
        self.script: list[list[Event]] = []
        self.told: list[tuple[str, str]] = []
        self.recorded: list[tuple[str, str]] = []
        self.discarded: list[str] = []
        self.may_adopt = asyncio.Event()
        self.may_adopt.set()
        self.ports = Ports(
            render=self.render,
            cancel_render=lambda job_id: None,
            adopt=self.adopt,
            discard=self.discard,
            record=lambda job: self.recorded.append((job.id, str(job.state))),
            publish=lambda job, fields, event: self.told.append((job.id, fields["event"])),
            now_s=lambda: 1.0,
        )
        self.scheduler = Scheduler(JobQueue(9, 9), self.ports)

    async def render(self, job_id: str, request: RenderRequest) -> AsyncGenerator[Event, None]:
        for event in self.script.pop(0):
            yield event
            await asyncio.sleep(0)

    async def adopt(self, job: Job, stems: Sequence[Stem], done: Done) -> dict[str, Any]:
        await self.may_adopt.wait()
        return {"take": f"t-{job.number:04d}", "stems": len(stems)}

    async def discard(self, job_id: str) -> None:
        self.discarded.append(job_id)

    async def until(self, event: str, times: int = 1) -> None:
        while [name for _, name in self.told].count(event) < times:
            await asyncio.sleep(0)


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
    job = desk.scheduler.submit(REQUEST)
    await desk.until("done")
    states = ["queued", "running", "done"]
    assert desk.recorded == [(job.id, state) for state in states]
    assert desk.told == [(job.id, "progress"), (job.id, "done")]
    while not desk.discarded:
        await asyncio.sleep(0)
    assert desk.discarded == [job.id]


async def test_crash_is_retried_once_and_the_next_job_goes_on(desk: Desk) -> None:
    desk.script = [[CRASH], [CRASH], [STEM, Done({}, {})]]
    poison, other = desk.scheduler.submit(REQUEST), desk.scheduler.submit(REQUEST)
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
    job = desk.scheduler.submit(REQUEST)
    await desk.until("failed")
    assert (job.state, job.crashes) == (State.FAILED, 0)


async def test_silent_end_and_unforeseen_errors_fail_the_job(desk: Desk) -> None:
    desk.script = [[Progress("draft", 0.5)]]
    silent = desk.scheduler.submit(REQUEST)
    unforeseen = desk.scheduler.submit(REQUEST)  # the script is empty: IndexError
    await desk.until("failed", times=2)
    for job in (silent, unforeseen):
        assert job.error is not None
        assert job.error.code == "engine_failed"


async def test_cancel_of_a_waiting_job_is_immediate() -> None:
    desk = Desk()
    job = desk.scheduler.submit(REQUEST)
    desk.scheduler.cancel(job.id)
    assert desk.told == [(job.id, "cancelled")]
    assert desk.recorded[-1] == (job.id, "cancelled")


async def test_engine_that_stopped_ends_in_cancelled(desk: Desk) -> None:
    desk.script = [[Progress("draft", 0.1), Cancelled()]]
    job = desk.scheduler.submit(REQUEST)
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
    job = scheduler.submit(REQUEST)
    task = asyncio.create_task(scheduler.run())
    await started.wait()
    if cancelled:
        scheduler.cancel(job.id)
    task.cancel()
    await asyncio.wait([task])
    assert (job.state, job.crashes) == (State(state), 0)
    assert desk.recorded[-1] == (job.id, state)
    assert desk.told == ([(job.id, "cancelled")] if cancelled else [])


async def test_stopping_waits_for_a_take_that_is_being_kept() -> None:
    desk = Desk()
    desk.may_adopt.clear()
    desk.script = [[STEM, Done({}, {})]]
    job = desk.scheduler.submit(REQUEST)
    task = asyncio.create_task(desk.scheduler.run())
    while desk.script:
        await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    desk.may_adopt.set()
    await asyncio.wait([task])
    assert (job.state, job.take) == (State.DONE, "t-0001")
