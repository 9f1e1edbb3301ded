"""Gradients through every rule: the policies agree, and agree with finite differences."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.sampling.levels import levels
from engine.sampling.loop import GradientPolicy, sample
from engine.sampling.steps import STEP_RULES, ddim
from tests.engine.sampling.models import Recorded, mixture

RULES = {**STEP_RULES, "ddim, eta 0.7": ddim(0.7)}
STEPS = 5
PATH = levels(0.9, STEPS)  # at level 1 an estimate does not know the state
CALLS = {"heun": 2 * STEPS - 1}  # the others ask once an interval


def _start() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(2, 2, 3, generator=generator, dtype=torch.float64)
    noises = torch.randn(STEPS, *x.shape, generator=generator, dtype=torch.float64)
    return x.requires_grad_(), noises.requires_grad_()


def _run(rule: str, policy: GradientPolicy) -> tuple[Tensor, tuple[Tensor | None, ...], int]:
    """The result, the gradients of its weighted sum, and the calls of the model."""
    x, noises = _start()
    model = Recorded(mixture)
    result = sample(model, x, PATH, rule=RULES[rule], gradient=policy, noises=noises)
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
