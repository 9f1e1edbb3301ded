"""Who wants to hear of which job."""

from __future__ import annotations

import logging
from typing import Any

from daw_bridge.protocol.messages import Peer
from engine.spec import Event, Preview, Progress

_log = logging.getLogger(__name__)

_ENDINGS = ("done", "failed", "cancelled")


class Watchers:
    """Passes the events of jobs on to the clients that asked for them."""

    def __init__(self) -> None:
        self._of_job: dict[str, list[tuple[Peer, str]]] = {}

    def add(self, job_id: str, peer: Peer, call_id: str) -> None:
        """Send the job's events to a client from now on, with the id of its call."""
        self._of_job.setdefault(job_id, []).append((peer, call_id))

    def forget(self, peer: Peer) -> None:
        """A client is gone."""
        for job_id, watching in list(self._of_job.items()):
            left = [entry for entry in watching if entry[0] != peer]
            if left:
                self._of_job[job_id] = left
            else:
                del self._of_job[job_id]

    def publish(self, job_id: str, fields: dict[str, Any], event: Event | None) -> None:
        """Tell a job's clients; after its last event they are forgotten."""
        droppable = isinstance(event, Progress | Preview)
        pcm = event.pcm if isinstance(event, Preview) else b""
        for peer, call_id in self._of_job.get(job_id, ()):
            message = {"id": call_id, "job": job_id, **fields}
            try:
                peer.send(message, pcm, droppable=droppable)
            except Exception:
                # One client that cannot be told must not cost the others their job.
                _log.exception("%s of %s is not told to a client", fields["event"], job_id)
        if fields["event"] in _ENDINGS:
            self._of_job.pop(job_id, None)

    @property
    def job_count(self) -> int:
        """Jobs that somebody watches."""
        return len(self._of_job)
