"""Many clients and streams at once, while the real engine renders."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from _daemon import Daemon, running_daemon

from bridge_bench import crowd
from bridge_bench.process import holding_of
from daw_bridge.client import Client

IDLE, ACTIVE, STREAMS = 200, 50, 32
MAX_CLIENTS = IDLE + ACTIVE + STREAMS + 8
STREAM_S = 30.0
RATE_HZ = 48_000
_CLIP = Path(__file__).resolve().parents[1] / "clips" / "harmonic.flac"


def load() -> dict[str, Any]:
    """Figures of a daemon with the embedded model under load."""
    with (
        tempfile.TemporaryDirectory(prefix="daw-bridge-load-") as scratch,
        running_daemon(
            Path(scratch), "--roots", str(_CLIP.parent), "--max-clients", str(MAX_CLIENTS)
        ) as daemon,
    ):
        return asyncio.run(_load(daemon))


async def _load(daemon: Daemon) -> dict[str, Any]:
    async with Client(daemon.info.url, daemon.info.token, name="load", previews=False) as client:
        take = await _take_to_stream(client)
        alone = await _probe(daemon, 5.0)
        over = asyncio.Event()
        asked_ms: list[float] = []
        waiting = [asyncio.create_task(crowd.idle(daemon.info, over)) for _ in range(IDLE)]
        waiting += [
            asyncio.create_task(crowd.ask(daemon.info, over, asked_ms)) for _ in range(ACTIVE)
        ]
        rendering = asyncio.create_task(_render(client, over))
        await asyncio.sleep(1.0)
        probing = asyncio.create_task(_probe(daemon, STREAM_S))
        played = await asyncio.gather(*(crowd.play(daemon.info, take) for _ in range(STREAMS)))
        held = holding_of(daemon.process.pid).to_mapping()
        loaded = await probing
        over.set()
        renders = await rendering
        await asyncio.gather(*waiting)
    return {
        "idle": IDLE,
        "active": ACTIVE,
        "alone_ms": alone,
        "loaded_ms": loaded,
        "asked_ms": asked_ms,
        "streams": [asdict(playing) for playing in played],
        "renders": renders,
        "daemon": held,
    }


async def _take_to_stream(client: Client) -> str:
    asked = {"task": "generate", "seconds": STREAM_S, "refine": 0, "sample_rate_hz": RATE_HZ}
    return str((await client.result(await client.submit(asked)))["take"])


async def _render(client: Client, over: asyncio.Event) -> int:
    """Refined extensions, one after the other; how many."""
    count = 0
    while not over.is_set():
        asked = {"task": "extend", "source": str(_CLIP), "seconds": 6, "seed": count}
        await client.result(await client.submit(asked))
        count += 1
    return count


async def _probe(daemon: Daemon, seconds: float) -> list[float]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge_bench.probe", daemon.info.url, str(seconds)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate(daemon.info.token.encode() + b"\n")
    taken_ms: list[float] = json.loads(told)
    return taken_ms
