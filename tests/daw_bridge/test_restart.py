"""What outlives a daemon, and how two of them meet."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from daw_bridge.app import App, serve
from daw_bridge.client import Client, find_server
from engine.spec import BridgeError
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.served import start_daemon

ROOT = Path(__file__).resolve().parents[2]


def generate(prompt: str = "") -> dict[str, Any]:
    return {"task": "generate", "seconds": 0.05, "prompt": prompt}


async def test_queued_and_running_jobs_go_on_after_a_restart(make_config: MakeConfig) -> None:
    async with App(make_config()) as app, Client(app.url, app.token) as client:
        running = await client.submit(generate("sleep=0.3"))
        queued = await client.submit(generate())
        async for event in client.events(running):
            if event["event"] == "progress":
                break
    async with App(make_config()) as app, Client(app.url, app.token) as client:
        assert (await client.result(running))["take"] == "t-0001"
        assert (await client.result(queued))["take"] == "t-0002"
        assert await client.submit(generate()) == "j-0003"
        listed = (await client.request("jobs"))["jobs"]
        assert [entry["job"] for entry in listed] == ["j-0003", queued, running]


def _set_running(data_dir: Path, crashes: int) -> None:
    """Leave the journal as a daemon that was killed leaves it."""
    db = sqlite3.connect(data_dir / "journal.sqlite3")
    with db:
        db.execute("UPDATE jobs SET state = 'running', take = NULL, crashes = ?", (crashes,))
    db.close()


async def test_job_that_killed_two_daemons_is_failed(make_config: MakeConfig) -> None:
    config = make_config("create_sleepy_engine")
    async with App(config) as app, Client(app.url, app.token) as client:
        job = await client.submit(generate())
    _set_running(config.data_dir, crashes=1)
    async with App(config) as app, Client(app.url, app.token) as client:
        with pytest.raises(BridgeError, match="daemon died") as caught:
            await client.result(job)
        assert caught.value.code == "engine_crashed"


async def test_take_that_was_kept_but_not_noted_is_not_made_twice(make_config: MakeConfig) -> None:
    config = make_config()
    async with App(config) as app, Client(app.url, app.token) as client:
        job = await client.submit(generate())
        await client.result(job)
    _set_running(config.data_dir, crashes=0)
    async with App(config) as app, Client(app.url, app.token) as client:
        assert (await client.result(job))["take"] == "t-0001"
        assert len((await client.request("takes"))["takes"]) == 1


async def test_job_after_a_lost_journal_is_no_job_of_before(make_config: MakeConfig) -> None:
    config = make_config()
    async with App(config) as app, Client(app.url, app.token) as client:
        assert (await client.result(await client.submit(generate())))["take"] == "t-0001"
    (config.data_dir / "journal.sqlite3").unlink()
    async with App(config) as app, Client(app.url, app.token) as client:
        job = await client.submit(generate("sleep=0.3"))
        assert job == "j-0002"
    _set_running(config.data_dir, crashes=0)
    async with App(config) as app, Client(app.url, app.token) as client:
        assert (await client.result(job))["take"] == "t-0002"


async def test_second_daemon_on_the_same_folder_is_refused(make_config: MakeConfig) -> None:
    async with App(make_config()) as app:
        with pytest.raises(BridgeError, match="another daemon"):
            await App(make_config()).__aenter__()
        assert await asyncio.to_thread(find_server, app.config.data_dir) is not None


async def test_taken_ports_are_named(make_config: MakeConfig, tmp_path: Path) -> None:
    async with App(make_config()) as app:
        port = app.http_url.rpartition(":")[2]
        for taken in ({"port": port}, {"osc_port": app.osc_port}):
            with pytest.raises(BridgeError) as caught:
                await App(make_config(data_dir=tmp_path / "other", **taken)).__aenter__()
            assert caught.value.code == "unavailable"
            assert str(next(iter(taken.values()))) in caught.value.message


async def test_clients_find_a_running_daemon_and_only_that(make_config: MakeConfig) -> None:
    config = make_config()
    async with App(config) as app:
        found = await asyncio.to_thread(find_server, config.data_dir)
        assert found is not None
        assert (found.url, found.osc_port, found.token) == (app.url, app.osc_port, app.token)
        assert found.pid == os.getpid()
    assert await asyncio.to_thread(find_server, config.data_dir) is None
    assert not (config.data_dir / "server.json").exists()


async def test_spool_of_a_dead_daemon_is_swept(make_config: MakeConfig) -> None:
    config = make_config()
    left = config.data_dir / "spool" / "j-0001" / "mix.wav"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    async with App(config):
        assert not left.exists()


async def test_serve_stops_on_a_signal(make_config: MakeConfig) -> None:
    def on_ready(app: App) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    await asyncio.wait_for(serve(make_config(), on_ready), 30)


async def test_daemon_killed_while_it_works(make_config: MakeConfig) -> None:
    """The real thing: SIGKILL, a stale server.json, and everything goes on."""
    config = make_config()
    with await asyncio.to_thread(start_daemon, config.data_dir) as process:
        info = await asyncio.to_thread(find_server, config.data_dir)
        assert info is not None
        async with Client(info.url, info.token) as client:
            job = await client.submit(generate("sleep=0.3"))
            async for event in client.events(job):
                if event["event"] == "progress":
                    break
            process.kill()
            with pytest.raises(BridgeError):
                await client.result(job)
        await asyncio.to_thread(process.wait)
    assert (config.data_dir / "server.json").exists()
    assert await asyncio.to_thread(find_server, config.data_dir) is None
    with await asyncio.to_thread(start_daemon, config.data_dir) as process:
        info = await asyncio.to_thread(find_server, config.data_dir)
        assert info is not None
        async with Client(info.url, info.token) as client:
            assert (await client.result(job))["take"] == "t-0001"
            await client.request("shutdown")
        assert await asyncio.to_thread(process.wait) == 0


def test_daemon_and_client_import_neither_torch_nor_numpy() -> None:
    code = (
        "import sys, daw_bridge.app, daw_bridge.client, engine.worker;"
        "heavy = {'torch', 'numpy', 'scipy', 'librosa', 'soundfile'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
