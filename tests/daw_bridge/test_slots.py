"""Several takes of a request, slots and priorities, through the daemon."""

from __future__ import annotations

from typing import Any

import pytest

from daw_bridge.app import App, serve
from daw_bridge.client import Client
from daw_bridge.commands.console import EXIT_FAILED, exit_status
from daw_bridge.jobs.scheduler import Scheduler
from engine.spec import BridgeError
from tests.daw_bridge.conftest import MakeConfig


def generate(prompt: str = "", **fields: Any) -> dict[str, Any]:
    return {"task": "generate", "seconds": 0.05, "prompt": prompt, **fields}


async def ending(client: Client, job: str) -> dict[str, Any]:
    async for event in client.events(job):
        last = event
    return last


async def test_several_takes_have_a_job_a_seed_and_a_take_each(app: App) -> None:
    async with Client(app.url, app.token) as client:
        jobs = await client.submit_takes(generate(takes=3, seed=7, slot="verse"))
        takes = [await client.result(job) for job in jobs]
        assert [take["recipe"]["request"]["seed"] for take in takes] == [7, 8, 9]
        assert len({take["take"] for take in takes}) == 3
        more = await client.submit_takes({"task": "rerender", "take": takes[0]["take"], "takes": 2})
        again = [await client.result(job) for job in more]
        assert [take["recipe"]["request"]["seed"] for take in again] == [8, 9]
        listed = (await client.request("jobs"))["jobs"]
        assert [(entry["slot"], entry["priority"]) for entry in listed][-1] == (
            "verse",
            "interactive",
        )


async def test_a_slot_cut_within_an_emoji_is_one_like_any_other(app: App) -> None:
    async with Client(app.url, app.token) as client:
        [old] = await client.submit_takes(generate("sleep=60", slot="drums \ud83e"))
        [new] = await client.submit_takes(generate(slot="drums \ud83e"))
        assert (await ending(client, old))["reason"].startswith(f"superseded by {new}")
        assert (await ending(client, new))["event"] == "done"
        listed = (await client.request("jobs"))["jobs"]
        assert [entry["slot"] for entry in listed] == ["drums \ud83e"] * 2


async def test_a_scheduler_that_fails_ends_the_daemon_as_a_failure(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service starts again what failed, and leaves alone what was stopped."""

    async def fail(scheduler: Scheduler) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(Scheduler, "run", fail)
    with pytest.raises(BridgeError, match=r"scheduler failed.*out of order") as failed:
        await serve(make_config())
    assert exit_status(failed.value) == EXIT_FAILED


async def test_the_last_seed_is_followed_by_the_first(app: App) -> None:
    async with Client(app.url, app.token) as client:
        jobs = await client.submit_takes(generate(takes=2, seed=2**53 - 1))
        seeds = [(await client.result(job))["recipe"]["request"]["seed"] for job in jobs]
        assert seeds == [2**53 - 1, 0]


async def test_more_takes_than_places_are_refused_whole(make_config: MakeConfig) -> None:
    async with (
        App(make_config("create_sleepy_engine", max_queued_jobs=3)) as app,
        Client(app.url, app.token) as client,
    ):
        with pytest.raises(BridgeError, match="of 3 at most"):
            await client.submit_takes(generate(takes=5))
        assert (await client.request("jobs"))["jobs"] == []


async def test_a_superseded_job_ends_with_the_reason(app: App) -> None:
    async with Client(app.url, app.token) as client, Client(app.url, app.token) as other:
        old = await client.submit_takes(generate("sleep=60", slot="verse", takes=2))
        async for event in client.events(old[0]):
            if event["event"] == "progress":
                break
        accepted = await other.request("generate", seconds=0.05, slot="verse")
        assert accepted["supersedes"] == old
        for job in old:
            told = await ending(client, job)
            assert told["event"] == "cancelled"
            assert told["reason"] == f"superseded by {accepted['job']} in slot verse"
        assert (await other.result(accepted["job"]))["take"] == "t-0001"
        # Who watches later is told the same.
        with pytest.raises(BridgeError, match="superseded by"):
            await other.result(old[0])


async def test_a_batch_job_goes_on_after_an_interactive_one(app: App) -> None:
    async with Client(app.url, app.token) as client:
        batch = await client.submit(generate("sleep=0.5 eta=60", priority="batch"))
        async for event in client.events(batch):
            if event["event"] == "progress" and event["stage"] == "draft":
                break
        urgent = await client.submit(generate())
        done = await client.result(urgent)
        stages = [event.get("stage") async for event in client.events(batch)]
        assert "waiting for an interactive job" in stages
        assert done["take"] == "t-0001"
        assert (await client.result(batch))["take"] == "t-0002"
