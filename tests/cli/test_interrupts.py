"""Ctrl-C while the daemon answers: the job that it has accepted by then does not go on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Self

import pytest

from daw_bridge.client import Client
from daw_bridge.commands import remote
from daw_bridge.commands.local import JobCancelledError


class _Connected:
    """A client that notes what it cancels."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def cancel(self, job: str) -> None:
        self.cancelled.append(job)


def _conversation(client: Any, submit: Callable[[], Awaitable[list[str]]]) -> asyncio.Task[None]:
    nothing = lambda *_: None  # noqa: E731
    return asyncio.create_task(remote._conversation(client, submit, nothing, nothing, nothing))


async def test_jobs_that_are_accepted_after_it_are_cancelled() -> None:
    client, answered = _Connected(), asyncio.Event()

    async def submit() -> list[str]:
        await answered.wait()
        return ["j-0001", "j-0002"]

    task = _conversation(client, submit)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0.01)
    answered.set()
    with pytest.raises(JobCancelledError, match="j-0001 and j-0002 were cancelled"):
        await task
    assert client.cancelled == ["j-0001", "j-0002"]


async def test_what_is_not_accepted_soon_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_LAST_WORD_S", 0.01)
    client, given_up = _Connected(), []

    async def submit() -> list[str]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            given_up.append(True)
            raise
        return []

    task = _conversation(client, submit)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert (client.cancelled, given_up) == ([], [True])


@pytest.mark.parametrize("turns", range(4))
async def test_it_is_not_lost_where_it_comes_with_an_answer(turns: int) -> None:
    """So many turns of the loop after it, the answer is on its way, or has arrived."""
    client = Client("ws://127.0.0.1:1/ws", "token")
    inbox = client._calls["1"] = asyncio.Queue()
    task = asyncio.create_task(client._next_reply("1"))
    await asyncio.sleep(0.01)
    inbox.put_nowait({"reply": "accepted", "id": "1", "job": "j-0001"})
    for _ in range(turns):
        await asyncio.sleep(0)
    if task.cancel():
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        assert (await task)["job"] == "j-0001"
