"""What keeps optimised noise noise."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from engine.optimise.regularisers import (
    drawn_back,
    hold_norm,
    norm_surprise,
    unlikely_statistics,
)
from tests.engine.optimise.toys import drawn

NOISE = (2, 32, 64)


def _of_norm(norm: float) -> Tensor:
    noise = drawn(1, (1, 4, 8))
    scaled: Tensor = norm * noise / noise.norm()
    return scaled


def test_norm_surprise_is_lowest_on_the_likeliest_norm() -> None:
    likeliest = math.sqrt(4 * 8 - 1)
    assert float(norm_surprise(_of_norm(likeliest))) == pytest.approx(0.0, abs=1e-12)
    for factor in (0.5, 0.99, 1.01, 2.0):
        assert float(norm_surprise(_of_norm(factor * likeliest))) > 0.0
    at = _of_norm(likeliest).requires_grad_(True)
    (gradient,) = torch.autograd.grad(norm_surprise(at).sum(), at)
    assert float(gradient.abs().max()) < 1e-12


def test_norm_surprise_gradient_equals_finite_differences() -> None:
    noise, direction, step = drawn(2).requires_grad_(True), drawn(3), 1e-5
    (gradient,) = torch.autograd.grad(norm_surprise(noise).sum(), noise)
    with torch.no_grad():
        ahead, behind = (norm_surprise(noise + s * direction).sum() for s in (step, -step))
    numeric = float(ahead - behind) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(numeric, rel=1e-6)


def test_norm_surprise_is_each_items_own() -> None:
    both = torch.cat([_of_norm(3.0), _of_norm(9.0)])
    apart = torch.cat([norm_surprise(both[:1]), norm_surprise(both[1:])])
    assert torch.equal(norm_surprise(both), apart)


@pytest.mark.parametrize("seed", range(20))
def test_drawn_noise_has_likely_statistics(seed: int) -> None:
    assert unlikely_statistics(drawn(seed, NOISE)).tolist() == [0.0, 0.0]


def _offset(noise: Tensor) -> Tensor:
    return noise + 0.5


def _repeated(noise: Tensor) -> Tensor:
    return noise[..., :16].repeat(1, 1, noise.shape[-1] // 16)


def _scaled(noise: Tensor) -> Tensor:
    return 1.7 * noise


def _same_block(noise: Tensor) -> Tensor:
    return noise[:, :1, :16].repeat(1, noise.shape[1], noise.shape[2] // 16)


@pytest.mark.parametrize("spoil", [_offset, _repeated, _scaled, _same_block])
def test_spoilt_noise_is_unlikely_and_says_which_way_to_go(spoil: object) -> None:
    assert callable(spoil)
    noise = spoil(drawn(4, NOISE)).requires_grad_(True)
    penalty = unlikely_statistics(noise)
    assert bool((penalty > 0.0).all())
    (gradient,) = torch.autograd.grad(penalty.sum(), noise)
    assert bool(gradient.isfinite().all())
    assert bool((gradient.flatten(1).norm(dim=1) > 0.0).all())
    with torch.no_grad():
        lower = unlikely_statistics(noise - 1e-3 * gradient / gradient.norm())
    assert float(lower.sum()) < float(penalty.detach().sum())


def test_a_mean_that_the_covariance_cannot_see_is_unlikely() -> None:
    vectors = drawn(6, (2, 512, 16))
    vectors[..., 0] = 1.0  # the second moment stays 1, and the coordinate tells of no other
    vectors[..., 1:] -= vectors[..., 1:].mean(dim=1, keepdim=True)
    expected = (512 * 1.0 / 32 - math.log(32)) / (512 * 16)
    penalty = unlikely_statistics(vectors.view(2, 64, 128))
    assert penalty.tolist() == pytest.approx([expected, expected])


def test_norms_are_held_item_by_item() -> None:
    start = drawn(5)
    factors = torch.tensor([1.5, 1.01], dtype=torch.float64).view(-1, 1, 1)
    noise = start * factors
    left = hold_norm(noise, start, 0.03)
    ratio = noise.flatten(1).norm(dim=1) / start.flatten(1).norm(dim=1)
    assert ratio.tolist() == pytest.approx([1.03, 1.01])
    assert left == pytest.approx(0.03)
    low = 0.2 * start
    assert hold_norm(low, start, 0.1) == pytest.approx(0.1)
    assert torch.allclose(low, 0.9 * start)


def _drawn_back(share: float) -> tuple[Tensor, Tensor, Tensor]:
    pull, result, draft = drawn(31), drawn(32), drawn(33)
    return drawn_back(pull, result, draft, share), pull, result - draft


@pytest.mark.parametrize("share", [0.0, 0.25, 0.9])
def test_drawing_back_is_a_share_of_the_pull_in_every_item(share: float) -> None:
    found, pull, away = _drawn_back(share)
    for back, own, apart in zip(found - pull, pull, away, strict=True):
        assert float(back.norm()) == pytest.approx(share * float(own.norm()))
        assert torch.allclose(back * apart.norm(), apart * back.norm())  # straight to the draft


@pytest.mark.parametrize("share", [0.25, 0.9])
def test_below_one_the_objective_still_falls(share: float) -> None:
    pull = drawn(31)
    opposed = drawn_back(pull, -pull, torch.zeros_like(pull), share)  # the draft lies behind
    for found, own in zip(opposed, pull, strict=True):
        falls = float((found * own).sum() / own.square().sum())
        assert falls == pytest.approx(1.0 - share)


def test_nothing_is_drawn_back_to_where_it_is() -> None:
    pull, draft = drawn(31), drawn(33)
    assert torch.equal(drawn_back(pull, draft, draft, 0.5), pull)
