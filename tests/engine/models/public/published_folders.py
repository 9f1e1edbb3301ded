"""Folders as the public checkpoints', with weights of zeros that take no room on the disk."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch

from tests.engine.models.public.checkpoints import tokens_of
from tests.engine.models.public.published_form import Published

_NAMES = {torch.float32: ("F32", 4), torch.bfloat16: ("BF16", 2), torch.int64: ("I64", 8)}


def reader_of(kind: str) -> Any:
    """The class of that name in one of the libraries."""
    import diffusers
    import transformers
    from diffusers.pipelines.ace_step import modeling_ace_step
    from diffusers.pipelines.stable_audio import modeling_stable_audio
    from diffusers.pipelines.stable_audio_3 import modeling_stable_audio_3

    places = (
        *(diffusers, transformers),
        *(modeling_ace_step, modeling_stable_audio, modeling_stable_audio_3),
    )
    return next(getattr(place, kind) for place in places if hasattr(place, kind))


def from_settings(reader: Any, place: Path) -> torch.nn.Module:
    """What the settings in a part's folder describe, without weights."""
    import transformers

    with torch.device("meta"):
        if hasattr(reader, "load_config"):
            part = reader.from_config(reader.load_config(place, local_files_only=True))
        elif hasattr(reader, "config_class"):
            part = reader(reader.config_class.from_pretrained(place))
        else:  # AutoModel
            part = reader.from_config(transformers.AutoConfig.from_pretrained(place))
    assert isinstance(part, torch.nn.Module)
    return part.requires_grad_(False).eval()


def write(
    folder: Path,
    published: Published,
    dtype: torch.dtype = torch.bfloat16,
    variant: str | None = None,
) -> Path:
    """A folder with all that the index names.

    Args:
        variant: "fp16" and the like in the names of the weights.
    """
    folder.mkdir()
    index: dict[str, Any] = {"_class_name": published.pipeline, "_diffusers_version": "0.36.0"}
    scheduler, settings = published.scheduler
    _write_table(
        folder / "scheduler" / "scheduler_config.json", {"_class_name": scheduler}, settings
    )
    index["scheduler"] = ["diffusers", scheduler]
    for name, (kind, tokens) in published.tokenizers.items():
        tokenizer = tokens_of(kind)
        tokenizer.model_max_length = tokens
        tokenizer.save_pretrained(folder / name)
        index[name] = ["transformers", type(tokenizer).__name__]
    for name, value in published.index.items():
        index[name] = value
        if value[0] is not None:
            _write_table(folder / name / "preprocessor_config.json", {})
    for name, (kind, settings) in published.parts.items():
        mine = {} if "model_type" in settings else {"_class_name": kind}
        _write_table(folder / name / "config.json", mine, settings)
        index[name] = ["transformers" if "model_type" in settings else "diffusers", kind]
        part = from_settings(reader_of(kind), folder / name)
        stem = "model" if "model_type" in settings else "diffusion_pytorch_model"
        stem += f".{variant}" if variant else ""
        _write_zeros(folder / name, stem, part, dtype, published.shards.get(name, 1))
    _write_table(folder / "model_index.json", index)
    return folder


def _write_table(path: Path, *tables: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    joined = {name: value for table in tables for name, value in table.items()}
    path.write_text(json.dumps(joined, indent=2))


def _write_zeros(
    place: Path, stem: str, part: torch.nn.Module, dtype: torch.dtype, shards: int
) -> None:
    """Safetensors files of which only the header is on the disk."""
    kept = part.state_dict()  # without what is not saved
    own = {name for name, _ in part.named_parameters()} | {name for name, _ in part.named_buffers()}
    names = [name for name in kept if name in own]
    share = math.ceil(len(names) / shards)
    where: dict[str, str] = {}
    for shard in range(shards):
        number = f"-{shard + 1:05d}-of-{shards:05d}" if shards > 1 else ""
        file = place / f"{stem}{number}.safetensors"
        mine = names[shard * share : (shard + 1) * share]
        where |= dict.fromkeys(mine, file.name)
        write_header(file, {name: kept[name] for name in mine}, dtype)
    if shards > 1:
        table = {"metadata": {"total_size": 0}, "weight_map": where}
        _write_table(place / f"{stem}.safetensors.index.json", table)


def write_header(file: Path, weights: dict[str, torch.Tensor], dtype: torch.dtype) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, weight in weights.items():
        kind, size = _NAMES[dtype if weight.is_floating_point() else weight.dtype]
        start, end = end, end + size * weight.numel()
        shape = list(weight.shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with file.open("wb") as stream:
        stream.write(len(encoded).to_bytes(8, "little") + encoded)
        stream.truncate(8 + len(encoded) + end)
