"""What a render would need, asked through the daemon."""

from __future__ import annotations

import asyncio

import pytest

from daw_bridge.app import App
from daw_bridge.client import Client
from daw_bridge.engine_calls import MAX_QUESTIONS
from engine.spec import BridgeError
from tests.daw_bridge.conftest import MakeConfig

_ASKED = {"task": "generate", "seconds": 0.5}


async def _ready(client: Client) -> None:
    while (await client.request("status"))["engine"] != "ready":
        await asyncio.sleep(0.01)


async def test_the_engine_answers(app: App) -> None:
    async with Client(app.url, app.token) as client:
        await _ready(client)
        told = await client.request("estimate", **_ASKED, steps=7)
        assert (told["evaluations_least"], told["evaluations_most"]) == (7, 9)
        assert (told["needed_bytes"], told["free_bytes"]) == (5 << 30, None)
        assert (told["policy"], told["cached"], told["seconds"]) == ("full", False, 0.5)
        assert (await client.request("jobs"))["jobs"] == []


async def test_it_waits_for_the_render_and_for_no_other_job(app: App) -> None:
    async with Client(app.url, app.token) as client:
        running = await client.submit({**_ASKED, "prompt": "sleep=0.5"})
        queued = await client.submit({**_ASKED, "prompt": "sleep=30"})
        async for event in client.events(running):
            if event["event"] == "progress":
                break
        asked = asyncio.create_task(client.request("estimate", **_ASKED))
        # What the same client says meanwhile is heard.
        assert (await client.request("ping"))["reply"] == "pong"
        assert not asked.done()
        assert (await asyncio.wait_for(asked, 10))["policy"] == "full"
        states = {job["job"]: job["state"] for job in (await client.request("jobs"))["jobs"]}
        assert states[queued] in ("queued", "running")
        await client.cancel(queued)


async def test_so_many_that_a_render_would_wait_are_refused(app: App) -> None:
    async with Client(app.url, app.token) as client:
        running = await client.submit({**_ASKED, "prompt": "sleep=30"})
        async for event in client.events(running):
            if event["event"] == "progress":
                break
        async with asyncio.TaskGroup() as asking:
            for _ in range(MAX_QUESTIONS):
                asking.create_task(client.request("estimate", **_ASKED))
            await client.request("ping")
            with pytest.raises(BridgeError, match="estimates wait") as caught:
                await client.request("estimate", **_ASKED)
            assert caught.value.code == "unavailable"
            await client.cancel(running)
        assert (await client.request("estimate", **_ASKED))["policy"] == "full"


async def test_what_cannot_be_rendered_is_refused(app: App) -> None:
    async with Client(app.url, app.token) as client:
        await _ready(client)
        for fields, code, says in (
            ({"task": "generate"}, "bad_request", "needs a length"),
            ({"task": "loop", "source": "/etc/passwd", "bars": 1}, "forbidden", "folder"),
            ({"task": "generate", "bars": 512, "bpm": 20}, "too_large", "of new audio"),
            ({**_ASKED, "side": "end"}, "bad_request", "has no field 'side'"),
            ({**_ASKED, "prompt": "refuse"}, "bad_audio", "the clip is empty"),
            ({**_ASKED, "prompt": "exit"}, "engine_crashed", "died"),
        ):
            with pytest.raises(BridgeError, match=says) as caught:
                await client.request("estimate", **fields)
            assert caught.value.code == code
        await _ready(client)
        assert (await client.request("estimate", **_ASKED))["policy"] == "full"


async def test_an_engine_that_is_not_there_is_named(make_config: MakeConfig) -> None:
    async with (
        App(make_config("create_sleepy_engine")) as app,
        Client(app.url, app.token) as client,
    ):
        with pytest.raises(BridgeError, match="still starting"):
            await client.request("estimate", **_ASKED)
