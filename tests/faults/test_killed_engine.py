"""An engine that is killed at any moment costs its job one attempt and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from random import Random

import pytest

from daw_bridge.app import App
from daw_bridge.client import Client
from daw_bridge.engine_process import EngineState
from daw_bridge.jobs.queue import MAX_CRASHES
from tests.daw_bridge.conftest import MakeConfig
from tests.faults.ledger import MAX_OPEN, Ledger, some_request

_PATIENCE_S = 120.0
_AT_WORK_S = 0.2  # after an engine is ready; a job takes about half of this
_STARTING_S = 0.1  # after its process began; it is ready a little later
_KILLS_BEFORE_READY = 0.1  # share of them


async def _kill(app: App, random: Random) -> None:
    """Kill the engine while it starts, waits or works."""
    engine, soon = app.supervisor, random.random() < _KILLS_BEFORE_READY
    while engine.pid is None or (engine.state is not EngineState.READY and not soon):
        await asyncio.sleep(0.002)
    await asyncio.sleep(random.uniform(0, _STARTING_S if soon else _AT_WORK_S))
    if (pid := engine.pid) is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while engine.pid == pid:
        await asyncio.sleep(0.002)


async def _ask(client: Client, ledger: Ledger, random: Random, enough: asyncio.Event) -> None:
    """Keep the engine busy until there was enough, and follow every job to its end."""

    async def follow(job: str) -> None:
        async for event in client.events(job):
            ledger.hear(event)

    async with asyncio.TaskGroup() as following:
        while not enough.is_set():
            if len(ledger.open_jobs) < MAX_OPEN:
                request = some_request(random)
                job = await client.submit(request.to_mapping())
                ledger.accepted[job] = request
                following.create_task(follow(job))
            await client.request("ping")
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.slow)])
async def test_a_job_loses_an_attempt_and_no_take(
    make_config: MakeConfig, tmp_path: Path, kills: int
) -> None:
    config, random, ledger, enough = make_config(), Random(kills), Ledger(), asyncio.Event()
    async with App(config) as app, Client(app.url, app.token) as client:
        asking = asyncio.create_task(_ask(client, ledger, random, enough))
        for _ in range(kills):
            await asyncio.wait_for(_kill(app, random), _PATIENCE_S)
        enough.set()
        await asyncio.wait_for(asking, _PATIENCE_S)
        assert (await client.request("status"))["queued"] == 0
        starts = app.supervisor.starts
    assert not ledger.open_jobs
    assert starts > kills
    rows = ledger.check_journal(config.data_dir, tmp_path / "copy")
    takes = ledger.check_takes(config.data_dir)
    assert takes == len(ledger.done) == len(rows) - len(ledger.failed)
    for job, row in rows.items():
        assert row["crashes"] == MAX_CRASHES if job in ledger.failed else row["crashes"] <= 1
    for code, message in ledger.failed.values():
        assert (code, "died (signal 9)" in message) == ("engine_crashed", True)
    again = sum(rows[job]["crashes"] for job in ledger.done)
    print(
        f"{kills} kills: {len(rows)} jobs, {takes} takes, {again} at the second attempt", end=", "
    )
    print(f"{len(ledger.failed)} failed at the second crash")
