"""The registry of installed models: a small JSON file that names their folders.

Nothing heavy is imported here, so that models can be listed without what runs them.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.models.public.folder import ModelFolder
from engine.models.public.installed import (
    AUTO,
    DEVICES,
    DTYPES,
    TEXT_ENCODERS,
    Adaptation,
    Installed,
    installed_in,
    row_of,
)
from engine.models.public.shared_file import alone_with, write_whole
from engine.spec import BridgeError

FORMAT = "daw-bridge models 1"
EMBEDDED = "house"
DOWNLOADS = "models"  # beside the registry: folders that are ours, because we fetched them
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LIMIT_BYTES = 4 << 20


class Registry:
    """All that are installed; read anew at every question, so that nobody has to be told."""

    def __init__(self, file: Path | None) -> None:
        """Nothing is read yet.

        Args:
            file: where the registry lies, or will; None for none.
        """
        self._file = file

    def all(self) -> tuple[Installed, ...]:
        """Every model, in the order of their names.

        Raises:
            BridgeError: `unavailable` for a file that cannot be read or is damaged.
        """
        if self._file is None:
            return ()
        try:
            with self._file.open("rb") as file:
                content = file.read(_LIMIT_BYTES + 1)
            if len(content) > _LIMIT_BYTES:
                raise ValueError("it is absurdly large")
            found = _models_in(json.loads(content))
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as error:
            raise BridgeError(
                "unavailable",
                f"the list of models {self._file} cannot be read: {error}"[:400],
                "move it away and add the models again; their folders are untouched",
            ) from None
        return tuple(sorted(found, key=lambda model: model.name))

    def listed(self) -> list[dict[str, Any]]:
        """Every model as the reply `models` has it; none where the list cannot be read."""
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
                f"there is no model {name[:80]!r}",
                f"the models are: {names}; add others with daw-bridge models add",
            )
        return models[name]

    def add(
        self,
        path: Path,
        name: str | None = None,
        known: str | None = None,
        *,
        device: str | None = None,
        dtype: str | None = None,
        text_encoder: str = AUTO,
    ) -> Installed:
        """Take in a model's folder, or one that has changed since.

        Args:
            name: what to call it; the folder's own name, where nothing is said.
            known: its row in the table of known models.
            device: one of `DEVICES`, where it is not to run where the engine does.
            dtype: one of `DTYPES`, where its weights are not to be what suits the device.
            text_encoder: one of `TEXT_ENCODERS`.

        Raises:
            BridgeError: `not_found` for a folder that is no whole model's; `bad_request` for a name
                that is taken or is none, or another device, dtype or text encoder;
                `unavailable` where the list cannot be read or written.
        """
        from engine.models.public.opening import architecture_of  # brings torch

        choices = ((device, DEVICES), (dtype, DTYPES), (text_encoder, TEXT_ENCODERS))
        for value, known_values in choices:
            if value is not None and value not in known_values:
                choice = f"choose one of {', '.join(known_values)}"
                raise BridgeError("bad_request", f"{value[:40]!r} is not known here", choice)
        folder = ModelFolder.open(path.resolve())
        architecture_of(folder)
        name = name or slug(folder.path.name)
        self.check_name(name, folder.path)
        digest, size_bytes = folder.digest(), folder.size_bytes()
        given = (name, folder.path, folder.pipeline, digest, size_bytes, known)
        added = Installed(*given, (), device, dtype, text_encoder)
        with self._alone():
            self.check_name(name, folder.path)  # it may have been taken while the folder was read
            self._write([added, *(model for model in self.all() if model.name != name)])
        return added

    def adapt(self, name: str, path: Path, scale: float, adapted_name: str) -> Installed:
        """Another model of the same folder, with one adapter more.

        The model is loaded once, in half precision, to see that the adapter fits.

        Args:
            name: the model to begin with, which stays as it is.
            path: a `.safetensors` file, or the folder with one.
            scale: times what the adapter was trained to add.
            adapted_name: what to call the result.

        Raises:
            BridgeError: as `get` and `Installed.open`; `not_found` for what is no adapter or does
                not fit, `bad_request` for a scale or a name that is none or is taken.
        """
        before = self.get(name)
        self._check_free(adapted_name, before.path)
        from engine.models.public.opening import SMALLEST  # brings torch

        model = before.open(dtype=SMALLEST)  # the largest would fill the memory otherwise
        model.adapt(path.resolve(), scale)
        adapted = replace(
            before,
            name=adapted_name,
            digest=model.digest,
            adapters=(*before.adapters, Adaptation(path.resolve(), scale)),
        )
        with self._alone():
            self._check_free(adapted_name, before.path)
            self._write([adapted, *self.all()])
        return adapted

    def remove(self, name: str) -> Installed:
        """Forget a model. Its folder stays where it is, unless it is a download of ours.

        Raises:
            BridgeError: as `get`; `unavailable` where the list cannot be written, or the download
                cannot be deleted.
        """
        with self._alone():
            removed = self.get(name)
            rest = [model for model in self.all() if model.name != name]
            self._write(rest)
            if self.is_download(removed) and all(model.path != removed.path for model in rest):
                _delete(removed)
        return removed

    def is_download(self, model: Installed) -> bool:
        """Whether the folder lies where we put downloads, so that it is ours."""
        downloads = self.downloads
        return downloads is not None and model.path.parent == downloads.resolve()

    @property
    def downloads(self) -> Path | None:
        """Folder with our downloads, one folder for each model; None without a registry."""
        return None if self._file is None else self._file.parent / DOWNLOADS

    def check_name(self, name: str, path: Path) -> None:
        """See that a model in that folder may have that name.

        Raises:
            BridgeError: `bad_request` for a name that is another's or is none; as `all`.
        """
        if not _NAME.fullmatch(name):
            raise BridgeError(
                "bad_request",
                f"{name[:80]!r} is no name for a model",
                "small letters, digits, dots, dashes and underscores, 64 at most",
            )
        taken = next((model for model in self.all() if model.name == name), None)
        if name == EMBEDDED or (taken is not None and taken.path != path):
            whose = "the embedded model" if taken is None else str(taken.path)
            raise BridgeError("bad_request", f"{name} is {whose}", "choose another name")

    def _check_free(self, name: str, path: Path) -> None:
        if any(model.name == name for model in self.all()):
            raise BridgeError("bad_request", f"{name} is taken", "choose another name")
        self.check_name(name, path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While the list is read, changed and written: no other process may do so meanwhile."""
        with ExitStack() as stack:
            try:
                stack.enter_context(alone_with(self._required()))
            except OSError as error:
                raise _unwritable(error) from None
            yield

    def _required(self) -> Path:
        if self._file is None:
            raise BridgeError("unavailable", "there is no list of models to write to")
        return self._file

    def _write(self, models: list[Installed]) -> None:
        """All or nothing: whoever reads finds the old list or the new one."""
        place = self._required()
        rows = [row_of(model) for model in models]
        content = json.dumps({"format": FORMAT, "models": rows}, indent=1) + "\n"
        try:
            write_whole(place, content)
        except OSError as error:
            raise _unwritable(error) from None


def slug(text: str) -> str:
    """A name out of a folder's or a hub's: `Stable Audio 3` is `stable-audio-3`."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:64]


def _unwritable(error: OSError) -> BridgeError:
    return BridgeError("unavailable", f"the list of models cannot be written: {error}"[:400])


def _delete(model: Installed) -> None:
    try:
        shutil.rmtree(model.path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise BridgeError(
            "unavailable",
            f"{model.name} is forgotten, but its folder cannot be deleted: {error}"[:400],
            f"delete {model.path}",
        ) from None


def _models_in(table: Any) -> list[Installed]:
    """The rows of a registry.

    Raises:
        ValueError: it is not what we write.
    """
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        raise ValueError(f"it is no {FORMAT!r}")
    rows = table.get("models")
    if not isinstance(rows, list):
        raise ValueError("it holds no models")
    return [installed_in(row) for row in rows]
