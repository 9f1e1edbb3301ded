"""Which clients talk to the daemon, by the names that they introduced themselves with."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any

SILENCE_S = 600.0
MAX_GUESTS = 1024
MAX_NAME_CHARACTERS = 80


class Guests:
    """The clients that said hello.

    A connection tells when its client goes. An address of UDP does not: it is forgotten once it has
    been silent for a while, and the longest silent one where there are too many.

    Args:
        now_s: a clock that never goes back.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._names: dict[Hashable, tuple[str, float, bool]] = {}

    def introduce(self, peer: Any, name: str) -> None:
        """A client says its name."""
        self._names.pop(peer, None)
        if len(self._names) >= MAX_GUESTS:
            del self._names[next(iter(self._names))]
        self._names[peer] = (name[:MAX_NAME_CHARACTERS], self._now_s(), peer.is_connected)

    def heard(self, peer: Any) -> None:
        """A client says something."""
        if peer in self._names:
            name, _, connected = self._names.pop(peer)
            self._names[peer] = (name, self._now_s(), connected)

    def forget(self, peer: Any) -> None:
        """A client is gone."""
        self._names.pop(peer, None)

    def names(self) -> list[str]:
        """Every name, as often as it is here, in order."""
        since_s = self._now_s() - SILENCE_S
        here = self._names.values()
        return sorted(name for name, heard_s, connected in here if connected or heard_s >= since_s)
