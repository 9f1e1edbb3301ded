"""Gradients through the sampler: checkpointed, plain and by finite differences."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.controls.overlap import overlap_objective, wrap_reference
from engine.models.contracts import Denoiser
from engine.models.house.conditions import stack
from engine.models.house.network import Globals, HouseNetwork, NetworkShape
from engine.models.studio import FrameConditions
from engine.models.toy import GaussianModel
from engine.optimise.noise import NoiseSettings, optimise_noise
from engine.optimise.problem import OptimisedNoise
from engine.sampling.levels import levels
from engine.sampling.loop import GradientPolicy, sample


def _tiny_network_denoiser() -> Denoiser:
    """A small network with random weights in float32, as deep as the real one in kind."""
    torch.manual_seed(5)
    shape = NetworkShape(width=64, depth=2, head_width=32)
    network = HouseNetwork(shape)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.08)
    network.requires_grad_(False)
    frames = stack(FrameConditions(torch.randn(1, 128, 16), torch.ones(1, 1, 16)))
    conditions = Globals.unknown(1, shape, torch.device("cpu"))

    def denoise(x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
        span = x.new_full((1,), 0.0 if next_level is None else level - next_level)
        return x - level * network(x, x.new_full((1,), level), span, frames, conditions)

    return denoise


def _gradient(policy: GradientPolicy) -> Tensor:
    denoiser = _tiny_network_denoiser()
    torch.manual_seed(6)
    noise = torch.randn(1, 128, 16, requires_grad=True)
    reference, mask = torch.randn(1, 128, 16), torch.zeros(1, 1, 16)
    mask[..., :6] = 1.0
    result = sample(denoiser, noise, levels(1.0, 5), gradient=policy)
    loss = overlap_objective(reference, mask)(result).sum()
    (gradient,) = torch.autograd.grad(loss, noise)
    return gradient


def test_checkpointed_gradient_equals_the_plain_one() -> None:
    plain, checkpointed = _gradient("full"), _gradient("checkpointed")
    assert float(plain.norm()) > 0
    assert float((plain - checkpointed).norm() / plain.norm()) < 1e-5


def test_gradient_equals_finite_differences_on_the_toy() -> None:
    torch.manual_seed(7)
    model = GaussianModel(torch.randn(3, 8, dtype=torch.float64), 0.5)
    reference = torch.randn(1, 3, 8, dtype=torch.float64)
    mask = torch.zeros(1, 1, 8, dtype=torch.float64)
    mask[..., 2:5] = 1.0
    objective = overlap_objective(reference, mask)

    def loss(noise: Tensor) -> Tensor:
        return objective(sample(model, noise, levels(1.0, 6), gradient="checkpointed")).sum()

    noise = torch.randn(1, 3, 8, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(noise), noise)
    direction = torch.randn_like(noise)
    step = 1e-5
    with torch.no_grad():
        ahead, behind = loss(noise + step * direction), loss(noise - step * direction)
    numeric = float((ahead - behind) / (2 * step))
    exact = float((gradient * direction).sum())
    assert abs(numeric - exact) < 1e-3 * abs(exact)


def test_optimiser_finds_the_closed_form_noise() -> None:
    model = GaussianModel(torch.zeros(1, 4, dtype=torch.float64), 0.5)
    wanted = torch.tensor([[[0.3, -0.2, 0.4, 0.1]]], dtype=torch.float64)
    mask = torch.ones(1, 1, 4, dtype=torch.float64)
    torch.manual_seed(1)
    noise = torch.randn(1, 1, 4, dtype=torch.float64)
    run = optimise_noise(
        noise,
        lambda value: sample(model, value, levels(1.0, 40), gradient="full"),
        overlap_objective(wanted, mask),
        NoiseSettings(steps=400, rate=0.02, norm_drift=1.0),
    )
    assert run.best_loss < 1e-4
    assert torch.allclose(run.noise, model.trajectory(wanted, 0.0, 1.0), atol=0.1)
    assert run.best_loss == min(run.losses)


def test_early_stop_best_iterate_and_norm() -> None:
    torch.manual_seed(2)
    noise = torch.randn(1, 2, 50)
    seen: list[OptimisedNoise] = []
    run = optimise_noise(
        noise,
        lambda value: value * 1.0,
        lambda x: (x - 10.0).square().mean(dim=(1, 2)),
        NoiseSettings(steps=60, rate=0.5, norm_drift=0.03),
        on_step=seen.append,
    )
    assert float(run.noise.norm() / noise.norm()) <= 1.031
    assert len(seen) == 61
    stopped = optimise_noise(
        noise,
        lambda value: value * 1.0,
        lambda x: x.square().mean(dim=(1, 2)),
        NoiseSettings(steps=50, rate=0.1, tolerance=1e9),
    )
    assert len(stopped.losses) == 1


def test_wrap_reference_maps_edges_to_opposite_ends() -> None:
    clip = torch.arange(10.0).view(1, 1, 10)
    reference, mask = wrap_reference(clip, steps=6, overlap=2)
    assert reference[0, 0].tolist() == [8, 9, 0, 0, 0, 1]
    assert mask[0, 0].tolist() == [1, 1, 0, 0, 1, 1]
