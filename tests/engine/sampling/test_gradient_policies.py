"""Gradients through every rule: the policies agree, and agree with finite differences."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from engine.sampling.levels import levels
from engine.sampling.loop import GradientPolicy, kept_states, sample
from engine.sampling.steps import STEP_RULES, ddim
from tests.engine.sampling.models import Recorded, mixture

RULES = {**STEP_RULES, "ddim, eta 0.7": ddim(0.7)}
STEPS = 5
FIRST_LEVEL = 0.9  # at level 1 an estimate does not know the state
PATH = levels(FIRST_LEVEL, STEPS)
CALLS = {"heun": 2 * STEPS - 1}  # the others ask once an interval


def _start(steps: int = STEPS) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(2, 2, 3, generator=generator, dtype=torch.float64)
    noises = torch.randn(steps, *x.shape, generator=generator, dtype=torch.float64)
    return x.requires_grad_(), noises.requires_grad_()


def _run(
    rule: str, policy: GradientPolicy, steps: int = STEPS
) -> tuple[Tensor, tuple[Tensor | None, ...], int]:
    """The result, the gradients of its weighted sum, and the calls of the model."""
    x, noises = _start(steps)
    model, path = Recorded(mixture), levels(FIRST_LEVEL, steps)
    result = sample(model, x, path, rule=RULES[rule], gradient=policy, noises=noises)
    if policy == "none":
        return result, (None, None), len(model.calls)
    weights = torch.linspace(0.5, 2.0, result.numel(), dtype=result.dtype).view_as(result)
    gradients = torch.autograd.grad((result * weights).sum(), (x, noises), allow_unused=True)
    return result.detach(), gradients, len(model.calls)


@pytest.mark.parametrize("rule", RULES)
def test_policies_agree(rule: str) -> None:
    plain, expected, calls = _run(rule, "full")
    same, gradients, checkpointed_calls = _run(rule, "checkpointed")
    nothing, _, _ = _run(rule, "none")
    assert torch.equal(same, plain)
    assert torch.equal(nothing, plain)
    assert not nothing.requires_grad
    assert calls == CALLS.get(rule, STEPS)
    assert checkpointed_calls == 2 * calls, "each interval is computed anew on the way back"
    assert any(gradient is not None and float(gradient.norm()) > 0.1 for gradient in expected)
    for gradient, wanted in zip(gradients, expected, strict=True):
        assert (gradient is None) == (wanted is None)
        if gradient is not None and wanted is not None:
            assert float((gradient - wanted).abs().max()) < 1e-12


@pytest.mark.parametrize("rule", RULES)
def test_gradients_equal_finite_differences(rule: str) -> None:
    x, noises = _start()

    def run(x: Tensor, noises: Tensor) -> Tensor:
        # deterministic rules leave the noises out of the graph, where gradcheck wants its inputs
        result = sample(
            mixture,
            x,
            PATH,
            rule=RULES[rule],
            gradient="checkpointed",
            noises=noises,
        )
        return result + 0.0 * noises.sum()

    assert torch.autograd.gradcheck(run, (x, noises))


@pytest.mark.parametrize(
    "steps", [17, 50, 300]
)  # parts of 2, of 4, and of 19 in parts of their own
@pytest.mark.parametrize("rule", RULES)
def test_a_long_run_keeps_few_states_and_no_other_gradient(rule: str, steps: int) -> None:
    plain, expected, calls = _run(rule, "full", steps)
    same, gradients, sparing_calls = _run(rule, "checkpointed", steps)
    assert torch.equal(same, plain)
    assert 2 * calls < sparing_calls <= (4 if steps == 300 else 3) * calls
    for gradient, wanted in zip(gradients, expected, strict=True):
        assert (gradient is None) == (wanted is None)
        if gradient is not None and wanted is not None:
            assert float((gradient - wanted).abs().max() / wanted.abs().max()) < 1e-10


@pytest.mark.parametrize(
    ("intervals", "kept"), [(1, 1), (16, 16), (17, 9 + 2), (50, 13 + 4), (300, 16 + 10 + 2)]
)
def test_states_kept(intervals: int, kept: int) -> None:
    """Counted where they are kept: what autograd saves, while all of them are there at once."""
    assert kept_states(intervals) == kept
    held: set[int] = set()
    most = 0

    def keep(tensor: Tensor) -> Saved:
        return Saved(tensor, held)

    def model(x: Tensor, t: float, t_next: float | None = None, /) -> Tensor:
        nonlocal most
        most = max(most, len(held))
        return 0.5 * x

    x = torch.ones(1, 1, 1, dtype=torch.float64, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved.tensor):
        result = sample(model, x, levels(1.0, intervals), gradient="checkpointed")
        torch.autograd.grad(result.sum(), x)
    assert kept - 1 <= most <= kept + 3  # parts in parts each hand one on


class Saved:
    """A tensor that autograd holds, told when it is let go."""

    def __init__(self, tensor: Tensor, held: set[int]) -> None:
        self.tensor, self._held = tensor, held
        held.add(id(self))

    def __del__(self) -> None:
        self._held.discard(id(self))


def test_a_long_run_is_told_once_and_can_be_stopped_anywhere() -> None:
    """Steps are told in their order and once; on the way back somebody is asked at every call."""
    told: list[int] = []
    asked = Recorded(mixture)
    back: list[int] = []
    x, _ = _start()
    result = sample(
        asked,
        x,
        levels(FIRST_LEVEL, 50),
        gradient="checkpointed",
        on_step=told.append,
        on_back=lambda: back.append(len(asked.calls)),
    )
    assert told == list(range(1, 51))
    assert not back
    torch.autograd.grad(result.sum(), x)
    assert told == list(range(1, 51))
    apart = [after - before for before, after in pairwise([50, *back, len(asked.calls)])]
    assert max(apart) <= 2  # a step of the part made anew, and the one that the gradient passes

    def stop() -> None:
        raise InterruptedError

    result = sample(asked, x, levels(0.9, 50), gradient="checkpointed", on_back=stop)
    with pytest.raises(InterruptedError):
        torch.autograd.grad(result.sum(), x)
