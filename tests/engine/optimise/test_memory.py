"""What a model call keeps is counted, and the policy that fits is chosen before it starts."""

from __future__ import annotations

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from engine.models.toy import GaussianModel
from engine.optimise.memory import (
    MemoryPlan,
    Taken,
    free_bytes,
    peak_bytes,
    plan_memory,
    saved_bytes,
    taken_by,
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


def _four_bytes(numbers: int, **counts: int) -> Taken:
    return Taken(**{f"{name}_bytes": 4 * numbers * count for name, count in counts.items()})


def test_weights_are_not_counted() -> None:
    weight = torch.randn(50, 50)
    x = torch.randn(20, 50, requires_grad=True)
    # Kept is the answer, which its gradient needs. On the way back there are what comes from the
    # loss, the gradient by the exponent and the one by x beside it.
    taken = taken_by(lambda x: (x @ weight).exp(), x)
    assert taken == _four_bytes(x.numel(), kept=1, peak=4)
    assert saved_bytes(lambda: (x @ weight).exp()) == 4 * x.numel() + weight.nbytes
    with torch.no_grad():
        assert taken_by(lambda x: (x @ weight).exp(), x) == _four_bytes(x.numel(), kept=1, peak=2)


def test_views_and_changes_in_place_take_nothing() -> None:
    x = torch.randn(8, 8)
    assert taken_by(lambda x: x.view(64)[8:].reshape(7, 8).t(), x) == Taken()
    assert taken_by(lambda x: x.clone().mul_(2.0).add_(1.0), x) == _four_bytes(64, kept=1, peak=1)


def test_a_heap_grows_by_more_than_is_taken_but_for_large_tensors() -> None:
    def twice(x: torch.Tensor) -> torch.Tensor:
        return x.repeat(1 << 20).sum(dim=0, keepdim=True)

    small, large = torch.zeros(8), torch.zeros(16)  # repeated: 32 and 64 MiB
    held, grown = (taken_by(twice, small, in_heap=in_heap) for in_heap in (False, True))
    assert 1.2 < grown.peak_bytes / held.peak_bytes < 1.4
    held, grown = (taken_by(twice, large, in_heap=in_heap) for in_heap in (False, True))
    assert grown.peak_bytes == pytest.approx(held.peak_bytes, abs=64)


def test_what_is_made_anew_for_its_gradient_is_counted() -> None:
    x = torch.randn(1000, requires_grad=True)

    def deep(x: torch.Tensor) -> torch.Tensor:
        return x.exp().sin().cos().exp()

    plain = taken_by(deep, x)
    sparing = taken_by(lambda x: checkpoint(deep, x, use_reentrant=False), x)
    assert plain.kept_bytes == 3 * 4000, "both exponentials, and what cos was asked"
    assert sparing.kept_bytes == 4000, "the answer alone"
    assert sparing.peak_bytes >= plain.kept_bytes


def test_the_peak_of_an_iteration_is_what_each_policy_holds_at_once() -> None:
    call, objective = Taken(1000, 1300), Taken(4000, 4500)
    assert peak_bytes("none", Taken(0, 300), Taken(), 10, 4) == 10 + 300
    assert peak_bytes("full", call, objective, 10, 4) == 4 * 1010 + 4500
    assert peak_bytes("full", Taken(1000, 9000), objective, 10, 4) == 3 * 1000 + 4 * 10 + 9000
    # The objective's graph is gone when a call is made anew.
    assert peak_bytes("checkpointed", call, objective, 10, 4) == 4500 + 4 * 10
    assert peak_bytes("checkpointed", Taken(9000, 9100), Taken(), 10, 4) == 9100 + 4 * 10
