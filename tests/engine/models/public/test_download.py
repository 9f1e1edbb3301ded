"""Models out of a hub: what is fetched and what never is, and every refusal in clear words."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.models.public import download
from engine.models.public.folder import INDEX, ModelFolder
from engine.models.public.known import KNOWN_BY_NAME, Known
from engine.models.public.opening import open_model
from engine.spec import BridgeError
from tests.engine.models.public.hub import Hub, Repository, serving

pytest.importorskip("huggingface_hub", reason="the extra `models` is not installed")
NAME = "somebody/tiny"


@pytest.fixture(autouse=True)
def anonymous(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No account of whoever runs the tests."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))


@pytest.fixture
def repository(library: Path, tmp_path: Path) -> Repository:
    """A model with everything beside it that must not be fetched."""
    folder = shutil.copytree(library / "mldm", tmp_path / "remote")
    (folder / "README.md").write_text("a tiny model")
    (folder / "LICENSE").write_text("do as you like")
    (folder / "handler.py").write_text("raise SystemExit")
    (folder / "model.safetensors").write_bytes(b"all parts once more")
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "unet" / "custom.py").write_text("raise SystemExit")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    shutil.copyfile(weights, weights.with_name("diffusion_pytorch_model.fp16.safetensors"))
    return Repository(folder)


@pytest.fixture
def hub(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving({NAME: repository}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def fetch(
    folder: Path, hub_id: str = NAME, *, known: Known | None = None, token: str | None = None
) -> list[str]:
    notes: list[str] = []
    download.fetch(hub_id, folder, known=known, token=token, show_progress=False, note=notes.append)
    return notes


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_model_comes_whole_and_nothing_that_could_run_code(
    hub: Hub, repository: Repository, library: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "tiny"
    (note,) = fetch(folder)
    original = names_in(library / "mldm")
    assert names_in(folder) == original | {"README.md", "LICENSE"}
    assert ModelFolder.open(folder).digest() == ModelFolder.open(library / "mldm").digest()
    assert f"{len(original) + 2} files" in note
    assert str(folder) in note
    assert set(hub.asked) == {f"{NAME}/{name}" for name in names_in(folder)}


def test_what_has_come_is_not_fetched_again(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    fetch(folder)
    hub.asked.clear()
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    fetch(folder)
    assert hub.asked == [f"{NAME}/vae/diffusion_pytorch_model.safetensors"]


def test_a_gated_model_says_how_to_get_it(hub: Hub, repository: Repository, tmp_path: Path) -> None:
    repository.gated, repository.token = True, "hf_mine"
    with pytest.raises(BridgeError, match="licence of somebody/tiny") as caught:
        fetch(tmp_path / "tiny")
    assert caught.value.code == "forbidden"
    for told in (f"https://huggingface.co/{NAME}", "hf auth login", "HF_TOKEN", "try again"):
        assert told in caught.value.hint
    assert not (tmp_path / "tiny").exists()
    with pytest.raises(BridgeError, match="must be accepted"):
        fetch(tmp_path / "tiny", token="hf_of_another")
    fetch(tmp_path / "tiny", token="hf_mine")
    ModelFolder.open(tmp_path / "tiny")


def test_weights_that_are_only_pickles_are_not_fetched(
    hub: Hub, repository: Repository, tmp_path: Path
) -> None:
    for weights in (repository.folder / "unet").glob("*.safetensors"):
        weights.unlink()
    with pytest.raises(
        BridgeError, match=r"unet only as unet/.*\.bin, which can run code"
    ) as raised:
        fetch(tmp_path / "tiny")
    assert raised.value.code == "not_found"
    assert hub.asked == [f"{NAME}/{INDEX}"]
    assert not (tmp_path / "tiny").exists()


def test_a_part_that_is_missing_is_said_before_the_rest_comes(
    hub: Hub, repository: Repository, tmp_path: Path
) -> None:
    shutil.rmtree(repository.folder / "vocoder")
    with pytest.raises(BridgeError, match="lacks the weights of its vocoder"):
        fetch(tmp_path / "tiny")
    assert hub.asked == [f"{NAME}/{INDEX}"]


def test_an_architecture_that_is_not_known_is_not_fetched(
    hub: Hub, repository: Repository, tmp_path: Path
) -> None:
    index = json.loads((repository.folder / INDEX).read_text())
    (repository.folder / INDEX).write_text(json.dumps(index | {"_class_name": "FluxPipeline"}))
    with pytest.raises(BridgeError, match="somebody/tiny is a FluxPipeline"):
        fetch(tmp_path / "tiny")
    assert hub.asked == [f"{NAME}/{INDEX}"]


def test_another_format_is_said_with_what_to_do(
    hub: Hub, repository: Repository, tmp_path: Path
) -> None:
    (repository.folder / INDEX).unlink()
    with pytest.raises(BridgeError, match="not in the format of diffusers") as caught:
        fetch(tmp_path / "tiny")
    assert "-diffusers" in caught.value.hint
    with pytest.raises(BridgeError, match="convert it once") as caught:
        fetch(tmp_path / "tiny", known=KNOWN_BY_NAME["stable-audio-3-medium"])
    assert "convert_stable_audio_3_to_diffusers.py" in caught.value.hint
    assert hub.asked == []


def test_a_disk_that_is_too_small_is_said_before(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", ("total", "used", "free"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(BridgeError, match=r"needs 0\.\d MB more.*has 0\.0 MB left") as caught:
        fetch(tmp_path / "tiny")
    assert (caught.value.code, hub.asked) == ("too_large", [f"{NAME}/{INDEX}"])


def test_sizes_count_as_the_hub_tells_them(
    hub: Hub, repository: Repository, tmp_path: Path
) -> None:
    huge = 10**15  # more than any disk of this machine
    repository.pretended_bytes["unet/diffusion_pytorch_model.safetensors"] = huge
    with pytest.raises(BridgeError, match=r"needs 1000000\.\d GB"):
        fetch(tmp_path / "tiny")
    repository.pretended_bytes = {"unet/diffusion_pytorch_model.bin": huge}
    fetch(tmp_path / "tiny")  # what is not fetched does not count


def test_what_comes_garbled_is_not_kept(hub: Hub, repository: Repository, tmp_path: Path) -> None:
    name = "unet/diffusion_pytorch_model.safetensors"
    repository.garbled.add(name)
    with pytest.raises(BridgeError, match=f"{name} did not come as the hub has it") as caught:
        fetch(tmp_path / "tiny")
    assert caught.value.code == "unavailable"
    assert not (tmp_path / "tiny" / name).exists()
    repository.garbled.clear()
    fetch(tmp_path / "tiny")
    ModelFolder.open(tmp_path / "tiny")


@pytest.mark.parametrize("come", [0, 100])
def test_what_was_half_fetched_is_kept_for_the_next_time(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, come: int
) -> None:
    folder = tmp_path / "tiny"

    def interrupted(*_: object, **__: object) -> None:
        part = folder / ".cache" / "huggingface" / "download" / "unet" / "a.b.incomplete"
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(b"x" * come)
        raise KeyboardInterrupt

    monkeypatch.setattr("huggingface_hub.snapshot_download", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(folder)
    assert folder.exists() == bool(come)


def test_no_such_repository(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="the hub has no model somebody/else") as caught:
        fetch(tmp_path / "else", "somebody/else")
    assert caught.value.code == "not_found"
    with pytest.raises(BridgeError, match="is no repository"):
        fetch(tmp_path / "else", "some body/else")
    assert not (tmp_path / "else").exists()


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BridgeError, match="somebody/tiny cannot be fetched") as caught:
        fetch(tmp_path / "tiny")
    assert caught.value.code == "unavailable"


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(BridgeError, match="huggingface_hub, is missing") as caught:
        fetch(tmp_path / "tiny")
    assert 'pip install "daw-bridge[models]"' in caught.value.hint


@pytest.fixture
def small(hub: Hub, library: Path, tmp_path: Path) -> Path:
    """A checkpoint of stable-audio-tools as it is published, its text encoder in another place."""
    folder = Path(shutil.copytree(library / "small", tmp_path / "small-remote"))
    encoder = next(place for place in folder.iterdir() if (place / "config.json").is_file())
    published = Path(encoder.rename(tmp_path / "t5-remote"))
    config = folder / "model_config.json"
    config.write_text(config.read_text().replace("t5-tiny", "t5-base"))
    (folder / "model.ckpt").write_bytes(b"a pickle")
    (published / "pytorch_model.bin").write_bytes(b"a pickle")
    hub.repositories["somebody/small"] = Repository(folder)
    hub.repositories["google-t5/t5-base"] = Repository(published)
    return folder


def test_a_checkpoint_of_stable_audio_tools_comes_with_its_text_encoder(
    hub: Hub, small: Path, tmp_path: Path
) -> None:
    fetch(tmp_path / "small", "somebody/small")
    assert {"model_config.json", "model.safetensors", "t5-base/model.safetensors"} <= names_in(
        tmp_path / "small"
    )
    assert not any(name.endswith((".ckpt", ".bin")) for name in hub.asked)
    folder = ModelFolder.open(tmp_path / "small")
    assert (
        folder.sample_rate_hz()
        == json.loads((small / "model_config.json").read_text())["sample_rate"]
    )
    assert open_model(folder).digest == folder.digest()


def test_a_checkpoint_of_stable_audio_tools_that_is_only_a_pickle(
    hub: Hub, small: Path, tmp_path: Path
) -> None:
    (small / "model.safetensors").unlink()
    with pytest.raises(BridgeError, match=r"network only as model\.ckpt, which can run code"):
        fetch(tmp_path / "small", "somebody/small")
    assert hub.asked == ["somebody/small/model_config.json"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('t5-base"', '../../t5"', "text encoder t5, which is not known"),
        ('"type": "t5"', '"type": "t5gemma"', "does not say what reads the words|not known here"),
    ],
)
def test_a_design_that_is_not_known_is_not_fetched(
    hub: Hub, small: Path, tmp_path: Path, old: str, new: str, said: str
) -> None:
    config = small / "model_config.json"
    text = json.dumps(json.loads(config.read_text()))
    assert old in text
    config.write_text(text.replace(old, new))
    with pytest.raises(BridgeError, match=said):
        fetch(tmp_path / "small", "somebody/small")
    assert hub.asked == ["somebody/small/model_config.json"]
