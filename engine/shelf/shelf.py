"""Which models there are, and the ones that are in memory."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from pathlib import Path
from typing import Any

import torch

from engine.models.house.model import HABITS, HouseModel, load_house, weights_digest
from engine.models.public.folder import ModelFolder
from engine.models.public.installed import AUTO, Installed
from engine.models.public.opening import architecture_of
from engine.models.public.registry import EMBEDDED, Registry
from engine.models.studio import Habits, Model
from engine.shelf.public import PublicStudio, habits_of
from engine.spec import BridgeError

_ROOM = 2  # times the weights, on a device that holds the text encoder too


class Shelf:
    """The embedded model and those that were installed beside it.

    The embedded one is small and stays until everything is unloaded. Of the others one is in memory
    at a time, and the next takes its place.
    """

    def __init__(self, device: str, models_file: Path | None = None) -> None:
        """Nothing is loaded yet.

        Args:
            models_file: the registry of installed models; it is read anew at every request.
        """
        self.device = device
        self._registry = Registry(models_file)
        self._house: HouseModel | None = None
        self._public: PublicStudio | None = None
        self._installed: Installed | None = None  # the row of the one that is held

    @property
    def house(self) -> HouseModel:
        """The embedded model, loaded on first use."""
        if self._house is None:
            self._house = load_house(device=self.device)
        return self._house

    def put_house(self, model: HouseModel) -> None:
        """Use these weights in place of the embedded ones."""
        self._house = model

    def get(self, name: str) -> Model:
        """The model of that name, loaded.

        Raises:
            BridgeError: `not_found` where there is none, or it is not whole any more; `unavailable`
                where the device that it is to run on is not there.
        """
        if name == EMBEDDED:
            return self.house
        installed = self._registry.get(name)
        if self._public is not None and self._installed == installed:
            return self._public
        if self._public is not None:
            self._public = None
            give_back()
        device = self._device_of(installed)
        dtype = dtype_for(device) if installed.dtype is None else getattr(torch, installed.dtype)
        on_cpu = reads_on_cpu(installed, device, dtype)
        self._public = PublicStudio(installed.open(device, dtype, text_on_cpu=on_cpu), name)
        self._installed = installed
        return self._public

    def digest_of(self, name: str) -> str:
        """The digest of a model, for which nothing is loaded.

        Raises:
            BridgeError: `not_found`.
        """
        if name != EMBEDDED:
            return self._registry.get(name).digest
        return self._house.digest if self._house is not None else weights_digest()

    def identity_of(self, name: str) -> str:
        """All of a model that its renders depend on, for which nothing is loaded.

        Its digest, and of a public one the precision of its weights and where prompts are to be
        read, as it was said when the model was added.

        Raises:
            BridgeError: `not_found`.
        """
        digest = self.digest_of(name)
        if name == EMBEDDED:
            return digest
        installed = self._registry.get(name)
        dtype = installed.dtype or str(dtype_for(installed.device or self.device))
        return f"{digest} {dtype.removeprefix('torch.')} {installed.text_encoder}"

    def habits_of(self, name: str) -> Habits:
        """How a model is used where a request leaves it open; nothing is loaded.

        Raises:
            BridgeError: `not_found`.
        """
        if name == EMBEDDED:
            return HABITS
        folder = ModelFolder.open(self._registry.get(name).path)
        architecture = architecture_of(folder)
        return habits_of(architecture.usage_of(folder), edits=architecture.edits)

    def info(self) -> list[dict[str, Any]]:
        """Name, digest and rate of the embedded model; the registry lists the others."""
        rate_hz = self.house.codec.sample_rate_hz
        return [{"name": EMBEDDED, "digest": self.digest_of(EMBEDDED), "sample_rate_hz": rate_hz}]

    def clear(self) -> None:
        """Drop all models and give their memory back."""
        self._house = self._public = None
        give_back()

    def _device_of(self, installed: Installed) -> str:
        device = installed.device or self.device
        absent = {
            "cuda": not torch.cuda.is_available(),
            "mps": not torch.backends.mps.is_available(),
        }
        if absent.get(device, False):
            raise BridgeError(
                "unavailable",
                f"{installed.name} is to run on {device}, which is not there",
                f"add it again: daw-bridge models add {installed.path} --name {installed.name}",
            )
        return device


def dtype_for(device: str) -> torch.dtype:
    """Of a public model's weights: half precision where the hardware computes in it."""
    # Emulated it is slower than float16, in which such cards do compute.
    if device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float16 if device.startswith(("cuda", "mps")) else torch.float32


def reads_on_cpu(installed: Installed, device: str, dtype: torch.dtype) -> bool:
    """Whether a model's text encoder is to stay on the CPU, and leave its device to the rest.

    Where nobody says so it does beside a CUDA device that has not twice as much free as all weights
    take: as much again is what refining works with. Other devices share the CPU's memory.
    """
    if installed.text_encoder != AUTO:
        return installed.text_encoder == "cpu"
    if not device.startswith("cuda"):
        return False
    weights_bytes = ModelFolder.open(installed.path).parameters() * dtype.itemsize
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return free_bytes < _ROOM * weights_bytes


def give_back() -> None:
    """Return to the system what has been freed; allocators keep it otherwise."""
    gc.collect()
    torch.cuda.empty_cache()  # does nothing where CUDA was not used
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
    with contextlib.suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
