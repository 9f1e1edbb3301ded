"""The DAW's part of the demonstration: one request over one wire, and what came back when."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import soundfile
from _daemon import OscDaw
from _demo_plan import Step

from daw_bridge.client import Client
from daw_bridge.commands.remote import progress_of
from daw_bridge.registration import ServerInfo
from engine.spec import BridgeError, Progress

REPLY_TIMEOUT_S = 900.0
OnProgress = Callable[[Progress], None]


@dataclass(slots=True)
class Heard:
    """What came back for a request; all times are counted from when it was sent.

    Attributes:
        outcome: `done`, `cancelled` or `failed`.
        error: why it failed.
        take, path, report, recipe: of the take, once done.
        cancel_s: from the word "cancel" to the word "cancelled".
        streamed_equal: whether the audio streamed back equals the file, sample for sample.
    """

    outcome: str = ""
    total_s: float = 0.0
    previews_s: list[float] = field(default_factory=list)
    error: str = ""
    take: str = ""
    path: str = ""
    report: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    cancel_s: float | None = None
    streamed_equal: bool | None = None

    def end(self, outcome: str, total_s: float) -> None:
        """Note how it ended, and when."""
        self.outcome, self.total_s = outcome, total_s


def play_over_osc(daw: OscDaw, step: Step, on_progress: OnProgress) -> Heard:
    """Ask by datagram, naming files by their paths, as a script inside a DAW does.

    Raises:
        TimeoutError: the daemon fell silent.
    """
    heard = Heard()
    values = {k: str(v) if isinstance(v, Path) else v for k, v in step.values.items()}
    for reply in daw.ask(step.task, REPLY_TIMEOUT_S, **values):
        fields = reply.fields
        match reply.name:
            case "progress":
                on_progress(Progress(fields["stage"], fields["fraction"], fields["step"]))
            case "preview":
                heard.previews_s.append(reply.after_s)
            case "done":
                heard.end("done", reply.after_s)
                heard.take, heard.path = fields["take"], fields["path"]
            case "failed":
                heard.end("failed", reply.after_s)
                heard.error = f"{fields['message']} {fields['hint']}"
            case "cancelled":
                heard.end("cancelled", reply.after_s)
    if heard.path:
        # The figures do not fit a datagram; they lie beside the audio.
        folder = Path(heard.path).parent
        heard.report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        heard.recipe = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    return heard


def play_over_websocket(info: ServerInfo, step: Step, on_progress: OnProgress) -> Heard:
    """Send the clip over the wire, follow the job and have its audio streamed back."""
    return asyncio.run(_websocket(info, step, on_progress))


async def _websocket(info: ServerInfo, step: Step, on_progress: OnProgress) -> Heard:
    heard = Heard()
    begun_s = time.perf_counter()
    async with Client(info.url, info.token, name="demo") as client:
        try:
            values = {
                name: await client.upload(value) if isinstance(value, Path) else value
                for name, value in step.values.items()
            }
            begun_s = time.perf_counter()
            job = await client.submit({"task": step.task, **values})
            await _follow(client, job, step, heard, begun_s, on_progress)
        except BridgeError as error:
            heard.end("failed", time.perf_counter() - begun_s)
            heard.error = str(error)
        if heard.take:
            heard.streamed_equal = await _streams_equally(client, heard)
    return heard


async def _follow(
    client: Client, job: str, step: Step, heard: Heard, begun_s: float, on_progress: OnProgress
) -> None:
    asked_to_stop_s: float | None = None
    async for event in client.events(job):
        now_s = time.perf_counter()
        match event["event"]:
            case "progress":
                on_progress(progress_of(event))
                if step.cancelled and asked_to_stop_s is None and event["fraction"] > 0:
                    asked_to_stop_s = time.perf_counter()
                    await client.cancel(job)
            case "preview":
                heard.previews_s.append(now_s - begun_s)
            case "done":
                heard.end("done", now_s - begun_s)
                heard.take, heard.path = event["take"], event["path"]
                heard.report, heard.recipe = event["report"], event["recipe"]
            case "failed":
                heard.end("failed", now_s - begun_s)
                heard.error = f"{event['message']} {event.get('hint', '')}"
            case "cancelled":
                heard.end("cancelled", now_s - begun_s)
                if asked_to_stop_s is not None:
                    heard.cancel_s = now_s - asked_to_stop_s


async def _streams_equally(client: Client, heard: Heard) -> bool:
    """Whether what a track would receive is what lies on the disk."""
    streamed = await client.stream(heard.take)
    samples, _ = await asyncio.to_thread(
        soundfile.read, heard.path, dtype="float32", always_2d=True
    )
    return bool(streamed == samples.astype("<f4").tobytes())
