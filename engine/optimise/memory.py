"""How much memory an optimisation takes, measured on one model call before it starts."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from engine.sampling.loop import GradientPolicy, kept_states

# The heap of the C library grows by more than is taken from it: with glibc as the engine's process
# sets it, by 1.2 to 1.4 times as much, whatever the model (docs/models-speed.md, heap over held). A
# tensor of more than the heap is given at a time (64 MiB in the engine) is no part of it and given
# back at once; from 32 MiB on that can be so, but what finds room in the heap is taken from there.
# A GPU's memory has no such holes.
_HEAP_FACTOR = 1.28
_MAPPED_BYTES = 64 << 20
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
class Taken:
    """What a call takes beside what was there before it: weights and words were.

    Attributes:
        kept_bytes: what is there when it has answered: what it keeps for its gradient.
        peak_bytes: the most that is there at once, on the way there and back.
    """

    kept_bytes: int = 0
    peak_bytes: int = 0


def taken_by(call: Callable[[Tensor], Tensor], variable: Tensor, *, in_heap: bool = False) -> Taken:
    """What one call takes, measured on it and on its gradient by `variable`, where it wants one.

    What parts of it that are made anew for their gradient take then is counted, too.

    Args:
        in_heap: count what the C library's heap grows by for it.
    """
    with _Living(in_the_heap if in_heap else _as_it_is) as living:
        answer = call(variable)
        kept_bytes = living.now_bytes
        if answer.requires_grad:
            torch.autograd.grad(answer, variable, torch.ones_like(answer))
    return Taken(kept_bytes, living.peak_bytes)


class _Living(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors that were made while it is entered and are still there.

    Attributes:
        now_bytes: of those that are there.
        peak_bytes: the most there were at once.
    """

    def __init__(self, grown: Callable[[int], int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now_bytes = self.peak_bytes = 0
        self._grown = grown
        self._known: dict[Any, int] = {}  # bytes by a weak reference to the storage

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = {id(storage) for storage in _storages((args, kwargs))}
        answer = func(*args, **(kwargs or {}))
        for storage in _storages(answer):
            place = weakref.ref(storage, self._forget)
            if place not in self._known and id(storage) not in given:  # a view has its base's
                self._known[place] = self._grown(storage.nbytes())
                self.now_bytes += self._known[place]
        self.peak_bytes = max(self.peak_bytes, self.now_bytes)
        return answer

    def _forget(self, place: Any) -> None:
        self.now_bytes -= self._known.pop(place, 0)


def _storages(values: Any) -> Iterator[torch.UntypedStorage]:
    return (leaf.untyped_storage() for leaf in tree_leaves(values) if isinstance(leaf, Tensor))


def peak_bytes(
    policy: GradientPolicy, call: Taken, objective: Taken, state_bytes: int, steps: int
) -> int:
    """The most that one iteration through `steps` sampler steps holds, its objective included.

    The gradient passes the objective while all calls are kept, and each call when the objective's
    own graph is gone. A checkpointed run makes a call anew only then.
    """
    kept = kept_states(steps) * state_bytes
    match policy:
        case "full":
            before = (steps - 1) * call.kept_bytes + steps * state_bytes
            return before + max(call.kept_bytes + objective.peak_bytes, call.peak_bytes)
        case "checkpointed":
            return kept + max(call.peak_bytes, objective.peak_bytes)
        case _:
            return state_bytes + call.peak_bytes


def in_the_heap(size_bytes: int) -> int:
    """What the memory of a process grows by for a tensor."""
    return size_bytes if size_bytes >= _MAPPED_BYTES else round(size_bytes * _HEAP_FACTOR)


def _as_it_is(size_bytes: int) -> int:
    return size_bytes


def saved_bytes(call: Callable[[], Tensor]) -> int:
    """Bytes that `call` keeps for its gradient, each storage counted once."""
    seen: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        call()
    return sum(seen.values())


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
