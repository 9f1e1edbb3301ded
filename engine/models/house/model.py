"""The embedded model: weights file, network and codec behind the engine's contracts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.models.contracts import Denoiser
from engine.models.house.codec import SpectralCodec
from engine.models.house.conditions import harmony_curve, level_curve, stack
from engine.models.house.network import Globals, HouseNetwork, NetworkShape
from engine.models.house.words import globals_of
from engine.models.studio import Conditioned, FrameConditions, Habits, Words
from engine.spec import BridgeError

WINDOW_STEPS = 256
HABITS = Habits(
    "euler",
    added_noise=False,
    steps=4,
    variation=dict.fromkeys(("extend", "inpaint", "loop"), 0.4)
    | dict.fromkeys(("melody", "accompany", "vary", "generate"), 0.6),
)
FORMAT = "daw-bridge house 1"
LEVEL_SHIFT = 3.0


def default_weights_path() -> Path:
    """The weights that ship with the engine."""
    return Path(str(files("engine.weights"))) / "house.safetensors"


@dataclass(frozen=True, slots=True)
class HouseModel:
    """The embedded model, ready to sample.

    Attributes:
        digest: SHA-256 of the weights file; part of every recipe and cache key.
        vocabulary: the words it was trained with, "styles", "moods" and "modes", in the order of
            its tables.
    """

    network: HouseNetwork
    codec: SpectralCodec
    digest: str
    device: torch.device
    vocabulary: Mapping[str, tuple[str, ...]]

    name = "house"
    habits = HABITS
    window_steps = WINDOW_STEPS
    hears_context = True
    reads_text = False

    def told(self, words: Words) -> Conditioned:
        """The model, told a style, a mood, a key, a tempo, roles and instruments."""
        conditions = globals_of(words, self.vocabulary, self.network.shape).to(self.device)
        return lambda frames: self.denoiser(frames, conditions)

    def told_level(self, latent: Tensor) -> Tensor:
        """Loudness over time as in training; see `level_curve`."""
        return level_curve(self.codec.linear_log_mel(latent))

    def told_harmony(self, latent: Tensor) -> Tensor:
        """Pitch classes over time as in training; see `harmony_curve`."""
        return harmony_curve(self.codec.linear_log_mel(latent))

    def levels(self, start: float, steps: int) -> tuple[float, ...]:
        """Levels of `level_path` from `start` on."""
        if steps < 1 or not 0.0 < start <= 1.0:
            raise ValueError(f"cannot sample from level {start} in {steps} steps")
        return level_path(start, steps)

    def denoiser(self, frames: FrameConditions, conditions: Globals) -> Denoiser:
        """The denoiser under these conditions; x is float32, the network runs in bfloat16.

        Conditions of one window hold for every item of a batch of them.

        Depends on hardware only through rounding: autocast keeps float32 where the device has no
        fast bfloat16.
        """
        stacked = stack(frames)

        def denoise(x: Tensor, level: float, next_level: float | None = None) -> Tensor:
            time = x.new_full((x.shape[0],), level)
            span = x.new_full((x.shape[0],), 0.0 if next_level is None else level - next_level)
            told, frames_told = conditions, stacked
            if stacked.shape[0] != x.shape[0]:
                told = conditions.for_batch(x.shape[0])
                frames_told = stacked.expand(x.shape[0], -1, -1)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._fast_bfloat16()):
                velocity: Tensor = self.network(x, time, span, frames_told, told)
            return x - level * velocity.float()

        return denoise

    def unconditioned(self, batch: int) -> Globals:
        """Global conditions that say nothing."""
        return Globals.unknown(batch, self.network.shape, self.device)

    def warm_up(self) -> None:
        """Run everything once, so that the first request pays for no initialisation."""
        steps = 64
        empty = torch.zeros(1, self.codec.latent_channels, steps, device=self.device)
        frames = FrameConditions(empty, empty[:, :1])
        with torch.no_grad():
            latent = self.denoiser(frames, self.unconditioned(1))(empty, 0.5)
        silence = torch.zeros(1, 2, steps * self.codec.step_samples, device=self.device)
        self.codec.decode(latent, guide=silence + 1e-3)

    def _fast_bfloat16(self) -> bool:
        if self.device.type == "cpu":
            return cpu_has_bfloat16()
        return self.device.type == "cuda"


def level_path(start: float, steps: int) -> tuple[float, ...]:
    """`steps + 1` noise levels from `start` to 0, closer together near noise.

    A window's loudness, key and line-up hold throughout it and so are seen through far more noise
    than one frame is: they are decided close to level 1 (Esser et al. 2024, section 5.3).
    """
    first = start / (LEVEL_SHIFT - (LEVEL_SHIFT - 1.0) * start)  # what the shift brings to `start`
    even = (first * (1.0 - index / steps) for index in range(1, steps + 1))
    return (start, *(LEVEL_SHIFT * t / (1.0 + (LEVEL_SHIFT - 1.0) * t) for t in even))


def cpu_has_bfloat16() -> bool:
    """Whether this processor multiplies matrices faster in bfloat16 than in float32."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def network_state(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The network's part of a weights file, in float32."""
    prefix = "network."
    return {
        name.removeprefix(prefix): value.float()
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def grown(state: dict[str, Tensor], network: HouseNetwork) -> dict[str, Tensor]:
    """The state of a smaller network for `network`: what is new says nothing yet.

    Tables of new conditions and input channels beyond the old ones start at zero, so the grown
    network computes what the small one did.
    """
    full = {}
    for name, value in network.state_dict().items():
        old = state.get(name)
        if old is None:
            full[name] = value if name.startswith("span.0") else torch.zeros_like(value)
        else:
            full[name] = torch.zeros_like(value)
            full[name][tuple(slice(0, size) for size in old.shape)] = old
    return full


def weights_digest(path: Path | None = None) -> str:
    """SHA-256 of the weights file.

    Raises:
        BridgeError: `not_found` where it cannot be read.
    """
    path = path or default_weights_path()
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BridgeError("not_found", f"the weights {path.name} cannot be read: {error}") from None


def load_house(path: Path | None = None, device: str = "cpu") -> HouseModel:
    """Read the weights file.

    Raises:
        BridgeError: `not_found` where the file is missing or is not this model's.
    """
    path = path or default_weights_path()
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise BridgeError(
            "not_found",
            f"the weights {path.name} cannot be read: {error}",
            "install the package again, or give the path of a complete file",
        ) from None
    if metadata.get("format") != FORMAT:
        raise BridgeError("not_found", f"{path.name} does not hold weights of the house model")
    try:
        network = HouseNetwork(NetworkShape(**json.loads(metadata["shape"])))
        network.load_state_dict(grown(network_state(tensors), network))
        words = json.loads(metadata.get("vocabulary", "{}"))
        vocabulary = {kind: tuple(names) for kind, names in words.items()}
        codec = SpectralCodec.from_mapping(tensors, device)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise BridgeError(
            "not_found", f"{path.name} holds other weights than it says: {error}"[:300]
        ) from None
    network.requires_grad_(False).eval().to(device)
    return HouseModel(network, codec, weights_digest(path), torch.device(device), vocabulary)
