"""Answers commands: every command of the protocol table has one method here.

Part of the composition root: this is where a command meets jobs, takes, uploads and streams. It
knows clients only as `Peer`s, so that all transports get the same answers.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import Any

from daw_bridge import __version__
from daw_bridge.capabilities import capabilities
from daw_bridge.config import Config
from daw_bridge.engine_process import EngineState
from daw_bridge.guests import Guests
from daw_bridge.intake.paths import resolve_allowed
from daw_bridge.intake.room import check_room
from daw_bridge.intake.uploads import PREFIX, UploadStore
from daw_bridge.jobs.queue import Job, Placement, Priority, State
from daw_bridge.jobs.scheduler import Scheduler
from daw_bridge.metrics import Metrics
from daw_bridge.protocol.messages import Call, Peer, failed, reply
from daw_bridge.protocol.table import PLACEMENT, VERSION
from daw_bridge.supervisor import Supervisor
from daw_bridge.take_commands import TakeCommands, done_fields
from daw_bridge.takes.recipes import changed_requests, takes_of
from daw_bridge.takes.store import TakeStore
from daw_bridge.transfers import Transfers, check_format
from daw_bridge.watchers import WISHES, Watchers
from engine.models.public.registry import Registry
from engine.spec import PATH_FIELDS, TASKS, BridgeError, RenderRequest

_log = logging.getLogger(__name__)


class Service:
    """The commands.

    Args:
        client_count: how many clients are connected.
        addresses: where each transport listens.
        request_stop: makes the daemon stop.
    """

    def __init__(
        self,
        config: Config,
        scheduler: Scheduler,
        takes: TakeStore,
        uploads: UploadStore,
        supervisor: Supervisor,
        watchers: Watchers,
        metrics: Metrics,
        client_count: Callable[[], int],
        addresses: Callable[[], dict[str, str | int]],
        request_stop: Callable[[], None],
    ) -> None:
        self._config = config
        self._scheduler = scheduler
        self._takes = takes
        self._uploads = uploads
        self._supervisor = supervisor
        self._watchers = watchers
        self._client_count = client_count
        self._addresses = addresses
        self._request_stop = request_stop
        self._started_s = time.monotonic()
        self._roots = config.allowed_roots
        self._installed = Registry(config.models_file)
        self._metrics = metrics
        self.take_commands = TakeCommands(config, takes)
        self._answering: set[asyncio.Task[None]] = set()
        self._guests = Guests()
        self.transfers = Transfers(takes, uploads, metrics.sent, self._files_in_use)
        self._handlers: dict[str, Callable[[Call, Peer], Awaitable[None]]] = {
            **dict.fromkeys(TASKS, self._render),
            "hello": self._hello,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "ping": self._ping,
            "rerender": self._rerender,
            "estimate": self._estimate,
            "status": self._status,
            "cancel": self._cancel,
            "watch": self._watch,
            "jobs": self._jobs,
            "takes": self.take_commands.list,
            "rate": self.take_commands.rate,
            "export": self.take_commands.export,
            "remove": self.take_commands.remove,
            "restore": self.take_commands.restore,
            "upload": self.transfers.begin_upload,
            "stream": self.transfers.begin_stream,
            "models": self._models,
            "unload": self._unload,
            "shutdown": self._shutdown,
        }

    async def handle(self, call: Call, peer: Peer) -> None:
        """Answer a command; a refusal is an answer, too."""
        self._guests.heard(peer)
        try:
            await self._handlers[call.command](call, peer)
        except BridgeError as error:
            self._metrics.refused(error.code)
            peer.send(failed(call.id, error))
        except Exception as error:
            _log.exception("command %s", call.command)
            refusal = BridgeError(
                "unavailable", f"{call.command}: {error!r}"[:300], "the daemon's log says more"
            )
            self._metrics.refused(refusal.code)
            peer.send(failed(call.id, refusal))

    def forget(self, peer: Peer) -> None:
        """A client is gone; its jobs go on."""
        self._watchers.forget(peer)
        self._guests.forget(peer)
        self.transfers.forget(peer)

    @property
    def uptime_s(self) -> float:
        """Time since the daemon started."""
        return time.monotonic() - self._started_s

    def health(self) -> dict[str, Any]:
        """What `/health` says; never waits."""
        return {
            "name": "daw-bridge",
            "version": __version__,
            "protocol": VERSION,
            "pid": os.getpid(),
            "engine": str(self._supervisor.state),
            "queued": self._scheduler.queue.waiting_count,
            "running": self._scheduler.running is not None,
        }

    async def _hello(self, call: Call, peer: Peer) -> None:
        if name := call.get("client"):
            _log.info("hello from %.80r", name)
            self._guests.introduce(peer, name)
        check_format(call.get("preview_format"))
        self._watchers.wish(peer, _wishes(call))
        peer.send(reply(call.id, "hello", **capabilities(self._config, self._addresses())))

    async def _subscribe(self, call: Call, peer: Peer) -> None:
        check_format(call.get("preview_format"))
        expires_s = self._watchers.subscribe(peer, call.id, call.get("expires_s"))
        self._watchers.wish(peer, _wishes(call))
        peer.send(reply(call.id, "subscribed", expires_s=expires_s))

    async def _unsubscribe(self, call: Call, peer: Peer) -> None:
        self._watchers.unsubscribe(peer)
        peer.send(reply(call.id, "unsubscribed"))

    async def _ping(self, call: Call, peer: Peer) -> None:
        peer.send(reply(call.id, "pong"))

    async def _render(self, call: Call, peer: Peer) -> None:
        request = RenderRequest.from_mapping({**_asked(call), "task": call.command})
        await self._submit(call, peer, takes_of(request, call.get("takes")))

    async def _rerender(self, call: Call, peer: Peer) -> None:
        overrides, takes = _asked(call), call.get("takes")
        recipe = await asyncio.to_thread(self._takes.recipe, overrides.pop("take"))
        await self._submit(call, peer, changed_requests(recipe, overrides, takes))

    async def _submit(self, call: Call, peer: Peer, requests: list[RenderRequest]) -> None:
        self._check_length(requests[0])
        real = await asyncio.to_thread(self._real_paths, requests[0])
        placement = Placement(call.get("slot"), Priority(call.get("priority")))
        taken_from = [job.id for job in self._scheduler.queue.in_slot(placement.slot)]
        jobs = self._scheduler.submit([replace(each, **real) for each in requests], placement)
        # Nothing is awaited from here to the answer, so no event can come before it.
        for job in jobs:
            self._watchers.add(job.id, peer, call.id)
            seed = job.request.seed
            peer.send(reply(call.id, "accepted", job=job.id, seed=seed, supersedes=taken_from))

    def _check_length(self, request: RenderRequest) -> None:
        seconds = request.new_seconds()
        if seconds is not None and seconds > self._config.max_new_audio_s:
            limit = f"the limit is {self._config.max_new_audio_s:g} s"
            raise BridgeError("too_large", f"{seconds:g} s of new audio", limit)

    def _files_in_use(self) -> frozenset[str]:
        """Paths of what the jobs that are not over are made of."""
        living = [job.request for job in self._scheduler.queue.newest() if not job.over]
        return frozenset(
            path for each in living for name in PATH_FIELDS if (path := getattr(each, name))
        )

    def _real_paths(self, request: RenderRequest) -> dict[str, Any]:
        """The files of a request by field, links resolved; refused on a full disk."""
        check_room(self._config.data_dir, 0, self._config.min_free_disk_bytes)
        real: dict[str, Any] = {}
        for name in PATH_FIELDS:
            text: str | None = getattr(request, name)
            if text is None:
                continue
            if text.startswith(PREFIX):
                real[name] = str(self._uploads.path_of(text.removeprefix(PREFIX)))
            else:
                limit = self._config.max_source_bytes
                path = resolve_allowed(text, self._roots, limit)
                self._uploads.note_use(path)  # a take's source, which is made again
                real[name] = str(path)
        return real

    async def _estimate(self, call: Call, peer: Peer) -> None:
        request = RenderRequest.from_mapping(call.values)
        self._check_length(request)
        request = replace(request, **await asyncio.to_thread(self._real_paths, request))
        if self._supervisor.state is not EngineState.READY:
            raise self._unready()

        async def answer() -> None:
            try:
                found = await self._supervisor.estimate(request)
                peer.send(reply(call.id, "estimate", **found))
            except BridgeError as error:
                self._metrics.refused(error.code)
                peer.send(failed(call.id, error))

        # A render may be in its way, and the client may have more to say until then.
        answering = asyncio.create_task(answer(), name="estimate")
        self._answering.add(answering)
        answering.add_done_callback(self._answering.discard)

    async def _status(self, call: Call, peer: Peer) -> None:
        running = self._scheduler.running
        peer.send(
            reply(
                call.id,
                "status",
                version=__version__,
                engine=str(self._supervisor.state),
                running=running.id if running else "",
                queued=self._scheduler.queue.waiting_count,
                clients=self._client_count(),
                client_names=self._guests.names(),
                uptime_s=round(self.uptime_s, 1),
                engine_info=self._supervisor.info,
                engine_error=self._supervisor.error,
                models_loaded=self._supervisor.loaded,
                **asdict(self.take_commands.usage),
            )
        )

    async def _cancel(self, call: Call, peer: Peer) -> None:
        job = self._scheduler.cancel(call.get("job"))
        peer.send(reply(call.id, "cancelling", job=job.id))

    async def _watch(self, call: Call, peer: Peer) -> None:
        job = self._scheduler.queue.get(call.get("job"))
        if job.take is not None:
            take = await asyncio.to_thread(self._takes.get, job.take)
            fields = await asyncio.to_thread(done_fields, self._takes, take)
            peer.send(reply(call.id, "watching", job=job.id, state=str(job.state)))
            peer.send({"id": call.id, "job": job.id, "event": "done", **fields})
            return
        peer.send(reply(call.id, "watching", job=job.id, state=str(job.state)))
        if job.error is not None:
            peer.send({"id": call.id, "job": job.id, "event": "failed", **asdict(job.error)})
        elif job.state is State.CANCELLED:
            told = {"event": "cancelled", "reason": job.reason}
            peer.send({"id": call.id, "job": job.id, **told})
        else:
            self._watchers.add(job.id, peer, call.id)

    async def _jobs(self, call: Call, peer: Peer) -> None:
        newest = self._scheduler.queue.newest()
        listed = [_job_entry(job) for job, _ in zip(newest, range(call.get("limit")), strict=False)]
        peer.send(reply(call.id, "jobs", jobs=listed))

    async def _models(self, call: Call, peer: Peer) -> None:
        if not self._supervisor.info:
            raise self._unready()
        installed = await asyncio.to_thread(self._installed.listed)
        plain = {"architecture": "", "size_bytes": 0}  # what is embedded has no more to say
        embedded = [plain | model for model in self._supervisor.info.get("models", ())]
        peer.send(reply(call.id, "models", models=[*embedded, *installed]))

    def _unready(self) -> BridgeError:
        """Why the engine cannot be asked."""
        error = self._supervisor.error or {}
        return BridgeError(
            "unavailable",
            error.get("message", "the engine is still starting"),
            error.get("hint", "ask again in a moment"),
        )

    async def _unload(self, call: Call, peer: Peer) -> None:
        self._supervisor.unload()
        peer.send(reply(call.id, "unloading"))

    async def _shutdown(self, call: Call, peer: Peer) -> None:
        peer.send(reply(call.id, "stopping"))
        self._request_stop()


def _wishes(call: Call) -> dict[str, Any]:
    return {name: value for name, value in call.values.items() if name in WISHES}


def _asked(call: Call) -> dict[str, Any]:
    """The fields of a call that belong to the request itself."""
    return {name: value for name, value in call.values.items() if name not in PLACEMENT}


def _job_entry(job: Job) -> dict[str, Any]:
    return {
        "job": job.id,
        "task": job.request.task,
        "state": str(job.state),
        "stage": job.stage,
        "fraction": job.fraction,
        "eta_s": job.eta_s,
        "take": job.take,
        "created_s": job.created_s,
        "started_s": job.started_s,
        "finished_s": job.finished_s,
        "request": job.request.to_mapping(),
        "error": asdict(job.error) if job.error else None,
        "slot": job.placement.slot,
        "priority": str(job.placement.priority),
        "reason": job.reason,
    }
