"""The metrics, read by Prometheus' own parser; health that waits for nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from daw_bridge.app import App
from daw_bridge.client import Client
from daw_bridge.metrics import RENDER_BOUNDS_S, Metrics, family, gauge
from engine.spec import BridgeError
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.test_security import bearer, fetch, get


def read(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by name and labels."""
    return dict(samples(text))


def samples(text: str) -> Iterator[tuple[tuple[str, tuple[tuple[str, str], ...]], float]]:
    for found in text_string_to_metric_families(text):
        assert found.documentation, f"{found.name} says nothing"
        assert found.type in ("counter", "gauge", "histogram")
        for sample in found.samples:
            yield (sample.name, tuple(sorted(sample.labels.items()))), sample.value


async def look(app: App) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    status, text = await get(app, "/metrics", **bearer(app.token))
    assert status == 200
    return read(text.decode())


def test_counts_are_what_was_counted() -> None:
    metrics = Metrics()
    for seconds in (0.05, 0.1, 3.0, 1e6, None):
        metrics.job_ended("done", seconds)
    metrics.job_ended("failed", 7.0)
    for _ in range(3):
        metrics.refused("forbidden")
    metrics.sent(1000)
    metrics.sent(24)
    found = read("".join(metrics.families()))
    assert found["daw_bridge_jobs_ended_total", (("end", "done"),)] == 5
    assert found["daw_bridge_jobs_ended_total", (("end", "failed"),)] == 1
    assert found["daw_bridge_jobs_ended_total", (("end", "cancelled"),)] == 0
    assert found["daw_bridge_refusals_total", (("code", "forbidden"),)] == 3
    assert found["daw_bridge_stream_bytes_total", ()] == 1024
    buckets = {
        float(labels[0][1]): value
        for (name, labels), value in found.items()
        if name == "daw_bridge_render_seconds_bucket"
    }
    assert buckets[0.1] == 2, "a bound belongs to its bucket"
    assert buckets[5.0] == 3
    assert buckets[10.0] == 4
    assert buckets[600.0] == 4
    assert buckets[float("inf")] == found["daw_bridge_render_seconds_count", ()] == 5
    assert list(buckets) == [*RENDER_BOUNDS_S, float("inf")]
    assert found["daw_bridge_render_seconds_sum", ()] == pytest.approx(1_000_010.15)


def test_labels_of_any_text_survive() -> None:
    text = 'a"b\\c\nd'
    found = read(family("x", "gauge", "something", [({"label": text}, 0.5)]))
    assert found["daw_bridge_x", (("label", text),)] == 0.5
    assert read(gauge("y", "something", 2**53))["daw_bridge_y", ()] == 2**53


async def test_metrics_ask_for_the_token(app: App) -> None:
    assert (await get(app, "/metrics"))[0] == 403
    assert (await get(app, "/metrics", **bearer("wrong-token")))[0] == 403
    assert (await get(app, f"/metrics?token={app.token}"))[0] == 403
    _, headers, text = await fetch(app, "GET", "/metrics", bearer(app.token))
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert app.token not in text.decode()


async def test_metrics_follow_what_happens(app: App, clip: str) -> None:
    before = await look(app)
    assert before["daw_bridge_clients", (("transport", "websocket"),)] == 0
    assert before["daw_bridge_engine_restarts_total", ()] == 0
    async with Client(app.url, app.token) as client:
        job = await client.submit({"task": "extend", "source": clip, "seconds": 1})
        done = [event async for event in client.events(job)][-1]
        with pytest.raises(BridgeError):
            await client.request("watch", job="j-9999")
        failing = await client.submit({"task": "generate", "prompt": "refuse", "seconds": 1})
        _ = [event async for event in client.events(failing)]
        audio = await client.stream(done["take"])
        after = await look(app)
    assert after["daw_bridge_jobs_ended_total", (("end", "done"),)] == 1
    assert after["daw_bridge_jobs_ended_total", (("end", "failed"),)] == 1
    assert after["daw_bridge_refusals_total", (("code", "not_found"),)] == 1
    assert after["daw_bridge_render_seconds_count", ()] == 2
    assert after["daw_bridge_clients", (("transport", "websocket"),)] == 1
    assert after["daw_bridge_jobs_queued", ()] == after["daw_bridge_jobs_running", ()] == 0
    assert after["daw_bridge_uptime_seconds", ()] > before["daw_bridge_uptime_seconds", ()]
    assert after["daw_bridge_stream_bytes_total", ()] > len(audio) == 48_000 * 2 * 4
    memory = after.get(("daw_bridge_resident_memory_bytes", (("process", "daemon"),)))
    assert memory is None or memory > 10**6


async def test_a_crash_of_the_engine_counts(app: App, clip: str) -> None:
    async with Client(app.url, app.token) as client:
        job = await client.submit({"task": "generate", "prompt": "exit", "seconds": 1})
        last = [event async for event in client.events(job)][-1]
    assert last["code"] == "engine_crashed"
    assert (await look(app))["daw_bridge_engine_restarts_total", ()] >= 1


async def test_health_waits_for_no_render(make_config: MakeConfig) -> None:
    """Neither for one that stands still nor for an engine that never starts."""
    async with (
        App(make_config("create_sleepy_engine")) as app,
        Client(app.url, app.token) as client,
    ):
        await client.submit({"task": "generate", "prompt": "", "seconds": 1})
        await asyncio.sleep(0.05)
        begun_s = time.monotonic()
        for _ in range(20):
            assert (await get(app, "/health"))[0] == 200
            await look(app)
        assert time.monotonic() - begun_s < 20
