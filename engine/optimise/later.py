"""Noise that is found when it is asked for: what it gives is there before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from torch import Tensor

# Noise `[items, channels, steps]`, and the largest relative change of an item's norm from its start
Found = tuple[Tensor, float]


@dataclass(frozen=True, slots=True)
class Later:
    """Noise of a batch that nobody has looked for yet.

    Attributes:
        look: finds the noise of some items of the batch; may raise to stop.
        items: those that this is about.
    """

    look: Callable[[slice], Found] = field(repr=False)
    items: range

    def __getitem__(self, items: slice) -> Later:
        """Some of the items alone, so that none is looked for in vain."""
        return replace(self, items=self.items[items])

    def find(self) -> Found:
        """Look for it, each time anew."""
        return self.look(slice(self.items.start, self.items.stop, self.items.step))


Noise = Tensor | Later
