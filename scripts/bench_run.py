"""Measures speed and size through a real daemon and writes docs/speed.md."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from _bench_page import MEASURES, page, verdict  # noqa: E402
from _daemon import Daemon, running_daemon  # noqa: E402

from daw_bridge.client import Client  # noqa: E402
from daw_bridge.commands.console import table  # noqa: E402
from engine.models.house.model import weights_digest  # noqa: E402

CLIP = ROOT / "scripts" / "clips" / "harmonic.flac"
REQUEST: dict[str, Any] = {"task": "extend", "source": str(CLIP), "seconds": 6}
CANCEL_AFTER_S = (0.5, 1.5, 3.0, 5.0, 8.0)  # after the first word of progress
LONG_REFINE = 500
ENGINE_TIMEOUT_S = 180.0
IDLE_S = 10.0
Values = dict[str, list[float]]


def main(arguments: list[str] | None = None) -> int:
    """Measure and write the page; 0 when every target is met, else 1."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each figure")
    parser.add_argument("--refined-runs", type=int, default=3, help="runs of the refined take")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "speed.md")
    options = parser.parse_args(arguments)
    values: Values = defaultdict(list)
    values["weights_mb"] = [weights_bytes() / 1e6]
    device = ""
    for run in range(options.runs):
        with (
            tempfile.TemporaryDirectory(prefix="daw-bridge-bench-") as scratch,
            running_daemon(Path(scratch), "--roots", str(CLIP.parent)) as daemon,
        ):
            values["daemon_start_s"].append(daemon.started_s)
            if run == 0:
                device = asyncio.run(_render_figures(daemon, options, values))
            else:
                asyncio.run(_idle_figures(daemon, values))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(page(values, _machine(device)), encoding="utf-8")
    verdicts = {measure.title: verdict(measure, values[measure.key]) for measure in MEASURES}
    print("\n".join(table([[title, said] for title, said in verdicts.items()])))
    return 0 if all(said == "pass" for said in verdicts.values()) else 1


def weights_bytes() -> int:
    """Size of all weights that ship with the package."""
    files = (ROOT / "engine" / "weights").glob("*.safetensors")
    return sum(file.stat().st_size for file in files)


async def _render_figures(daemon: Daemon, options: argparse.Namespace, values: Values) -> str:
    """Measure everything that renders; the device it ran on."""
    async with Client(daemon.info.url, daemon.info.token, name="bench") as client:
        await _engine_ready(client)
        _note_memory(daemon, values)
        seeds: Iterator[int] = iter(range(10_000))  # each request its own: none may be cached
        await _render(client, next(seeds), refine=0)  # what is slow the first time is not meant
        device = ""
        for _ in range(options.runs):
            seed = next(seeds)
            draft = await _render(client, seed, refine=0)
            values["first_preview_s"].append(draft["first_preview_s"])
            values["draft_s"].append(draft["total_s"])
            hit = await _render(client, seed, refine=0)
            assert hit["report"]["cache"] == "hit", "a repeated request was not in the cache"
            values["cache_hit_s"].append(hit["total_s"])
            device = hit["report"]["device"]
        for _ in range(options.refined_runs):
            refined = await _render(client, next(seeds))
            values["refined_s"].append(refined["total_s"])
            values["first_preview_s"].append(refined["first_preview_s"])
        for after_s in CANCEL_AFTER_S[: options.runs]:
            values["cancel_s"].append(await _cancel(client, next(seeds), after_s))
        return device


async def _idle_figures(daemon: Daemon, values: Values) -> None:
    """Measure what the daemon takes while nobody asks for anything."""
    async with Client(daemon.info.url, daemon.info.token, name="bench") as client:
        await _engine_ready(client)
    await asyncio.sleep(1.0)  # what starting took has settled
    _note_memory(daemon, values)
    before_s = _processor_s(daemon)
    await asyncio.sleep(IDLE_S)
    if before_s is not None and (after_s := _processor_s(daemon)) is not None:
        values["daemon_cpu_percent"].append(100.0 * (after_s - before_s) / IDLE_S)


def _processor_s(daemon: Daemon) -> float | None:
    """Processor time of the daemon's threads; None where the system does not tell it finely."""
    threads = Path(f"/proc/{daemon.process.pid}/task").glob("*/schedstat")
    nanoseconds = [int(thread.read_text().split()[0]) for thread in threads]
    return sum(nanoseconds) / 1e9 if nanoseconds else None


async def _engine_ready(client: Client) -> None:
    begun_s = time.perf_counter()
    while (await client.request("status"))["engine"] != "ready":
        if time.perf_counter() - begun_s > ENGINE_TIMEOUT_S:
            raise RuntimeError("the engine does not start: daw-bridge doctor")
        await asyncio.sleep(0.1)


async def _render(client: Client, seed: int, **fields: Any) -> dict[str, Any]:
    """One extension; when its first preview came, when it was done, and its report."""
    begun_s = time.perf_counter()
    job = await client.submit({**REQUEST, "seed": seed, **fields})
    found: dict[str, Any] = {}
    async for event in client.events(job):
        after_s = time.perf_counter() - begun_s
        if event["event"] == "preview":
            found.setdefault("first_preview_s", after_s)
        elif event["event"] == "done":
            return {**found, "total_s": after_s, "report": event["report"]}
        elif event["event"] == "failed":
            raise RuntimeError(event["message"])
    raise RuntimeError(f"{job} ended without a result")


async def _cancel(client: Client, seed: int, after_s: float) -> float:
    """Seconds from a cancel to its effect, `after_s` into a long refinement."""
    job = await client.submit({**REQUEST, "seed": seed, "refine": LONG_REFINE})
    timer: asyncio.Task[float] | None = None

    async def ask_to_stop() -> float:
        await asyncio.sleep(after_s)
        now_s = time.perf_counter()
        await client.cancel(job)
        return now_s

    async for event in client.events(job):
        if timer is None and event["event"] == "progress":
            timer = asyncio.create_task(ask_to_stop())
        if event["event"] in ("cancelled", "done", "failed"):
            ended_s = time.perf_counter()
            assert timer is not None
            assert event["event"] == "cancelled", f"{job} was {event['event']}"
            return ended_s - await timer
    raise RuntimeError(f"{job} ended without a word")


def _note_memory(daemon: Daemon, values: Values) -> None:
    status = Path(f"/proc/{daemon.process.pid}/status")
    if status.exists():  # Linux; elsewhere the figure is left out
        found = re.search(r"VmRSS:\s+(\d+) kB", status.read_text())
        assert found is not None
        values["daemon_memory_mb"].append(int(found[1]) * 1024 / 1e6)


def _machine(device: str) -> dict[str, str]:
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "Cores": str(os.cpu_count()),
        "Processor": _processor_family(),
        "System": f"{platform.system()} {platform.machine()}",
        "Device": device,
        "Python": platform.python_version(),
        "torch": version("torch"),
        "Load average when the runs ended (1 is one busy core)": load,
        "Weights": f"SHA-256 `{weights_digest()}`",
    }


def _processor_family() -> str:
    """Vendor and family: enough to compare by, and not a serial number."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or "unknown"
    found = re.search(r"model name\s*:\s*(.+)", info.read_text())
    return found[1].strip() if found else "unknown"


if __name__ == "__main__":
    raise SystemExit(main())
