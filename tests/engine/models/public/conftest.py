from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from tests.engine.models.public import checkpoints, tools_checkpoints


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with a tiny checkpoint of each architecture."""
    pytest.importorskip("diffusers", reason="the extra `models` is not installed")
    pytest.importorskip("transformers", reason="the extra `models` is not installed")
    folder = tmp_path_factory.mktemp("models")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*weight_norm", FutureWarning)  # theirs
        checkpoints.stable_audio_3(folder / "sa3")
        checkpoints.stable_audio_3(folder / "sa3-base", distilled=False)
        checkpoints.stable_audio_open(folder / "sao")
        checkpoints.stable_audio_open(folder / "sao-karras", schedule="karras")
        checkpoints.ace_step(folder / "ace")
        checkpoints.ace_step(folder / "ace-base", turbo=False)
        checkpoints.audioldm_2(folder / "ldm2")
        checkpoints.musicldm(folder / "mldm")
        tools_checkpoints.write(folder / "small", tools_checkpoints.settings())
    return folder
