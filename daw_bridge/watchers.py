"""Who wants to hear of which job, and how often."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

from daw_bridge.protocol.messages import Message, Peer
from daw_bridge.stream.pacing import CallLater, Pacer, Timer
from engine.spec import BridgeError, Event, Preview, Progress

_log = logging.getLogger(__name__)

_ENDINGS = ("done", "failed", "cancelled")
# Addresses of UDP tell nobody when they are gone.
MAX_ADDRESSES = 1024
MAX_CALLS = 16  # of one client that hear of the same job

News = tuple[Message, bytes]


@dataclass(frozen=True, slots=True)
class Wishes:
    """How often a client wants to hear what is droppable.

    Attributes:
        progress_hz, preview_hz: at most so many a second; None for all, 0 for none.
    """

    previews: bool = True
    progress_hz: float | None = None
    preview_hz: float | None = None
    preview_format: str = "float32"

    def rate_hz(self, event: Event) -> float | None:
        """The rate that holds for a progress or a preview."""
        if isinstance(event, Progress):
            return self.progress_hz
        return self.preview_hz if self.previews else 0.0


WISHES = frozenset(item.name for item in fields(Wishes))


@dataclass(frozen=True, slots=True)
class _Subscription:
    call_id: str
    expires_s: float | None


@dataclass(frozen=True, slots=True)
class _Hearing:
    """A client that hears of a job through one of its calls."""

    peer: Peer
    call_id: str
    job_id: str


class Watchers:
    """Passes the events of jobs on to the clients that asked for them.

    Args:
        now_s: a clock that does not jump.
        call_later: calls back after so many seconds; the event loop's by default.
    """

    def __init__(
        self,
        now_s: Callable[[], float] = time.monotonic,
        call_later: CallLater | None = None,
    ) -> None:
        self._now_s = now_s
        self._call_later = call_later or _loop_call_later
        self._of_job: dict[str, list[tuple[Peer, str]]] = {}
        self._subscriptions: dict[Peer, _Subscription] = {}
        self._wishes: dict[Peer, Wishes] = {}
        self._pacers: dict[_Hearing, dict[str, Pacer[News]]] = {}

    def add(self, job_id: str, peer: Peer, call_id: str) -> None:
        """Send the job's events to a client from now on, with the id of its call.

        A call that asks again hears all once, and of very many of one client's the newest are kept.
        """
        watching = self._of_job.setdefault(job_id, [])
        # The same address may be another peer now, which wants its replies elsewhere.
        others = [entry for entry in watching if entry != (peer, call_id)]
        own = [entry for entry in others if entry[0] == peer]
        dropped = own[: max(0, len(own) + 1 - MAX_CALLS)]
        watching[:] = [entry for entry in others if entry not in dropped] + [(peer, call_id)]

    def wish(self, peer: Peer, given: Mapping[str, Any]) -> None:
        """Keep how often a client wants to hear; what is not given stays as it was."""
        wishes = replace(self._wishes.pop(peer, Wishes()), **given)
        self._wishes[peer] = wishes
        addresses = [known for known in self._wishes if not known.is_connected]
        for oldest in addresses[: max(0, len(addresses) - MAX_ADDRESSES)]:
            del self._wishes[oldest]

    def subscribe(self, peer: Peer, call_id: str, lifetime_s: float) -> float:
        """Send the events of all jobs to a client; for how long, 0 for as long as it is connected.

        A client that hears of a job through a call of its own hears it once, with that call's id.

        Raises:
            BridgeError: `too_large` when too many addresses are subscribed.
        """
        self._drop_expired()
        others = [
            known for known in self._subscriptions if not known.is_connected and known != peer
        ]
        if not peer.is_connected and len(others) >= MAX_ADDRESSES:
            raise BridgeError("too_large", "too many addresses are subscribed", "try again later")
        expires_s = None if peer.is_connected else self._now_s() + lifetime_s
        # The same address may be another peer now, which wants its replies elsewhere.
        self._subscriptions.pop(peer, None)
        self._subscriptions[peer] = _Subscription(call_id, expires_s)
        return 0.0 if peer.is_connected else lifetime_s

    def unsubscribe(self, peer: Peer) -> None:
        """Send a client the events of the jobs it asked for, and of no others."""
        ended = self._subscriptions.pop(peer, None)
        if ended is not None:
            self._drop_pacers(lambda key: key.peer == peer and key.call_id == ended.call_id)

    def forget(self, peer: Peer) -> None:
        """A client is gone."""
        self.unsubscribe(peer)
        self._wishes.pop(peer, None)
        self._drop_pacers(lambda key: key.peer == peer)
        for job_id, watching in list(self._of_job.items()):
            left = [entry for entry in watching if entry[0] != peer]
            if left:
                self._of_job[job_id] = left
            else:
                del self._of_job[job_id]

    def publish(self, job_id: str, told: dict[str, Any], event: Event | None) -> None:
        """Tell a job's clients and all subscribers; after its last event a job is forgotten."""
        for peer, call_id in list(self._listeners(job_id)):
            hearing = _Hearing(peer, call_id, job_id)
            message = {"id": call_id, "job": job_id, **told}
            if isinstance(event, Progress | Preview):
                self._offer(hearing, message, event)
            else:
                # What waits is older than this, and the last of its kind is not lost.
                for pacer in self._pacers.get(hearing, {}).values():
                    pacer.flush()
                _tell(peer, (message, b""), droppable=False)
        if told["event"] in _ENDINGS:
            self._of_job.pop(job_id, None)
            self._drop_pacers(lambda key: key.job_id == job_id)

    @property
    def job_count(self) -> int:
        """Jobs that somebody watches."""
        return len(self._of_job)

    def _listeners(self, job_id: str) -> Iterator[tuple[Peer, str]]:
        own = self._of_job.get(job_id, [])
        yield from own
        self._drop_expired()
        informed = {peer for peer, _ in own}
        for peer, subscription in self._subscriptions.items():
            if peer not in informed:
                yield peer, subscription.call_id

    def _drop_expired(self) -> None:
        now_s = self._now_s()
        for peer, subscription in list(self._subscriptions.items()):
            if subscription.expires_s is not None and subscription.expires_s <= now_s:
                del self._subscriptions[peer]

    def _drop_pacers(self, which: Callable[[_Hearing], bool]) -> None:
        for key in [key for key in self._pacers if which(key)]:
            for pacer in self._pacers.pop(key).values():
                pacer.close()

    def _offer(self, hearing: _Hearing, message: Message, event: Progress | Preview) -> None:
        wishes = self._wishes.get(hearing.peer, Wishes())
        rate_hz = wishes.rate_hz(event)
        kinds = self._pacers.setdefault(hearing, {})
        pacer = kinds.get(event.kind)
        if pacer is None:
            tell = partial(_tell, hearing.peer, droppable=True)
            kinds[event.kind] = pacer = Pacer(tell, self._now_s, self._call_later)
        if isinstance(event, Preview):
            message["format"] = wishes.preview_format
            pacer.offer((message, event.pcm), rate_hz, event.revision)
        else:
            pacer.offer((message, b""), rate_hz)


def _tell(peer: Peer, news: News, *, droppable: bool) -> None:
    message, pcm = news
    try:
        peer.send(message, pcm, droppable=droppable)
    except Exception:
        # One client that cannot be told must not cost the others their job.
        _log.exception("%s of %s is not told to a client", message["event"], message["job"])


def _loop_call_later(delay_s: float, callback: Callable[[], None]) -> Timer:
    return asyncio.get_running_loop().call_later(delay_s, callback)
