"""The state machine of jobs, walked at random against what it promises."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from daw_bridge.jobs.queue import (
    MAX_CRASHES,
    MAX_INTERRUPTIONS,
    Job,
    JobQueue,
    Placement,
    Priority,
    State,
)
from engine.spec import BridgeError, Failed, Progress, RenderRequest

REQUEST = RenderRequest("generate", seconds=1.0)
MAX_QUEUED = 3
MAX_FINISHED = 4


def make_queue() -> JobQueue:
    return JobQueue(MAX_QUEUED, MAX_FINISHED)


def submitted(queue: JobQueue, slot: str = "", priority: str = "interactive") -> Job:
    return queue.submit([REQUEST], 0.0, Placement(slot, Priority(priority)))[0]


def no_take(job_id: str) -> str | None:
    return None


class Walk(RuleBasedStateMachine):
    """Any order of calls: one job runs at a time, in order, and every job ends once."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = make_queue()
        self.running: Job | None = None
        self.expected: dict[Priority, list[str]] = {each: [] for each in Priority}
        self.fractions: dict[str, float] = {}

    def in_order(self) -> list[str]:
        """Ids as they should start: interactive ones first, each class as it came."""
        return [*self.expected[Priority.INTERACTIVE], *self.expected[Priority.BATCH]]

    @rule(priority=st.sampled_from(Priority), count=st.integers(1, 3))
    def submit(self, priority: Priority, count: int) -> None:
        placement = Placement(priority=priority)
        if len(self.in_order()) + count > MAX_QUEUED:
            with pytest.raises(BridgeError):
                self.queue.submit([REQUEST] * count, 0.0, placement)
        else:
            jobs = self.queue.submit([REQUEST] * count, 0.0, placement)
            self.expected[priority] += [job.id for job in jobs]

    @rule()
    def start(self) -> None:
        if self.running is not None:
            return
        job = self.queue.start_next(1.0)
        assert (job.id if job else None) == next(iter(self.in_order()), None)
        if job:
            self.expected[job.placement.priority].pop(0)
        self.running = job

    @rule(fraction=st.floats(-1, 2))
    def progress(self, fraction: float) -> None:
        if self.running:
            self.queue.progress(self.running, Progress("x", fraction))
            assert self.running.fraction >= self.fractions.get(self.running.id, 0.0)
            self.fractions[self.running.id] = self.running.fraction

    @rule(how=st.sampled_from(["finish", "fail", "stopped", "crash", "requeue", "made_way"]))
    def end(self, how: str) -> None:
        job, self.running = self.running, None
        if job is None:
            return
        match how:
            case "finish":
                self.queue.finish(job, "t-0001", 2.0)
            case "fail":
                self.queue.fail(job, Failed("bad_audio", "x"), 2.0)
            case "stopped":
                self.queue.stopped(job, 2.0)
            case "crash":
                self.queue.crash(job, 2.0, "it died")
                assert job.crashes <= MAX_CRASHES
            case "made_way":
                self.queue.made_way(job)
            case _:
                self.queue.requeue(job)
        if job.state is State.QUEUED:
            self.expected[job.placement.priority].insert(0, job.id)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        ids = [job.id for job in self.queue.newest()]
        if not ids:
            return
        job = self.queue.get(data.draw(st.sampled_from(ids)))
        if job.over:
            with pytest.raises(BridgeError):
                self.queue.cancel(job.id, 3.0)
        elif job is self.running:
            assert self.queue.cancel(job.id, 3.0).state is State.RUNNING
        else:
            assert self.queue.cancel(job.id, 3.0).state is State.CANCELLED
            self.expected[job.placement.priority].remove(job.id)

    @invariant()
    def counts_agree(self) -> None:
        jobs = list(self.queue.newest())
        assert self.queue.waiting_count == len(self.in_order())
        assert sum(job.over for job in jobs) <= MAX_FINISHED
        assert [job.state for job in jobs].count(State.RUNNING) == (self.running is not None)


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)


def test_ids_are_counted_on_from_any_earlier_number() -> None:
    queue = JobQueue(9, 9, next_number=12)
    assert submitted(queue).id == "j-0012"
    assert submitted(queue).id == "j-0013"


def test_full_queue_says_so() -> None:
    queue = make_queue()
    for _ in range(MAX_QUEUED):
        submitted(queue)
    with pytest.raises(BridgeError) as caught:
        submitted(queue)
    assert caught.value.code == "too_large"


def test_poison_is_tried_twice() -> None:
    queue = make_queue()
    job = submitted(queue)
    other = submitted(queue)
    assert queue.start_next(1.0) is job
    queue.crash(job, 2.0, "it died")
    assert queue.start_next(3.0) is job, "a crashed job comes before those that wait"
    queue.crash(job, 4.0, "it died")
    assert job.state is State.FAILED
    assert job.error is not None
    assert job.error.code == "engine_crashed"
    assert queue.start_next(5.0) is other


def test_restart_takes_up_what_was_left() -> None:
    waiting = Job(3, REQUEST, 0.0)
    running = Job(2, REQUEST, 0.0, state=State.RUNNING)
    poison = Job(1, REQUEST, 0.0, state=State.RUNNING, crashes=1)
    queue = make_queue()
    assert queue.restore([poison, running, waiting], 9.0, no_take) == [poison, running]
    assert poison.state is State.FAILED
    assert poison.error is not None
    assert "daemon died" in poison.error.message
    assert queue.start_next(9.0) is running
    assert queue.start_next(9.0) is waiting
    assert submitted(queue).number == 4


def test_restart_finds_the_take_of_a_job_whose_end_was_not_noted() -> None:
    running = Job(2, REQUEST, 0.0, state=State.RUNNING)
    make_queue().restore([running], 9.0, {"j-0002": "t-0005"}.get)
    assert (running.state, running.take) == (State.DONE, "t-0005")


def test_unknown_job_is_not_found() -> None:
    with pytest.raises(BridgeError) as caught:
        make_queue().cancel("j-9999", 0.0)
    assert caught.value.code == "not_found"


def test_restart_does_not_render_again_what_was_to_stop() -> None:
    running = Job(2, REQUEST, 0.0, state=State.RUNNING, reason="superseded by j-0003")
    make_queue().restore([running], 9.0, no_take)
    assert running.state is State.CANCELLED


def test_a_slot_gives_its_places_to_the_newer_request() -> None:
    queue = make_queue()
    for _ in range(MAX_QUEUED):
        submitted(queue, "verse")
    with pytest.raises(BridgeError):
        submitted(queue, "chorus")
    old = queue.in_slot("verse")
    newer = submitted(queue, "verse")
    for job in old:
        queue.cancel(job.id, 0.0)
    assert queue.in_slot("verse") == [newer]
    assert queue.in_slot("") == []


def test_takes_are_queued_all_or_none() -> None:
    queue = make_queue()
    submitted(queue)
    with pytest.raises(BridgeError):
        queue.submit([REQUEST] * MAX_QUEUED, 0.0)
    assert queue.waiting_count == 1


def test_only_a_batch_job_with_time_left_makes_way_and_not_for_ever() -> None:
    queue = make_queue()
    assert not submitted(queue).may_make_way
    job = submitted(queue, priority="batch")
    queue.cancel(queue.start_next(1.0).id, 1.0)  # type: ignore[union-attr]
    for _ in range(MAX_INTERRUPTIONS):
        assert queue.start_next(1.0) is job
        assert job.may_make_way
        queue.progress(job, Progress("refine", 0.5, eta_s=1.0))
        assert not job.may_make_way, "it is nearly done"
        queue.progress(job, Progress("refine", 0.5, eta_s=100.0))
        assert job.may_make_way
        queue.made_way(job)
    assert queue.start_next(1.0) is job
    assert not job.may_make_way
