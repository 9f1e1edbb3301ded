"""Folders that are no model's, lack something or could run code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import BridgeError
from engine.models.public.ace_step import AceStep
from engine.models.public.audioldm import AudioLDM2, MusicLDM
from engine.models.public.folder import ModelFolder
from engine.models.public.stable_audio_3 import StableAudio3
from engine.models.public.stable_audio_open import StableAudioOpen

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")  # theirs


@pytest.fixture
def copy(library: Path, tmp_path: Path) -> Path:
    """A checkpoint that may be broken."""
    return shutil.copytree(library / "sa3", tmp_path / "sa3")


def _as_a_pickle(folder: Path) -> None:
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_name("diffusion_pytorch_model.bin"))


def _as_shards(folder: Path) -> None:
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_name("diffusion_pytorch_model-00001-of-00002.safetensors"))
    names = (f"diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2))
    table = {"weight_map": {name[-27:]: name for name in names}}
    index = weights.with_name("diffusion_pytorch_model.safetensors.index.json")
    index.write_text(json.dumps(table))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: shutil.rmtree(folder), "there is no folder"),
        (lambda folder: (folder / "model_index.json").unlink(), "model_index.json is missing"),
        (lambda folder: (folder / "model_index.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "model_index.json").write_text("[]"), "holds no settings"),
        (lambda folder: (folder / "model_index.json").write_text("{}"), "does not say what"),
        (lambda folder: shutil.rmtree(folder / "vae"), "lacks its vae"),
        (
            lambda folder: (folder / "text_encoder" / "model.safetensors").unlink(),
            "text_encoder has no weights",
        ),
        (_as_a_pickle, "can run code"),
        (_as_shards, "lacks diffusion_pytorch_model-00002-of-00002.safetensors"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_loaded(
    copy: Path, harm: Callable[[Path], object], said: str
) -> None:
    harm(copy)
    with pytest.raises(BridgeError, match=said) as raised:
        ModelFolder.open(copy)
    assert raised.value.code == "not_found"


def test_a_name_that_leads_out_of_the_folder_is_refused(copy: Path) -> None:
    index = json.loads((copy / "model_index.json").read_text())
    index["../elsewhere"] = ["diffusers", "AutoencoderSAME"]
    (copy / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(BridgeError, match="lacks its"):
        ModelFolder.open(copy)


def test_weights_that_do_not_fit_are_said(copy: Path) -> None:
    weights = copy / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(BridgeError, match="transformer cannot be loaded"):
        StableAudio3(ModelFolder.open(copy))


@pytest.mark.parametrize(("name", "value"), [("shift", 3.0), ("use_dynamic_shifting", True)])
def test_a_schedule_of_stable_audio_3_that_is_not_known(
    copy: Path, name: str, value: object
) -> None:
    _change(copy / "scheduler" / "scheduler_config.json", **{name: value})
    with pytest.raises(BridgeError, match=f"{name}, which is not known"):
        StableAudio3(ModelFolder.open(copy))


@pytest.mark.parametrize(
    ("kind", "opened", "name", "value"),
    [
        ("sao", StableAudioOpen, "_class_name", "DDIMScheduler"),
        ("sao", StableAudioOpen, "prediction_type", "epsilon"),
        ("ldm2", AudioLDM2, "beta_schedule", "squaredcos_cap_v2"),
        ("mldm", MusicLDM, "prediction_type", "flow"),
        ("ace", AceStep, "shift", 2.0),
    ],
)
def test_other_schedules_that_are_not_known(
    library: Path,
    tmp_path: Path,
    kind: str,
    opened: Callable[[ModelFolder], object],
    name: str,
    value: object,
) -> None:
    other = shutil.copytree(library / kind, tmp_path / kind)
    _change(other / "scheduler" / "scheduler_config.json", **{name: value})
    with pytest.raises(BridgeError, match="not known here"):
        opened(ModelFolder.open(other))


def _change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_the_digest_is_of_what_counts(copy: Path) -> None:
    folder = ModelFolder.open(copy)
    before = folder.digest()
    (copy / "README.md").write_text("a picture of a cat")
    assert folder.digest() == before
    _change(copy / "scheduler" / "scheduler_config.json", stochastic_sampling=False)
    assert folder.digest() != before
    assert folder.size_bytes() == sum(file.stat().st_size for file in copy.rglob("*.safetensors"))
