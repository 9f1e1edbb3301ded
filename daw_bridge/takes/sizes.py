"""How large takes are, sixteen bytes for each: a daemon remembers those of years."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Set


class Sizes:
    """Sizes in bytes by the number of the take, in order, as takes come: at the end."""

    def __init__(self) -> None:
        self._numbers = array("q")
        self._sizes_bytes = array("q")

    def __len__(self) -> int:
        return len(self._numbers)

    def get(self, number: int) -> int | None:
        """The size of a take, None where it is not known."""
        place = bisect_left(self._numbers, number)
        if place == len(self._numbers) or self._numbers[place] != number:
            return None
        return self._sizes_bytes[place]

    def note(self, number: int, size_bytes: int) -> None:
        """Remember the size of a take that is not known yet."""
        place = bisect_left(self._numbers, number)
        self._numbers.insert(place, number)
        self._sizes_bytes.insert(place, size_bytes)

    def forget_all_but(self, present: Set[int]) -> None:
        """Forget the takes that are gone."""
        kept = [place for place, number in enumerate(self._numbers) if number in present]
        self._numbers = array("q", (self._numbers[place] for place in kept))
        self._sizes_bytes = array("q", (self._sizes_bytes[place] for place in kept))
