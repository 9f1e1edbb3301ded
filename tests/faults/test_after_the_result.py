"""After a result of the real engine: the next job finds its noise, and no end costs a take."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from daw_bridge.app import App
from daw_bridge.client import Client
from daw_bridge.config import Config
from engine.cache import LatentCache
from tests.daw_bridge.conftest import MakeConfig
from tests.faults.lingering_engine import LINGER

_CLIP = Path(__file__).parents[2] / "scripts" / "clips" / "drums.flac"
_ENGINE = "tests.faults.lingering_engine:create_engine"
_PATIENCE_S = 240.0
_CHANGED = {"intensity": "0:-29,1:-10"}


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, Any]:
    """Far from what is there, so that every step of the guided run is corrected."""
    (tmp_path / "clips").mkdir(exist_ok=True)
    return {
        "task": "extend",
        "source": str(shutil.copy(_CLIP, tmp_path / "clips")),
        "seconds": 1.0,
        "bpm": 120.0,
        "overlap": 0.5,
        "intensity": "0:-30,1:-10",
        "refine": 3,
        "steps": 3,
    }


@pytest.fixture
def config(make_config: MakeConfig) -> Config:
    """A daemon whose engine begins what comes after a result and stays with it."""
    config = make_config(engine_factory=_ENGINE)
    config.cache_dir.mkdir(parents=True)
    (config.cache_dir / LINGER).touch()
    return config


async def _end_of(client: Client, job: str) -> dict[str, Any]:
    async with asyncio.timeout(_PATIENCE_S):
        async for event in client.events(job):
            last = event
    return last


async def _rerendered(client: Client, take: str) -> dict[str, Any]:
    asked = {"task": "rerender", "take": take, **_CHANGED}
    (job,) = await client.submit_takes(asked)
    done = await _end_of(client, job)
    assert done["event"] == "done", done
    return done


def _kept(config: Config, done: dict[str, Any]) -> list[str]:
    """Names of the tensors that the cache has of a take."""
    cache = LatentCache(config.cache_dir, 1 << 30)
    entry = cache.named(done["recipe"]["latent_key"])
    cache.close()
    assert entry is not None
    assert entry.audio_paths["mix"].read_bytes() == Path(done["path"]).read_bytes()
    return sorted(entry.load_tensors())


async def test_a_job_that_is_asked_for_at_once_begins_with_the_noise_that_is_found_by_then(
    config: Config, asked: dict[str, Any]
) -> None:
    async with App(config) as app, Client(app.url, app.token) as client:
        done = await _end_of(client, await client.submit(asked))
        assert done["event"] == "done", done
        assert _kept(config, done) == ["mix.latent"]
        again = asyncio.create_task(_rerendered(client, done["take"]))
        await client.request("ping")
        (config.cache_dir / LINGER).unlink()
        assert (await again)["report"]["cache"] == "near"
        assert _kept(config, done) == ["mix.latent", "mix.noise"]
        assert app.supervisor.starts == 1


async def test_an_engine_killed_after_the_result_loses_no_take(
    config: Config, asked: dict[str, Any]
) -> None:
    async with App(config) as app, Client(app.url, app.token) as client:
        done = await _end_of(client, await client.submit(asked))
        again = asyncio.create_task(_rerendered(client, done["take"]))
        await client.request("ping")
        assert app.supervisor.pid is not None
        os.kill(app.supervisor.pid, signal.SIGKILL)
        (config.cache_dir / LINGER).unlink()
        assert (await again)["report"]["cache"] == "miss"  # as where the entry was evicted
        assert app.supervisor.starts == 2
        takes = (await client.request("takes"))["takes"]
        jobs = (await client.request("jobs"))["jobs"]
    assert len(takes) == 2
    assert [job["state"] for job in jobs] == ["done", "done"]
    assert _kept(config, done) == ["mix.latent"]


async def test_a_daemon_that_ends_after_the_result_leaves_a_cache_to_go_on_with(
    config: Config, asked: dict[str, Any]
) -> None:
    async with App(config) as app, Client(app.url, app.token) as client:
        done = await _end_of(client, await client.submit(asked))
    assert _kept(config, done) == ["mix.latent"]
    (config.cache_dir / LINGER).unlink()
    async with App(config) as app, Client(app.url, app.token) as client:
        hit = await _end_of(client, await client.submit(asked))
        assert hit["report"]["cache"] == "hit"
        assert Path(hit["path"]).read_bytes() == Path(done["path"]).read_bytes()
        near = await _rerendered(client, done["take"])
        assert near["report"]["cache"] == "miss"
