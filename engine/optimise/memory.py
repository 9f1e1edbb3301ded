"""How much memory an optimisation takes, measured on one model call before it starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine.sampling.loop import GradientPolicy, kept_states

_PASSING = 2  # times its largest tensor, what a pass works with
_HEADROOM = 0.7  # of what is free; the rest is for the decoder and for other programs


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """What a policy would take.

    Attributes:
        call_bytes: what one differentiated model call keeps.
        state_bytes: one state of the sampler.
        free_bytes: what the device has; None where that cannot be told.
    """

    call_bytes: int
    state_bytes: int
    free_bytes: int | None

    def needed_bytes(self, policy: GradientPolicy, steps: int) -> int:
        """Memory of one iteration through `steps` sampler steps."""
        match policy:
            case "full":
                return steps * (self.call_bytes + self.state_bytes)
            case "checkpointed":
                return self.call_bytes + kept_states(steps) * self.state_bytes
            case _:
                return self.state_bytes

    def policy(self, steps: int, full_up_to: int) -> GradientPolicy:
        """The fastest policy that fits: everything kept, or each step computed anew.

        Args:
            full_up_to: steps up to which keeping everything is worth its memory.
        """
        if steps > full_up_to or not self.fits("full", steps):
            return "checkpointed"
        return "full"

    def fits(self, policy: GradientPolicy, steps: int) -> bool:
        """Whether the policy leaves headroom."""
        if self.free_bytes is None:
            return True
        return self.needed_bytes(policy, steps) <= _HEADROOM * self.free_bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """What a call keeps for its gradient that was not there before: weights and words were.

    Attributes:
        fresh_bytes: all of it.
        largest_bytes: its largest tensor.
    """

    fresh_bytes: int = 0
    largest_bytes: int = 0


def kept_by(call: Callable[[], Tensor]) -> Kept:
    """What one call keeps, and another one keeps once more; it is made twice to see."""
    first, held = _saved(call)  # the first is held while the second is made, or its place is taken
    second, _ = _saved(call)
    del held
    fresh = [size for place, size in second.items() if place not in first]
    return Kept(sum(fresh), max(fresh, default=0))


def peak_bytes(
    policy: GradientPolicy, call: Kept, objective: Kept, state_bytes: int, steps: int
) -> int:
    """The most that one iteration through `steps` sampler steps holds, its objective included.

    A checkpointed run makes a call anew only when the objective's own graph is gone. What a forward
    or a backward pass works with beside what it keeps is about twice its largest tensor.
    """
    passing = _PASSING * max(call.largest_bytes, objective.largest_bytes)
    match policy:
        case "full":
            return steps * (call.fresh_bytes + state_bytes) + objective.fresh_bytes + passing
        case "checkpointed":
            states = kept_states(steps) * state_bytes
            return max(call.fresh_bytes, objective.fresh_bytes) + states + passing
        case _:
            return state_bytes + passing


def saved_bytes(call: Callable[[], Tensor]) -> int:
    """Bytes that `call` keeps for its gradient, each storage counted once."""
    return sum(_saved(call)[0].values())


def _saved(call: Callable[[], Tensor]) -> tuple[dict[int, int], Tensor]:
    """Size of each storage that `call` keeps for its gradient, by its place; and its result."""
    seen: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        return seen, call()


def plan_memory(call: Callable[[Tensor], Tensor], state: Tensor) -> MemoryPlan:
    """Measure one model call at `state` `[batch, channels, steps]`."""
    variable = state.detach().clone().requires_grad_(True)
    return MemoryPlan(
        saved_bytes(lambda: call(variable)),
        state.numel() * state.element_size(),
        free_bytes(state.device),
    )


def free_bytes(device: torch.device) -> int | None:
    """Memory that a device could still give; None where that cannot be told."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + held)
    if device.type != "cpu":
        return None
    table = Path("/proc/meminfo")
    if not table.exists():
        return None
    for line in table.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
