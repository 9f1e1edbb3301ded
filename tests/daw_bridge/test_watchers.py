"""Who hears of which job."""

from __future__ import annotations

import logging

import pytest

from daw_bridge.protocol.messages import Message
from daw_bridge.watchers import Watchers
from engine.spec import Progress


class Ear:
    """A client that keeps what it hears, or cannot be told anything."""

    wants_previews = True

    def __init__(self, deaf: bool = False) -> None:
        self.deaf = deaf
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
