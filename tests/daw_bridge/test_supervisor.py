"""The supervisor with real processes and a fake engine."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from daw_bridge.engine_process import EngineState, Timing, worker_command
from daw_bridge.supervisor import Supervisor
from engine.spec import Cancelled, Done, Event, Failed, Progress, RenderRequest
from engine.wire import encode_frame
from tests.daw_bridge.conftest import FACTORY

TIMING = Timing(
    ready_timeout_s=30.0,
    heartbeat_interval_s=0.05,
    heartbeat_timeout_s=30.0,
    cancel_grace_s=0.2,
    restart_delay_s=0.02,
)

Render = Callable[[str], "asyncio.Task[list[Event]]"]


@asynccontextmanager
async def supervised(
    tmp_path: Path, factory: str = "create_engine", timing: Timing = TIMING
) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(
        worker_command(f"{FACTORY}:{factory}", tmp_path, tmp_path / "models.json", [tmp_path]),
        timing,
    )
    supervisor.start()
    try:
        yield supervisor
    finally:
        await supervisor.stop()
    assert supervisor.pid is None
    assert supervisor.state is EngineState.STOPPED


async def render(
    supervisor: Supervisor, tmp_path: Path, prompt: str, job: str = "j-1"
) -> list[Event]:
    request = RenderRequest("generate", seconds=0.05, prompt=prompt)
    return [event async for event in supervisor.render(job, request, tmp_path)]


async def has_started(
    supervisor: Supervisor, tmp_path: Path, prompt: str
) -> asyncio.Task[list[Event]]:
    """Start a render and wait for its first event."""
    started = asyncio.Event()

    async def follow() -> list[Event]:
        events = []
        request = RenderRequest("generate", seconds=0.05, prompt=prompt)
        async for event in supervisor.render("j-1", request, tmp_path):
            events.append(event)
            started.set()
        return events

    task = asyncio.create_task(follow())
    await started.wait()
    return task


async def test_renders_one_after_the_other(tmp_path: Path) -> None:
    async with supervised(tmp_path) as supervisor:
        for number in range(3):
            events = await render(supervisor, tmp_path, "previews=2", f"j-{number}")
            assert [event.kind for event in events] == [
                *("progress", "preview", "preview", "progress", "stem", "done")
            ]
        assert supervisor.state is EngineState.READY
        assert supervisor.info["device"] == "fake"


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="no niceness here")
async def test_a_render_comes_after_streams_and_the_daw(tmp_path: Path) -> None:
    async with supervised(tmp_path) as supervisor:
        await render(supervisor, tmp_path, "")
        assert supervisor.pid is not None
        ours = os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpriority(os.PRIO_PROCESS, supervisor.pid) == min(19, ours + 5)


async def test_killed_engine_fails_its_job_and_comes_back(tmp_path: Path) -> None:
    async with supervised(tmp_path) as supervisor:
        task = await has_started(supervisor, tmp_path, "sleep=60")
        first = supervisor.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        ending = (await task)[-1]
        assert ending == Failed(
            "engine_crashed",
            "the engine process died (signal 9)",
            "the engine's log in the data folder says more",
        )
        assert isinstance((await render(supervisor, tmp_path, ""))[-1], Done)
        assert supervisor.pid != first


async def test_hanging_engine_is_killed(tmp_path: Path) -> None:
    timing = replace(TIMING, heartbeat_timeout_s=0.3)
    async with supervised(tmp_path, timing=timing) as supervisor:
        ending = (await render(supervisor, tmp_path, "stop"))[-1]
        assert isinstance(ending, Failed)
        assert ending.code == "engine_crashed"


async def test_cancel_is_obeyed_and_the_engine_kept(tmp_path: Path) -> None:
    async with supervised(tmp_path) as supervisor:
        task = await has_started(supervisor, tmp_path, "sleep=60")
        pid = supervisor.pid
        supervisor.cancel("j-other")
        supervisor.cancel("j-1")
        assert isinstance((await task)[-1], Cancelled)
        assert supervisor.pid == pid


async def test_engine_that_does_not_obey_is_killed(tmp_path: Path) -> None:
    async with supervised(tmp_path) as supervisor:
        task = await has_started(supervisor, tmp_path, "sleep=60 stubborn")
        supervisor.cancel("j-1")
        assert isinstance((await task)[-1], Cancelled)
        assert isinstance((await render(supervisor, tmp_path, ""))[-1], Done)


async def test_cancel_before_the_engine_is_ready(tmp_path: Path) -> None:
    async with supervised(tmp_path, "create_sleepy_engine") as supervisor:
        task = asyncio.create_task(render(supervisor, tmp_path, ""))
        await asyncio.sleep(0)
        supervisor.cancel("j-1")
        assert await task == [Cancelled()]


async def test_leaving_a_render_stops_it_before_the_next(tmp_path: Path) -> None:
    async with supervised(tmp_path) as supervisor:
        request = RenderRequest("generate", seconds=0.05, prompt="sleep=60")
        events = supervisor.render("j-1", request, tmp_path)
        assert isinstance(await anext(events), Progress)
        await events.aclose()
        assert isinstance((await render(supervisor, tmp_path, "", "j-2"))[-1], Done)


async def test_engine_that_never_becomes_ready(tmp_path: Path) -> None:
    timing = replace(TIMING, ready_timeout_s=0.3)
    async with supervised(tmp_path, "create_sleepy_engine", timing) as supervisor:
        (ending,) = await render(supervisor, tmp_path, "")
        assert isinstance(ending, Failed)
        assert "not ready after 0.3 s" in ending.message
        assert supervisor.state is EngineState.BROKEN


@pytest.mark.parametrize(
    ("factory", "code", "text"),
    [
        ("create_broken_engine", "out_of_memory", "the model does not fit"),
        ("create_dying_engine", "engine_failed", "a library is missing"),
        ("no_such_factory", "engine_failed", "AttributeError"),
    ],
)
async def test_engine_that_cannot_start_fails_jobs_with_the_reason(
    tmp_path: Path, factory: str, code: str, text: str
) -> None:
    async with supervised(tmp_path, factory) as supervisor:
        (ending,) = await render(supervisor, tmp_path, "")
        assert isinstance(ending, Failed)
        assert ending.code == code
        assert text in ending.message
        assert supervisor.error is not None


async def test_a_start_that_fails_costs_no_job_while_a_later_one_may_succeed(
    tmp_path: Path,
) -> None:
    async with supervised(tmp_path, "create_late_engine") as supervisor:
        assert isinstance((await render(supervisor, tmp_path, ""))[-1], Done)
        assert supervisor.starts == 3


async def test_each_start_that_fails_ends_one_job_at_most(tmp_path: Path) -> None:
    """The queue is not emptied in one go by an engine that is short of memory for a while."""
    async with supervised(tmp_path, "create_broken_engine") as supervisor:
        starts = []
        for number in range(3):
            (ending,) = await render(supervisor, tmp_path, "", f"j-{number}")
            assert isinstance(ending, Failed)
            starts.append(supervisor.starts)
        assert starts[0] >= 3
        assert starts[0] < starts[1] < starts[2]


async def test_patience_that_was_lost_twice_kills_no_later_render(tmp_path: Path) -> None:
    """The render stands still, and somebody cancels it as well; it obeys."""
    async with supervised(tmp_path) as supervisor:
        task = await has_started(supervisor, tmp_path, "sleep=60")
        stuck = supervisor._render
        assert stuck is not None
        stuck.verdict = Failed("engine_failed", "it stood still")
        supervisor._stop_render(stuck)
        supervisor.cancel("j-1")
        assert isinstance((await task)[-1], Failed)
        pid = supervisor.pid
        request = RenderRequest("generate", seconds=0.05, prompt="sleep=0.5")
        events = [event async for event in supervisor.render("j-2", request, tmp_path)]
        assert isinstance(events[-1], Done)
        assert supervisor.pid == pid


async def test_command_that_does_not_exist(tmp_path: Path) -> None:
    supervisor = Supervisor([str(tmp_path / "no-python")], TIMING)
    supervisor.start()
    (ending,) = await render(supervisor, tmp_path, "")
    assert isinstance(ending, Failed)
    await supervisor.stop()


async def test_process_that_speaks_no_frames_is_killed(tmp_path: Path) -> None:
    talker = "import sys, time; sys.stdout.write('hello ' * 99); sys.stdout.flush(); time.sleep(60)"
    supervisor = Supervisor([sys.executable, "-c", talker], TIMING)
    supervisor.start()
    (ending,) = await render(supervisor, tmp_path, "")
    assert isinstance(ending, Failed)
    await supervisor.stop()


async def test_engine_that_says_nonsense_is_killed_and_started_again(tmp_path: Path) -> None:
    frame = encode_frame({"op": "broken", "error": "no mapping"})
    talker = f"import os, time; os.write(1, {frame!r}); time.sleep(60)"
    supervisor = Supervisor([sys.executable, "-c", talker], TIMING)
    supervisor.start()
    (ending,) = await asyncio.wait_for(render(supervisor, tmp_path, ""), 30)
    assert isinstance(ending, Failed)
    await supervisor.stop()


async def test_stopping_ends_an_engine_at_work(tmp_path: Path) -> None:
    async with supervised(tmp_path) as supervisor:
        task = await has_started(supervisor, tmp_path, "sleep=60")
        await supervisor.stop()
        assert isinstance((await task)[-1], Cancelled | Failed)


@pytest.mark.parametrize("prompt", ["sleep=60", "sleep=60 repeat", "sleep=60 stubborn"])
async def test_a_render_that_stands_still_is_ended_and_reported(
    tmp_path: Path, prompt: str
) -> None:
    """Silent, saying the same again and again, or deaf to its cancel; its process answers."""
    timing = replace(TIMING, stall_timeout_s=0.3)
    async with supervised(tmp_path, timing=timing) as supervisor:
        ending = (await render(supervisor, tmp_path, prompt))[-1]
        assert isinstance(ending, Failed)
        assert ending.code == "engine_failed", "it is not tried again"
        assert "stood still for" in ending.message
        assert "draft" in ending.message
        assert isinstance((await render(supervisor, tmp_path, ""))[-1], Done)


async def test_a_render_that_gets_on_is_not_ended(tmp_path: Path) -> None:
    timing = replace(TIMING, stall_timeout_s=0.4)
    async with supervised(tmp_path, timing=timing) as supervisor:
        ending = (await render(supervisor, tmp_path, "previews=3 sleep=0.2"))[-1]
        assert isinstance(ending, Done)


async def test_a_render_waits_for_what_comes_after_the_one_before(tmp_path: Path) -> None:
    """Longer than a render may stand still: it is not counted against the one that waits."""
    timing = replace(TIMING, stall_timeout_s=0.3)
    async with supervised(tmp_path, timing=timing) as supervisor:
        assert isinstance((await render(supervisor, tmp_path, "settle=1.0"))[-1], Done)
        assert isinstance((await render(supervisor, tmp_path, "", "j-2"))[-1], Done)
        assert supervisor.starts == 1


async def test_a_render_that_waits_for_that_is_cancelled_at_once(tmp_path: Path) -> None:
    async with supervised(tmp_path) as supervisor:
        assert isinstance((await render(supervisor, tmp_path, "settle=60"))[-1], Done)
        task = asyncio.create_task(render(supervisor, tmp_path, "", "j-2"))
        await asyncio.sleep(0.1)
        assert not task.done()
        supervisor.cancel("j-2")
        assert await task == [Cancelled()]
        assert supervisor.starts == 1


async def test_an_engine_that_dies_after_a_result_costs_nobody_an_attempt(tmp_path: Path) -> None:
    async with supervised(tmp_path) as supervisor:
        orders = f"settle=60 die_after={tmp_path / 'marker'}"
        assert isinstance((await render(supervisor, tmp_path, orders))[-1], Done)
        done = (await render(supervisor, tmp_path, "", "j-2"))[-1]
        assert isinstance(done, Done)
        assert "sparing" not in done.report
        assert (tmp_path / "marker").exists()
        assert supervisor.starts == 2


async def test_an_engine_that_stands_still_after_a_result_is_killed(tmp_path: Path) -> None:
    timing = replace(TIMING, stall_timeout_s=0.3)
    async with supervised(tmp_path, timing=timing) as supervisor:
        assert isinstance((await render(supervisor, tmp_path, "settle=60 dumb"))[-1], Done)
        assert isinstance((await render(supervisor, tmp_path, "", "j-2"))[-1], Done)
        assert supervisor.starts == 2


async def test_an_engine_killed_by_the_system_is_told_to_spare_memory(tmp_path: Path) -> None:
    async with supervised(tmp_path) as supervisor:
        orders = f"exit_once={tmp_path / 'marker'}"
        assert isinstance((await render(supervisor, tmp_path, orders))[-1], Failed)
        for sparing in (True, None):
            done = (await render(supervisor, tmp_path, orders))[-1]
            assert isinstance(done, Done)
            assert done.report.get("sparing") is sparing


async def test_models_are_unloaded_on_command_and_loaded_on_demand(tmp_path: Path) -> None:
    async with supervised(tmp_path) as supervisor:
        await render(supervisor, tmp_path, "")
        assert supervisor.loaded
        supervisor.unload()
        while supervisor.loaded:
            await asyncio.sleep(0.01)
        assert isinstance((await render(supervisor, tmp_path, ""))[-1], Done)
        assert supervisor.loaded
