"""Who hears of which job."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from daw_bridge.protocol.messages import Message
from daw_bridge.watchers import MAX_ADDRESSES, MAX_CALLS, Watchers
from engine.spec import BridgeError, Preview, Progress


class Ear:
    """A client that keeps what it hears, or cannot be told anything."""

    def __init__(self, deaf: bool = False, is_connected: bool = True) -> None:
        self.deaf = deaf
        self.is_connected = is_connected
        self.heard: list[Message] = []

    def send(self, message: Message, payload: bytes = b"", *, droppable: bool = False) -> None:
        if self.deaf:
            raise OverflowError("a figure that does not fit the wire")
        self.heard.append(message)

    async def send_audio(self, frame: bytes) -> None:
        raise AssertionError("no audio is sent here")


def test_events_carry_the_id_of_the_call_and_end_with_the_job() -> None:
    watchers, ear = Watchers(), Ear()
    watchers.add("j-0001", ear, "7")
    watchers.publish("j-0001", {"event": "progress"}, Progress("draft", 0.5))
    watchers.publish("j-0002", {"event": "done"}, None)
    watchers.publish("j-0001", {"event": "done"}, None)
    watchers.publish("j-0001", {"event": "done"}, None)
    assert ear.heard == [
        {"id": "7", "job": "j-0001", "event": event} for event in ("progress", "done")
    ]
    assert watchers.job_count == 0


def test_a_call_that_asks_again_hears_all_once() -> None:
    watchers, ear = Watchers(), Ear()
    for call_id in ("7", "8", "7", "7"):
        watchers.add("j-0001", ear, call_id)
    watchers.publish("j-0001", {"event": "done"}, None)
    assert sorted(message["id"] for message in ear.heard) == ["7", "8"]


def test_of_very_many_calls_of_one_client_the_newest_are_heard() -> None:
    watchers, ear, other = Watchers(), Ear(), Ear()
    watchers.add("j-0001", other, "first")
    for number in range(3 * MAX_CALLS):
        watchers.add("j-0001", ear, str(number))
    watchers.publish("j-0001", {"event": "done"}, None)
    newest = [str(number) for number in range(2 * MAX_CALLS, 3 * MAX_CALLS)]
    assert [message["id"] for message in ear.heard] == newest
    assert len(other.heard) == 1


def test_client_that_is_gone_is_forgotten() -> None:
    watchers, gone, stays = Watchers(), Ear(), Ear()
    for ear in (gone, stays):
        watchers.add("j-0001", ear, "1")
    watchers.add("j-0002", gone, "2")
    watchers.forget(gone)
    assert watchers.job_count == 1
    watchers.publish("j-0001", {"event": "done"}, None)
    assert (len(gone.heard), len(stays.heard)) == (0, 1)


def test_client_that_cannot_be_told_costs_the_others_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watchers, ear = Watchers(), Ear()
    watchers.add("j-0001", Ear(deaf=True), "1")
    watchers.add("j-0001", ear, "2")
    with caplog.at_level(logging.ERROR, "daw_bridge"):
        watchers.publish("j-0001", {"event": "done"}, None)
    assert [message["id"] for message in ear.heard] == ["2"]
    assert "done of j-0001 is not told" in caplog.text


class Clock:
    """A clock that stands until it is moved, and calls back when it passes a time."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._calls: list[_Call] = []

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> _Call:
        self._calls.append(_Call(self.now_s + delay_s, callback))
        return self._calls[-1]

    def move(self, seconds: float) -> None:
        self.now_s += seconds
        for call in [call for call in self._calls if call.at_s <= self.now_s]:
            self._calls.remove(call)
            if not call.cancelled:
                call.callback()


@dataclass
class _Call:
    at_s: float
    callback: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watchers(clock: Clock) -> Watchers:
    return Watchers(lambda: clock.now_s, clock.call_later)


def say(watchers: Watchers, fraction: float, job: str = "j-0001") -> None:
    fields = {"event": "progress", "fraction": fraction}
    watchers.publish(job, fields, Progress("draft", fraction))


def show(watchers: Watchers, revision: int, offset: int = 0) -> None:
    preview = Preview(revision, offset, 48_000, 1, b"pcm-")
    fields = {"event": "preview", "revision": revision, "offset_samples": offset}
    watchers.publish("j-0001", fields, preview)


def test_progress_no_more_often_than_wanted_the_newest_in_time(
    watchers: Watchers, clock: Clock
) -> None:
    ear, keen = Ear(), Ear()
    for listener in (ear, keen):
        watchers.add("j-0001", listener, "1")
    watchers.wish(ear, {"progress_hz": 2.0})
    heard_at: list[tuple[float, float]] = []
    for step in range(24):
        say(watchers, step / 100)
        clock.move(0.125)
        heard_at += [(clock.now_s, m["fraction"]) for m in ear.heard[len(heard_at) :]]
    assert heard_at == [(0.125, 0.0), *((n / 2, (4 * n - 1) / 100) for n in range(1, 7))]
    assert len(keen.heard) == 24
    say(watchers, 0.99)
    watchers.publish("j-0001", {"event": "done"}, None)
    # The last is told although it is not due, and before the end.
    assert [m.get("fraction", m["event"]) for m in ear.heard[-2:]] == [0.99, "done"]
    told = len(ear.heard)
    clock.move(10)
    assert len(ear.heard) == told


def test_wishes_of_none(watchers: Watchers) -> None:
    for wish in ({"progress_hz": 0.0, "preview_hz": 0.0}, {"progress_hz": 0.0, "previews": False}):
        ear = Ear()
        watchers.add("j-0001", ear, "1")
        watchers.wish(ear, wish)
        say(watchers, 0.5)
        show(watchers, 0)
        watchers.publish("j-0001", {"event": "done"}, None)
        assert [m["event"] for m in ear.heard] == ["done"]


def test_parts_of_a_preview_stay_together(watchers: Watchers, clock: Clock) -> None:
    ear = Ear()
    watchers.add("j-0001", ear, "1")
    watchers.wish(ear, {"preview_hz": 1.0})
    for revision in range(5):
        for offset in (0, 1):
            show(watchers, revision, offset)
            clock.move(0.05)
    watchers.publish("j-0001", {"event": "done"}, None)
    parts = [(m["revision"], m["offset_samples"]) for m in ear.heard if m["event"] == "preview"]
    assert parts == [(0, 0), (0, 1), (4, 0), (4, 1)]


def test_subscriber_hears_all_jobs_and_its_own_once(watchers: Watchers) -> None:
    ear = Ear()
    assert watchers.subscribe(ear, "all", 60) == 0
    watchers.add("j-0001", ear, "own")
    for job in ("j-0001", "j-0002"):
        watchers.publish(job, {"event": "done"}, None)
    assert [(m["job"], m["id"]) for m in ear.heard] == [("j-0001", "own"), ("j-0002", "all")]
    watchers.unsubscribe(ear)
    watchers.publish("j-0003", {"event": "done"}, None)
    assert len(ear.heard) == 2


def test_nothing_follows_the_end_of_a_subscription(watchers: Watchers, clock: Clock) -> None:
    for end in (watchers.unsubscribe, watchers.forget):
        ear = Ear()
        watchers.subscribe(ear, "all", 60)
        watchers.wish(ear, {"progress_hz": 1.0})
        say(watchers, 0.1)
        say(watchers, 0.2)  # waits
        end(ear)
        clock.move(5)
        assert len(ear.heard) == 1
    assert watchers._pacers == {}


def test_subscription_of_an_address_ends_unless_renewed(watchers: Watchers, clock: Clock) -> None:
    ear = Ear(is_connected=False)
    assert watchers.subscribe(ear, "1", 10) == 10
    clock.move(9)
    watchers.subscribe(ear, "2", 10)
    clock.move(9)
    say(watchers, 0.1)
    clock.move(1)
    say(watchers, 0.2)
    assert [(m["id"], m["fraction"]) for m in ear.heard] == [("2", 0.1)]
    connected = Ear()
    watchers.subscribe(connected, "3", 10)
    clock.move(10_000)
    say(watchers, 0.3)
    assert len(connected.heard) == 1


def test_addresses_are_bounded(watchers: Watchers, clock: Clock) -> None:
    for _ in range(MAX_ADDRESSES + 10):
        watchers.wish(Ear(is_connected=False), {"progress_hz": 1.0})
    assert len(watchers._wishes) == MAX_ADDRESSES
    for _ in range(MAX_ADDRESSES):
        watchers.subscribe(Ear(is_connected=False), "1", 10)
    with pytest.raises(BridgeError, match="too many addresses"):
        watchers.subscribe(Ear(is_connected=False), "1", 10)
    watchers.subscribe(Ear(), "1", 10)
    clock.move(11)
    watchers.subscribe(Ear(is_connected=False), "1", 10)
