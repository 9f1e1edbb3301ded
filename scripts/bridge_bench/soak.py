"""Clients that come, ask for everything, and go, for as long as one likes: does anything grow?"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from statistics import linear_regression, median
from typing import Any

from _daemon import Daemon, OscDaw, running_daemon

from bridge_bench.process import FAKE_ENGINE, children_of, holding_of
from daw_bridge.client import Client
from engine.spec import BridgeError

_SAMPLE_EVERY_S = 10.0
_CLIENTS = 4
_WARM_PART = 0.2  # of the time: what a process takes once does not count as growth
_OSC_TIMEOUT_S = 20.0


def soak(minutes: float) -> dict[str, Any]:
    """Run a daemon with a fake engine for so long; what it held and what was done meanwhile."""
    with (
        tempfile.TemporaryDirectory(prefix="daw-bridge-soak-") as scratch,
        running_daemon(
            Path(scratch) / "data", "--engine-factory", FAKE_ENGINE, "--roots", scratch
        ) as daemon,
    ):
        return asyncio.run(_soak(daemon, Path(scratch), 60.0 * minutes))


async def _soak(daemon: Daemon, scratch: Path, seconds: float) -> dict[str, Any]:
    ends_s = time.monotonic() + seconds
    done: Counter[str] = Counter()
    users = [
        asyncio.create_task(_user(daemon, scratch, Random(number), ends_s, done))
        for number in range(_CLIENTS)
    ]
    users.append(asyncio.create_task(asyncio.to_thread(_osc_user, daemon, ends_s, done)))
    samples: list[dict[str, Any]] = []
    begun_s = time.monotonic()
    while time.monotonic() < ends_s:
        samples.append(_sample(daemon, time.monotonic() - begun_s))
        wait_s = min(_SAMPLE_EVERY_S, max(0.0, ends_s - time.monotonic()))
        ended, _ = await asyncio.wait(users, timeout=wait_s, return_when=asyncio.FIRST_EXCEPTION)
        for user in ended:
            user.result()  # an answer that nobody expects ends the soak at once
    await asyncio.gather(*users)
    samples.append(_sample(daemon, time.monotonic() - begun_s))
    return {"minutes": seconds / 60.0, "done": dict(sorted(done.items())), "samples": samples}


def _sample(daemon: Daemon, at_s: float) -> dict[str, Any]:
    engines = children_of(daemon.process.pid)
    return {
        "at_s": at_s,
        "daemon": holding_of(daemon.process.pid).to_mapping(),
        "engine": holding_of(engines[0]).to_mapping() if engines else None,
    }


async def _user(
    daemon: Daemon, scratch: Path, random: Random, ends_s: float, done: Counter[str]
) -> None:
    """Somebody who connects, works for some seconds, and leaves, sometimes without a word."""
    while time.monotonic() < ends_s:
        async with Client(daemon.info.url, daemon.info.token, name="soak") as client:
            done["connections"] += 1
            for _ in range(random.randrange(1, 12)):
                await _work(client, scratch, random, done)
                await asyncio.sleep(random.uniform(0.0, 0.4))
                if time.monotonic() >= ends_s:
                    break


async def _work(client: Client, scratch: Path, random: Random, done: Counter[str]) -> None:
    kind = random.choices(
        ("render", "cancel", "stream", "upload", "refused", "ask", "leave"), (6, 1, 3, 1, 1, 4, 1)
    )[0]
    done[kind] += 1
    asked = {"task": "generate", "seconds": 0.2, "seed": random.randrange(10**6)}
    match kind:
        case "render":
            result = await client.result(await client.submit({**asked, "prompt": "previews=3"}))
            await client.request(
                "rate", take=result["take"], verdict=random.choice(("keep", "discard"))
            )
        case "cancel":
            job = await client.submit({**asked, "prompt": "sleep=5"})
            await client.cancel(job)
            with contextlib.suppress(BridgeError):
                await client.result(job)
        case "stream":
            takes = (await client.request("takes", limit=20))["takes"]
            if takes:
                await client.stream(random.choice(takes)["take"])
        case "upload":
            path = scratch / f"{random.randrange(10**9)}.wav"
            path.write_bytes(random.randbytes(400_000))
            await client.upload(path)
            path.unlink()
        case "refused":
            with contextlib.suppress(BridgeError):
                await client.submit({"task": "extend", "source": "/nowhere/at/all.wav"})
        case "ask":
            await client.request(random.choice(("status", "jobs", "takes", "ping")))
        case "leave":
            await client.submit(asked)  # and does not wait for it


def _osc_user(daemon: Daemon, ends_s: float, done: Counter[str]) -> None:
    while time.monotonic() < ends_s:
        daw = OscDaw(daemon.info)
        for _ in range(10):
            for _reply in daw.ask("generate", _OSC_TIMEOUT_S, seconds=0.1):
                pass
            done["renders over OSC"] += 1
            time.sleep(0.5)
        daw.close()


def growth(samples: list[dict[str, Any]], who: str) -> dict[str, float]:
    """What a process held first and last, after what it takes once, and the slope of its memory.

    Returns:
        `first_mb`, `last_mb` (medians of a tenth of the time each), `mb_per_hour` (least squares),
        `files` and `threads` (last less first).
    """
    held = [sample for sample in samples if sample[who] is not None]
    held = held[int(_WARM_PART * len(held)) :]
    tenth = max(1, len(held) // 10)
    memory = [sample[who]["memory_mb"] for sample in held]
    slope = linear_regression([sample["at_s"] / 3600 for sample in held], memory).slope
    return {
        "first_mb": median(memory[:tenth]),
        "last_mb": median(memory[-tenth:]),
        "mb_per_hour": slope,
        **{
            name: median(s[who][name] for s in held[-tenth:])
            - median(s[who][name] for s in held[:tenth])
            for name in ("files", "threads")
        },
    }
