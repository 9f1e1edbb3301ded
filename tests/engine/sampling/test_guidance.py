"""Guidance and thresholding in closed form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.models.contracts import Denoiser
from engine.sampling.guidance import guided, thresholded
from engine.sampling.levels import levels
from engine.sampling.loop import sample
from tests.engine.sampling.models import Recorded, mixture, toy


def _constant(value: float) -> Recorded:
    return Recorded(lambda x, level, next_level=None: torch.full_like(x, value))


def _returning(estimate: Tensor) -> Denoiser:
    def denoise(x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
        return estimate

    return denoise


def test_guidance_extrapolates_and_scale_one_is_free() -> None:
    x = torch.zeros(1, 1, 1)
    one, four = _constant(1.0), _constant(4.0)
    assert guided(four, one, 3.0)(x, 0.5, 0.2).item() == 10.0
    assert guided(four, one, 0.0)(x, 0.5).item() == 1.0
    assert one.calls == four.calls == [(0.5, 0.2), (0.5, None)]
    assert guided(four, one, 1.0) is four


def test_guidance_is_paid_for_inside_its_interval_only() -> None:
    x = torch.zeros(1, 1, 1)
    one, four = _constant(1.0), _constant(4.0)
    denoiser = guided(four, one, 3.0, (0.25, 0.75))
    sample(denoiser, x, levels(1.0, 8))
    assert [level for level, _ in four.calls] == [1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    assert [level for level, _ in one.calls] == [0.75, 0.625, 0.5, 0.375]
    assert denoiser(x, 0.75).item() == 10.0
    assert denoiser(x, 0.25).item() == denoiser(x, 0.8).item() == 4.0


@pytest.mark.parametrize("interval", [(0.5, 0.5), (0.6, 0.4), (-0.1, 1.0), (0.0, 1.1)])
def test_an_interval_without_levels_is_refused(interval: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="guidance cannot act"):
        guided(mixture, mixture, 2.0, interval)


def test_thresholding_in_closed_form_item_by_item() -> None:
    """|x̂_0| of 0, 1 ... 8, whose quantile 0.75 is 6; a tenth of that stays below the limit."""
    ramp = torch.tensor([0.0, -1, 2, -3, 4, -5, 6, -7, 8], dtype=torch.float64).view(3, 3)
    x = torch.zeros(2, 3, 3, dtype=torch.float64)
    result = thresholded(_returning(torch.stack((ramp, ramp / 10))), 3.0, 0.75)(x, 0.5)
    assert torch.allclose(result[0], ramp.clamp(-6.0, 6.0) / 2.0, rtol=0, atol=1e-15)
    assert torch.equal(result[1], ramp / 10)


def test_between_the_quantile_and_the_limit_the_limit_clamps() -> None:
    ramp = torch.tensor([0.0, 1, 2, 3, 40], dtype=torch.float64).view(1, 1, 5)
    result = thresholded(_returning(ramp), 10.0, 0.75)(ramp, 0.5)
    assert result.flatten().tolist() == [0.0, 1.0, 2.0, 3.0, 10.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_thresholding_keeps_the_type(dtype: torch.dtype) -> None:
    ramp = torch.arange(9.0).view(1, 3, 3).to(dtype)
    result = thresholded(_returning(ramp), 3.0, 0.75)(ramp, 0.5)
    assert result.dtype == dtype
    assert result.max().item() == 3.0


def test_gradients_pass_through_thresholding_and_guidance() -> None:
    _, noise = toy(2)
    clamped = thresholded(lambda x, level, next_level=None: 3.0 * x, 0.5, 0.8)
    assert torch.autograd.gradcheck(lambda x: clamped(x, 0.4), noise.requires_grad_())
    strong = guided(mixture, lambda x, level, next_level=None: 0.2 * x, 4.0, (0.3, 0.9))
    model = thresholded(strong, 0.8, 0.8)
    assert torch.autograd.gradcheck(
        lambda x: sample(model, x, levels(1.0, 4), gradient="checkpointed"), noise
    )


def test_thresholding_hands_the_whole_question_on() -> None:
    recorded = _constant(1.0)
    thresholded(recorded, 1.0)(torch.zeros(1, 1, 1), 0.5, 0.2)
    assert recorded.calls == [(0.5, 0.2)]


@pytest.mark.parametrize(("limit", "percentile"), [(0.0, 0.9), (1.0, 0.0), (1.0, 1.5)])
def test_a_threshold_without_meaning_is_refused(limit: float, percentile: float) -> None:
    with pytest.raises(ValueError, match="cannot threshold"):
        thresholded(mixture, limit, percentile)
