"""`daw-bridge models`: from a folder or a hub, listed, known to a daemon at once, removed."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daw_bridge.app import App
from daw_bridge.cli import main
from daw_bridge.config import Config
from daw_bridge.registration import find_server
from engine.models.public.known import KNOWN, KNOWN_BY_NAME
from engine.models.public.registry import Registry
from tests.cli.conftest import FACTORY, Ran, Run
from tests.daw_bridge.fake_engine import create_engine
from tests.daw_bridge.served import served as running
from tests.engine.models.public.hub import Hub, Repository, serving

pytest.importorskip("huggingface_hub", reason="the extra `models` is not installed")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint, which nobody may change."""
    pytest.importorskip("diffusers", reason="the extra `models` is not installed")
    from tests.engine.models.public import checkpoints

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*weight_norm", FutureWarning)  # theirs
        return checkpoints.musicldm(tmp_path_factory.mktemp("made") / "original")


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A musician's own copy."""
    return Path(shutil.copytree(original, tmp_path / "My Model"))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("DAW_BRIDGE_", "HF_TOKEN"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))


@pytest.fixture
def run(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> Ran:
        typed = ["models", *map(str, arguments), "--data-dir", str(data_dir)]
        capsys.readouterr()
        status = main(typed, engine_factory=create_engine)
        captured = capsys.readouterr()
        return Ran(status, captured.out, captured.err)

    return run


@pytest.fixture
def hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    repositories = {name: Repository(folder) for name in ("somebody/Tiny", "ucsd-reach/musicldm")}
    with serving(repositories) as running_hub:
        monkeypatch.setenv("HF_ENDPOINT", running_hub.url)
        yield running_hub


@pytest.fixture
def daemon(data_dir: Path) -> Iterator[App]:
    settings = {"port": 0, "osc_port": 0, "data_dir": data_dir, "engine_factory": FACTORY}
    with running(Config.load(settings)) as app:
        yield app


def test_nothing_is_installed_at_first(run: Run) -> None:
    listed = run("--json").json
    assert listed["models"] == [{"name": "house", "digest": "abc"}]
    assert [row["name"] for row in listed["known"]] == [known.name for known in KNOWN]
    shown = run().out
    assert "house" in shown
    for known in KNOWN:
        assert known.name in shown
    assert "hf auth login" in shown


def test_a_folder_is_added_listed_and_forgotten(run: Run, folder: Path, data_dir: Path) -> None:
    added = run("add", folder, "--json")
    assert added.status == 0, added.err
    model = added.json["model"]
    assert (model["name"], model["architecture"]) == ("my-model", "MusicLDM")
    assert (model["path"], model["sample_rate_hz"]) == (str(folder), 16_000)
    (house, listed) = run("--json").json["models"]
    assert (house["name"], listed) == ("house", model)
    line = next(line for line in run().out.splitlines() if line.startswith("my-model"))
    assert line.split()[1:] == ["MusicLDM", *_size_words(model), "16", "kHz", *_place(model)]
    removed = run("remove", "my-model")
    assert f"{folder} stays as it is" in removed.out
    assert len(run("--json").json["models"]) == 1
    assert folder.is_dir()


def _size_words(model: dict[str, Any]) -> list[str]:
    return [f"{model['size_bytes'] / 1e6:.1f}", "MB"]


def _place(model: dict[str, Any]) -> list[str]:
    return [model["digest"][:12], *model["path"].split()]


def test_flags_count_before_the_action_too(
    run: Run, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    assert main(["models", "--data-dir", str(other), "--json", "add", str(folder)]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["name"] == "my-model"
    assert [model.name for model in Registry(other / "models.json").all()] == ["my-model"]


def test_a_folder_that_has_gone_is_said(run: Run, folder: Path) -> None:
    run("add", folder, "--name", "mine")
    shutil.rmtree(folder)
    assert f"{folder} (gone)" in run().out
    assert run("remove", "mine").status == 0


def test_a_folder_called_like_a_known_model_is_that(run: Run, folder: Path) -> None:
    called = folder.rename(folder.with_name("musicldm"))
    assert run("add", called, "--json").json["model"]["known"] == "musicldm"
    assert "musicldm" not in [row["name"] for row in run("--json").json["known"]]


def test_a_repository_is_fetched_and_ours_to_delete(
    run: Run, hub: Hub, folder: Path, data_dir: Path
) -> None:
    added = run("add", "somebody/Tiny")
    assert added.status == 0, added.err
    assert "use it with --model tiny" in added.out
    assert "to come, into" in added.err
    place = data_dir / "models" / "tiny"
    (model,) = Registry(data_dir / "models.json").all()
    assert (model.name, model.path, model.known) == ("tiny", place, None)
    assert model.open().digest == model.digest
    assert run("remove", "tiny").out == "tiny is gone\n"
    assert not place.exists()
    assert folder.is_dir()


def test_a_known_model_is_fetched_by_its_name(run: Run, hub: Hub, data_dir: Path) -> None:
    added = run("add", "musicldm", "--name", "old-one", "--json")
    assert added.status == 0, added.err
    assert added.json["model"]["known"] == "musicldm"
    assert (data_dir / "models" / "old-one" / "model_index.json").is_file()
    assert "to come, into" not in added.err  # a program is not bothered


def test_a_gated_repository_needs_a_token(run: Run, hub: Hub, folder: Path, tmp_path: Path) -> None:
    hub.repositories["somebody/Tiny"] = Repository(folder, gated=True, token="hf_secret")
    refused = run("add", "somebody/Tiny", "--json")
    assert (refused.status, refused.json["error"]["code"]) == (2, "forbidden")
    assert "accept the licence" in refused.json["error"]["hint"]
    token = tmp_path / "token.txt"
    token.write_text("hf_secret\n")
    added = run("add", "somebody/Tiny", "--token-file", token)
    assert added.status == 0, added.err
    assert "hf_secret" not in added.out + added.err


@pytest.mark.parametrize(
    ("content", "said"), [(None, "cannot be read"), ("", "no token"), ("two words", "no token")]
)
def test_a_token_file_that_holds_none(
    run: Run, hub: Hub, tmp_path: Path, content: str | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "token.txt").write_text(content)
    ran = run("add", "somebody/Tiny", "--token-file", tmp_path / "token.txt")
    assert ran.status == 2
    assert said in ran.err
    assert hub.asked == []


@pytest.mark.parametrize("name", ["house", "Upper", "../up"])
def test_a_name_that_cannot_be_is_refused_before_anything_comes(
    run: Run, hub: Hub, data_dir: Path, name: str
) -> None:
    ran = run("add", "somebody/Tiny", "--name", name)
    assert (ran.status, hub.asked) == (2, [])
    assert Registry(data_dir / "models.json").all() == ()


def test_a_name_that_is_taken_is_refused_before_anything_comes(
    run: Run, hub: Hub, folder: Path
) -> None:
    run("add", folder, "--name", "tiny")
    ran = run("add", "somebody/Tiny")
    assert (ran.status, hub.asked) == (2, [])
    assert "choose another name" in ran.err


@pytest.mark.parametrize("source", ["not-there", "./not/there", "a/b/c", "/not/there"])
def test_what_is_nothing_is_said(run: Run, source: str) -> None:
    ran = run("add", source, "--json")
    assert (ran.status, ran.json["error"]["code"]) == (2, "not_found")


def test_stable_audio_3_says_how_to_convert_it(
    run: Run, hub: Hub, folder: Path, tmp_path: Path
) -> None:
    published = tmp_path / "published"
    published.mkdir()
    (published / "model.safetensors").write_bytes(b"in the publisher's own format")
    known = KNOWN_BY_NAME["stable-audio-3-small-music"]
    hub.repositories[known.hub] = Repository(published)
    ran = run("add", known.name)
    assert (ran.status, hub.asked) == (2, [])
    assert f"--checkpoint_path {known.hub} --output_dir {known.name}" in ran.err


def test_a_model_that_is_not_there_cannot_be_removed(run: Run) -> None:
    ran = run("remove", "tiny")
    assert ran.status == 2
    assert "no model 'tiny'" in ran.err


def test_a_running_daemon_knows_at_once(run: Run, folder: Path, daemon: App) -> None:
    assert [row["name"] for row in run("--json").json["models"]] == ["house"]
    run("add", folder, "--name", "mine")
    (_, mine) = run("--json").json["models"]
    assert (mine["name"], mine["path"]) == ("mine", str(folder))
    run("remove", "mine")
    assert len(run("--json").json["models"]) == 1


def test_a_named_daemon_tells_of_its_own_models_only(
    run: Run, folder: Path, daemon: App, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("add", folder, "--name", "its-own")
    elsewhere = tmp_path / "elsewhere"
    main(["models", "add", str(folder), "--name", "here", "--data-dir", str(elsewhere)])
    server = find_server(daemon.config.data_dir)
    assert server is not None
    capsys.readouterr()
    where = ["--server", server.url, "--token", server.token, "--data-dir", str(elsewhere)]
    assert main(["models", *where, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["models"]
    assert [row["name"] for row in told] == ["house", "its-own"]


def test_an_adapter_makes_another_model_of_the_same_weights(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import save_file

    file = tmp_path / "Warm Tape.safetensors"
    factors = {"lora_A": torch.ones(1, 2, 3, 3), "lora_B": torch.ones(8, 1, 1, 1)}
    save_file({f"conv_in.{side}.weight": tensor for side, tensor in factors.items()}, file)
    where = ("--device", "cpu", "--dtype", "float32", "--text-encoder", "cpu")
    added = run("add", folder, "--name", "mine", *where, "--json").json["model"]
    chosen = [added[name] for name in ("device", "dtype", "text_encoder")]
    assert chosen == ["cpu", "float32", "cpu"]
    assert ", on cpu, float32, text encoder on cpu" in run().out
    adapted = run("adapt", "mine", file, "--scale", "0.25", "--json").json["model"]
    assert adapted["name"] == "mine-warm-tape"
    assert adapted["adapters"] == [{"path": str(file), "scale": 0.25}]
    assert "+ 0.25 × Warm Tape.safetensors" in run().out
    assert run("adapt", "mine", file, "--as", "mine").status == 2
    assert run("adapt", "mine", tmp_path / "none.safetensors").status == 2
    assert run("remove", "mine-warm-tape").status == 0
    assert [row["name"] for row in run("--json").json["models"]] == ["house", "mine"]
