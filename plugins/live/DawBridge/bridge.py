"""Requests under way: sent, watched, and asked after again when the daemon has been away.

Knows nothing of Live: what a request is for is whatever was given with it.
"""

from __future__ import annotations

import os
import time
from typing import Any, Callable

from . import osc
from .link import Link
from .protocol import Protocol
from .refusal import Refusal
from .requests import Request
from .server import Server, find_server

PROGRESS_HZ = 2.0
ANSWER_PATIENCE_S = 10.0
_HELLO = "hello"


class Job:
    """A request of the musician, which may be several of the daemon's jobs.

    Attributes:
        owner: what it is for; given back with every report.
        open_jobs: ids of the daemon's jobs that have not ended.
        asked_s: since when the daemon owes an answer; a job that waits to be sent waits for others.
    """

    def __init__(self, call_id: str, request: Request, owner: Any) -> None:
        self.id = call_id
        self.request = request
        self.owner = owner
        self.open_jobs: list[str] = []
        self.left = int(request.fields.get("takes", 1))
        self.is_accepted = False
        self.is_sent = False
        self.asked_s = 0.0
        self.is_cancelled = False


class Reports:
    """What happens to jobs, for somebody who wants to know; does nothing by itself."""

    def on_progress(self, job: Job, fraction: float, stage: str) -> None:
        """A job has come so far."""

    def on_done(self, job: Job, values: dict[str, Any]) -> None:
        """A take is there."""

    def on_failed(self, job: Job, refusal: Refusal) -> None:
        """A job, or the whole request, has failed."""

    def on_ended(self, job: Job) -> None:
        """Nothing more will come of a request."""

    def on_trouble(self, refusal: Refusal) -> None:
        """Something is wrong with the daemon, while somebody waits for it."""


class Bridge:
    """The daemon, as the musician's requests see it.

    Args:
        client: name and version, for the daemon's log.
        find: where the daemon is.
        clock_s: a clock that never goes back.
    """

    def __init__(
        self,
        protocol: Protocol,
        reports: Reports,
        client: str,
        find: Callable[[], Server] = find_server,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._protocol = protocol
        self._reports = reports
        self._client = client
        self._clock_s = clock_s
        self._link = Link(find, self._on_open, self._on_packet, self._on_lost)
        self._jobs: list[Job] = []
        self._to_cancel: list[str] = []  # the daemon's jobs, once it is back
        self._count = 0
        self._trouble = ""
        self._run = f"live-{os.getpid()}-{int(time.time() * 1000) & 0xFFFFFFFF:x}"

    @property
    def jobs(self) -> list[Job]:
        """Requests that have not ended."""
        return list(self._jobs)

    def ask(self, request: Request, owner: Any) -> Job:
        """Begin a request; it leaves with one of the next ticks."""
        self._count += 1
        job = Job(f"{self._run}-{self._count}", request, owner)
        self._jobs.append(job)
        self._link.hurry()
        return job

    def cancel(self, job: Job) -> None:
        """Stop a request; what has begun stops in the daemon, too."""
        job.is_cancelled = True
        for name in job.open_jobs:
            self._cancel(name)
        if not job.is_sent or not self._link.is_open:
            self._end(job)

    def _cancel(self, name: str) -> None:
        if self._link.is_open:
            self._send("cancel", name + "-cancel", {"job": name})
        else:  # the daemon takes it from its journal when it is back
            self._to_cancel.append(name)

    def tick(self) -> None:
        """Copy a step, read and write what can be read and written at once."""
        waiting = [job for job in self._jobs if not job.is_sent]
        if waiting:  # the others wait for the next tick
            self._go_on(waiting[0])
        self._link.poll(self._clock_s())
        self._give_up()

    def close(self) -> None:
        """Hang up; jobs go on in the daemon, and their takes are kept."""
        for job in self._jobs:
            if job.request.cutter is not None:
                job.request.cutter.close()
        self._jobs = []
        self._link.close()

    def _go_on(self, job: Job) -> None:
        """Copy a step of what a job sends, or send it."""
        cutter = job.request.cutter
        try:
            is_copied = cutter is None or cutter.step()
        except Refusal as refusal:
            self._fail(job, refusal)
        else:
            if is_copied:
                self._submit(job)

    def _submit(self, job: Job) -> None:
        if self._link.is_open:
            # The slot makes it safe to ask again after a lost connection: the daemon drops the
            # first where it had heard it.
            self._send(job.request.command, job.id, {**job.request.fields, "slot": job.id})
            job.is_sent = True
            job.asked_s = self._clock_s()

    def _give_up(self) -> None:
        """A daemon that does not answer is told of, and not waited for for ever.

        What has not been sent yet is the disk's affair, or the link's, which has a patience of its
        own: a long copy holds up the jobs behind it, too.
        """
        now_s = self._clock_s()
        for job in self.jobs:
            is_owed = job.is_sent and not job.is_accepted
            if is_owed and now_s - job.asked_s > ANSWER_PATIENCE_S:
                self._fail(
                    job, Refusal("daw-bridge does not answer", "look at `daw-bridge doctor`")
                )

    def _send(self, command: str, call_id: str, fields: dict[str, Any]) -> None:
        if self._link.is_open:
            pairs = [item for pair in fields.items() for item in pair]
            self._link.send(osc.encode(self._protocol.address(command), [call_id, *pairs]))

    def _on_open(self, server: Server) -> None:
        hello = {
            "token": server.token,
            "client": self._client,
            "previews": False,
            "progress_hz": PROGRESS_HZ,
        }
        self._send(_HELLO, _HELLO, hello)
        names, self._to_cancel = self._to_cancel, []
        for name in names:
            self._cancel(name)
        for job in self.jobs:
            if job.is_accepted:
                for name in job.open_jobs:
                    self._send("watch", job.id, {"job": name})
            else:
                job.is_sent = False  # nobody knows whether it was heard

    def _on_lost(self, refusal: Refusal) -> None:
        for job in self.jobs:
            if not job.is_sent:
                self._fail(job, refusal)
        if self._jobs:  # they are heard of again when the daemon is back
            self._tell(refusal)

    def _tell(self, refusal: Refusal) -> None:
        """Say what is wrong with the daemon, once."""
        if str(refusal) != self._trouble:
            self._trouble = str(refusal)
            self._reports.on_trouble(refusal)

    def _on_packet(self, packet: bytes) -> None:
        address, values = osc.decode(packet)
        name, call_id, said = self._protocol.read(address, values)
        if call_id == _HELLO:
            self._on_hello(name, said)
            return
        job = next((job for job in self._jobs if job.id == call_id), None)
        if job is None:
            return
        if name == "accepted":
            self._on_accepted(job, said["job"])
        elif name == "progress":
            self._reports.on_progress(job, float(said["fraction"]), str(said["stage"]))
        elif name == "done":
            if said["job"] in job.open_jobs:  # told once, however often it was watched
                self._reports.on_done(job, said)
                self._one_less(job, said["job"])
        elif name == "cancelled":
            if not job.is_cancelled:
                self._reports.on_failed(job, Refusal("cancelled", str(said.get("reason", ""))))
            self._one_less(job, said["job"])
        elif name == "failed":
            refusal = Refusal(str(said["message"]), str(said["hint"]))
            if job.is_accepted:
                self._reports.on_failed(job, refusal)
                self._one_less(job, "")
            else:
                self._fail(job, refusal)

    def _on_hello(self, name: str, said: dict[str, Any]) -> None:
        if name == "failed":
            self._tell(Refusal(str(said["message"]), str(said["hint"])))
        elif name == _HELLO and said["protocol"] != self._protocol.version:
            again = "run `daw-bridge hosts install live` again"
            self._tell(Refusal("the daemon speaks another version", again))
        elif name == _HELLO:
            self._trouble = ""

    def _on_accepted(self, job: Job, name: str) -> None:
        job.is_accepted = True
        job.open_jobs.append(name)
        if job.is_cancelled:
            self._cancel(name)

    def _one_less(self, job: Job, name: str) -> None:
        """One of the jobs of a request has ended; OSC does not say which has failed."""
        if name in job.open_jobs:
            job.open_jobs.remove(name)
        job.left -= 1
        if job.left <= 0:
            self._end(job)

    def _fail(self, job: Job, refusal: Refusal) -> None:
        self._reports.on_failed(job, refusal)
        self._end(job)

    def _end(self, job: Job) -> None:
        if job in self._jobs:
            self._jobs.remove(job)
            cutter = job.request.cutter
            # A draft and the refined take after it are cut once.
            in_use = [other.request.cutter for other in self._jobs]
            if cutter is not None and cutter not in in_use:
                cutter.close()
            self._reports.on_ended(job)
