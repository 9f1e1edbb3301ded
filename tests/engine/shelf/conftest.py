from __future__ import annotations

import warnings
from pathlib import Path

import pytest


@pytest.fixture(scope="package")
def real_steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny checkpoints whose steps are as long as those of the published ones."""
    pytest.importorskip("diffusers", reason="the extra `models` is not installed")
    from tests.engine.models.public import checkpoints, tools_checkpoints

    folder = tmp_path_factory.mktemp("real-steps")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*weight_norm", FutureWarning)  # theirs
        checkpoints.stable_audio_3(folder / "sa3", real_steps=True)
        checkpoints.stable_audio_open(folder / "sao", real_steps=True)
        checkpoints.ace_step(folder / "ace", real_steps=True)
        checkpoints.ace_step(folder / "ace-base", turbo=False, real_steps=True)
        checkpoints.audioldm_2(folder / "ldm2", real_steps=True)
        checkpoints.musicldm(folder / "mldm", real_steps=True)
        tools_checkpoints.write(folder / "small", tools_checkpoints.settings(real_steps=True))
    return folder
