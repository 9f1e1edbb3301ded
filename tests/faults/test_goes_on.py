"""The real engine, killed in the midst of a refinement: the job goes on where it was.

What it ends with is compared with a render that nothing interrupted, byte by byte: the same
processor does the same sums in the same order, also with the policy of least memory, which an
engine that was killed gets its job back with.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from daw_bridge.app import App
from daw_bridge.client import Client, find_server
from engine.pipeline import create_engine
from engine.spec import Done, RenderRequest, Stem
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.served import start_daemon

_CLIP = Path(__file__).parents[2] / "scripts" / "clips" / "drums.flac"
_ENGINE = "tests.faults.hasty_engine:create_engine"
_ITERATIONS = 10
_ENOUGH = 3  # evaluations that must be worth keeping before anything is killed
_RESTARTING = "waiting for the engine to restart"
_PATIENCE_S = 240.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copy(_CLIP, tmp_path_factory.mktemp("clips") / "drums.flac"))


@pytest.fixture(scope="module")
def asked(clip: Path) -> dict[str, Any]:
    """A short extension along a curve; the overlap beside it is never met, so it iterates on."""
    return {
        "task": "extend",
        "source": str(clip),
        "seconds": 1.0,
        "bpm": 120.0,
        "overlap": 0.5,
        "intensity": "0:-30,1:-10",
        "method": "ditto",
        "steps": 2,
        "refine": _ITERATIONS,
        "seed": 3,
    }


@pytest.fixture(scope="module")
def whole(asked: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Any]:
    """The audio of a render that nothing interrupted, and its report."""
    spool = tmp_path_factory.mktemp("whole")
    request = RenderRequest.from_mapping(asked)
    *_, stem, done = create_engine(None).render(request, spool, lambda: False)
    assert isinstance(stem, Stem)
    assert isinstance(done, Done)
    return Path(stem.path).read_bytes(), done.report


def _kept_evaluations(data_dir: Path, job: str) -> int:
    """How many evaluations the job's checkpoint holds."""
    for path in (data_dir / "spool" / job / "checkpoints").glob("*.safetensors"):
        with safe_open(path, framework="np") as file:
            return len(file.get_tensor("losses"))
    return 0


async def _well_on_its_way(client: Client, data_dir: Path, job: str) -> None:
    async for event in client.events(job):
        assert event["event"] in ("progress", "preview"), "it was over before it could be killed"
        if _kept_evaluations(data_dir, job) >= _ENOUGH:
            return


async def _until_restarting(client: Client, job: str) -> None:
    """What an engine has said before its death is not what comes after it."""
    async for event in client.events(job):
        if event.get("stage") == _RESTARTING:
            return


async def _to_the_end(client: Client, job: str) -> tuple[list[int], dict[str, Any]]:
    """The iterations that are told from here on, and the job's end."""
    told: list[int] = []
    async for event in client.events(job):
        if event["event"] == "progress" and event["step"]:
            told.append(event["step"])
    return told, event


def _figures(report: dict[str, Any]) -> dict[str, Any]:
    """Those of the result; what it took is another matter."""
    dropped = ("timings_s", "peak_memory_bytes")
    return {name: value for name, value in report.items() if name not in dropped}


def _check(kept: int, told: list[int], done: dict[str, Any], whole: tuple[bytes, Any]) -> None:
    audio, report = whole
    assert kept >= _ENOUGH
    assert done["event"] == "done", done
    assert kept < min(told), f"{kept} evaluations were kept, and it began again at {min(told)}"
    assert sorted(told) == told
    assert Path(done["path"]).read_bytes() == audio
    assert _figures(done["report"]) == _figures(report)
    print(f"{kept} of {_ITERATIONS} iterations kept, goes on at {min(told)}")


async def test_after_the_death_of_the_engine(
    make_config: MakeConfig, asked: dict[str, Any], whole: tuple[bytes, Any]
) -> None:
    roots = [Path(asked["source"]).parent]
    config = make_config(engine_factory=_ENGINE, roots=roots)
    async with App(config) as app, Client(app.url, app.token) as client:
        job = await client.submit(asked)
        await asyncio.wait_for(_well_on_its_way(client, config.data_dir, job), _PATIENCE_S)
        killed = app.supervisor.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        kept = _kept_evaluations(config.data_dir, job)
        await asyncio.wait_for(_until_restarting(client, job), _PATIENCE_S)
        told, done = await asyncio.wait_for(_to_the_end(client, job), _PATIENCE_S)
    _check(kept, told, done, whole)


async def test_after_the_death_of_the_daemon(
    asked: dict[str, Any], whole: tuple[bytes, Any], tmp_path: Path
) -> None:
    data_dir, roots = tmp_path / "data", str(Path(asked["source"]).parent)
    daemon = {"engine_factory": _ENGINE, "roots": roots}
    with await asyncio.to_thread(start_daemon, data_dir, **daemon) as process:
        info = await asyncio.to_thread(find_server, data_dir)
        assert info is not None
        async with Client(info.url, info.token) as client:
            job = await client.submit(asked)
            await asyncio.wait_for(_well_on_its_way(client, data_dir, job), _PATIENCE_S)
            process.kill()
        await asyncio.to_thread(process.wait)
    with await asyncio.to_thread(start_daemon, data_dir, **daemon) as process:
        kept = _kept_evaluations(data_dir, job)
        info = await asyncio.to_thread(find_server, data_dir)
        assert info is not None
        async with Client(info.url, info.token) as client:
            told, done = await asyncio.wait_for(_to_the_end(client, job), _PATIENCE_S)
            await client.request("shutdown")
        await asyncio.to_thread(process.wait)
    _check(kept, told, done, whole)
