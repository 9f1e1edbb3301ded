"""From a folder to a model: which architecture reads which pipeline's folder."""

from __future__ import annotations

from typing import cast

import torch

from engine.models.public import ace_step, audioldm, stable_audio_3, stable_audio_open
from engine.models.public.contract import PublicModel
from engine.models.public.folder import ModelFolder
from engine.models.public.loading import Checkpoint
from engine.spec import BridgeError

ARCHITECTURES: dict[str, type[Checkpoint]] = {
    stable_audio_3.PIPELINE: stable_audio_3.StableAudio3,
    stable_audio_open.PIPELINE: stable_audio_open.StableAudioOpen,
    ace_step.PIPELINE: ace_step.AceStep,
    audioldm.PIPELINE: audioldm.AudioLDM2,
    audioldm.MUSIC_PIPELINE: audioldm.MusicLDM,
}


def architecture_of(folder: ModelFolder) -> type[Checkpoint]:
    """What reads the folder.

    Raises:
        BridgeError: `not_found` for a pipeline that nothing here reads.
    """
    found = ARCHITECTURES.get(folder.pipeline)
    if found is None:
        known = ", ".join(name.removesuffix("Pipeline") for name in ARCHITECTURES)
        raise BridgeError(
            "not_found",
            f"{folder.path.name} is of {folder.pipeline[:80]}, which is not known here",
            f"the architectures are: {known}",
        )
    return found


def open_model(
    folder: ModelFolder, device: str = "cpu", dtype: torch.dtype | None = None
) -> PublicModel:
    """Load the model of a folder.

    Args:
        dtype: of the weights, single precision where nothing is said.

    Raises:
        BridgeError: `not_found` for an unknown architecture, a missing library, or parts that
            cannot be loaded.
    """
    # Each architecture fulfils the contract; their common base leaves most of it to them.
    return cast(PublicModel, architecture_of(folder)(folder, device, dtype))
