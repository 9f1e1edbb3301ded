"""`daw-bridge models [add PATH_OR_ID | adapt NAME LORA | remove NAME]`: public models."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from daw_bridge.commands.console import Console, table
from daw_bridge.config import Config
from daw_bridge.registration import make_private_folder
from engine.models.public.folder import ModelFolder
from engine.models.public.installed import AUTO, Installed
from engine.models.public.known import KNOWN, Known, meant
from engine.models.public.registry import EMBEDDED, Registry, slug
from engine.spec import BridgeError

_UNKNOWN = "—"
_TOKEN_LIMIT_BYTES = 4096


def change(options: argparse.Namespace, config: Config, console: Console) -> None:
    """Add, adapt or remove a model. A daemon that runs reads the list each time.

    Raises:
        BridgeError: as `Registry` and `fetch` refuse; `not_found` for a folder that is not there.
    """
    make_private_folder(config.data_dir)
    registry = Registry(config.models_file)
    if options.action == "remove":
        removed = registry.remove(options.name)
        left = "" if registry.is_download(removed) else f"; {removed.path} stays as it is"
        console.result(
            {"model": removed.name, "path": str(removed.path)}, [f"{removed.name} is gone{left}"]
        )
        return
    adapts = options.action == "adapt"
    added = _adapt(options, registry) if adapts else _add(options, registry, console)
    lines = [
        f"{added.name} is there: {_architecture(added.pipeline)}, {_size(added.size_bytes)}, "
        f"in {added.path}",
        f"use it with --model {added.name}",
    ]
    console.result({"model": _as_value(added)}, lines)


def show(
    entries: Sequence[dict[str, Any]], installed: Sequence[Installed], console: Console
) -> None:
    """List models, and what else could be had.

    Args:
        entries: as the reply `models` has them.
        installed: those of this machine's registry, told more of.
    """
    told = {entry["name"]: dict(entry) for entry in entries}
    for model in installed:
        told[model.name] = told.get(model.name, {}) | _as_value(model)
    there = {model.known for model in installed}
    missing = [known for known in KNOWN if known.name not in there]
    value = {"models": list(told.values()), "known": [_known_value(known) for known in missing]}
    console.result(value, [*_models_lines(list(told.values())), "", *_known_lines(missing)])


def _adapt(options: argparse.Namespace, registry: Registry) -> Installed:
    adapter = Path(options.adapter).expanduser()
    name = options.adapted or f"{options.name}-{slug(adapter.stem)}"
    return registry.adapt(options.name, adapter, options.scale, name)


def _add(options: argparse.Namespace, registry: Registry, console: Console) -> Installed:
    place = Path(options.source).expanduser()
    known = meant(options.source)
    is_path = options.source.startswith((".", "~")) or place.is_absolute()
    if is_path or place.is_dir():
        # A folder that is called like a known model is taken for what was made of it.
        row = meant(place.resolve().name)
        return registry.add(
            place,
            options.name,
            row.name if row else None,
            **_choices(options),
        )
    hub_id = known.hub if known else options.source
    if hub_id.count("/") != 1:
        names = ", ".join(row.name for row in KNOWN)
        raise BridgeError(
            "not_found",
            f"{options.source[:80]!r} is no folder, no known model and no repository",
            f"give a folder, owner/name, or one of {names}",
        )
    return _download(hub_id, known, options, registry, console)


def _download(
    hub_id: str,
    known: Known | None,
    options: argparse.Namespace,
    registry: Registry,
    console: Console,
) -> Installed:
    from engine.models.public.download import fetch

    name = options.name or (known.name if known else slug(hub_id.rpartition("/")[2]))
    downloads = registry.downloads
    assert downloads is not None, "the command line always has a registry"
    folder = downloads.resolve() / name
    registry.check_name(name, folder)
    make_private_folder(downloads)
    fetch(
        hub_id,
        folder,
        known=known,
        token=_token(options.token_file),
        show_progress=sys.stderr.isatty() and not console.as_json,
        note=console.note,
    )
    row = known.name if known else None
    return registry.add(folder, name, row, **_choices(options))


def _choices(options: argparse.Namespace) -> dict[str, Any]:
    """How a model is to be loaded, as the flags say."""
    names = ("device", "dtype", "text_encoder")
    return {name: getattr(options, name) for name in names}


def _token(file: str | None) -> str | None:
    if file is None:
        return None
    try:
        with Path(file).expanduser().open("rb") as content:
            words = content.read(_TOKEN_LIMIT_BYTES).decode("ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise BridgeError("not_found", f"{file} cannot be read: {error}"[:300]) from None
    if len(words) != 1:
        raise BridgeError("bad_request", f"{file} holds no token", "one line, as the hub shows it")
    return words[0]


def _as_value(model: Installed) -> dict[str, Any]:
    return {
        "name": model.name,
        "digest": model.digest,
        "architecture": _architecture(model.pipeline),
        "size_bytes": model.size_bytes,
        "sample_rate_hz": _sample_rate_hz(model),
        "path": str(model.path),
        "is_there": model.path.is_dir(),
        "known": model.known,
        "device": model.device,
        "dtype": model.dtype,
        "text_encoder": model.text_encoder,
        "adapters": [{"path": str(each.path), "scale": each.scale} for each in model.adapters],
    }


def _sample_rate_hz(model: Installed) -> int | None:
    try:
        return ModelFolder.open(model.path).sample_rate_hz()
    except BridgeError:  # it is told when somebody wants to use it
        return None


def _models_lines(models: Sequence[dict[str, Any]]) -> list[str]:
    rows = [("NAME", "ARCHITECTURE", "SIZE", "RATE", "DIGEST", "WHERE")]
    for model in models:
        embedded = model["name"] == EMBEDDED
        where = "embedded" if embedded else model.get("path") or _UNKNOWN
        gone = "" if model.get("is_there", True) else " (gone)"
        gone += "".join(f", {choice}" for choice in _chosen(model))
        gone += "".join(
            f" + {each['scale']:g} × {Path(each['path']).name}"
            for each in model.get("adapters", ())
        )
        rows.append(
            (
                model["name"],
                model.get("architecture") or _UNKNOWN,
                _size(model.get("size_bytes")),
                _rate(model.get("sample_rate_hz")),
                model.get("digest", "")[:12],
                f"{where}{gone}",
            )
        )
    return table(rows)


def _chosen(model: dict[str, Any]) -> list[str]:
    """What was said of how to load a model, for people."""
    said = [f"on {model['device']}"] if model.get("device") else []
    said += [model["dtype"]] if model.get("dtype") else []
    where = model.get("text_encoder", AUTO)
    return said + ([] if where == AUTO else [f"text encoder on {where}"])


def _known_value(known: Known) -> dict[str, Any]:
    return {
        "name": known.name,
        "title": known.title,
        "hub": known.hub,
        "page": known.page,
        "architecture": _architecture(known.pipeline),
        "licence": known.licence,
        "gated": known.gated,
        "commercial": known.commercial,
        "parameters": known.parameters,
        "size_bytes": known.weights_bytes,
        "sample_rate_hz": known.sample_rate_hz,
        "longest_s": known.longest_s,
        "edits": list(known.edits),
        "memory": known.memory,
        "ways": list(known.ways()),
    }


def _known_lines(missing: Sequence[Known]) -> list[str]:
    if not missing:
        return []
    rows = [("NOT INSTALLED", "SIZE", "MEMORY", "RATE", "LONGEST", "COMMERCIAL USE", "LICENCE")]
    rows += [
        (
            known.name,
            _size(known.weights_bytes),
            _size(known.memory_bytes),
            _rate(known.sample_rate_hz),
            f"{known.longest_s:g} s",
            known.commercial,
            known.licence.partition(",")[0] + ("" if known.gated is False else " *"),
        )
        for known in missing
    ]
    lines = table(rows)
    if any(known.gated is not False for known in missing):
        lines += [
            "",
            "* A licence to be accepted on the model's page first; then log in with",
            "  `hf auth login`, HF_TOKEN or --token-file.",
        ]
    lines += ["", "Add one with `daw-bridge models add NAME`, or a folder of yours with its path."]
    if any(not known.in_format for known in missing):
        lines.append("Stable Audio 3 must be converted once; `add` says how. More: docs/models.md")
    return lines


def _architecture(pipeline: str) -> str:
    return pipeline.removesuffix("Pipeline")


def _size(size_bytes: int | None) -> str:
    if not size_bytes:
        return _UNKNOWN
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e8 else f"{size_bytes / 1e6:.1f} MB"


def _rate(rate_hz: int | None) -> str:
    return f"{rate_hz / 1000:g} kHz" if rate_hz else _UNKNOWN
