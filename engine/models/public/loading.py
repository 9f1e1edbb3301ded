"""Parts of a model's folder, read by the libraries whose format it is."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.models.public.adapters import AdaptedNetwork, Adapter
from engine.models.public.contract import Usage
from engine.models.public.folder import ModelFolder
from engine.spec import BridgeError

_KEPT_PROMPTS = 64
_LEVEL_CHANGES = (
    *("shift_terminal", "use_dynamic_shifting", "invert_sigmas"),
    *("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"),
)
# What a flow's scheduler says where its file does not. The last two are those of folders that were
# converted before diffusers had the model; their ends are the ones of `stable_audio_3.py`.
_FLOW_SCHEDULERS: dict[str, dict[str, Any]] = {
    "FlowMatchEulerDiscreteScheduler": {"num_train_timesteps": 1000, "stochastic_sampling": False},
    "PingPongScheduler": {"num_train_timesteps": 1, "stochastic_sampling": True},
    "StableAudio3EulerScheduler": {"num_train_timesteps": 1, "stochastic_sampling": False},
}


@contextmanager
def libraries() -> Iterator[None]:
    """Where the libraries of public models are imported: they are an extra.

    Raises:
        BridgeError: `not_found` where one is missing or too old.
    """
    try:
        yield
    except (ImportError, RuntimeError) as error:  # theirs are loaded late and wrap what went wrong
        raise BridgeError(
            "not_found",
            f"a library for public models is not to be had: {error}"[:300],
            'install them with pip install "daw-bridge[models]"',
        ) from None


def load_part(folder: ModelFolder, name: str, reader: Any, dtype: torch.dtype | None) -> Any:
    """One part, ready to be asked: no gradients of its weights, nothing random in it.

    Args:
        reader: class that reads it.
        dtype: of the weights; None for parts without.

    Raises:
        BridgeError: `not_found` where the weights do not fit the settings beside them, or one is
            missing.
    """
    place = folder.place(name)
    try:
        with _without_bars(), warnings.catch_warnings():
            # What their code uses of torch that is to go some day is not the musician's business.
            warnings.simplefilter("ignore", FutureWarning)
            # A folder of transformers may bring code of its own, which nobody is asked about here.
            own_code = {} if _is_of_diffusers(reader) else {"trust_remote_code": False}
            if dtype is None:
                return reader.from_pretrained(str(place), local_files_only=True, **own_code)
            part, found = reader.from_pretrained(
                str(place),
                local_files_only=True,
                use_safetensors=True,
                variant=folder.variant(name),
                dtype=dtype,
                output_loading_info=True,
                **own_code,
            )
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise BridgeError(
            "not_found",
            f"{folder.path.name}/{name} cannot be loaded: {error}"[:300],
            "download the model again, and all of it"
            + (", tokenizer.json too" if dtype is None else ""),
        ) from None
    if missing := sorted(found["missing_keys"]):  # theirs would go on with random ones
        raise BridgeError(
            "not_found",
            f"{folder.path.name}/{name} lacks {len(missing)} of its weights: "
            f"{', '.join(missing[:3])}",
            "download the model again, and all of it",
        )
    return part.requires_grad_(False).eval()


def _is_of_diffusers(reader: Any) -> bool:
    return str(reader.__module__).startswith("diffusers.")


@contextmanager
def _without_bars() -> Iterator[None]:
    """No progress bars on standard error, by the libraries' own switches; afterwards as before."""
    from diffusers.utils import logging as of_diffusers
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars
    from transformers.utils import logging as of_transformers

    shown = [each for each in (of_diffusers, of_transformers) if each.is_progress_bar_enabled()]
    hub_was_quiet = are_progress_bars_disabled()
    for each in shown:
        each.disable_progress_bar()
    try:
        yield
    finally:
        for each in shown:
            each.enable_progress_bar()
        if hub_was_quiet:  # the switch of transformers is that of the hub, too
            disable_progress_bars()


class Checkpoint(ABC):
    """A model that was loaded from its folder: what all architectures have in common."""

    window_steps: int | None = None
    names_tempo = False
    edits: bool
    _network: Any  # the denoising one, which `_load` reads

    def __init__(
        self,
        folder: ModelFolder,
        device: str = "cpu",
        dtype: torch.dtype | None = None,
        *,
        text_on_cpu: bool = False,
    ) -> None:
        """Load it.

        Args:
            dtype: of the weights, single precision where nothing is said.
            text_on_cpu: what reads prompts stays on the CPU, in single precision: every CPU is
                quick in it, many have no arithmetic of half precision, and T5's values overflow
                float16. What it answers goes to the device.

        Raises:
            BridgeError: `not_found` where the folder is not complete or of a kind not known here.
        """
        self.name, self._own_digest = folder.path.name, folder.digest()
        self.digest = self._own_digest
        self.device = torch.device(device)
        self._dtype = dtype or torch.float32
        self._text_device = torch.device("cpu") if text_on_cpu else self.device
        self._text_dtype = torch.float32 if text_on_cpu else self._dtype
        self._folder = folder
        self.usage = self.usage_of(folder)
        self._load(folder)
        self._adapted = AdaptedNetwork(self._network)

    @property
    def adapters(self) -> tuple[Adapter, ...]:
        """Adapters that the denoising network has."""
        return self._adapted.adapters

    def adapt(self, path: Path, scale: float = 1.0) -> Adapter:
        """Add an adapter (LoRA) to the denoising network; the digest is then one of both.

        Denoisers that were made before change, too: it is the weights that do. A second call with
        the same adapter changes its scale; several adapters add up.

        Args:
            path: a `.safetensors` file as peft or diffusers write it, or the folder it lies in.
            scale: times what it was trained to add; below 0 takes it away.

        Raises:
            BridgeError: `not_found` for what is no adapter, is a pickle or does not fit the
                network, `bad_request` for a scale that is no number. Nothing has changed then.
        """
        adapter = self._adapted.add(path, scale)
        self.digest = self._adapted.digest_with(self._own_digest)
        return adapter

    def release(self, adapter: Adapter) -> None:
        """Take an adapter off again; without any the weights are exactly those of the folder.

        Raises:
            ValueError: the network does not have it.
        """
        self._adapted.remove(adapter)
        self.digest = self._adapted.digest_with(self._own_digest)

    @classmethod
    @abstractmethod
    def usage_of(cls, folder: ModelFolder) -> Usage:
        """How the checkpoint is sampled, from its settings alone.

        Raises:
            BridgeError: `not_found` for settings that cannot be read.
        """

    @abstractmethod
    def _load(self, folder: ModelFolder) -> None:
        """Read the parts."""

    def _part(self, name: str, reader: Any) -> Any:
        return load_part(self._folder, name, reader, self._dtype).to(self.device)

    def _exact_part(self, name: str, reader: Any) -> Any:
        """One in single precision, whatever the rest has: what makes the waveform, whose rounding
        is heard beside the musician's own audio, and what tells numbers."""
        return load_part(self._folder, name, reader, torch.float32).to(self.device)

    def _text_part(self, name: str, reader: Any) -> Any:
        """One that only reads prompts."""
        return load_part(self._folder, name, reader, self._text_dtype).to(self._text_device)

    def _prompts_by(self, encode: Callable[..., tuple[Tensor, ...]]) -> Prompts:
        return Prompts(encode, self.device, self._dtype)


def flow_schedule(folder: ModelFolder) -> dict[str, Any]:
    """Settings of a flow's scheduler whose levels the model itself gives.

    Raises:
        BridgeError: `not_found` for settings that would change those levels.
    """
    given = folder.settings("scheduler")
    kind = str(given.get("_class_name"))
    schedule = {"shift": 1.0} | _FLOW_SCHEDULERS.get(kind, {}) | given
    changed = [name for name in _LEVEL_CHANGES if schedule.get(name)]
    changed += ["shift"] if schedule["shift"] != 1.0 else []
    changed += [kind] if kind not in _FLOW_SCHEDULERS else []
    if changed:
        raise BridgeError(
            "not_found",
            f"{folder.path.name} is scheduled with {changed[0]}, which is not known here",
        )
    return schedule


class Prompts:
    """The text encoder's answers, one run for each prompt; the newest are kept where it lives."""

    def __init__(
        self, encode: Callable[..., tuple[Tensor, ...]], device: torch.device, dtype: torch.dtype
    ) -> None:
        """Prepare.

        Args:
            encode: texts -> tokens `[1, tokens, width]`, their mask `[1, tokens]` and the like.
            device: where they are wanted.
            dtype: that they are wanted in; masks stay what they are.
        """
        self._encode = encode
        self._device, self._dtype = device, dtype
        self._known: dict[tuple[str, ...], tuple[Tensor, ...]] = {}

    @torch.no_grad()
    def __call__(self, *texts: str) -> tuple[Tensor, ...]:
        """Tokens and mask of a prompt, and of what else is read with it, on the device."""
        found = self._known.pop(texts, None) or self._encode(*texts)
        self._known[texts] = found  # the newest last
        while len(self._known) > _KEPT_PROMPTS:
            del self._known[next(iter(self._known))]
        return tuple(
            part.to(self._device, self._dtype if part.is_floating_point() else part.dtype)
            for part in found
        )


def tokenised(
    tokenizer: Any, text: str, tokens: int, device: torch.device, *, filled: bool = True
) -> tuple[Any, Any]:
    """Ids and mask `[1, tokens]` of a text, cut to that many and filled up where that is wanted."""
    padding = "max_length" if filled else "longest"
    read = tokenizer(
        [text], padding=padding, max_length=tokens, truncation=True, return_tensors="pt"
    )
    return read.input_ids.to(device), read.attention_mask.to(device)
