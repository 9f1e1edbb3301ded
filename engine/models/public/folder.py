"""A model's folder as diffusers writes it, looked through before anything of it is loaded."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.spec import BridgeError

INDEX = "model_index.json"
_TABLE_LIMIT_BYTES = 16 << 20
_HASHED_AT_ONCE_BYTES = 4 << 20
# Parts without weights: words and numbers in JSON (and SentencePiece's own tables).
_WEIGHTLESS = (
    *("Tokenizer", "TokenizerFast", "TokenizersBackend"),
    *("Scheduler", "FeatureExtractor", "Processor"),
)
# model.safetensors, model.fp16.safetensors, model.bf16-00001-of-00003.safetensors
_WEIGHTS = re.compile(r"[^.]+?(?:\.(?P<variant>\w+))?(?:-\d{5}-of-\d{5})?\.safetensors")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A complete folder.

    Attributes:
        pipeline: class of the pipeline that the folder was written by.
        parts: class of each part, by its name.
    """

    path: Path
    pipeline: str
    parts: dict[str, str]

    @classmethod
    def open(cls, path: Path) -> ModelFolder:
        """Read the index, and see that every part is there with weights that are safe to read.

        Raises:
            BridgeError: `not_found` for a folder that is no model's, lacks something, or has a
                part only as a pickle, which can run code and is never opened.
        """
        if not path.is_dir():
            raise BridgeError("not_found", f"there is no folder {path}", "give a model's folder")
        index = read_table(path / INDEX)
        pipeline = index.get("_class_name")
        if not isinstance(pipeline, str):
            raise BridgeError(
                "not_found",
                f"{path.name}/{INDEX} does not say what it is of",
                "give the folder of a diffusers pipeline, complete as it was downloaded",
            )
        parts = {
            name: str(value[1])
            for name, value in index.items()
            if isinstance(value, list) and len(value) == 2 and value[1] is not None
        }
        for name, kind in parts.items():
            _check_part(path, name, kind)
        return cls(path, pipeline, parts)

    def settings(self, part: str) -> dict[str, Any]:
        """What the part's configuration says.

        Raises:
            BridgeError: `not_found` where there is none, or it cannot be read.
        """
        if part == "scheduler":
            return read_table(self.path / part / "scheduler_config.json")
        return read_table(self.path / part / "config.json")

    def variant(self, part: str) -> str | None:
        """What its weights' names say of their precision, "fp16"; None where plain ones are there.

        Of several the first by name.
        """
        found = {
            match["variant"]
            for file in (self.path / part).glob("*.safetensors")
            if (match := _WEIGHTS.fullmatch(file.name))
        }
        return None if None in found or not found else min(found)

    def digest(self) -> str:
        """SHA-256 over names and contents of all weights, settings and word tables.

        Takes a second for a few gigabytes; `LICENSE`, pictures and the like do not count.
        """
        total = hashlib.sha256()
        for file in sorted(self._files()):
            total.update(str(file.relative_to(self.path).as_posix()).encode() + b"\0")
            content = hashlib.sha256()
            with file.open("rb") as stream:
                while block := stream.read(_HASHED_AT_ONCE_BYTES):
                    content.update(block)
            total.update(content.digest())
        return total.hexdigest()

    def size_bytes(self) -> int:
        """Of all weights on the disk."""
        return sum(file.stat().st_size for file in self._files() if file.suffix == ".safetensors")

    def _files(self) -> Iterator[Path]:
        yield self.path / INDEX
        for name in self.parts:
            for file in (self.path / name).iterdir():
                if file.suffix in (".json", ".safetensors", ".model", ".txt") and file.is_file():
                    yield file


def read_table(path: Path) -> dict[str, Any]:
    """A JSON object of a model's folder.

    Raises:
        BridgeError: `not_found` where it is missing, absurdly large or no object.
    """
    shown = f"{path.parent.name}/{path.name}"
    try:
        if path.stat().st_size > _TABLE_LIMIT_BYTES:
            raise BridgeError("not_found", f"{shown} is too large to be a model's settings")
        table = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise BridgeError(
            "not_found", f"{shown} is missing", "download the model again, and all of it"
        ) from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise BridgeError("not_found", f"{shown} cannot be read: {error}"[:300]) from None
    if not isinstance(table, dict):
        raise BridgeError("not_found", f"{shown} holds no settings")
    return table


def _check_part(path: Path, name: str, kind: str) -> None:
    folder = path / name
    again = "download the model again, and all of it"
    if Path(name).name != name or not folder.is_dir():
        raise BridgeError("not_found", f"{path.name} lacks its {name} ({kind})", again)
    if kind.endswith(_WEIGHTLESS):
        return
    shards = [file for file in folder.glob("*.safetensors") if file.is_file()]
    if not shards:
        pickles = [*folder.glob("*.bin"), *folder.glob("*.ckpt"), *folder.glob("*.pt")]
        if pickles:
            raise BridgeError(
                "not_found",
                f"{path.name}/{name} has its weights only as {pickles[0].name}, which can run code",
                "download the .safetensors files of the model",
            )
        raise BridgeError("not_found", f"{path.name}/{name} has no weights", again)
    for index in folder.glob("*.safetensors*.json"):
        wanted = set(read_table(index).get("weight_map", {}).values())
        missing = sorted(wanted - {shard.name for shard in shards})
        if missing:
            raise BridgeError("not_found", f"{path.name}/{name} lacks {', '.join(missing)}", again)
