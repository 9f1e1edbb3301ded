"""When what failed is tried again: soon, and then ever more rarely."""

from __future__ import annotations

import math
from collections.abc import Callable

FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 60.0


class Backoff:
    """Waits twice as long after each failure, up to a minute, until something works.

    Args:
        now_s: a clock that never goes back.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._wait_s = FIRST_WAIT_S
        self._not_before_s = -math.inf

    @property
    def is_due(self) -> bool:
        """Whether it may be tried now."""
        return self._now_s() >= self._not_before_s

    def failed(self) -> float:
        """It was tried in vain; how many seconds it has to wait."""
        wait_s = self._wait_s
        self._not_before_s = self._now_s() + wait_s
        self._wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        return wait_s

    def worked(self) -> None:
        """It went well: the next failure is the first again."""
        self._wait_s = FIRST_WAIT_S
