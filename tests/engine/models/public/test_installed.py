"""The registry of models: what is taken in, what is refused, and what was changed meanwhile."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.models.public import shared_file
from engine.models.public.folder import INDEX, ModelFolder
from engine.models.public.installed import Adaptation, Installed
from engine.models.public.registry import Registry, slug
from engine.spec import BridgeError


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models.json")


@pytest.fixture
def copy(library: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(library / "mldm", tmp_path / "My Model_v2"))


def test_what_is_added_is_there_for_everybody(
    registry: Registry, library: Path, copy: Path
) -> None:
    assert registry.all() == ()
    first, second = registry.add(library / "ace"), registry.add(copy)
    assert (first.name, second.name) == ("ace", "my-model_v2")
    again = Registry(copy.parent / "models.json")
    assert again.all() == (first, second)
    assert again.get("ace").path == library / "ace"
    assert second.size_bytes == sum(file.stat().st_size for file in copy.rglob("*.safetensors"))
    assert [row["architecture"] for row in again.listed()] == ["AceStep", "MusicLDM"]
    assert again.remove("ace") == first
    assert registry.all() == (second,)
    assert (library / "ace").is_dir()  # only the list forgets it


def test_an_added_model_opens_with_the_digest_of_the_list(
    registry: Registry, library: Path
) -> None:
    added = registry.add(library / "mldm", "music")
    model = added.open()
    assert (model.digest, model.codec.sample_rate_hz) == (added.digest, 16_000)


def test_a_model_that_was_changed_must_be_added_again(registry: Registry, copy: Path) -> None:
    added = registry.add(copy, "mine")
    scheduler = copy / "scheduler" / "scheduler_config.json"
    scheduler.write_text(scheduler.read_text().replace("0.0195", "0.02"))
    with pytest.raises(BridgeError, match="mine was changed since it was added"):
        added.open()
    newer = registry.add(copy, "mine")
    assert newer.digest != added.digest
    assert registry.all() == (newer,)
    assert newer.open().digest == newer.digest
    shutil.rmtree(copy)
    with pytest.raises(BridgeError, match="the folder of mine is gone") as caught:
        newer.open()
    assert "models remove mine" in caught.value.hint


@pytest.mark.parametrize("name", ["house", "../up", "Upper", "", "a" * 65, ".hidden", "two words"])
def test_names_that_cannot_be_told_apart_are_refused(
    registry: Registry, library: Path, name: str
) -> None:
    if name == "":
        assert registry.add(library / "ace", name).name == "ace"  # as if nothing were said
        return
    with pytest.raises(BridgeError) as caught:
        registry.add(library / "ace", name)
    assert caught.value.code == "bad_request"
    assert registry.all() == ()


def test_a_name_is_taken_by_one_folder(registry: Registry, library: Path, copy: Path) -> None:
    registry.add(library / "mldm", "music")
    with pytest.raises(BridgeError, match="music is"):
        registry.add(copy, "music")


def test_an_unknown_model_is_refused_with_those_that_are_there(
    registry: Registry, library: Path
) -> None:
    registry.add(library / "ace")
    with pytest.raises(BridgeError, match="no model 'acer'") as caught:
        registry.get("acer")
    assert "house, ace" in caught.value.hint
    assert "models add" in caught.value.hint


def test_an_unknown_architecture_is_refused(registry: Registry, copy: Path) -> None:
    index = json.loads((copy / INDEX).read_text())
    (copy / INDEX).write_text(json.dumps(index | {"_class_name": "FluxPipeline"}))
    with pytest.raises(BridgeError, match="FluxPipeline, which is not known") as caught:
        registry.add(copy)
    assert "StableAudio3, StableAudio, stable-audio-tools, AceStep" in caught.value.hint


@pytest.mark.parametrize(
    "written",
    ["{", "[]", '{"format": "daw-bridge models 1"}', '{"format": "other", "models": []}',
     '{"format": "daw-bridge models 1", "models": [{"name": "a"}]}',
     '{"format": "daw-bridge models 1", "models": [{"name": 1, "path": "a", "pipeline": "b",'
     ' "digest": "c", "size_bytes": 2}]}'],
)  # fmt: skip
def test_a_damaged_list_is_reported_and_left_alone(
    tmp_path: Path, library: Path, written: str
) -> None:
    file = tmp_path / "models.json"
    file.write_text(written)
    registry = Registry(file)
    for ask in (registry.all, lambda: registry.get("a"), lambda: registry.add(library / "ace")):
        with pytest.raises(BridgeError, match="cannot be read") as caught:
            ask()
        assert caught.value.code == "unavailable"
    assert registry.listed() == []
    assert file.read_text() == written


def test_a_folder_that_cannot_be_written_loses_nothing(tmp_path: Path, library: Path) -> None:
    with pytest.raises(BridgeError, match="cannot be written"):
        Registry(tmp_path / "missing" / "models.json").add(library / "ace")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BridgeError, match="no list of models"):
        Registry(None).add(library / "ace")


def test_the_list_is_read_without_anything_heavy() -> None:
    script = (
        "import sys; from engine.models.public.registry import Registry; Registry(None).all();"
        "sys.exit(bool({'torch', 'diffusers', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "name"),
    [("Stable Audio 3", "stable-audio-3"), ("a/b", "a-b"), ("-x_", "x"), ("Ü", "")],
)
def test_names_are_made_of_what_folders_are_called(text: str, name: str) -> None:
    assert slug(text) == name


def test_rows_are_plain_values() -> None:
    model = Installed("a", Path("b"), "CPipeline", "d", 1)
    assert (model.known, model.path, model.text_encoder) == (None, Path("b"), "auto")


def test_lists_from_before_a_choice_was_known_still_load(registry: Registry, library: Path) -> None:
    added = registry.add(library / "ace", text_encoder="cpu")
    assert registry.all() == (added,)
    file = registry.downloads.parent / "models.json" if registry.downloads else Path()
    table = json.loads(file.read_text())
    assert table["models"][0].pop("text_encoder") == "cpu"
    file.write_text(json.dumps(table))
    assert registry.all() == (replace(added, text_encoder="auto"),)
    table["models"][0]["text_encoder"] = "moon"
    file.write_text(json.dumps(table))
    with pytest.raises(BridgeError, match="'moon' in a row of it"):
        registry.all()


def test_weights_are_hashed_once_when_a_model_is_loaded(
    registry: Registry, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = registry.add(library / "mldm", "music")
    hashed: list[Path] = []
    digest = ModelFolder.digest

    def counted(folder: ModelFolder) -> str:
        hashed.append(folder.path)
        return digest(folder)

    monkeypatch.setattr(ModelFolder, "digest", counted)
    assert added.open().name == "music"
    assert hashed == [library / "mldm"]


def test_weights_that_were_cut_off_were_changed(registry: Registry, copy: Path) -> None:
    added = registry.add(copy, "mine")
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(BridgeError, match=r"mine was changed since it was added: .*cannot be load"):
        added.open()


def test_what_cannot_be_loaded_and_was_not_changed_says_why(registry: Registry, copy: Path) -> None:
    scheduler = copy / "scheduler" / "scheduler_config.json"
    scheduler.write_text(scheduler.read_text().replace("scaled_linear", "squaredcos_cap_v2"))
    with pytest.raises(BridgeError, match="in a way that is not known here"):
        registry.add(copy, "mine").open()


def test_links_are_followed_when_a_model_is_added(
    registry: Registry, copy: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(copy, target_is_directory=True)
    assert registry.add(tmp_path / "link", "mine").path == copy
    registry.remove("mine")
    assert copy.is_dir()


def test_the_models_are_in_the_order_of_their_names(registry: Registry, library: Path) -> None:
    for name in ("b", "c", "a"):
        registry.add(library / "mldm", name)
    assert [model.name for model in registry.all()] == ["a", "b", "c"]


def test_a_download_of_ours_is_deleted_with_its_last_name(
    registry: Registry, library: Path
) -> None:
    assert registry.downloads is not None
    ours = Path(shutil.copytree(library / "mldm", registry.downloads / "tiny"))
    inside = Path(shutil.copytree(library / "mldm", ours / "below"))
    for name, place in (("tiny", ours), ("other", ours), ("below", inside)):
        registry.add(place, name)
    registry.remove("below")
    assert inside.is_dir()  # not ours: we put nothing there
    registry.remove("other")
    assert ours.is_dir()  # another name leads to it
    registry.remove("tiny")
    assert not ours.exists()
    assert registry.all() == ()


def test_a_download_that_has_gone_is_forgotten(registry: Registry, library: Path) -> None:
    assert registry.downloads is not None
    ours = Path(shutil.copytree(library / "mldm", registry.downloads / "tiny"))
    registry.add(ours)
    shutil.rmtree(ours)
    assert registry.remove("tiny").name == "tiny"


def _adapter(file: Path, layer: str = "conv_in", seed: int = 1) -> Path:
    """For the first or the last layer of MusicLDM in miniature."""
    generator = torch.Generator().manual_seed(seed)
    inside, outside = (8, 2) if layer == "conv_out" else (2, 8)
    tensors = {
        f"{layer}.lora_A.weight": torch.randn(2, inside, 3, 3, generator=generator),
        f"{layer}.lora_B.weight": torch.randn(outside, 2, 1, 1, generator=generator),
    }
    save_file(tensors, file)
    return file


def test_a_model_with_an_adapter_is_another_model(
    registry: Registry, copy: Path, tmp_path: Path
) -> None:
    plain = registry.add(copy, "music")
    file = _adapter(tmp_path / "warm.safetensors")
    warm = registry.adapt("music", file, 0.5, "music-warm")
    assert registry.all() == (plain, warm)
    assert warm.adapters == (Adaptation(file, 0.5),)
    assert warm.digest not in (plain.digest, registry.adapt("music", file, 1.0, "more").digest)
    opened = registry.get("music-warm").open()
    assert (opened.digest, opened.name) == (warm.digest, "music-warm")
    assert registry.get("music").open().digest == plain.digest
    twice = registry.adapt("music-warm", _adapter(tmp_path / "b.safetensors", "conv_out"), 1.0, "c")
    assert len(twice.adapters) == 2
    registry.remove("music")
    assert copy.is_dir()  # the others are of it, too


def test_an_adapter_that_was_changed_or_fits_nothing_is_refused(
    registry: Registry, copy: Path, tmp_path: Path
) -> None:
    registry.add(copy, "music")
    file = _adapter(tmp_path / "warm.safetensors")
    registry.adapt("music", file, 1.0, "warm")
    _adapter(file, seed=2)
    with pytest.raises(BridgeError, match="warm was changed since it was added"):
        registry.get("warm").open()
    _adapter(file, "no.such.layer")
    with pytest.raises(BridgeError, match="has no such layer"):
        registry.adapt("music", file, 1.0, "other")
    _adapter(file)
    for name in ("warm", "house", "Upper"):
        with pytest.raises(BridgeError) as caught:
            registry.adapt("music", file, 1.0, name)
        assert caught.value.code == "bad_request"
    with pytest.raises(BridgeError, match="cannot have the scale"):
        registry.adapt("music", file, float("nan"), "other")
    assert {model.name for model in registry.all()} == {"music", "warm"}


_ADDING = """
import sys, time
from pathlib import Path
from engine.models.public import opening  # heavy: at different times they would not meet
from engine.models.public.installed import Installed
from engine.models.public.registry import Registry

class Slow(Registry):
    def all(self):
        found = super().all()
        time.sleep(0.02)  # between reading the list and writing it
        return found

registry = Slow(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[4])):
    registry.add(Path(sys.argv[2]), f"{sys.argv[3]}-{number}")
"""


def test_no_model_is_lost_when_two_processes_add_at_once(copy: Path, tmp_path: Path) -> None:
    count, file = 5, tmp_path / "models.json"
    command = [sys.executable, "-c", _ADDING, str(file), str(copy)]
    processes = [
        subprocess.Popen(
            [*command, name, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("one", "other")
    ]
    for process in processes:  # both have loaded what they need
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    names = {model.name for model in Registry(file).all()}
    assert names == {f"{name}-{number}" for name in ("one", "other") for number in range(count)}


def test_a_list_that_another_process_holds_is_waited_for(
    registry: Registry, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_file, "_PATIENCE_S", 0.0)
    registry.add(copy, "one")
    with shared_file.alone_with(tmp_path / "models.json"):
        for change in (lambda: registry.add(copy, "two"), lambda: registry.remove("one")):
            with pytest.raises(BridgeError, match="cannot be written: database is locked"):
                change()
    assert [model.name for model in registry.all()] == ["one"]
    registry.remove("one")
