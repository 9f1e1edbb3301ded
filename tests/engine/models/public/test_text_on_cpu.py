"""Text encoders that stay on the CPU beside another device, for which `meta` stands in here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.public.contract import Kept, Told
from engine.models.public.folder import ModelFolder
from engine.models.public.opening import open_model
from engine.models.studio import Words

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")  # theirs
KINDS = ("sa3", "sao", "ace", "ldm2", "mldm", "small")
WORDS = Words("warm slow piano", 1.0, lyrics="la la", bpm=120.0)
TEXT_PARTS = ("_encoder", "_clap", "_language", "_conditions")
STEPS = 8


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest, library: Path) -> ModelFolder:
    return ModelFolder.open(library / request.param)


def _tensors(told: Told) -> list[torch.Tensor]:
    return [part for part in (told.tokens, told.whole, told.mask) if part is not None]


def _said(model: Any) -> list[torch.Tensor]:
    return [*_tensors(model.tell(WORDS)), *_tensors(model.tell_nothing(WORDS))]


def test_what_is_told_is_the_same(folder: ModelFolder) -> None:
    plain, apart = open_model(folder), open_model(folder, text_on_cpu=True)
    for ours, theirs in zip(_said(apart), _said(plain), strict=True):
        assert torch.equal(ours, theirs)


def test_nothing_else_is_on_the_cpu(folder: ModelFolder) -> None:
    model: Any = open_model(folder, "meta", text_on_cpu=True)
    reading = [part for name in TEXT_PARTS if (part := getattr(model, name, None)) is not None]
    assert reading
    for part in reading:
        assert {weight.device.type for weight in part.parameters()} == {"cpu"}
    codec = [part for part in vars(model.codec).values() if isinstance(part, torch.nn.Module)]
    assert codec
    for part in (model._network, *codec):
        assert {weight.device.type for weight in part.parameters()} == {"meta"}
    # It would refuse to compute with tensors of both.
    told = model.tell(WORDS)
    assert {part.device.type for part in _said(model)} == {"meta"}
    steps = model.window_steps or STEPS
    noise = torch.zeros(2, model.codec.latent_channels, steps, device="meta")
    assert model.denoiser(told)(noise, 0.5).device.type == "meta"
    if model.edits:
        kept = Kept(noise[:1], noise[:1, :1])
        assert model.denoiser(told, kept)(noise, 0.5).device.type == "meta"


def test_it_reads_in_single_precision_beside_half(folder: ModelFolder) -> None:
    """And is rounded once, where the answers go to a network of half precision."""
    half: Any = open_model(folder, "cpu", torch.bfloat16, text_on_cpu=True)
    for name in TEXT_PARTS:
        if (part := getattr(half, name, None)) is not None:
            assert {weight.dtype for weight in part.parameters()} == {torch.float32}
    assert {weight.dtype for weight in half._network.parameters()} == {torch.bfloat16}
    told, exact = half.tell(WORDS), open_model(folder).tell(WORDS)
    assert told.tokens.dtype == told.whole.dtype == torch.bfloat16
    if not hasattr(half, "_numbers") and folder.path.name != "sao":  # their projection is of half
        words = exact.tokens.shape[1] - (1 if folder.path.name == "sa3" else 0)  # and the length
        assert torch.equal(told.tokens[:, :words], exact.tokens[:, :words].bfloat16())
    steps = half.window_steps or STEPS
    noise = torch.randn(1, half.codec.latent_channels, steps)
    assert bool(half.denoiser(half.tell(WORDS))(noise, 0.5).isfinite().all())


def test_the_folder_says_how_many_numbers_it_holds(folder: ModelFolder) -> None:
    model: Any = open_model(folder)
    parts = [model._network, *(value for value in vars(model.codec).values())]
    parts += [value for name, value in vars(model).items() if name != "_network"]
    networks = {id(part): part for part in parts if isinstance(part, torch.nn.Module)}
    kept = [value for part in networks.values() for value in part.state_dict().values()]
    held = sum(value.numel() for value in kept)
    assert folder.parameters() == pytest.approx(held, rel=0.1)  # tied and unused weights
