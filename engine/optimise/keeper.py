"""Where an optimisation keeps its state, so that one that was cut off goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from torch import Tensor

State = Mapping[str, Tensor]  # what a safetensors file can hold


class Keeper(Protocol):
    """The place of one run's state.

    A method of several stages keeps each of them in a `part` of its own: on a second start the
    stages that were over are restored and need no iteration, and the one that was cut off goes on.
    """

    def part(self, name: str) -> Keeper:
        """The place of one stage; `name` is lower-case letters, digits and hyphens."""
        ...

    def restore(self, take: Callable[[State], None]) -> bool:
        """Give what is kept to `take`, once, before the run begins; whether there was anything.

        What cannot be used is left out, and so is what `take` refuses with a ValueError.

        Args:
            take: gets the tensors on the CPU.
        """
        ...

    def keep(self, state: Callable[[], State], *, finished: bool) -> None:
        """Keep the run as it stands, where the last time is long enough ago.

        Args:
            state: asked only when it is kept.
            finished: there will be no more; kept in any case.
        """
        ...
