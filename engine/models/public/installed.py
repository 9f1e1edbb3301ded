"""One installed model, and its row in the registry.

Nothing heavy is imported here, so that models can be listed without what runs them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.models.public.folder import ModelFolder
from engine.spec import BridgeError

if TYPE_CHECKING:
    import torch

    from engine.models.public.contract import PublicModel

DEVICES = ("cpu", "cuda", "mps")
DTYPES = ("float32", "float16", "bfloat16")
AUTO = "auto"
TEXT_ENCODERS = (AUTO, "device", "cpu")


@dataclass(frozen=True, slots=True)
class Adaptation:
    """An adapter (LoRA) that an installed model is loaded with: its file, and how much of it."""

    path: Path
    scale: float


@dataclass(frozen=True, slots=True)
class Installed:
    """One model, or one with adapters.

    Attributes:
        name: what requests call it.
        path: its folder, links resolved.
        pipeline: class of the pipeline that the folder was written by.
        digest: SHA-256 of its weights and settings when it was added, and of its adapters.
        size_bytes: of its weights.
        known: its row in the table of known models, where it has one.
        adapters: what its network is loaded with.
        device: where it runs; None for where the engine does.
        dtype: of its weights; None for what suits the device.
        text_encoder: where prompts are read; `auto` is the device where that has room for it.
    """

    name: str
    path: Path
    pipeline: str
    digest: str
    size_bytes: int
    known: str | None = None
    adapters: tuple[Adaptation, ...] = ()
    device: str | None = None
    dtype: str | None = None
    text_encoder: str = AUTO

    def open(
        self,
        device: str = "cpu",
        dtype: torch.dtype | None = None,
        *,
        text_on_cpu: bool = False,
    ) -> PublicModel:
        """Load it.

        Args:
            dtype: of the weights, single precision where nothing is said.
            text_on_cpu: what reads prompts stays on the CPU.

        Raises:
            BridgeError: `not_found` where the folder is gone, is not what was added, or cannot be
                loaded.
        """
        from engine.models.public.opening import open_model  # brings torch

        if not self.path.is_dir():
            raise BridgeError(
                "not_found",
                f"the folder of {self.name} is gone: {self.path}",
                f"put it back, or forget it with daw-bridge models remove {self.name}",
            )
        folder: ModelFolder | None = None
        try:
            folder = ModelFolder.open(self.path)
            model = open_model(folder, device, dtype, text_on_cpu=text_on_cpu)
            for adapter in self.adapters:
                model.adapt(adapter.path, adapter.scale)
        except BridgeError as error:
            # What was changed is the reason more likely than any that its parts give.
            if not self.adapters and (folder is None or folder.digest() != self.digest):
                raise self._changed(f": {error.message}") from None
            raise
        if model.digest != self.digest:  # hashed while it was loaded: once is enough
            raise self._changed("")
        model.name = self.name
        return model

    def _changed(self, how: str) -> BridgeError:
        return BridgeError(
            "not_found",
            f"{self.name} was changed since it was added{how}"[:400],
            f"add it again: daw-bridge models add {self.path} --name {self.name}",
        )


def row_of(model: Installed) -> dict[str, Any]:
    """Plain JSON."""
    adapters = [{"path": str(each.path), "scale": each.scale} for each in model.adapters]
    return asdict(model) | {"path": str(model.path), "adapters": adapters}


def installed_in(row: Any) -> Installed:
    """The model of a row.

    Raises:
        ValueError: it is not what we write.
    """
    kinds = {"name": str, "path": str, "pipeline": str, "digest": str, "size_bytes": int}
    if not isinstance(row, dict) or any(
        not isinstance(row.get(name), kind) for name, kind in kinds.items()
    ):
        raise ValueError("a row of it is damaged")
    known = row.get("known")
    if not isinstance(known, str | None):
        raise ValueError("a row of it is damaged")
    return Installed(
        row["name"],
        Path(row["path"]),
        row["pipeline"],
        row["digest"],
        row["size_bytes"],
        known,
        tuple(_adaptation(each) for each in row.get("adapters", ())),
        _one_of(row.get("device"), DEVICES),
        _one_of(row.get("dtype"), DTYPES),
        _one_of(row.get("text_encoder"), TEXT_ENCODERS) or AUTO,
    )


def _one_of(value: Any, known: tuple[str, ...]) -> str | None:
    if value is not None and value not in known:
        raise ValueError(f"{str(value)[:40]!r} in a row of it is not known here")
    return None if value is None else str(value)


def _adaptation(row: Any) -> Adaptation:
    if not isinstance(row, dict) or not isinstance(row.get("path"), str):
        raise ValueError("an adapter's row of it is damaged")
    if not isinstance(row.get("scale"), float | int):
        raise ValueError("an adapter's row of it is damaged")
    return Adaptation(Path(row["path"]), float(row["scale"]))
