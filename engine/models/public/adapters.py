"""Low-rank adapters (LoRA, Hu et al. 2022) beside the weights of a denoising network.

Read are the files that peft and diffusers write, and the older ones with `lora_down` and `lora_up`.
An adapter is added to the weights, `W + scale · α/r · B A`, always from the weights as they were
loaded, so that the order of several counts nothing and one that is removed leaves no trace. A
network costs no more with adapters than without.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.models.public.folder import read_table
from engine.spec import BridgeError

SETTINGS = "adapter_config.json"
_METADATA = "lora_adapter_metadata"  # where diffusers keeps the settings, in the file's header
_PICKLES = (".bin", ".ckpt", ".pt", ".pth")
# Where the name of a layer ends and that of its part begins; the first of each is the inner side.
_SIDES = (("lora_A", "lora_B"), ("lora_down", "lora_up"), ("lora.down", "lora.up"))
_PREFIXES = ("base_model.model.", "transformer.", "unet.", "diffusion_model.")
_FLAT_PREFIXES = ("lora_unet_", "lora_transformer_")  # names with every dot as an underscore
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)


@dataclass(frozen=True, slots=True)
class Adapter:
    """One that a network has.

    Attributes:
        digest: SHA-256 of its file and of the settings beside it.
        scale: times what it was trained to add.
    """

    name: str
    digest: str
    scale: float
    changes: Mapping[str, tuple[Tensor, Tensor, float]] = field(repr=False, compare=False)


class AdaptedNetwork:
    """A network and its adapters."""

    def __init__(self, network: nn.Module) -> None:
        self._layers: dict[str, Any] = {
            name: layer for name, layer in network.named_modules() if isinstance(layer, _LAYERS)
        }
        self._kept: dict[str, Tensor] = {}  # weights as they were loaded, of layers that differ
        self.adapters: tuple[Adapter, ...] = ()

    def add(self, path: Path, scale: float) -> Adapter:
        """Read an adapter and add it; one that is there already gets the new scale.

        Args:
            path: a `.safetensors` file, or the folder with one and its `adapter_config.json`.

        Raises:
            BridgeError: `not_found` for what is no adapter, is a pickle or does not fit the
                network, `bad_request` for a scale that is no number. Nothing has changed then.
        """
        if not math.isfinite(scale):
            raise BridgeError("bad_request", f"an adapter cannot have the scale {scale}")
        file, settings = _found(path)
        tensors, metadata = _tensors(file)
        settings = settings or metadata
        changes = dict(self._read(file.name, tensors, settings))
        adapter = Adapter(path.name, _digest(file), float(scale), changes)
        others = [other for other in self.adapters if other.digest != adapter.digest]
        self._have((*others, adapter))
        return adapter

    def remove(self, adapter: Adapter) -> None:
        """Leave the network as it was without this one.

        Raises:
            ValueError: the network does not have it.
        """
        if adapter not in self.adapters:
            raise ValueError(f"there is no adapter {adapter.name} of scale {adapter.scale} here")
        self._have(tuple(other for other in self.adapters if other != adapter))

    def digest_with(self, digest: str) -> str:
        """The model's own, where there is no adapter, else one of it and all of them."""
        if not self.adapters:
            return digest
        parts = [digest, *(f"{each.digest} {each.scale!r}" for each in self.adapters)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @torch.no_grad()
    def _have(self, adapters: tuple[Adapter, ...]) -> None:
        """Make the weights those of these adapters alone."""
        self.adapters = tuple(sorted(adapters, key=lambda each: each.digest))
        changed = {name for adapter in self.adapters for name in adapter.changes}
        for name in self._kept.keys() - changed:
            self._layers[name].weight.copy_(self._kept.pop(name))
        for name in sorted(changed):
            weight = self._layers[name].weight
            if name not in self._kept:
                self._kept[name] = weight.detach().to("cpu", copy=True)
            whole = self._kept[name].float()
            for adapter in self.adapters:
                if name in adapter.changes:
                    inner, outer, strength = adapter.changes[name]
                    added = outer.flatten(1).float() @ inner.flatten(1).float()
                    whole = whole + adapter.scale * strength * added.view_as(whole)
            weight.copy_(whole)

    def _read(
        self, file: str, tensors: dict[str, Tensor], settings: dict[str, Any]
    ) -> Iterator[tuple[str, tuple[Tensor, Tensor, float]]]:
        """Layer, both factors and how strongly they count, of everything in a file."""
        sides, alphas = _sorted(file, tensors)
        spelled = {name: self._layer_of(file, name) for name in sides}
        if len(set(spelled.values())) < len(spelled):
            raise _unfit(file, "has two pairs of weights for one layer")
        for name, (inner, outer) in sides.items():
            layer = spelled[name]
            self._check(file, layer, inner, outer)
            rank = len(inner)
            alpha = alphas.pop(name, None)
            alpha = _alpha(settings, layer, rank) if alpha is None else alpha
            root = bool(settings.get("use_rslora"))
            yield layer, (inner, outer, alpha / (math.sqrt(rank) if root else rank))
        if alphas:
            raise _unfit(file, f"has no weights for {next(iter(alphas))}")

    def _layer_of(self, file: str, name: str) -> str:
        for prefix in _FLAT_PREFIXES:
            if name.startswith(prefix):
                flat = name.removeprefix(prefix)
                for layer in self._layers:
                    if layer.replace(".", "_") == flat:
                        return layer
        bare: str = name
        for prefix in ("", *_PREFIXES):
            bare = bare.removeprefix(prefix)
            if bare in self._layers:
                return bare
        raise _unfit(file, f"has weights for {name}, and the network has no such layer")

    def _check(self, file: str, layer: str, inner: Tensor, outer: Tensor) -> None:
        shape = self._layers[layer].weight.shape
        grouped = getattr(self._layers[layer], "groups", 1) != 1
        fits = (
            inner.dim() == outer.dim() == len(shape)
            and inner.shape[1:] == shape[1:]
            and outer.shape[:2] == (shape[0], inner.shape[0])
            and outer[0, 0].numel() == 1
        )
        if grouped or not fits:
            raise _unfit(
                file,
                f"has weights of {tuple(inner.shape)} and {tuple(outer.shape)} for {layer}, which "
                f"has {tuple(shape)}",
            )


def _found(path: Path) -> tuple[Path, dict[str, Any]]:
    """The file of an adapter, and the settings beside it."""
    file = path
    if path.is_dir():
        files = sorted(path.glob("*.safetensors"))
        if len(files) != 1:
            pickles = [each for each in sorted(path.iterdir()) if each.suffix in _PICKLES]
            if pickles and not files:
                raise _pickled(pickles[0])
            raise BridgeError(
                "not_found",
                f"{path.name} holds {len(files)} safetensors files, and an adapter is one",
                "name the file of the adapter",
            )
        file = files[0]
    if file.suffix in _PICKLES:
        raise _pickled(file)
    if not file.is_file() or file.suffix != ".safetensors":
        raise BridgeError(
            "not_found", f"there is no adapter {path}", "give a .safetensors file or its folder"
        )
    beside = file.parent / SETTINGS
    return file, read_table(beside) if beside.exists() else {}


def _pickled(file: Path) -> BridgeError:
    return BridgeError(
        "not_found",
        f"{file.name} may be a pickle, which can run code and is never opened",
        "get the adapter as .safetensors",
    )


def _tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What the file holds, and the settings in its header."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            metadata = opened.metadata() or {}
        packed = json.loads(metadata.get(_METADATA, "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise BridgeError(
            "not_found", f"{file.name} cannot be read: {error}"[:300], "download it again"
        ) from None
    if not isinstance(packed, dict):
        packed = {}
    settings: dict[str, Any] = {}
    for name, value in packed.items():
        for prefix in _PREFIXES:
            name = str(name).removeprefix(prefix)
        settings[name] = value
    return tensors, settings


def _sorted(
    file: str, tensors: dict[str, Tensor]
) -> tuple[dict[str, tuple[Tensor, Tensor]], dict[str, float]]:
    """Both factors of each layer, and the α that stands beside some."""
    found: dict[str, dict[int, Tensor]] = {}
    alphas: dict[str, float] = {}
    for key, tensor in tensors.items():
        if key.endswith(".alpha") and tensor.numel() == 1:
            alphas[key.removesuffix(".alpha")] = float(tensor)
            continue
        name, side = _side(key)
        if name is None or not tensor.is_floating_point():
            raise _unfit(file, f"has {key}, which is no weight of a plain low-rank adapter")
        found.setdefault(name, {})[side] = tensor
    if not found:
        raise _unfit(file, "has no weights of an adapter")
    for name, sides in found.items():
        if len(sides) != 2:
            raise _unfit(file, f"has only one of the two weights for {name}")
    return {name: (sides[0], sides[1]) for name, sides in found.items()}, alphas


def _side(key: str) -> tuple[str | None, int]:
    """Name of the layer, and 0 for the inner weight or 1 for the outer; None for other keys."""
    for pair in _SIDES:
        for side, spelled in enumerate(pair):
            for ending in (f".{spelled}.weight", f".{spelled}.default.weight"):
                if key.endswith(ending):
                    return key.removesuffix(ending), side
    return None, 0


def _alpha(settings: Mapping[str, Any], layer: str, rank: int) -> float:
    """α of a layer as the settings say; the rank, which changes nothing, where they do not."""
    pattern = settings.get("alpha_pattern")
    for name, value in pattern.items() if isinstance(pattern, dict) else ():
        if (layer == name or layer.endswith(f".{name}")) and isinstance(value, int | float):
            return float(value)
    alpha = settings.get("lora_alpha", rank)
    return float(alpha) if isinstance(alpha, int | float) else float(rank)


def _unfit(file: str, why: str) -> BridgeError:
    return BridgeError(
        "not_found", f"{file} {why}"[:300], "give an adapter that was trained for this model"
    )


def _digest(file: Path) -> str:
    total = hashlib.sha256()
    for each in (file, file.parent / SETTINGS):
        if each.exists():
            with each.open("rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()
