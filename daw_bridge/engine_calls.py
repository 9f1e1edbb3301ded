"""What the engine's process has been asked and has not answered yet."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.spec import BridgeError, Event, Failed, Progress

MAX_QUESTIONS = 4  # the next render waits for all that are asked before it


@dataclass(eq=False, slots=True)
class Render:
    """The render the engine is at, or will be at once it has started.

    Attributes:
        still: heartbeats since it last got on.
        last: the progress it has told last.
        verdict: how it ends once it has stopped, where that is settled already.
    """

    job_id: str
    events: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    sent: bool = False
    cancelled: bool = False
    still: int = 0
    last: Progress | None = None
    verdict: Failed | None = None
    patience: asyncio.TimerHandle | None = None

    def stalled(self, wait_s: float, most_s: float) -> str | None:
        """Count a heartbeat; what there is to say once it has not got on for so long."""
        self.still += 1
        if (still_s := self.still * wait_s) < most_s:
            return None
        stage = self.last.stage if self.last else "the start"
        return f"the render has stood still for {still_s:.0f} s at {stage} and was ended"


@dataclass(slots=True)
class Settling:
    """What the engine does after a result; the next render is sent once that is over.

    Attributes:
        still: heartbeats since it last got on.
    """

    still: int = 0

    def stalled(self, wait_s: float, most_s: float) -> bool:
        """Count a heartbeat; whether it has not got on for so long."""
        self.still += 1
        return self.still * wait_s >= most_s


class Questions:
    """Questions that the engine answers between two renders."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._open: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def ask(self, send: Callable[[int], None]) -> dict[str, Any]:
        """Send a question under a number; the answer.

        Raises:
            BridgeError: as the engine refuses; `engine_crashed` when it dies before it answers,
                `unavailable` when too many wait.
        """
        if len(self._open) >= MAX_QUESTIONS:
            problem = f"{MAX_QUESTIONS} estimates wait for the engine already"
            raise BridgeError("unavailable", problem, "ask again when they are answered")
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._open[number] = answer
        try:
            send(number)
            return await answer
        finally:
            del self._open[number]

    def answered(self, message: dict[str, Any]) -> None:
        """Take an answer; one that nobody waits for any more is dropped."""
        answer = self._open.get(int(message["question"]))
        if answer is None or answer.done():
            return
        if error := message.get("error"):
            answer.set_exception(BridgeError(**error))
        else:
            answer.set_result(dict(message["estimate"]))

    def lost(self) -> None:
        """The process that was asked is gone."""
        for answer in self._open.values():
            if not answer.done():
                answer.set_exception(
                    BridgeError("engine_crashed", "the engine process died", "ask again")
                )
