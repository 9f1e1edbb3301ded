"""Adapters of low rank against weights that were merged by hand, and against peft."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.models.public.folder import ModelFolder
from engine.sampling.loop import sample
from engine.spec import BridgeError
from tests.engine.models.public.test_models import KINDS, WORDS

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")  # theirs

# Two layers of each network: attention and what follows it, a convolution in the U-Nets.
LAYERS = {
    "sa3": ("transformer_blocks.0.self_attn.to_qkv", "transformer_blocks.1.ff.proj_in"),
    "sao": ("transformer_blocks.0.attn1.to_q", "transformer_blocks.1.ff.net.2"),
    "ace": ("layers.0.self_attn.to_q", "layers.1.mlp.up_proj"),
    "ldm2": ("down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q", "conv_in"),
    "mldm": ("down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q", "conv_in"),
}
RANK = 2
Factors = dict[str, tuple[Tensor, Tensor]]


def _open(library: Path, kind: str) -> Any:
    return KINDS[kind](ModelFolder.open(library / kind))


def _factors(model: Any, kind: str, seed: int = 0) -> Factors:
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name in LAYERS[kind]:
        shape = model._network.get_submodule(name).weight.shape
        inner = torch.randn(RANK, *shape[1:], generator=generator)
        outer = torch.randn(shape[0], RANK, *[1] * (len(shape) - 2), generator=generator)
        found[name] = (inner / inner[0].numel() ** 0.5, outer)
    return found


def _save(path: Path, factors: Factors, *, prefix: str = "", ends: str = "lora_A lora_B") -> Path:
    sides = ends.split()
    tensors = {
        f"{prefix}{name}.{side}.weight": tensor.contiguous()
        for name, pair in factors.items()
        for side, tensor in zip(sides, pair, strict=True)
    }
    save_file(tensors, path)
    return path


def _noise(model: Any) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(1, model.codec.latent_channels, 20, generator=generator)


def _answer(model: Any) -> Tensor:
    with torch.no_grad():
        answer: Tensor = model.denoiser(model.tell(WORDS))(_noise(model), 0.7)
    return answer


def _merged(model: Any, factors: Factors, strength: float) -> Any:
    for name, (inner, outer) in factors.items():
        weight = model._network.get_submodule(name).weight
        added = outer.flatten(1) @ inner.flatten(1)
        weight.data = weight.data + strength * added.reshape(weight.shape)
    return model


@pytest.mark.parametrize("kind", LAYERS)
def test_it_is_the_network_merged_by_hand(library: Path, tmp_path: Path, kind: str) -> None:
    model = _open(library, kind)
    plain, digest = _answer(model), model.digest
    factors = _factors(model, kind)
    adapter = model.adapt(_save(tmp_path / "a.safetensors", factors), 0.7)
    wanted = _answer(_merged(_open(library, kind), factors, 0.7))
    assert float((_answer(model) - wanted).abs().max()) < 1e-5
    assert float((plain - wanted).abs().max()) > 1e-2, "the adapter makes no difference"
    assert model.digest != digest
    model.release(adapter)
    assert torch.equal(_answer(model), plain)
    assert (model.digest, model.adapters) == (digest, ())


@pytest.mark.parametrize(
    ("prefix", "ends"),
    [
        ("", "lora_A lora_B"),
        ("", "lora_down lora_up"),
        ("transformer.", "lora_A lora_B"),
        ("unet.", "lora.down lora.up"),
        ("base_model.model.", "lora_A.default lora_B.default"),
        ("base_model.model.transformer.", "lora_A lora_B"),
    ],
)
def test_all_the_names_that_are_written(
    library: Path, tmp_path: Path, prefix: str, ends: str
) -> None:
    model = _open(library, "sa3")
    factors = _factors(model, "sa3")
    model.adapt(_save(tmp_path / "a.safetensors", factors, prefix=prefix, ends=ends))
    wanted = _answer(_merged(_open(library, "sa3"), factors, 1.0))
    assert torch.allclose(_answer(model), wanted, atol=1e-5)


def test_names_without_dots(library: Path, tmp_path: Path) -> None:
    """With the α that stands beside the weights."""
    model = _open(library, "mldm")
    factors = _factors(model, "mldm")
    tensors = {}
    for name, (inner, outer) in factors.items():
        flat = "lora_unet_" + name.replace(".", "_")
        tensors |= {f"{flat}.lora_down.weight": inner, f"{flat}.lora_up.weight": outer}
        tensors[f"{flat}.alpha"] = torch.tensor(1.0)
    save_file(tensors, tmp_path / "a.safetensors")
    model.adapt(tmp_path / "a.safetensors")
    wanted = _answer(_merged(_open(library, "mldm"), factors, 1.0 / RANK))
    assert torch.allclose(_answer(model), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "strength"),
    [
        ({"lora_alpha": 8, "r": RANK}, 8 / RANK),
        ({"lora_alpha": 8, "r": RANK, "use_rslora": True}, 8 / math.sqrt(RANK)),
        ({"lora_alpha": 8, "alpha_pattern": {"self_attn.to_qkv": 3, "proj_in": 3}}, 3 / RANK),
        ({}, 1.0),
    ],
)
@pytest.mark.parametrize("where", ["beside", "header"])
def test_settings_count(
    library: Path, tmp_path: Path, settings: dict[str, Any], strength: float, where: str
) -> None:
    model = _open(library, "sa3")
    factors = _factors(model, "sa3")
    folder = tmp_path / "adapter"
    folder.mkdir()
    file = _save(folder / "adapter_model.safetensors", factors)
    if where == "beside":
        (folder / "adapter_config.json").write_text(json.dumps(settings))
    else:
        from safetensors.torch import load_file

        packed = json.dumps({f"transformer.{name}": value for name, value in settings.items()})
        save_file(load_file(file), file, {"lora_adapter_metadata": packed})
    model.adapt(folder)
    wanted = _answer(_merged(_open(library, "sa3"), factors, strength))
    assert torch.allclose(_answer(model), wanted, atol=1e-4)


def test_several_add_up_in_any_order(library: Path, tmp_path: Path) -> None:
    one, other = _open(library, "sa3"), _open(library, "sa3")
    plain = one.digest
    first, second = _factors(one, "sa3", 1), _factors(one, "sa3", 2)
    files = _save(tmp_path / "1.safetensors", first), _save(tmp_path / "2.safetensors", second)
    one.adapt(files[0], 0.5), one.adapt(files[1], -0.25)
    other.adapt(files[1], 3.0), other.adapt(files[0], 0.5), other.adapt(files[1], -0.25)
    assert torch.equal(_answer(one), _answer(other))
    assert one.digest == other.digest
    by_hand = _merged(_merged(_open(library, "sa3"), first, 0.5), second, -0.25)
    assert torch.allclose(_answer(one), _answer(by_hand), atol=1e-5)
    digests = {plain, one.digest}
    one.adapt(files[1], 0.5)
    digests.add(one.digest)
    one.release(one.adapters[0])
    digests.add(one.digest)
    assert len(digests) == 4, "two sets of adapters share a digest"
    with pytest.raises(ValueError, match="no adapter"):
        one.release(
            other.adapters[0] if one.adapters[0] != other.adapters[0] else other.adapters[1]
        )


def test_gradients_still_reach_the_noise(library: Path, tmp_path: Path) -> None:
    """Those of the merged network."""
    model = _open(library, "sa3")
    factors = _factors(model, "sa3")
    model.adapt(_save(tmp_path / "a.safetensors", factors))
    by_hand = _merged(_open(library, "sa3"), factors, 1.0)
    gradients = []
    for each in (model, by_hand):
        noise = _noise(each).requires_grad_(True)
        denoiser = each.denoiser(each.tell(WORDS))
        made = sample(denoiser, noise, (1.0, 0.5, 0.0), gradient="full")
        gradients += torch.autograd.grad(each.codec.decode(made).square().mean(), noise)
    assert torch.allclose(gradients[0], gradients[1], atol=1e-7)
    assert float(gradients[0].abs().max()) > 1e-6
    assert not any(weight.requires_grad for weight in model._network.parameters())


def _wrong_shape(folder: Path, factors: Factors) -> Path:
    name, (inner, outer) = next(iter(factors.items()))
    return _save(folder / "a.safetensors", {**factors, name: (inner[:, 1:], outer)})


def _wrong_rank(folder: Path, factors: Factors) -> Path:
    name, (inner, outer) = next(iter(factors.items()))
    return _save(folder / "a.safetensors", {**factors, name: (inner[1:], outer)})


def _other_layer(folder: Path, factors: Factors) -> Path:
    inner, outer = next(iter(factors.values()))
    other = {"transformer_blocks.9.attn": (inner.clone(), outer.clone())}
    return _save(folder / "a.safetensors", factors | other)


def _text_encoder(folder: Path, factors: Factors) -> Path:
    return _save(folder / "a.safetensors", factors, prefix="text_encoder.")


def _one_side(folder: Path, factors: Factors) -> Path:
    name, (inner, _) = next(iter(factors.items()))
    save_file({f"{name}.lora_A.weight": inner}, folder / "a.safetensors")
    return folder / "a.safetensors"


def _of_another_kind(folder: Path, factors: Factors) -> Path:
    name = next(iter(factors))
    save_file({f"{name}.lora_magnitude_vector": torch.ones(3)}, folder / "a.safetensors")
    return folder / "a.safetensors"


def _nothing(folder: Path, factors: Factors) -> Path:
    save_file({"x.alpha": torch.ones(())}, folder / "a.safetensors")
    return folder / "a.safetensors"


def _broken(folder: Path, factors: Factors) -> Path:
    file = _save(folder / "a.safetensors", factors)
    file.write_bytes(file.read_bytes()[:-50])
    return file


def _pickle(folder: Path, factors: Factors) -> Path:
    (folder / "pytorch_lora_weights.bin").write_bytes(b"\x80\x04.")
    return folder / "pytorch_lora_weights.bin"


def _folder_of_pickles(folder: Path, factors: Factors) -> Path:
    return _pickle(folder, factors).parent


def _two_files(folder: Path, factors: Factors) -> Path:
    _save(folder / "a.safetensors", factors)
    return _save(folder / "b.safetensors", factors).parent


def _not_there(folder: Path, factors: Factors) -> Path:
    return folder / "nothing.safetensors"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (_wrong_shape, "for transformer_blocks.0.self_attn.to_qkv, which has"),
        (_wrong_rank, "for transformer_blocks.0.self_attn.to_qkv, which has"),
        (_other_layer, "transformer_blocks.9.attn, and the network has no such layer"),
        (_text_encoder, "text_encoder.transformer_blocks"),
        (_one_side, "only one of the two weights"),
        (_of_another_kind, "lora_magnitude_vector, which is no weight"),
        (_nothing, "no weights of an adapter"),
        (_broken, "cannot be read"),
        (_pickle, "can run code"),
        (_folder_of_pickles, "can run code"),
        (_two_files, "holds 2 safetensors files"),
        (_not_there, "there is no adapter"),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(
    library: Path, tmp_path: Path, given: Callable[[Path, Factors], Path], said: str
) -> None:
    model = _open(library, "sa3")
    factors = _factors(model, "sa3")
    plain, digest = _answer(model), model.digest
    with pytest.raises(BridgeError, match=said) as raised:
        model.adapt(given(tmp_path, factors))
    assert raised.value.code == "not_found"
    assert torch.equal(_answer(model), plain)
    assert (model.digest, model.adapters) == (digest, ())


@pytest.mark.parametrize("scale", [math.nan, math.inf])
def test_a_scale_is_a_number(library: Path, tmp_path: Path, scale: float) -> None:
    model = _open(library, "sa3")
    file = _save(tmp_path / "a.safetensors", _factors(model, "sa3"))
    with pytest.raises(BridgeError, match="cannot have the scale") as raised:
        model.adapt(file, scale)
    assert raised.value.code == "bad_request"


@pytest.mark.parametrize("kind", ["ace", "mldm"])
def test_diffusers_and_peft_give_the_same(library: Path, tmp_path: Path, kind: str) -> None:
    """With a file that they have written themselves, for the networks that they can adapt."""
    peft = pytest.importorskip("peft", reason="a second implementation, where it is installed")
    theirs, ours = _open(library, kind), _open(library, kind)
    settings = peft.LoraConfig(r=4, lora_alpha=6, target_modules=["to_q", "to_v"])
    theirs._network.add_adapter(settings, "loud")
    for name, weight in theirs._network.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.3)
    theirs._network.save_lora_adapter(tmp_path, adapter_name="loud")
    plain = _answer(ours)
    ours.adapt(tmp_path)
    assert torch.allclose(_answer(ours), _answer(theirs), atol=1e-5)
    assert not torch.allclose(_answer(ours), plain, atol=1e-2)
