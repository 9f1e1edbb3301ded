"""Lets news through no more often than a client wants: the newest in time, the last one always."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")


class Timer(Protocol):
    """What `call_later` returns."""

    def cancel(self) -> None:
        """Do not call any more."""


CallLater = Callable[[float, Callable[[], None]], Timer]


class Pacer(Generic[Item]):
    """One kind of news for one client.

    Items of one group belong together: they are sent, wait, or are replaced as one.

    Args:
        send: passes an item on.
        now_s: a clock that does not jump.
        call_later: calls back after so many seconds.
    """

    def __init__(
        self, send: Callable[[Item], None], now_s: Callable[[], float], call_later: CallLater
    ) -> None:
        self._send = send
        self._now_s = now_s
        self._call_later = call_later
        self._sent_s = float("-inf")
        self._sent_group: Hashable = None
        self._waiting: list[Item] = []
        self._waiting_group: Hashable = None
        self._timer: Timer | None = None

    def offer(self, item: Item, rate_hz: float | None, group: Hashable = None) -> None:
        """Send an item now, or once it is due unless a newer one comes.

        Args:
            rate_hz: at most so many groups a second; None for all, 0 for none.
            group: None for an item that stands alone.
        """
        if rate_hz == 0:
            return
        if not self._waiting and group is not None and group == self._sent_group:
            self._send(item)
            return
        due_s = self._sent_s + (1 / rate_hz if rate_hz else 0.0)
        if not self._waiting and self._now_s() >= due_s:
            self._pass(item, group)
            return
        if group is None or group != self._waiting_group:
            self._waiting.clear()
        self._waiting.append(item)
        self._waiting_group = group
        if self._timer is None:
            self._timer = self._call_later(max(0.0, due_s - self._now_s()), self.flush)

    def flush(self) -> None:
        """Send what waits; nothing newer will come, or it is due."""
        self.close()
        waiting, self._waiting = self._waiting, []
        for item in waiting:
            self._pass(item, self._waiting_group)

    def close(self) -> None:
        """Call back no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _pass(self, item: Item, group: Hashable) -> None:
        self._sent_s = self._now_s()
        self._sent_group = group
        self._send(item)
