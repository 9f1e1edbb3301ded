"""The composition root: makes every part of the daemon and joins them with callables.

Nothing the daemon imports may import torch or numpy; only the engine process does. The table of
what may import what is in `tests/architecture/`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from daw_bridge.config import Config
from daw_bridge.engine_process import Timing, worker_command
from daw_bridge.exports import exports_folder
from daw_bridge.intake.uploads import UploadStore
from daw_bridge.jobs.journal import Journal
from daw_bridge.jobs.queue import Job, JobQueue
from daw_bridge.jobs.scheduler import Ports, Scheduler
from daw_bridge.logs import LogOptions, logging_to
from daw_bridge.metrics import ENDS, Labelled, Metrics, family, gauge, resident_bytes
from daw_bridge.panel.pages import page
from daw_bridge.process import settle, stop_signals
from daw_bridge.protocol.table import WEBSOCKET_PATH
from daw_bridge.registration import (
    ServerInfo,
    announce,
    is_token,
    make_private_folder,
    proof_of,
    token_of,
    withdraw,
)
from daw_bridge.reply_files import ReplyFiles
from daw_bridge.service import Service
from daw_bridge.stream.formats import encode_audio
from daw_bridge.supervisor import Supervisor
from daw_bridge.take_commands import done_fields
from daw_bridge.takes.store import TakeStore
from daw_bridge.transport.http import Gate
from daw_bridge.transport.osc import OscServer
from daw_bridge.transport.osc_tcp import OscTcpServer, TcpHandlers, TcpLimits
from daw_bridge.transport.websocket import Handlers, Limits, WebSocketServer
from daw_bridge.watchers import Watchers
from engine.spec import BridgeError, Done, Event, RenderRequest, Stem

_log = logging.getLogger(__name__)


class App:
    """A daemon; `async with App(config) as app` runs one.

    Attributes:
        config: its settings.
        token: what clients must show.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.token = ""
        self._spool_dir = config.data_dir / "spool"
        self._stop = asyncio.Event()
        self._fault: BaseException | None = None
        self._metrics = Metrics()
        self._began_s: dict[str, float] = {}  # of what is rendered, by a clock that does not jump
        self._exits = contextlib.AsyncExitStack()

    @property
    def url(self) -> str:
        """WebSocket address."""
        return f"ws://{self._host_in_url}:{self._websocket.port}{WEBSOCKET_PATH}"

    @property
    def http_url(self) -> str:
        """Address of the page and of `/health`."""
        return f"http://{self._host_in_url}:{self._websocket.port}"

    @property
    def osc_port(self) -> int:
        """UDP port of OSC."""
        return self._osc.port

    @property
    def osc_tcp_port(self) -> int:
        """TCP port of OSC."""
        return self._osc_tcp.port

    @property
    def supervisor(self) -> Supervisor:
        """Owner of the engine process."""
        return self._supervisor

    @property
    def _host_in_url(self) -> str:
        return f"[{self.config.host}]" if ":" in self.config.host else self.config.host

    def request_stop(self) -> None:
        """Make `stopped` return."""
        self._stop.set()

    async def stopped(self) -> None:
        """Wait until a client or a signal asks the daemon to stop.

        Raises:
            BridgeError: `engine_failed` when it is a fault of its own that stops it, so that a
                service starts it again.
        """
        await self._stop.wait()
        if self._fault is not None:
            raise BridgeError(
                "engine_failed",
                f"the scheduler failed: {self._fault!r}"[:300],
                "start the daemon again; the log says more",
            )

    async def __aenter__(self) -> App:
        """Start.

        Raises:
            BridgeError: `unavailable` when a port or the data folder is in use.
        """
        async with contextlib.AsyncExitStack() as exits:
            await self._start(exits)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exits.aclose()

    async def _start(self, exits: contextlib.AsyncExitStack) -> None:
        data_dir = self.config.data_dir
        make_private_folder(data_dir)
        hide = exits.enter_context(logging_to(data_dir / "logs", _log_options(self.config)))
        # Its lock comes first, so that of two daemons that start together one makes the token.
        journal = exits.enter_context(
            Journal(data_dir / "journal.sqlite3", self.config.max_job_history)
        )
        self.token = token_of(data_dir, self.config.token)
        hide(self.token)
        self._make_stores(data_dir)
        self._watchers = Watchers()
        self._supervisor = Supervisor(
            worker_command(
                self.config.engine_factory,
                self.config.cache_dir,
                self.config.models_file,
                # The engine reads its own results, too.
                (*self.config.allowed_roots, self._spool_dir),
                self.config.idle_unload_s,
            ),
            _timing(self.config),
        )
        self._scheduler = Scheduler(self._restored_queue(journal), self._ports(journal))
        self._service = self._make_service()
        self._websocket = await exits.enter_async_context(self._make_websocket())
        self._osc = await exits.enter_async_context(self._make_osc())
        self._osc_tcp = await exits.enter_async_context(self._make_osc_tcp())
        exits.push_async_callback(self._supervisor.stop)
        self._supervisor.start()
        exits.push_async_callback(_ended, self._start_scheduler())
        exits.push_async_callback(self._service.take_commands.close)
        tidying = asyncio.create_task(self._service.take_commands.keep_tidy(), name="tidying")
        exits.push_async_callback(_ended, tidying)
        info = ServerInfo(self.url, self.osc_port, os.getpid(), self.token, self.osc_tcp_port)
        announce(data_dir, info)
        exits.callback(withdraw, data_dir, info.pid)
        _log.info("listening on %s and OSC port %d", self.url, self.osc_port)

    def _make_stores(self, data_dir: Path) -> None:
        exports_folder(data_dir)  # clients that have no folder of their own put clips there
        self._takes = TakeStore(data_dir / "takes")
        self._takes.sweep()
        self._uploads = UploadStore(
            data_dir / "uploads",
            self.config.max_upload_bytes,
            self.config.max_uploads_total_bytes,
            self.config.unfinished_upload_s,
            self.config.min_free_disk_bytes,
        )
        self._uploads.sweep()

    def _restored_queue(self, journal: Journal) -> JobQueue:
        # A journal that was moved away counts anew, and the takes of before must not be taken for
        # those of the new jobs.
        number = max(journal.next_number(), self._takes.last_job_number() + 1)
        queue = JobQueue(self.config.max_queued_jobs, self.config.max_job_history, number)
        for job in queue.restore(journal.load(), time.time(), self._takes.take_of_job):
            journal.record(job)
        self._sweep_spool(queue)
        return queue

    def _sweep_spool(self, queue: JobQueue) -> None:
        """Remove what dead jobs left; those that go on find their checkpoints there."""
        alive = {job.id for job in queue.newest() if not job.over}
        for folder in self._spool_dir.glob("*"):
            if folder.name not in alive:
                shutil.rmtree(folder, ignore_errors=True)

    def _ports(self, journal: Journal) -> Ports:
        return Ports(
            render=self._render,
            cancel_render=self._supervisor.cancel,
            adopt=self._adopt,
            discard=self._discard,
            record=journal.record,
            publish=self._publish,
            now_s=time.time,
        )

    def _publish(self, job: Job, fields: dict[str, Any], event: Event | None) -> None:
        self._watchers.publish(job.id, fields, event)
        if (end := fields["event"]) in ENDS:
            began_s = self._began_s.pop(job.id, None)
            render_s = None if began_s is None else time.monotonic() - began_s
            self._metrics.job_ended(end, render_s)
            told = {"job": job.id, "task": job.request.task, "end": end, "render_s": render_s}
            _log.info("%s (%s) is %s", job.id, job.request.task, end, extra={"fields": told})

    def _make_service(self) -> Service:
        return Service(
            self.config,
            self._scheduler,
            self._takes,
            self._uploads,
            self._supervisor,
            self._watchers,
            self._metrics,
            client_count=lambda: self._websocket.client_count + self._osc_tcp.client_count,
            addresses=lambda: {
                "websocket": self.url,
                "osc_udp": self.osc_port,
                "osc_tcp": self.osc_tcp_port,
            },
            request_stop=self.request_stop,
        )

    def _make_websocket(self) -> WebSocketServer:
        config = self.config
        limits = Limits(
            config.max_frame_bytes,
            config.max_outbox_bytes,
            config.max_clients,
            config.hello_timeout_s,
        )
        handlers = Handlers(
            self._service.handle,
            self._service.transfers.take_binary,
            self._service.forget,
            encode_audio,
        )
        return WebSocketServer(config.host, config.port, limits, handlers, self._make_gate)

    def _make_osc(self) -> OscServer:
        config = self.config
        files = ReplyFiles(config.data_dir / "replies")
        files.sweep()
        return OscServer(
            config.host, config.osc_port, self._accepts_osc, self._service.handle, files
        )

    def _make_osc_tcp(self) -> OscTcpServer:
        config = self.config
        limits = TcpLimits(config.max_outbox_bytes, config.max_clients, config.hello_timeout_s)
        handlers = TcpHandlers(self._accepts_osc, self._service.handle, self._service.forget)
        ports = [self._osc.port if config.osc_tcp_port is None else config.osc_tcp_port]
        if config.osc_port == 0:
            ports.append(0)  # whoever took the first free port of UDP knows of no TCP port
        return OscTcpServer(config.host, ports, limits, handlers)

    def _accepts_osc(self, given: str | None) -> bool:
        return not self.config.osc_token_required or self._accepts(given)

    def _make_gate(self, port: int) -> Gate:
        return Gate(
            port,
            self._accepts,
            self._service.health,
            self._metrics_text,
            page,
            lambda own_port, nonce: proof_of(self.token, own_port, nonce),
        )

    def _metrics_text(self) -> str:
        """What `/metrics` says: counts, and how things are at this moment."""
        engine, waiting = self._supervisor, self._scheduler.queue.waiting_count
        clients = {"websocket": self._websocket.client_count, "osc_tcp": self._osc_tcp.client_count}
        memory = {"daemon": resident_bytes(os.getpid()), "engine": resident_bytes(engine.pid)}
        known = [({"process": name}, size) for name, size in memory.items() if size is not None]
        by_transport = [({"transport": name}, count) for name, count in clients.items()]
        restarts: Labelled = [({}, max(0, engine.starts - 1))]
        parts = (
            gauge("uptime_seconds", "time since the daemon started", self._service.uptime_s),
            gauge("jobs_queued", "jobs that wait", waiting),
            gauge("jobs_running", "jobs in the engine", self._scheduler.running is not None),
            family("clients", "gauge", "connections now", by_transport),
            gauge("engine_ready", "1 when the engine can render", engine.state == "ready"),
            family("engine_restarts_total", "counter", "times the engine was replaced", restarts),
            family("resident_memory_bytes", "gauge", "memory of the processes", known),
            *self._metrics.families(),
        )
        return "".join(parts)

    def _accepts(self, given: str | None) -> bool:
        return is_token(given, self.token)

    def _render(self, job_id: str, request: RenderRequest) -> AsyncGenerator[Event, None]:
        self._began_s[job_id] = time.monotonic()
        spool_dir = self._spool_dir / job_id
        try:
            spool_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = f"{spool_dir} cannot be made: {error.strerror}"
            raise BridgeError("unavailable", problem, "is the disk full?") from None
        return self._supervisor.render(job_id, request, spool_dir)

    async def _adopt(self, job: Job, stems: Sequence[Stem], done: Done) -> dict[str, Any]:
        def adopt() -> dict[str, Any]:
            take = self._takes.adopt(
                job.request, stems, done, spool_dir=self._spool_dir, job=job.id
            )
            return done_fields(self._takes, take)

        told = await asyncio.to_thread(adopt)
        self._service.take_commands.changed()
        return told

    async def _discard(self, job_id: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._spool_dir / job_id, ignore_errors=True)

    def _start_scheduler(self) -> asyncio.Task[None]:
        task = asyncio.create_task(self._scheduler.run(), name="scheduler")
        task.add_done_callback(self._scheduler_ended)
        return task

    def _scheduler_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (fault := task.exception()) is not None:
            # A daemon that accepts jobs and does none would be worse than one that stops.
            _log.critical("the scheduler failed", exc_info=fault)
            self._fault = fault
            self.request_stop()


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it is over."""
    task.cancel()
    await asyncio.wait([task])


def _log_options(config: Config) -> LogOptions:
    return LogOptions(config.log_format, config.max_log_bytes, config.kept_logs)


def _timing(config: Config) -> Timing:
    return Timing(
        ready_timeout_s=config.engine_ready_timeout_s,
        heartbeat_interval_s=config.heartbeat_interval_s,
        heartbeat_timeout_s=config.heartbeat_timeout_s,
        cancel_grace_s=config.cancel_grace_s,
        restart_delay_s=config.restart_delay_s,
        stall_timeout_s=config.stall_timeout_s,
    )


async def serve(config: Config, on_ready: Callable[[App], None] | None = None) -> None:
    """Run a daemon until it is asked to stop, by a client, Ctrl-C or a termination signal.

    Args:
        on_ready: called once clients can connect.

    Raises:
        BridgeError: `unavailable` when a port or the data folder is in use; as `App.stopped`.
    """
    settle(asyncio.get_running_loop())
    async with App(config) as app:
        loop = asyncio.get_running_loop()
        for number in stop_signals():
            # Windows has no signal handlers in its event loop; Ctrl-C raises there instead.
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, app.request_stop)
        if on_ready is not None:
            on_ready(app)
        await app.stopped()
