"""From a folder to a model: which architecture reads which pipeline's folder."""

from __future__ import annotations

from typing import Protocol

import torch

from engine.models.public import (
    ace_step,
    audioldm,
    stable_audio_3,
    stable_audio_open,
    stable_audio_tools,
)
from engine.models.public.contract import PublicModel, Usage
from engine.models.public.folder import ModelFolder
from engine.spec import BridgeError

SMALLEST = torch.bfloat16  # precision in which a model takes least memory; every processor knows it


class Architecture(Protocol):
    """A class of models that are read from a folder.

    Attributes:
        edits: whether they take audio to go on from.
    """

    edits: bool

    def __call__(
        self,
        folder: ModelFolder,
        device: str,
        dtype: torch.dtype | None,
        *,
        text_on_cpu: bool = False,
    ) -> PublicModel:
        """Load one."""
        ...

    def usage_of(self, folder: ModelFolder) -> Usage:
        """How it is sampled, from its settings alone."""
        ...


ARCHITECTURES: dict[str, Architecture] = {
    stable_audio_3.PIPELINE: stable_audio_3.StableAudio3,
    stable_audio_open.PIPELINE: stable_audio_open.StableAudioOpen,
    stable_audio_tools.PIPELINE: stable_audio_tools.StableAudioTools,
    ace_step.PIPELINE: ace_step.AceStep,
    audioldm.PIPELINE: audioldm.AudioLDM2,
    audioldm.MUSIC_PIPELINE: audioldm.MusicLDM,
}


def architecture_of(folder: ModelFolder) -> Architecture:
    """What reads the folder.

    Raises:
        BridgeError: `not_found` for a pipeline that nobody here reads.
    """
    check_pipeline(folder.path.name, folder.pipeline)
    return ARCHITECTURES[folder.pipeline]


def check_pipeline(name: str, pipeline: str) -> None:
    """See that somebody here reads a pipeline.

    Args:
        name: whose it is.

    Raises:
        BridgeError: `not_found` where nobody does.
    """
    if pipeline not in ARCHITECTURES:
        known = ", ".join(name.removesuffix("Pipeline") for name in ARCHITECTURES)
        raise BridgeError(
            "not_found",
            f"{name} is a {pipeline[:80]}, which is not known here",
            f"the architectures are: {known}",
        )


def open_model(
    folder: ModelFolder,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    *,
    text_on_cpu: bool = False,
) -> PublicModel:
    """Load the model of a folder.

    Args:
        dtype: of the weights; single precision where nothing is said.
        text_on_cpu: what reads prompts stays on the CPU.

    Raises:
        BridgeError: `not_found` for an unknown architecture, or parts that cannot be loaded.
    """
    return architecture_of(folder)(folder, device, dtype, text_on_cpu=text_on_cpu)
