"""The ways in which the same checkpoint can lie on the disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.models.public.ace_step import AceStep
from engine.models.public.folder import ModelFolder
from engine.models.public.stable_audio_3 import StableAudio3
from engine.models.public.stable_audio_open import StableAudioOpen
from engine.models.studio import Words
from engine.spec import BridgeError

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")  # theirs
WORDS = Words("warm slow piano", 0.3)


def _answer(model: Any) -> torch.Tensor:
    x = torch.randn(1, model.codec.latent_channels, 20, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return model.codec.decode(model.denoiser(model.tell(WORDS))(x, 0.7))


def _alike(one: Any, other: Any) -> bool:
    """Every weight bit for bit, and the same answer. Of that the last bit may hang on where in its
    file, and so in memory, a weight lies."""
    mine, theirs = _weights(one), _weights(other)
    same = all(torch.equal(value, theirs[name]) for name, value in mine.items())
    answers = torch.allclose(_answer(one), _answer(other), rtol=0.0, atol=1e-6)
    return bool(mine) and mine.keys() == theirs.keys() and same and answers


def _weights(model: Any) -> dict[str, torch.Tensor]:
    """Of all parts of a model, by name."""
    return {
        f"{kept}.{name}": value
        for holder in (model, model.codec)
        for kept, part in vars(holder).items()
        if isinstance(part, torch.nn.Module)
        for name, value in part.state_dict().items()
    }


def _as_a_variant(folder: Path) -> None:
    for file in list(folder.rglob("*.safetensors")):
        file.rename(file.with_suffix(".fp16.safetensors"))


def _in_shards(folder: Path, variant: str = "") -> None:
    """Two files and their table, as the libraries write them."""
    for stem in ("transformer/diffusion_pytorch_model", "text_encoder/model"):
        whole = folder / f"{stem}.safetensors"
        weights = load_file(whole)
        names = sorted(weights)
        where = {}
        for number, mine in enumerate((names[::2], names[1::2]), 1):
            file = folder / f"{stem}{variant}-0000{number}-of-00002.safetensors"
            save_file({name: weights[name] for name in mine}, file, metadata={"format": "pt"})
            where |= dict.fromkeys(mine, file.name)
        whole.unlink()
        table = folder / f"{stem}.safetensors.index{variant}.json"
        table.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": where}))


def _with_parts_left_out(folder: Path) -> None:
    _change(folder / "model_index.json", safety_checker=[None, None], requires_safety_checker=True)


def _with_a_tokenizer_of_one_file(folder: Path) -> None:
    settings = ("tokenizer.json", "tokenizer_config.json")
    for file in (folder / "tokenizer").iterdir():
        if file.name not in settings:
            file.unlink()
    _change(folder / "model_index.json", tokenizer=["transformers", "TokenizersBackend"])


def _change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    "lay",
    [
        *(_as_a_variant, _in_shards, _with_parts_left_out, _with_a_tokenizer_of_one_file),
        lambda folder: _in_shards(folder, ".fp16"),
    ],
)
def test_however_it_lies_it_is_the_same(
    library: Path, tmp_path: Path, lay: Callable[[Path], object]
) -> None:
    wanted = StableAudioOpen(ModelFolder.open(library / "sao"))
    copy = shutil.copytree(library / "sao", tmp_path / "sao")
    lay(copy)
    assert _alike(StableAudioOpen(ModelFolder.open(copy)), wanted)


def test_plain_weights_come_before_variants(library: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(library / "sao", tmp_path / "sao")
    plain = copy / "transformer" / "diffusion_pytorch_model.safetensors"
    for variant in ("fp16", "bf16"):
        shutil.copy(plain, plain.with_suffix(f".{variant}.safetensors"))
    folder = ModelFolder.open(copy)
    assert folder.variant("transformer") is None
    plain.unlink()
    assert folder.variant("transformer") == "bf16"


def test_a_variant_that_lacks_a_shard_is_said(library: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(library / "sao", tmp_path / "sao")
    _in_shards(copy, ".fp16")
    gone = "diffusion_pytorch_model.fp16-00002-of-00002.safetensors"
    (copy / "transformer" / gone).unlink()
    with pytest.raises(BridgeError, match=f"lacks {gone}"):
        ModelFolder.open(copy)


@pytest.mark.parametrize(
    ("kind", "opened", "part", "weight"),
    [
        ("sao", StableAudioOpen, "transformer", "proj_in.weight"),
        ("sao", StableAudioOpen, "text_encoder", "shared.weight"),
        ("ace", AceStep, "condition_encoder", "silence_latent"),
        ("ace", AceStep, "condition_encoder", "null_condition_emb"),
    ],
)
def test_a_weight_that_is_missing_is_said(
    library: Path, tmp_path: Path, kind: str, opened: Callable[..., object], part: str, weight: str
) -> None:
    copy = shutil.copytree(library / kind, tmp_path / kind)
    (file,) = (copy / part).glob("*.safetensors")
    weights = load_file(file)
    del weights[weight]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(
        BridgeError, match=f"{kind}/{part} lacks . of its weights: .*{weight}"
    ) as raised:
        opened(ModelFolder.open(copy))
    assert raised.value.code == "not_found"


def test_words_without_the_table_that_is_asked_for(library: Path, tmp_path: Path) -> None:
    """SentencePiece's own file takes a library more to read, and public models bring both."""
    copy = shutil.copytree(library / "sao", tmp_path / "sao")
    (copy / "tokenizer" / "tokenizer.json").unlink()
    (copy / "tokenizer" / "spiece.model").write_bytes(b"no protocol buffer")
    with pytest.raises(BridgeError, match=r"tokenizer cannot be loaded.*tokenizer\.json too"):
        StableAudioOpen(ModelFolder.open(copy))


def test_ace_step_from_before_its_scheduler_was_written(library: Path, tmp_path: Path) -> None:
    wanted = AceStep(ModelFolder.open(library / "ace"))
    copy = shutil.copytree(library / "ace", tmp_path / "ace")
    shutil.rmtree(copy / "scheduler")
    index = json.loads((copy / "model_index.json").read_text())
    del index["scheduler"]
    (copy / "model_index.json").write_text(json.dumps(index))
    assert _alike(AceStep(ModelFolder.open(copy)), wanted)


@pytest.mark.parametrize(
    ("kind", "named", "steps"),
    [("sa3", "PingPongScheduler", 8), ("sa3-base", "StableAudio3EulerScheduler", 100)],
)
def test_stable_audio_3_with_the_schedulers_of_its_first_conversion(
    library: Path, tmp_path: Path, kind: str, named: str, steps: int
) -> None:
    wanted = StableAudio3(ModelFolder.open(library / kind))
    copy = shutil.copytree(library / kind, tmp_path / kind)
    table = copy / "scheduler" / "scheduler_config.json"
    ends = {"logsnr_min": -6.2, "logsnr_max": 2.0}
    table.write_text(json.dumps({"_class_name": named, "num_inference_steps": steps} | ends))
    model = StableAudio3(ModelFolder.open(copy))
    assert model.usage == wanted.usage
    assert _alike(model, wanted)
    _change(table, logsnr_max=3.0)
    with pytest.raises(BridgeError, match=r"logsnr_max 3\.0, which is not known"):
        StableAudio3(ModelFolder.open(copy))


@pytest.mark.parametrize(
    ("name", "value"),
    [("solver_order", 1), ("final_sigmas_type", "sigma_min"), ("sigma_data", 0.5)],
)
def test_solvers_of_stable_audio_open_that_are_not_ours(
    library: Path, tmp_path: Path, name: str, value: object
) -> None:
    copy = shutil.copytree(library / "sao", tmp_path / "sao")
    _change(copy / "scheduler" / "scheduler_config.json", **{name: value})
    with pytest.raises(BridgeError, match="not known here"):
        StableAudioOpen(ModelFolder.open(copy))
