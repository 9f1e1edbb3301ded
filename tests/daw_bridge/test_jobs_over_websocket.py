from __future__ import annotations

import asyncio
import time
from pathlib import Path

from daw_bridge.app import App
from daw_bridge.client import Client


async def test_smoke(app: App, clip: str) -> None:
    async with Client(app.url, app.token) as client:
        job = await client.submit({"task": "extend", "source": clip, "seconds": 0.1, "prompt": "previews=2"})
        events = [event async for event in client.events(job)]
        print(events)
        assert events[-1]["event"] == "done"
        pcm = await client.stream(events[-1]["take"])
        assert len(pcm) == 4800 * 8
