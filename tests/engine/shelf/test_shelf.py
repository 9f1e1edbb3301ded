"""The shelf: one public model in memory at a time, digests for nothing, all given back."""

from __future__ import annotations

import gc
import shutil
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.models.house.model import HABITS, load_house
from engine.models.public.folder import ModelFolder
from engine.models.public.registry import Registry
from engine.shelf.public import PublicStudio
from engine.shelf.shelf import Shelf, dtype_for, reads_on_cpu
from engine.spec import BridgeError


@pytest.fixture
def models_file(real_steps: Path, tmp_path: Path) -> Path:
    registry = Registry(tmp_path / "models.json")
    registry.add(real_steps / "sa3")
    registry.add(real_steps / "mldm", "music")
    return tmp_path / "models.json"


def test_one_public_model_at_a_time_is_held(models_file: Path) -> None:
    shelf = Shelf("cpu", models_file)
    first = shelf.get("sa3")
    assert shelf.get("sa3") is first
    gone = weakref.ref(first)
    del first
    assert shelf.get("music").name == "music"
    gc.collect()
    assert gone() is None
    house = shelf.get("house")
    assert shelf.get("music") is shelf.get("music")
    assert shelf.get("house") is house
    held = weakref.ref(shelf.get("music"))
    shelf.clear()
    gc.collect()
    assert held() is None


def test_digests_and_habits_need_no_weights(models_file: Path, real_steps: Path) -> None:
    shelf = Shelf("cpu", models_file)
    assert shelf.digest_of("music") == ModelFolder.open(real_steps / "mldm").digest()
    assert shelf.digest_of("house") == load_house().digest
    assert shelf.habits_of("house") is HABITS
    assert shelf.habits_of("sa3") == shelf.get("sa3").habits
    assert shelf.habits_of("music") == shelf.get("music").habits


def test_a_model_that_was_added_anew_is_loaded_anew(models_file: Path, tmp_path: Path) -> None:
    registry = Registry(models_file)
    copy = Path(shutil.copytree(registry.get("music").path, tmp_path / "mine"))
    registry.add(copy)
    shelf = Shelf("cpu", models_file)
    before = shelf.get("mine")
    scheduler = copy / "scheduler" / "scheduler_config.json"
    scheduler.write_text(scheduler.read_text().replace("0.0195", "0.02"))
    registry.add(copy)
    after = shelf.get("mine")
    assert after is not before
    assert after.digest == registry.get("mine").digest != before.digest


def test_unknown_models_are_refused_with_those_that_are_there(models_file: Path) -> None:
    shelf = Shelf("cpu", models_file)
    for ask in (shelf.get, shelf.digest_of, shelf.habits_of):
        with pytest.raises(BridgeError, match="no model 'zorgle'") as caught:
            ask("zorgle")
        assert "house, music, sa3" in caught.value.hint
    with pytest.raises(BridgeError, match="no model 'sa3'"):
        Shelf("cpu").get("sa3")


def test_a_model_runs_where_it_is_told_to(models_file: Path, real_steps: Path) -> None:
    registry = Registry(models_file)
    registry.add(real_steps / "mldm", "music", dtype="float16")
    shelf = Shelf("cpu", models_file)
    half = shelf.get("music")
    assert isinstance(half, PublicStudio)
    assert shelf.get("music") is half
    assert {weight.dtype for weight in half._model._network.parameters()} == {torch.float16}
    registry.add(real_steps / "mldm", "music", device="cpu")
    whole = shelf.get("music")
    assert isinstance(whole, PublicStudio)
    assert whole is not half
    assert whole.digest == half.digest
    assert {weight.dtype for weight in whole._model._network.parameters()} == {torch.float32}
    assert (dtype_for("cpu"), dtype_for("mps")) == (torch.float32, torch.float16)


def test_a_model_added_anew_in_another_precision_is_another_to_the_cache(
    models_file: Path, real_steps: Path
) -> None:
    registry, shelf = Registry(models_file), Shelf("cpu", models_file)
    found = []
    for options in ({}, {"dtype": "float32"}, {"dtype": "float16"}, {"text_encoder": "cpu"}):
        registry.add(real_steps / "mldm", "music", **options)  # type: ignore[arg-type]
        found.append(shelf.identity_of("music"))
    assert found[0] == found[1], "single precision is what a CPU is given anyway"
    assert len(set(found)) == 3
    assert all(shelf.digest_of("music") in one for one in found)
    assert shelf.identity_of("house") == shelf.digest_of("house")


def test_a_device_that_is_not_there_is_said(
    models_file: Path, real_steps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Registry(models_file).add(real_steps / "mldm", "music", device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BridgeError, match="music is to run on cuda, which is not there") as caught:
        Shelf("cpu", models_file).get("music")
    assert caught.value.code == "unavailable"
    for wrong in ({"device": "tpu"}, {"dtype": "int4"}):
        with pytest.raises(BridgeError, match="is not known here"):
            Registry(models_file).add(real_steps / "mldm", "other", **wrong)


def test_prompts_are_read_where_it_is_told_to(models_file: Path, real_steps: Path) -> None:
    registry = Registry(models_file)
    shelf = Shelf("cpu", models_file)
    found = {}
    for choice in ("cpu", "device"):
        registry.add(real_steps / "mldm", "music", dtype="bfloat16", text_encoder=choice)
        assert Registry(models_file).get("music").text_encoder == choice
        studio = shelf.get("music")
        assert isinstance(studio, PublicStudio)
        found[choice] = {weight.dtype for weight in studio._model._clap.parameters()}
    assert found == {"cpu": {torch.float32}, "device": {torch.bfloat16}}
    with pytest.raises(BridgeError, match="'gpu' is not known here"):
        registry.add(real_steps / "mldm", "music", text_encoder="gpu")


def test_a_device_short_of_memory_leaves_the_text_encoder_to_the_cpu(
    models_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = Registry(models_file).get("music")
    assert installed.text_encoder == "auto"
    numbers = ModelFolder.open(installed.path).parameters()
    free = {"bytes": 0}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free["bytes"], 0))
    for dtype, item_bytes in ((torch.float32, 4), (torch.bfloat16, 2)):
        free["bytes"] = 2 * item_bytes * numbers
        assert not reads_on_cpu(installed, "cuda", dtype)
        free["bytes"] -= 1
        assert reads_on_cpu(installed, "cuda", dtype)
    assert not reads_on_cpu(installed, "cpu", torch.float32), "they share what is free"
    assert not reads_on_cpu(installed, "mps", torch.float16)
    assert reads_on_cpu(replace(installed, text_encoder="cpu"), "mps", torch.float16)
    assert not reads_on_cpu(replace(installed, text_encoder="device"), "cuda", torch.float32)
