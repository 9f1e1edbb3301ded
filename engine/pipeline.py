"""The engine: a request in, events and finished files out.

Here the stages are put together: scene (what is known, what the prior is), draft, optimisation of
the noise, decoding, assembly, report, cache. Rendering runs in a thread of its own, so that events
reach the caller while it works; cancellation is checked at every sampler step.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from engine.cache import CacheKey, LatentCache
from engine.job import Job
from engine.meter import JobStopped
from engine.models.house.model import HouseModel, load_house
from engine.spec import BridgeError, Cancelled, Event, RenderRequest

CACHE_LIMIT_BYTES = 4 << 30


class Engine:
    """Renders requests one at a time on one device."""

    def __init__(self, cache_dir: Path | None, device: str | None = None) -> None:
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._model: HouseModel | None = None
        self._cache = LatentCache(cache_dir, CACHE_LIMIT_BYTES) if cache_dir else None

    @property
    def model(self) -> HouseModel:
        """The model, loaded on first use."""
        if self._model is None:
            self._model = load_house(device=self.device)
        return self._model

    def warm_up(self) -> None:
        """Load the model and everything that is slow the first time."""
        self.model.warm_up()

    def info(self) -> dict[str, Any]:
        """What this engine can render with."""
        return {
            "device": self.device,
            "threads": torch.get_num_threads(),
            "models": [
                {
                    "name": self.model.name,
                    "digest": self.model.digest,
                    "sample_rate_hz": self.model.codec.sample_rate_hz,
                }
            ],
        }

    def unload(self) -> None:
        """Drop the model and give its memory back."""
        self._model = None
        if self.device == "cuda":
            torch.cuda.empty_cache()

    def render(
        self, request: RenderRequest, spool_dir: Path, cancelled: Callable[[], bool]
    ) -> Iterator[Event]:
        """Render one request.

        Args:
            spool_dir: folder for the finished files; the caller moves them away.
            cancelled: asked between sampler steps; once true, the last event is `Cancelled`.

        Yields:
            progress and previews, then `Stem` and `Done`, or `Cancelled`.

        Raises:
            BridgeError: the request cannot be rendered.
        """
        if request.model != "house":
            raise BridgeError(
                "not_found", f"there is no model {request.model!r}", "the models are: house"
            )
        events: queue.SimpleQueue[Event | BaseException | None] = queue.SimpleQueue()
        abandoned = threading.Event()
        job = Job(self, request, spool_dir, events.put, lambda: abandoned.is_set() or cancelled())

        def work() -> None:
            try:
                job.run()
            except JobStopped:
                events.put(Cancelled())
            except BaseException as error:  # handed to the caller's thread
                events.put(error)
            events.put(None)

        thread = threading.Thread(target=work, name="render", daemon=True)
        thread.start()
        try:
            while (event := events.get()) is not None:
                if isinstance(event, BaseException):
                    raise event
                yield event
        finally:
            abandoned.set()
            thread.join()

    def cached(
        self, key: CacheKey
    ) -> tuple[Mapping[str, Path], dict[str, Any], dict[str, Any]] | None:
        """Audio files by name, recipe and report of an exact hit."""
        entry = self._cache.get(key) if self._cache else None
        return None if entry is None else (entry.audio_paths, entry.recipe, entry.report)

    def noises(self, latent_key: str) -> dict[str, torch.Tensor] | None:
        """Refined noises of an earlier render by the part's name; None where they are gone."""
        entry = self._cache.named(latent_key) if self._cache else None
        if entry is None:
            return None
        return {
            name.removesuffix(".noise"): tensor
            for name, tensor in entry.load_tensors().items()
            if name.endswith(".noise")
        }

    def remember(
        self,
        key: CacheKey,
        tensors: dict[str, torch.Tensor],
        audio: Mapping[str, Path],
        recipe: dict[str, Any],
        report: dict[str, Any],
    ) -> None:
        """Keep a finished render for repeats."""
        if self._cache:
            self._cache.put(key, tensors, audio, recipe, report)


def create_engine(cache_dir: Path | None) -> Engine:
    """The engine as the worker and the command line start it."""
    return Engine(cache_dir)
