"""Guidance in one batch against guidance by two denoisers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.public.contract import Kept
from engine.models.public.folder import ModelFolder
from engine.models.public.guided import guided_at_once
from engine.models.studio import Words
from engine.sampling.guidance import guided
from tests.engine.models.public.test_models import KINDS, WORDS

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")  # theirs


@pytest.mark.parametrize("kind", ["sa3-base", "sao", "ace-base", "ldm2", "mldm"])
@pytest.mark.parametrize("items", [1, 3])
def test_it_is_the_guidance_of_two_denoisers(library: Path, kind: str, items: int) -> None:
    model: Any = (KINDS | {"ace-base": KINDS["ace"]})[kind](ModelFolder.open(library / kind))
    told, nothing = model.tell(WORDS), model.tell_nothing(WORDS)
    kept = None
    if model.edits:
        shape = (1, model.codec.latent_channels, 20)
        mask = (torch.arange(20) < 7).float().view(1, 1, 20)
        kept = Kept(torch.randn(shape), mask)
    noise = torch.randn(items, model.codec.latent_channels, 20, requires_grad=True)
    model.usage = replace(model.usage, projection=None)  # that is tested with the pipelines
    found = guided_at_once(model, told, nothing, 3.0, kept)(noise, 0.8)
    apart = guided(model.denoiser(told, kept), model.denoiser(nothing, kept), 3.0)(noise, 0.8)
    assert torch.allclose(found, apart, atol=1e-4)
    along = torch.randn_like(apart)
    gradients = [torch.autograd.grad((side * along).sum(), noise)[0] for side in (found, apart)]
    assert torch.allclose(*gradients, atol=1e-3)
    assert not torch.allclose(found, model.denoiser(told, kept)(noise, 0.8), atol=1e-2)


def test_one_network_call_a_step(library: Path) -> None:
    model: Any = KINDS["sao"](ModelFolder.open(library / "sao"))
    batches: list[int] = []
    model._network.register_forward_pre_hook(lambda _, given: batches.append(len(given[0])))
    told, nothing = model.tell(WORDS), model.tell_nothing(WORDS)
    noise = torch.randn(2, model.codec.latent_channels, 20)
    with torch.no_grad():
        guided_at_once(model, told, nothing, 7.0)(noise, 0.8)
        guided_at_once(model, told, nothing, 1.0)(noise, 0.8)
    assert batches == [4, 2]


def test_sides_of_different_lengths_are_refused(library: Path) -> None:
    opened: Callable[[ModelFolder], Any] = KINDS["sao"]
    model = opened(ModelFolder.open(library / "sao"))
    told = model.tell(Words("piano", 0.3))
    shorter = replace(told, tokens=told.tokens[:, 1:])
    with pytest.raises(ValueError, match="make no batch"):
        guided_at_once(model, told, shorter, 2.0)
