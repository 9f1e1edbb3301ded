"""Ten thousand jobs, one after the other and some at a time: does the daemon grow?"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from _daemon import Daemon, running_daemon

from bridge_bench.process import FAKE_ENGINE, holding_of
from daw_bridge.client import Client

_AT_A_TIME = 16
_SAMPLES = 50


def many_jobs(count: int) -> dict[str, Any]:
    """Memory of a daemon over so many jobs of a fake engine, and how long they took."""
    with (
        tempfile.TemporaryDirectory(prefix="daw-bridge-jobs-") as scratch,
        running_daemon(
            Path(scratch), "--engine-factory", FAKE_ENGINE, "--roots", scratch
        ) as daemon,
    ):
        return asyncio.run(_many_jobs(daemon, count))


async def _many_jobs(daemon: Daemon, count: int) -> dict[str, Any]:
    seeds = iter(range(count))
    samples: list[dict[str, Any]] = []
    finished = 0

    def sample() -> None:
        held = holding_of(daemon.process.pid).to_mapping()
        samples.append({"jobs": finished, "daemon": held})

    async def work(client: Client) -> None:
        nonlocal finished
        for seed in seeds:
            asked = {"task": "generate", "seconds": 0.05, "seed": seed}
            await client.result(await client.submit(asked))
            finished += 1
            if finished % max(1, count // _SAMPLES) == 0:
                sample()

    begun_s = time.monotonic()
    async with Client(daemon.info.url, daemon.info.token, name="bench") as client:
        sample()
        await asyncio.gather(*(work(client) for _ in range(_AT_A_TIME)))

    return {"jobs": count, "seconds": time.monotonic() - begun_s, "samples": samples}
