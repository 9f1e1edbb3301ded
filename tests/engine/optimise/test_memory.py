"""What a model call keeps is counted, and the policy that fits is chosen before it starts."""

from __future__ import annotations

import pytest
import torch

from engine.models.toy import GaussianModel
from engine.optimise.memory import (
    Kept,
    MemoryPlan,
    free_bytes,
    kept_by,
    peak_bytes,
    plan_memory,
    saved_bytes,
)


def test_saved_bytes_counts_each_storage_once() -> None:
    x = torch.randn(1000, requires_grad=True)
    assert saved_bytes(lambda: (x * x).sum()) == 4000
    assert saved_bytes(lambda: (x.exp() * x.sin()).sum()) == 4 * 4000 - 4000
    assert saved_bytes(lambda: x + 1.0) == 0


def test_a_deeper_call_keeps_more() -> None:
    weight = torch.randn(64, 64)

    def deep(layers: int) -> int:
        def call() -> torch.Tensor:
            y = torch.ones(8, 64, requires_grad=True)
            for _ in range(layers):
                y = torch.relu(y @ weight)
            return y

        return saved_bytes(call)

    per_layer = deep(3) - deep(2)
    assert per_layer > 0
    assert deep(9) - deep(3) == 6 * per_layer


@pytest.mark.parametrize(
    ("free", "steps", "policy"),
    [
        (None, 4, "full"),
        (10_000, 4, "full"),
        (10_000, 7, "checkpointed"),
        (4000, 4, "checkpointed"),
    ],
)
def test_the_policy_is_the_fastest_that_fits(free: int | None, steps: int, policy: str) -> None:
    plan = MemoryPlan(call_bytes=1000, state_bytes=10, free_bytes=free)
    assert plan.policy(steps, full_up_to=6) == policy
    assert plan.needed_bytes("full", 4) == 4040
    assert plan.needed_bytes("checkpointed", 4) == 1040
    assert plan.needed_bytes("none", 4) == 10


def test_a_model_call_is_measured_at_the_state_it_will_see() -> None:
    toy = GaussianModel(torch.zeros(3, 8), 0.5)
    plan = plan_memory(lambda x: toy(x, 0.5).square(), torch.randn(1, 3, 8))
    assert plan.state_bytes == 96
    assert plan.call_bytes == 96
    free = free_bytes(torch.device("cpu"))
    assert free is None or free > 1 << 20


def test_weights_are_not_counted() -> None:
    """What two calls have in common was there before them."""
    weight = torch.randn(50, 50)
    x = torch.randn(20, 50, requires_grad=True)
    kept = kept_by(lambda: (x @ weight).exp())
    assert kept == Kept(20 * 50 * 4, 20 * 50 * 4)
    assert saved_bytes(lambda: (x @ weight).exp()) == kept.fresh_bytes + weight.nbytes


def test_the_peak_of_an_iteration_is_what_each_policy_holds_at_once() -> None:
    call, objective = Kept(1000, 300), Kept(4000, 500)
    assert peak_bytes("none", call, objective, 10, 4) == 10 + 2 * 500
    assert peak_bytes("full", call, objective, 10, 4) == 4 * 1010 + 4000 + 2 * 500
    # The objective's graph is gone when a call is made anew.
    assert peak_bytes("checkpointed", call, objective, 10, 4) == 4000 + 4 * 10 + 2 * 500
    assert peak_bytes("checkpointed", Kept(9000, 0), Kept(), 10, 4) == 9000 + 4 * 10
