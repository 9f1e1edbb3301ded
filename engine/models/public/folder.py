"""A model's folder as diffusers or stable-audio-tools writes it, looked through before loading."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.spec import BridgeError

INDEX = "model_index.json"
TOOLS_INDEX, TOOLS_WEIGHTS = "model_config.json", "model.safetensors"
TOOLS_PIPELINE = "stable-audio-tools"
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
        pipeline: class of the pipeline that the folder was written by, or `TOOLS_PIPELINE`.
        parts: class of each part, by its name.
        elsewhere: where parts lie that are not in a folder of their own name.
        index: name of the table that says what the folder is.
        whole: name of the file with the weights that no part has; "" where there is none.
    """

    path: Path
    pipeline: str
    parts: dict[str, str]
    elsewhere: dict[str, Path] = field(default_factory=dict)
    index: str = INDEX
    whole: str = ""

    @classmethod
    def open(cls, path: Path) -> ModelFolder:
        """Read the index, and see that every part is there with weights that are safe to read.

        Raises:
            BridgeError: `not_found` for a folder that is no model's, lacks something, or has a
                part only as a pickle, which can run code and is never opened.
        """
        if not path.is_dir():
            raise BridgeError("not_found", f"there is no folder {path}", "give a model's folder")
        if (path / TOOLS_INDEX).is_file() and not (path / INDEX).is_file():
            return _open_tools(path)
        index = read_table(path / INDEX)
        pipeline = index.get("_class_name")
        if not isinstance(pipeline, str):
            raise BridgeError(
                "not_found",
                f"{path.name}/{INDEX} does not say what it is of",
                "give the folder of a diffusers pipeline, complete as it was downloaded",
            )
        parts = parts_of(index)
        for name, kind in parts.items():
            _check_part(path, name, kind)
        return cls(path, pipeline, parts)

    def place(self, part: str) -> Path:
        """The part's folder."""
        return self.elsewhere.get(part, self.path / part)

    def settings(self, part: str) -> dict[str, Any]:
        """What the part's configuration says.

        Raises:
            BridgeError: `not_found` where there is none, or it cannot be read.
        """
        name = "scheduler_config.json" if part == "scheduler" else "config.json"
        return read_table(self.place(part) / name)

    def variant(self, part: str) -> str | None:
        """What its weights' names say of their precision, "fp16"; None where plain ones are there.

        Of several the first by name.
        """
        found = {
            match["variant"]
            for file in self.place(part).glob("*.safetensors")
            if (match := _WEIGHTS.fullmatch(file.name))
        }
        return None if None in found or not found else min(found)

    def digest(self) -> str:
        """SHA-256 over names and contents of all weights, settings and word tables.

        Takes a second for a few gigabytes; `LICENSE`, pictures and the like do not count.
        """
        total = hashlib.sha256()
        for name, file in sorted(self._files()):
            total.update(name.encode() + b"\0")
            content = hashlib.sha256()
            with file.open("rb") as stream:
                while block := stream.read(_HASHED_AT_ONCE_BYTES):
                    content.update(block)
            total.update(content.digest())
        return total.hexdigest()

    def size_bytes(self) -> int:
        """Of all weights on the disk."""
        weights = {file for _, file in self._files() if file.suffix == ".safetensors"}
        return sum(file.stat().st_size for file in weights)

    def parameters(self) -> int:
        """Numbers in all weights, read off the files' headers."""
        from safetensors import safe_open

        total = 0
        for file in {file for _, file in self._files() if file.suffix == ".safetensors"}:
            with safe_open(file, "pt") as weights:
                names = weights.keys()
                total += sum(math.prod(weights.get_slice(name).get_shape()) for name in names)
        return total

    def sample_rate_hz(self) -> int | None:
        """Of its audio, as the part says that makes it; None where none does."""
        if self.index == TOOLS_INDEX:
            return _whole_number(read_table(self.path / TOOLS_INDEX).get("sample_rate"))
        parts = (part for part in ("vocoder", "vae") if part in self.parts)
        rates_hz = (_whole_number(self.settings(part).get("sampling_rate")) for part in parts)
        return next((rate_hz for rate_hz in rates_hz if rate_hz is not None), None)

    def _files(self) -> Iterator[tuple[str, Path]]:
        """What counts, under the name that it has in a folder of diffusers."""
        for name in (self.index, self.whole) if self.whole else (self.index,):
            yield name, self.path / name
        for part in self.parts:
            for file in self.place(part).iterdir():
                if file.suffix in (".json", ".safetensors", ".model", ".txt") and file.is_file():
                    yield f"{part}/{file.name}", file


def parts_of(index: Mapping[str, Any]) -> dict[str, str]:
    """The class of each part that an index names."""
    return {
        name: str(value[1])
        for name, value in index.items()
        if isinstance(value, list) and len(value) == 2 and value[1] is not None
    }


def _whole_number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def is_weightless(kind: str) -> bool:
    """Whether parts of that class have no weights."""
    return kind.endswith(_WEIGHTLESS)


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


def _open_tools(path: Path) -> ModelFolder:
    """A checkpoint of stable-audio-tools: a table, a file of weights, and T5, which is not in it.

    Raises:
        BridgeError: `not_found`, as `ModelFolder.open`.
    """
    settings = read_table(path / TOOLS_INDEX)
    if not (path / TOOLS_WEIGHTS).is_file():
        pickles = sorted(file.name for file in path.glob("*.ckpt"))
        only = f" but only {pickles[0]}, which can run code" if pickles else ""
        raise BridgeError(
            "not_found",
            f"{path.name} has no {TOOLS_WEIGHTS}{only}",
            f"download {TOOLS_WEIGHTS} of the model",
        )
    name = text_encoder_of(settings)
    beside = (path / "text_encoder", path / name, path.parent / name)
    encoder = next((place for place in beside if (place / "config.json").is_file()), None)
    if encoder is None:
        raise BridgeError(
            "not_found",
            f"{path.name} does not bring its text encoder {name}",
            f"put config.json, model.safetensors and tokenizer.json of {name} into {path / name}",
        )
    _check_part(path, "text_encoder", "T5EncoderModel", encoder)
    words = path / "tokenizer" if (path / "tokenizer").is_dir() else encoder
    return ModelFolder(
        path,
        TOOLS_PIPELINE,
        {"text_encoder": "T5EncoderModel", "tokenizer": "T5TokenizerFast"},
        {"text_encoder": encoder, "tokenizer": words},
        TOOLS_INDEX,
        TOOLS_WEIGHTS,
    )


def text_encoder_of(settings: dict[str, Any]) -> str:
    """Name of the folder with the text encoder: "t5-base" of "google-t5/t5-base".

    Raises:
        BridgeError: `not_found` where the settings do not say.
    """
    try:
        kinds = settings["model"]["conditioning"]["configs"]
        names = [kind["config"]["t5_model_name"] for kind in kinds if kind["type"] == "t5"]
        return str(names[0]).rpartition("/")[2] or "t5-base"
    except (KeyError, TypeError, IndexError, AttributeError):
        raise BridgeError(
            "not_found",
            f"{TOOLS_INDEX} does not say what reads the words",
            "give the folder of a text-to-audio model with a T5 text encoder",
        ) from None


def _check_part(path: Path, name: str, kind: str, folder: Path | None = None) -> None:
    folder = folder or path / name
    again = "download the model again, and all of it"
    if Path(name).name != name or not folder.is_dir():
        raise BridgeError("not_found", f"{path.name} lacks its {name} ({kind})", again)
    if is_weightless(kind):
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
