"""The embedded model's file, conditions and denoiser."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.models.house.conditions import level_curve, stack
from engine.models.house.model import (
    LEVEL_SHIFT,
    HouseModel,
    default_weights_path,
    grown,
    level_path,
    load_house,
)
from engine.models.house.network import FRAME_CHANNELS, Globals, HouseNetwork, NetworkShape
from engine.models.studio import FrameConditions, beat_channels
from engine.sampling.levels import levels
from engine.sampling.loop import sample
from engine.spec import BridgeError


@pytest.fixture(scope="module")
def model() -> HouseModel:
    return load_house()


def _frames(steps: int = 40) -> FrameConditions:
    generator = torch.Generator().manual_seed(2)
    mask = torch.zeros(1, 1, steps)
    mask[..., : steps // 2] = 1.0
    return FrameConditions(torch.randn(1, 128, steps, generator=generator), mask)


def test_all_weights_stay_small() -> None:
    assert default_weights_path().stat().st_size < 32e6


def test_missing_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="cannot be read") as caught:
        load_house(tmp_path / "none.safetensors")
    assert caught.value.code == "not_found"
    foreign = tmp_path / "foreign.safetensors"
    save_file({"x": torch.zeros(1)}, foreign)
    with pytest.raises(BridgeError, match="does not hold"):
        load_house(foreign)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\x80\x02pickle")
    with pytest.raises(BridgeError, match="cannot be read"):
        load_house(broken)


def test_frame_channels_say_what_is_known() -> None:
    frames = _frames()
    plain = stack(frames)
    assert plain.shape == (1, FRAME_CHANNELS, 40)
    assert bool((plain[:, :128, 20:] == 0).all()), "the free part must not leak"
    chroma = torch.zeros(1, 12, 40)
    told = stack(FrameConditions(frames.kept, frames.kept_mask, chroma))
    assert float(told[0, 141, 0]) == 1.0
    assert float(plain[0, 141, 0]) == 0.0


def test_context_onsets_and_harmony_are_told_beside_what_is_kept() -> None:
    frames = _frames()
    context, onsets = torch.full((1, 128, 40), 3.0), torch.ones(1, 12, 40)
    chroma, harmony = torch.ones(1, 12, 40), torch.full((1, 12, 40), -0.5)
    beside = stack(
        FrameConditions(
            frames.kept,
            frames.kept_mask,
            chroma,
            melody_onsets=onsets,
            context=context,
            harmony=harmony,
        )
    )
    assert beside.shape == (1, FRAME_CHANNELS, 40)
    assert torch.equal(beside[:, 161:289], context)
    assert torch.equal(beside[:, 290:302], harmony)
    assert torch.equal(beside[:, 149:161], onsets)
    assert bool((beside[:, [289, 302]] == 1).all())
    assert float(stack(frames)[:, 149:].abs().sum()) == 0.0


def test_a_grown_network_computes_what_the_small_one_did() -> None:
    torch.manual_seed(0)
    shape = NetworkShape(width=32, depth=2, head_width=16)
    small = HouseNetwork(shape)
    for parameter in small.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    old = small.state_dict()
    new = ("mood", "programs", "span")  # a file from before these conditions
    old = {name: value for name, value in old.items() if not name.startswith(new)}
    old["inward.weight"] = old["inward.weight"][:, :-141]
    network = HouseNetwork(shape)
    network.load_state_dict(grown(old, network))
    with torch.no_grad():
        for name, parameter in small.named_parameters():
            if name.startswith(new):
                parameter.zero_()
        small.inward.weight[:, -141:] = 0.0
        unknown = Globals.unknown(1, shape, torch.device("cpu"))
        conditions = replace(unknown, mood=torch.tensor([2]), programs=torch.tensor([[0, 1, 2, 3]]))
        x, frames = torch.randn(1, 128, 12), torch.randn(1, FRAME_CHANNELS, 12)
        time, span = torch.tensor([0.7]), torch.tensor([0.3])
        expected = small(x, time, span, frames, conditions)
        assert torch.equal(network(x, time, span, frames, conditions), expected)


class _Recording(torch.nn.Module):
    """Stands in for the network and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[float, float]] = []

    def forward(
        self, x: torch.Tensor, time: torch.Tensor, span: torch.Tensor, *_: object
    ) -> torch.Tensor:
        self.asked.append((float(time[0]), float(span[0])))
        return torch.ones_like(x)


def test_the_sampler_asks_the_flow_map_for_whole_steps(model: HouseModel) -> None:
    network = _Recording()
    recording = replace(model, network=network)  # type: ignore[arg-type]
    denoiser = recording.denoiser(_frames(), model.unconditioned(1))
    x = torch.zeros(1, 128, 40)
    result = sample(denoiser, x, levels(0.8, 2))
    assert network.asked == [pytest.approx((0.8, 0.4)), pytest.approx((0.4, 0.4))]
    assert torch.allclose(result, x - 0.8), "a constant velocity is followed exactly"
    denoiser(x, 0.5)
    assert network.asked[-1] == (0.5, 0.0), "without a next level: the velocity itself"


def test_levels_lie_close_together_near_noise_on_one_path() -> None:
    whole = level_path(1.0, 8)
    assert (whole[0], whole[-1]) == (1.0, 0.0)
    steps = [first - last for first, last in pairwise(whole)]
    assert steps == sorted(steps), "smaller nearer to noise"
    odds = [level / (1.0 - level) for level in whole[1:-1]]
    even = [(1.0 - k / 8) / (k / 8) for k in range(1, 8)]
    assert odds == pytest.approx([LEVEL_SHIFT * each for each in even]), "Esser et al., section 5.3"
    assert level_path(whole[3], 5) == pytest.approx(whole[3:]), "a prior's run is its end"


def test_beat_channels_turn_with_the_phase() -> None:
    phase = torch.tensor([[0.0, 0.25, 0.5]])
    channels = beat_channels(phase, phase)
    assert torch.allclose(channels[0, 0], torch.tensor([0.0, 1.0, 0.0]), atol=1e-6)
    assert torch.allclose(channels[0, 2], torch.tensor([1.0, 0.0, -1.0]), atol=1e-6)


def test_level_curve_follows_the_level(model: HouseModel) -> None:
    generator = torch.Generator().manual_seed(0)
    noise = 0.05 * torch.randn(1, 2, 1024 * 120, generator=generator)
    quiet = level_curve(model.codec.log_mel(model.codec.encode(noise)))
    loud = level_curve(model.codec.log_mel(model.codec.encode(noise * 10 ** (12 / 20))))
    assert quiet.shape == (1, 1, 120)
    assert float((loud - quiet).mean()) == pytest.approx(1.0, abs=0.05)


def test_denoiser_is_deterministic_and_uses_the_kept_audio(model: HouseModel) -> None:
    frames = _frames()
    x = torch.randn(1, 128, 40, generator=torch.Generator().manual_seed(3))
    conditions = model.unconditioned(1)
    with torch.no_grad():
        first = model.denoiser(frames, conditions)(x, 0.6)
        again = model.denoiser(frames, conditions)(x, 0.6)
        blind = FrameConditions(frames.kept, torch.zeros_like(frames.kept_mask))
        other = model.denoiser(blind, conditions)(x, 0.6)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-2)
    assert bool(first.isfinite().all())


def test_near_the_data_the_denoiser_is_the_identity(model: HouseModel) -> None:
    x = torch.randn(1, 128, 40, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        estimate = model.denoiser(_frames(), model.unconditioned(1))(x, 1e-3)
    assert torch.allclose(estimate, x, atol=0.05)


def test_unknown_conditions_are_the_last_of_their_tables(model: HouseModel) -> None:
    unknown = model.unconditioned(2)
    shape = model.network.shape
    assert isinstance(unknown, Globals)
    assert unknown.style.tolist() == [shape.styles] * 2
    assert unknown.roles.tolist() == [[2] * shape.roles] * 2
