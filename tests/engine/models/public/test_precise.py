"""In half precision: what a musician hears and what the network is told stay as they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.public import installed
from engine.models.public.folder import ModelFolder
from engine.models.public.opening import open_model
from engine.models.public.precise import exponential_frequencies, stored_weight
from engine.models.public.registry import Registry
from engine.models.studio import Words
from engine.shelf.shelf import dtype_for
from engine.spec import BridgeError
from tests.engine.models.public.test_installed import _adapter

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")  # theirs
KINDS = ("sa3", "sao", "ace", "ldm2", "mldm", "small")


def opened(library: Path, kind: str) -> tuple[Any, Any]:
    """In single precision and in half."""
    folder = ModelFolder.open(library / kind)
    return open_model(folder), open_model(folder, "cpu", torch.bfloat16)


@pytest.mark.parametrize("kind", KINDS)
def test_the_audio_is_not_rounded(library: Path, kind: str) -> None:
    """The musician's own samples lie beside it."""
    whole, half = opened(library, kind)
    generator = torch.Generator().manual_seed(0)
    latent = torch.randn(1, whole.codec.latent_channels, 8, generator=generator)
    wanted, found = whole.codec.decode(latent), half.codec.decode(latent)
    assert torch.equal(found, wanted)
    assert torch.equal(half.codec.encode(wanted[0]), whole.codec.encode(wanted[0]))


@pytest.mark.parametrize("kind", ["sa3", "sao", "small"])
def test_lengths_are_told_as_exactly(library: Path, kind: str) -> None:
    whole, half = opened(library, kind)
    for seconds in (0.7, 6.0, 30.0, 300.0):
        words = Words("warm", seconds)
        wanted, found = whole.tell(words).whole, half.tell(words).whole
        assert found.dtype == torch.bfloat16
        assert float((found.float() - wanted).norm() / wanted.norm()) < 0.004


def test_no_two_positions_are_one(library: Path) -> None:
    _, half = opened(library, "sa3")
    angles = half._network.rotary_pos_emb(700, torch.device("cpu"))
    assert len(torch.unique(angles, dim=0)) == 700


@pytest.mark.parametrize("kind", ["sao", "small"])
def test_every_noise_level_is_told_from_its_neighbours(library: Path, kind: str) -> None:
    told: dict[str, list[torch.Tensor]] = {}
    for named, model in zip(("whole", "half"), opened(library, kind), strict=True):
        rows = told[named] = []
        model._network.timestep_proj.register_forward_pre_hook(
            lambda _, given, rows=rows: rows.append(given[0].float())
        )
        denoise = model.denoiser(model.tell(Words("warm", 1.0)))
        noise = torch.zeros(2, model.codec.latent_channels, model.window_steps)
        for level in model.levels(100)[:-1]:
            denoise(noise, level)
    whole, half = (torch.cat(told[named]) for named in ("whole", "half"))
    assert float((half - whole).abs().max()) < 0.005
    assert len(torch.unique(half, dim=0)) > 90


def test_frequencies_are_those_of_the_part_that_holds_them(library: Path) -> None:
    whole, _ = opened(library, "sa3")
    table = exponential_frequencies(0.5, 10_000.0, len(whole._embedder.freqs))
    assert torch.equal(whole._embedder.freqs, table)
    folder = ModelFolder.open(library / "sa3")
    stored = stored_weight(folder, "duration_embedder", "freqs")
    assert stored is not None
    torch.testing.assert_close(stored, table)
    rotary = stored_weight(folder, "transformer", "rotary_pos_emb.inv_freq")
    assert rotary is not None
    torch.testing.assert_close(whole._network.rotary_pos_emb.inv_freq, rotary)
    assert stored_weight(folder, "transformer", "no such weight") is None


def test_cards_that_only_emulate_bfloat16_compute_in_float16(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation
    )
    assert dtype_for("cuda") == torch.float16
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert dtype_for("cuda:0") == torch.bfloat16


def test_an_adapter_is_tried_in_half_precision(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest models would fill a studio's memory otherwise; what is noted is the same."""
    registry = Registry(tmp_path / "models.json")
    registry.add(library / "mldm", "music")
    asked: list[torch.dtype | None] = []
    plain = installed.Installed.open

    def open_noted(self: Any, device: str = "cpu", dtype: Any = None, **options: Any) -> Any:
        asked.append(dtype)
        return plain(self, device, dtype, **options)

    monkeypatch.setattr(installed.Installed, "open", open_noted)
    warm = registry.adapt("music", _adapter(tmp_path / "warm.safetensors"), 0.5, "music-warm")
    assert asked == [torch.bfloat16]
    assert registry.get("music-warm").open().digest == warm.digest


def test_code_in_a_folder_is_never_run(library: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ace"
    shutil.copytree(library / "ace", folder)
    mark = tmp_path / "it ran"
    (folder / "text_encoder" / "own.py").write_text(f"open({str(mark)!r}, 'w')\n")
    settings = json.loads((folder / "text_encoder" / "config.json").read_text())
    settings |= {"model_type": "of its own", "auto_map": {"AutoModel": "own.Model",
                                                         "AutoConfig": "own.Config"}}  # fmt: skip
    (folder / "text_encoder" / "config.json").write_text(json.dumps(settings))
    with pytest.raises(BridgeError):
        open_model(ModelFolder.open(folder))
    assert not mark.exists()
