"""A step whose activations are computed anew on the way back, and of which nothing else is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Step = Callable[..., tuple[Tensor, ...]]


def recomputed(step: Step, *inputs: Tensor) -> tuple[Tensor, ...]:
    """`step(*inputs)`, with its gradient, for the memory of its inputs (DITTO, section 3.2).

    The checkpoint of PyTorch that may be used under `torch.autograd.grad` keeps the graph of every
    step, empty of tensors, which for a small network outweighs the states; here there is none.
    Whatever else `step` depends on gets no gradient, and a second derivative is not to be had.

    Args:
        step: a function of tensors alone, the same each time it is called.
    """
    found: tuple[Tensor, ...] = _Recomputed.apply(step, *inputs)  # type: ignore[no-untyped-call]
    return found


def look_back(state: Tensor, check: Callable[[], None]) -> None:
    """Have `check` called when a gradient has come back to `state`; it may raise to stop there."""
    if state.requires_grad:
        state.register_hook(lambda _: check())  # type: ignore[no-untyped-call]


class _Recomputed(torch.autograd.Function):
    """Keeps its inputs and nothing else."""

    @staticmethod
    def forward(ctx: Any, step: Step, *inputs: Tensor) -> tuple[Tensor, ...]:
        ctx.step = step
        ctx.save_for_backward(*inputs)
        with torch.no_grad():
            return tuple(step(*inputs))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        wanted = ctx.needs_input_grad[1:]
        inputs = [
            tensor.detach().requires_grad_(needed)
            for tensor, needed in zip(ctx.saved_tensors, wanted, strict=True)
        ]
        with torch.enable_grad():
            outputs = ctx.step(*inputs)
        told = [
            (output, gradient)
            for output, gradient in zip(outputs, gradients, strict=True)
            if output.requires_grad and gradient is not None
        ]
        asked = [tensor for tensor, needed in zip(inputs, wanted, strict=True) if needed]
        found = iter(
            torch.autograd.grad(
                [output for output, _ in told],
                asked,
                [gradient for _, gradient in told],
                allow_unused=True,
            )
        )
        return (None, *(next(found) if needed else None for needed in wanted))
