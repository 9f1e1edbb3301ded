"""A daemon that is killed at any moment keeps every promise it has made."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from random import Random

import pytest

from daw_bridge.client import Client, ServerInfo, find_server
from engine.spec import BridgeError
from tests.daw_bridge.served import spawn_daemon, start_daemon
from tests.faults.ledger import MAX_OPEN, Ledger, some_request

_KILLS_BEFORE_READY = 0.2  # share of them
_STARTING_S = 0.5  # after its process began
_AT_WORK_S = 1.0  # after it is ready; its engine needs about a third of this to start
_PATIENCE_S = 60.0


async def _found(data_dir: Path, process: subprocess.Popen[bytes]) -> ServerInfo | None:
    """The daemon once it listens; None when it is killed before."""
    while process.poll() is None:
        info = await asyncio.to_thread(find_server, data_dir)
        if info is not None and info.pid == process.pid:
            return info
        await asyncio.sleep(0.01)
    return None


async def _follow(client: Client, job: str, ledger: Ledger) -> None:
    async for event in client.events(job):
        ledger.hear(event)


async def _ask_until_killed(info: ServerInfo, ledger: Ledger, random: Random) -> None:
    """Follow the jobs of before and ask for more, for as long as there is somebody to ask."""
    following: list[asyncio.Task[None]] = []
    try:
        async with Client(info.url, info.token) as client:
            following += [asyncio.create_task(_follow(client, j, ledger)) for j in ledger.open_jobs]
            while True:
                if len(ledger.open_jobs) < MAX_OPEN:
                    request = some_request(random)
                    job = await client.submit(request.to_mapping())
                    assert job not in ledger.accepted
                    ledger.accepted[job] = request
                    following.append(asyncio.create_task(_follow(client, job, ledger)))
                else:
                    await client.request("ping")
                await asyncio.sleep(random.uniform(0, 0.02))
    except BridgeError as error:
        if error.code != "unavailable":
            raise
    for ending in await asyncio.gather(*following, return_exceptions=True):
        # Those that had not ended have lost their connection; anything else is a broken promise.
        assert ending is None or (isinstance(ending, BridgeError) and ending.code == "unavailable")


async def _live_and_die(data_dir: Path, ledger: Ledger, random: Random) -> None:
    """One daemon from its start to its SIGKILL."""
    loop = asyncio.get_running_loop()
    with spawn_daemon(data_dir) as process:
        try:
            if random.random() < _KILLS_BEFORE_READY:
                await asyncio.sleep(random.uniform(0, _STARTING_S))
            elif info := await _found(data_dir, process):
                loop.call_later(random.uniform(0, _AT_WORK_S), process.kill)
                await asyncio.wait_for(_ask_until_killed(info, ledger, random), _PATIENCE_S)
        finally:
            process.kill()
            await asyncio.to_thread(process.wait)


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.slow)])
async def test_no_promise_is_broken(tmp_path: Path, kills: int) -> None:
    data_dir, random, ledger = tmp_path / "data", Random(kills), Ledger()
    for _ in range(kills):
        before = set(ledger.done.values())
        await _live_and_die(data_dir, ledger, random)
        ledger.check_journal(data_dir, tmp_path / "copy")
        ledger.check_takes(data_dir, set(ledger.done.values()) - before)

    with await asyncio.to_thread(start_daemon, data_dir) as process:
        info = await _found(data_dir, process)
        assert info is not None
        async with Client(info.url, info.token) as client:
            for job in ledger.open_jobs:
                await asyncio.wait_for(_follow(client, job, ledger), _PATIENCE_S)
            await client.request("shutdown")
        assert await asyncio.to_thread(process.wait) == 0
    assert not ledger.open_jobs
    rows = ledger.check_journal(data_dir, tmp_path / "copy")
    takes = ledger.check_takes(data_dir)
    assert {row["state"] for row in rows.values()} <= {"done", "failed"}
    assert takes == sum(row["state"] == "done" for row in rows.values())
    for code, message in ledger.failed.values():
        assert (code, "the daemon died" in message) == ("engine_crashed", True)
    assert not list((data_dir / "spool").glob("*"))
    resumed = sum(row["crashes"] == 1 and row["state"] == "done" for row in rows.values())
    print(f"{kills} kills: {len(rows)} jobs, {takes} takes, {resumed} begun again", end=", ")
    print(f"{len(ledger.failed)} failed at the second death")
