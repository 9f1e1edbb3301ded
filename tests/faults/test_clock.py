"""A clock that is set forward and back by days costs no job and no subscription."""

from __future__ import annotations

import asyncio
import re
import time
from random import Random
from urllib.request import Request, urlopen

import pytest

from daw_bridge.app import App
from daw_bridge.client import Client
from daw_bridge.watchers import Watchers
from engine.spec import Progress
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.test_watchers import Ear

_DAY_S = 86_400.0
_PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def _jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks at the clock finds it days from where it was."""
    real, random = time.time, Random(4)
    monkeypatch.setattr(time, "time", lambda: real() + random.uniform(-9, 9) * _DAY_S)


async def _jobs_of_one_daemon(config_of: MakeConfig, count: int) -> None:
    async with App(config_of()) as app, Client(app.url, app.token) as client:
        asked = {"task": "generate", "seconds": 0.05, "priority": "batch"}
        jobs = [await client.submit({**asked, "seed": seed}) for seed in range(count)]
        await client.cancel(await client.submit({**asked, "prompt": "sleep=60"}))
        last = await client.submit({"task": "generate", "seconds": 0.05})
        for job in (*jobs, last):
            assert (await asyncio.wait_for(client.result(job), _PATIENCE_S))["take"]
        listed = (await client.request("jobs", limit=100))["jobs"]
        for entry in listed:
            began_s = entry["started_s"] or entry["created_s"]
            assert entry["created_s"] <= began_s <= entry["finished_s"], entry
        asking = Request(
            f"{app.http_url}/metrics", headers={"Authorization": f"Bearer {app.token}"}
        )
        text = await asyncio.to_thread(lambda: urlopen(asking).read().decode())
        (spent_s,) = re.findall(r"^\S*render_seconds_sum\S* (\S+)$", text, re.MULTILINE)
        assert 0 < float(spent_s) < _PATIENCE_S


async def test_no_job_is_lost_and_no_duration_negative(make_config: MakeConfig) -> None:
    for _ in range(2):  # the second has what the first has journalled
        await _jobs_of_one_daemon(make_config, 6)
    async with App(make_config()) as app, Client(app.url, app.token) as client:
        listed = (await client.request("jobs", limit=100))["jobs"]
        assert [entry["state"] for entry in listed].count("done") == 14
        assert len((await client.request("takes", limit=100))["takes"]) == 14


def test_subscription_lasts_as_long_as_was_said() -> None:
    watchers, ear = Watchers(), Ear(is_connected=False)
    watchers.subscribe(ear, "s", lifetime_s=60.0)
    for number in range(20):
        event = Progress("draft", number / 20)
        watchers.publish(f"j-{number:04d}", {"event": "progress", "fraction": number / 20}, event)
    assert len(ear.heard) == 20
