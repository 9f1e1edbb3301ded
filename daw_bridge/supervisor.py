"""Keeps the engine process alive: starts it, listens to its heart, kills it when it hangs.

A crash, an out-of-memory kill or a hang of the engine ends the render it was at with
`Failed(engine_crashed)` and nothing else: the daemon goes on and a new engine is started, at
first soon and then with growing delays.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from daw_bridge.engine_calls import Questions, Render, Settling
from daw_bridge.engine_process import (
    KILLED,
    READ_BYTES,
    EngineLog,
    EngineState,
    Timing,
    describe_status,
    spawn,
)
from engine.spec import (
    BridgeError,
    Cancelled,
    Done,
    Event,
    Failed,
    Progress,
    RenderRequest,
    event_from_message,
)
from engine.wire import FrameDecoder, encode_frame

_log = logging.getLogger(__name__)

_MAX_RESTART_DELAY_S = 30.0
_MAX_FAILED_STARTS = 3  # in a row, before a job ends for want of an engine
_HEALTHY_AFTER_S = 30.0
_STOP_GRACE_S = 2.0
_LOG_HINT = "the engine's log in the data folder says more"


class Supervisor:
    """Owner of the engine process. Renders one request at a time; `starts` counts processes."""

    def __init__(self, command: list[str], timing: Timing) -> None:
        self._command = command
        self._timing = timing
        self._state = EngineState.STOPPED
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._render: Render | None = None
        self._info: dict[str, Any] = {}
        self._error: dict[str, str] = {}
        self._unanswered_pings = 0
        self._started_at_s = 0.0
        self.starts = self._failed_starts = self._given_up = 0
        self._proven = self._loaded = self._killed = False
        self._starved: set[str] = set()
        self._settling: Settling | None = None
        self._log = EngineLog()
        self._questions = Questions()

    @property
    def state(self) -> EngineState:
        """What the engine process is doing."""
        return self._state

    @property
    def info(self) -> dict[str, Any]:
        """What the engine said of its device and models when it was last ready."""
        return self._info

    @property
    def error(self) -> dict[str, str] | None:
        """Why the engine is broken."""
        return self._error if self._state is EngineState.BROKEN else None

    @property
    def loaded(self) -> bool:
        """Whether the engine has its models in memory."""
        return self._loaded and self._state is EngineState.READY

    @property
    def pid(self) -> int | None:
        """Process id of the engine while there is one."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the engine and keep it running, in the background."""
        self._become(EngineState.STARTING)
        self._task = asyncio.create_task(self._keep_running(), name="supervisor")

    async def stop(self) -> None:
        """End the engine: asked first, then killed."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        self._become(EngineState.STOPPED)

    async def render(
        self, job_id: str, request: RenderRequest, spool_dir: Path
    ) -> AsyncGenerator[Event, None]:
        """Render in the engine; the last event is `Done`, `Cancelled` or `Failed`.

        Leaving early (`aclose`) cancels the render.
        """
        while self._render is not None:
            await self._render.over.wait()
        render = self._render = Render(job_id)
        try:
            await self._wait_until_settled(render)
            if self._render is render:
                message = {"op": "render", "job": job_id, "request": request.to_mapping()}
                sparing = job_id in self._starved
                self._send({**message, "spool": str(spool_dir), "sparing": sparing})
                render.sent = True
            while True:
                event = await render.events.get()
                yield event
                if isinstance(event, Done | Cancelled | Failed):
                    return
        finally:
            self.cancel(job_id)

    async def _wait_until_settled(self, render: Render) -> None:
        """Wait for an engine that is ready and free; end the render if there will be none."""
        while self._render is render and (self._state is not EngineState.READY or self._settling):
            if self._state is EngineState.BROKEN and self._gives_up():
                self._end_render(render, Failed(**self._error))
            elif self._state is EngineState.STOPPED:
                self._end_render(render, Failed("unavailable", "the engine is stopped"))
            else:
                await render.woken.wait()
                render.woken.clear()

    def _gives_up(self) -> bool:
        """Whether a render ends for want of an engine: one for each start that has failed, after a
        few; the others wait for the next."""
        if self._failed_starts < max(_MAX_FAILED_STARTS, self._given_up + 1):
            return False
        self._given_up = self._failed_starts
        return True

    def cancel(self, job_id: str) -> None:
        """Ask the engine to stop a render; it is killed if it does not obey in time."""
        render = self._render
        if render is None or render.job_id != job_id or render.cancelled:
            return
        render.cancelled = True
        if not render.sent:
            self._end_render(render, Cancelled())
            return
        self._stop_render(render)

    async def estimate(self, request: RenderRequest) -> dict[str, Any]:
        """What a request needs; an engine that is ready answers after the render that it is at.

        Raises:
            BridgeError: as `Questions.ask`.
        """
        message = {"op": "estimate", "request": request.to_mapping()}
        return await self._questions.ask(lambda number: self._send({**message, "question": number}))

    def unload(self) -> None:
        """Let the engine give its memory back, after what it is at."""
        self._send({"op": "unload"})

    def _stop_render(self, render: Render) -> None:
        self._send({"op": "cancel", "job": render.job_id})
        loop = asyncio.get_running_loop()
        render.patience = loop.call_later(self._timing.cancel_grace_s, self._lose_patience, render)

    def _lose_patience(self, render: Render) -> None:
        if self._render is not render:
            return  # a verdict and a cancel have set a timer each, and the engine obeyed
        _log.warning("the engine does not stop %s and is killed", render.job_id)
        self._kill()

    def _end_render(self, render: Render, event: Event) -> None:
        if render.patience is not None:
            render.patience.cancel()
        if render.verdict is not None and isinstance(event, Cancelled):
            event = render.verdict
        if not (isinstance(event, Failed) and event.code == "engine_crashed"):
            self._starved.discard(render.job_id)
        self._render = None
        render.events.put_nowait(event)
        render.woken.set()
        render.over.set()

    def _become(self, state: EngineState) -> None:
        self._state = state
        if self._render is not None:
            self._render.woken.set()

    async def _keep_running(self) -> None:
        delay_s = self._timing.restart_delay_s
        while True:
            await self._run_once()
            if self._state is EngineState.READY:
                self._failed_starts = self._given_up = 0
                self._become(EngineState.STARTING)
            else:
                self._failed_starts += 1
            if self._proven:
                delay_s = self._timing.restart_delay_s
            if self._error or self._failed_starts >= _MAX_FAILED_STARTS:
                self._error = self._error or {
                    "code": "engine_failed",
                    "message": f"the engine dies when it starts: {self._log.tail}",
                    "hint": _LOG_HINT,
                }
                self._become(EngineState.BROKEN)
            await asyncio.sleep(delay_s)
            delay_s = min(_MAX_RESTART_DELAY_S, delay_s * 2)

    async def _run_once(self) -> None:
        """Run one engine process from its start to its end."""
        self._proven = self._loaded = self._killed = False
        self._settling, self._unanswered_pings = None, 0
        self._started_at_s = asyncio.get_running_loop().time()
        self.starts += 1
        if self._state is not EngineState.BROKEN:
            self._error = {}
        try:
            process = await spawn(self._command)
        except OSError as error:
            _log.error("the engine cannot be started: %s", error)
            return
        self._process = process
        reading = asyncio.create_task(self._log.follow(process), name="engine-log")
        heart = asyncio.create_task(self._watch_heart(), name="engine-heart")
        try:
            await self._read_frames(process)
        finally:
            heart.cancel()
            await self._reap(process, reading)
            with contextlib.suppress(asyncio.CancelledError):
                await heart
            self._process = None
            self._questions.lost()
            self._mourn(process.returncode)

    async def _reap(self, process: asyncio.subprocess.Process, reading: asyncio.Task[None]) -> None:
        """See a process to its end: it is asked to shut down, then killed."""
        assert process.stdin is not None
        if self._state is EngineState.READY:
            self._send({"op": "shutdown"})
        else:
            process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_GRACE_S):
                await process.wait()
        except TimeoutError:
            self._kill()
            await process.wait()
        process.stdin.close()
        # A process that inherited the pipe may hold it open, so the rest is not awaited for ever.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reading, _STOP_GRACE_S)

    def _mourn(self, status: int | None) -> None:
        render = self._render
        if render is None or not render.sent:
            return
        if render.verdict is not None or render.cancelled:
            self._end_render(render, Cancelled())
            return
        if status == KILLED and not self._killed:
            # This is how the system takes memory back: the next attempt is to need less.
            self._starved.add(render.job_id)
        _log.error("the engine died with status %s while it worked on %s", status, render.job_id)
        message = f"the engine process died ({describe_status(status)})"
        self._end_render(render, Failed("engine_crashed", message, _LOG_HINT))

    async def _read_frames(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        decoder = FrameDecoder()
        try:
            while data := await process.stdout.read(READ_BYTES):
                for message, payload in decoder.feed(data):
                    self._hear(message, payload)
        except Exception:
            # Whatever it said: an engine that is not understood must not end the supervision.
            _log.exception("the engine does not speak the protocol and is killed")
            self._kill()

    def _hear(self, message: dict[str, Any], payload: bytes) -> None:
        self._unanswered_pings = 0
        match message.pop("op", None):
            case "event":
                self._take_event(str(message.pop("job", "")), message, payload)
            case "ready":
                self._info = dict(message.get("info") or {})
                self._error = {}
                self._loaded = True
                self._become(EngineState.READY)
                _log.info("the engine is ready")
            case "settling":
                self._settling = Settling()
            case "settled":
                self._settling = None
                self._become(self._state)
            case "unloaded":
                self._loaded = False
                _log.info("the engine has unloaded its models")
            case "estimated":
                self._loaded = True
                self._questions.answered(message)
            case "broken":
                self._error = dict(message["error"])
                _log.error("the engine cannot start: %s", self._error)
            case "pong":
                now_s = asyncio.get_running_loop().time()
                self._proven |= now_s - self._started_at_s > _HEALTHY_AFTER_S
            case op:
                raise BridgeError("bad_message", f"unknown op {op!r}")

    def _take_event(self, job_id: str, message: dict[str, Any], payload: bytes) -> None:
        render = self._render
        if render is None or render.job_id != job_id:
            return
        event = event_from_message(message, payload)
        self._loaded = True
        if event != render.last:
            render.still = 0
        if isinstance(event, Progress):
            render.last = event
        if isinstance(event, Done | Cancelled | Failed):
            self._proven = True
            self._settling = Settling() if isinstance(event, Done) else None
            self._end_render(render, event)
        else:
            render.events.put_nowait(event)

    async def _watch_heart(self) -> None:
        """Kill an engine that does not get ready, or is ready and does not answer.

        Pings are counted rather than seconds, because a laptop may sleep in between.
        """
        timing = self._timing
        wait_s = min(timing.heartbeat_interval_s, timing.ready_timeout_s)
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(wait_s)
            if self._state is EngineState.READY:
                silence_s = self._unanswered_pings * wait_s
                if silence_s >= timing.heartbeat_timeout_s:
                    _log.error("the engine has been silent for %.0f s and is killed", silence_s)
                    self._kill()
                    return
                self._unanswered_pings += 1
                self._send({"op": "ping", "count": self._unanswered_pings})
                self._watch_render(wait_s)
                if self._settling and self._settling.stalled(wait_s, timing.stall_timeout_s):
                    _log.error("the engine stands still after a render and is killed")
                    self._kill()
                    return
            elif loop.time() - self._started_at_s > timing.ready_timeout_s:
                message = f"the engine was not ready after {timing.ready_timeout_s:g} s"
                self._error = {"code": "engine_failed", "message": message, "hint": _LOG_HINT}
                self._kill()
                return

    def _watch_render(self, wait_s: float) -> None:
        """End a render that stands still although its process answers."""
        render = self._render
        if render is None or not render.sent or render.cancelled or render.verdict is not None:
            return
        if (message := render.stalled(wait_s, self._timing.stall_timeout_s)) is None:
            return
        _log.error("%s: %s", render.job_id, message)
        render.verdict = Failed("engine_failed", message, _LOG_HINT)
        self._stop_render(render)

    def _send(self, message: dict[str, Any]) -> None:
        # A pipe to a dead engine swallows the frame; its death is seen by the reader.
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(encode_frame(message))

    def _kill(self) -> None:
        if self._process is not None:
            self._killed = True
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
