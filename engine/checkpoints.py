"""The checkpoints of a job: the state of its optimisations in files of its spool folder.

    <folder>/mix-0-512.safetensors          one for each window of each part, and for each stage
    <folder>/mix-0-512.polish.safetensors   of a method that has several

A file is written under another name and renamed, so it is whole or not there. It is not flushed
to the disk, for that could hold the render up for as long as the disk likes: after the death of a
process it is as it was written, after a power cut its checksum tells. What is damaged, or belongs
to another render, is left out with a line in the log.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from engine.optimise.keeper import State

_log = logging.getLogger(__name__)

MIN_INTERVAL_S = 2.0
_MAX_SHARE = 0.01  # of the render's time that may go into writing
_SUFFIX = ".safetensors"


@dataclass(slots=True)
class _Pace:
    """When the next checkpoint of a job is due; all of its files share it."""

    clock_s: Callable[[], float]
    due_s: float = 0.0
    broken: bool = False

    def spent(self, since_s: float) -> None:
        """Book one writing that began at `since_s`."""
        now_s = self.clock_s()
        self.due_s = now_s + max(MIN_INTERVAL_S, (now_s - since_s) / _MAX_SHARE)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One file; the `Keeper` of one window or of one stage of it.

    Attributes:
        fingerprint: of everything that the state depends on; another one's is not used.
        on_restored: told how many evaluations need not be made again.
    """

    path: Path
    fingerprint: str
    on_restored: Callable[[int], None] = field(default=lambda _: None, repr=False)
    pace: _Pace = field(default_factory=lambda: _Pace(time.monotonic), repr=False)

    def part(self, name: str) -> Checkpoint:
        """The checkpoint of one stage."""
        path = self.path.with_name(f"{self.path.name.removesuffix(_SUFFIX)}.{name}{_SUFFIX}")
        return replace(self, path=path, fingerprint=f"{self.fingerprint} {name}")

    def restore(self, take: Callable[[State], None]) -> bool:
        """Give what is kept to `take`; whether there was anything that can be used."""
        if not self.path.exists():
            return False
        try:
            state = _read(self.path, self.fingerprint)
            take(state)
        except (OSError, SafetensorError, ValueError) as error:
            _log.warning("the checkpoint %s is not used: %s", self.path.name, error)
            return False
        evaluations = len(state["losses"]) if "losses" in state else 0
        _log.info("%s goes on after %d evaluations", self.path.name, evaluations)
        self.on_restored(evaluations)
        return True

    def keep(self, state: Callable[[], State], *, finished: bool) -> None:
        """Write the state where a checkpoint is due; a disk that refuses costs only that."""
        since_s = self.pace.clock_s()
        if self.pace.broken or (since_s < self.pace.due_s and not finished):
            return
        try:
            _write(self.path, state(), self.fingerprint)
        except (OSError, SafetensorError) as error:
            self.pace.broken = True
            _log.warning("no checkpoints are kept from here on: %s", error)
        self.pace.spent(since_s)


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Where a job's optimisations keep their state.

    Attributes:
        folder: made when the first one is written.
        fingerprint: of the request, the model and the sampler.
    """

    folder: Path
    fingerprint: str
    pace: _Pace = field(default_factory=lambda: _Pace(time.monotonic), repr=False)

    def of(
        self, name: str, details: str = "", on_restored: Callable[[int], None] = lambda _: None
    ) -> Checkpoint:
        """The checkpoint of one window.

        Args:
            name: of the file, without its ending.
            details: what else the state depends on.
        """
        fingerprint = " ".join(filter(None, (self.fingerprint, name, details)))
        return Checkpoint(self.folder / f"{name}{_SUFFIX}", fingerprint, on_restored, self.pace)


def _checksum(tensors: State) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _write(path: Path, state: State, fingerprint: str) -> None:
    tensors: dict[str, Tensor] = {
        name: value.detach().cpu().contiguous() for name, value in state.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    try:
        save_file(tensors, partial, {"fingerprint": fingerprint, "sha256": _checksum(tensors)})
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _read(path: Path, fingerprint: str) -> dict[str, Tensor]:
    """The tensors of a file.

    Raises:
        OSError, SafetensorError: it cannot be read.
        ValueError: it is damaged, or another render's.
    """
    with safe_open(path, framework="pt") as file:
        about = file.metadata() or {}
        if about.get("fingerprint") != fingerprint:
            raise ValueError("it belongs to another render")
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if about.get("sha256") != _checksum(tensors):
        raise ValueError("it does not match its checksum")
    return tensors
