"""The registry of installed models: a small JSON file that names their folders.

Nothing heavy is imported here, so that a daemon can list models without loading what runs them.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.models.public.folder import ModelFolder
from engine.spec import BridgeError

if TYPE_CHECKING:
    import torch

    from engine.models.public.contract import PublicModel

FORMAT = "daw-bridge models 1"
EMBEDDED = "house"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LIMIT_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Installed:
    """One model.

    Attributes:
        name: what requests call it.
        path: its folder.
        pipeline: class of the pipeline that the folder was written by.
        digest: SHA-256 of its weights and settings when it was added.
        size_bytes: of its weights.
        known: its row in the table of known models, where it has one.
    """

    name: str
    path: Path
    pipeline: str
    digest: str
    size_bytes: int
    known: str | None = None

    def open(self, device: str = "cpu", dtype: torch.dtype | None = None) -> PublicModel:
        """Load it.

        Raises:
            BridgeError: `not_found` where the folder is gone, or is not what was added.
        """
        from engine.models.public.opening import open_model  # brings torch

        if not self.path.is_dir():
            raise BridgeError(
                "not_found",
                f"the folder of {self.name} is gone: {self.path}",
                f"put it back, or say daw-bridge models remove {self.name}",
            )
        model = open_model(ModelFolder.open(self.path), device, dtype)
        if model.digest != self.digest:
            raise BridgeError(
                "not_found",
                f"{self.name} was changed since it was added",
                f"add it again: daw-bridge models add {self.path} --name {self.name}",
            )
        return model


class Registry:
    """All that are installed; read anew at every question, so that nobody has to be told."""

    def __init__(self, file: Path | None) -> None:
        """Nothing is read yet.

        Args:
            file: where the registry lies; None for none.
        """
        self._file = file

    def all(self) -> tuple[Installed, ...]:
        """Every model, by name.

        Raises:
            BridgeError: `unavailable` for a file that cannot be read.
        """
        if self._file is None or not self._file.exists():
            return ()
        try:
            if self._file.stat().st_size > _LIMIT_BYTES:
                raise ValueError("it is absurdly large")
            table = json.loads(self._file.read_text("utf-8"))
            if table["format"] != FORMAT:
                raise ValueError(f"it is no {FORMAT!r}")
            found = [_installed(row) for row in table["models"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BridgeError(
                "unavailable",
                f"the list of models {self._file} cannot be read: {error}"[:300],
                "move it away and add the models again; their folders are untouched",
            ) from None
        return tuple(sorted(found, key=lambda model: model.name))

    def listed(self) -> list[dict[str, Any]]:
        """Every model as the reply `models` has it; none where the file cannot be read."""
        try:
            models = self.all()
        except BridgeError:
            return []
        return [
            {
                "name": model.name,
                "digest": model.digest,
                "architecture": model.pipeline.removesuffix("Pipeline"),
                "size_bytes": model.size_bytes,
            }
            for model in models
        ]

    def get(self, name: str) -> Installed:
        """The model of that name.

        Raises:
            BridgeError: `not_found` where there is none; as `all`.
        """
        models = {model.name: model for model in self.all()}
        if name not in models:
            names = ", ".join([EMBEDDED, *models])
            raise BridgeError(
                "not_found",
                f"there is no model {name!r}",
                f"the models are: {names}; others come with daw-bridge models add",
            )
        return models[name]

    def add(self, path: Path, name: str | None = None, known: str | None = None) -> Installed:
        """Take in a model's folder, or note that it has changed.

        Args:
            name: what to call it; where nothing is said, what its folder is called.

        Raises:
            BridgeError: `not_found` for a folder that is no whole model's; `bad_request` for a name
                that is taken or is none; `unavailable` where the file cannot be written.
        """
        from engine.models.public.opening import architecture_of  # brings torch

        folder = ModelFolder.open(path.resolve())
        architecture_of(folder)
        name = name or slug(folder.path.name)
        self._check_name(name, folder.path)
        added = Installed(
            name, folder.path, folder.pipeline, folder.digest(), folder.size_bytes(), known
        )
        self._write([added, *(each for each in self.all() if each.name != name)])
        return added

    def remove(self, name: str) -> Installed:
        """Forget a model; its folder stays where it is.

        Raises:
            BridgeError: as `get`; `unavailable` where the file cannot be written.
        """
        removed = self.get(name)
        self._write([each for each in self.all() if each.name != name])
        return removed

    def _check_name(self, name: str, path: Path) -> None:
        if not _NAME.fullmatch(name):
            raise BridgeError(
                "bad_request",
                f"{name!r} is no name for a model",
                "small letters, digits, dots and dashes, 64 at most",
            )
        taken = next((each for each in self.all() if each.name == name), None)
        if name == EMBEDDED or (taken is not None and taken.path != path):
            whose = "the embedded model" if taken is None else str(taken.path)
            raise BridgeError("bad_request", f"{name} is {whose}", "choose another name")

    def _write(self, models: list[Installed]) -> None:
        """All or nothing: a file beside it takes its place once it is on the disk."""
        if self._file is None:
            raise BridgeError("unavailable", "there is no list of models to write to")
        rows = [asdict(model) | {"path": str(model.path)} for model in models]
        written = json.dumps({"format": FORMAT, "models": rows}, indent=1)
        beside = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        try:
            with beside.open("w", encoding="utf-8") as file:
                file.write(written)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._file)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise BridgeError(
                "unavailable", f"the list of models cannot be written: {error}"[:300]
            ) from None


def slug(text: str) -> str:
    """A name out of a folder's or a hub's."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:64]


def _installed(row: dict[str, Any]) -> Installed:
    model = Installed(**{**row, "path": Path(row["path"])})
    texts = (model.name, model.pipeline, model.digest)
    if not all(isinstance(text, str) for text in texts) or not isinstance(model.size_bytes, int):
        raise ValueError("a model's row is damaged")
    return model
