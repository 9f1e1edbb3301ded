"""The engine: a request in, events and finished files out.

Here the stages are put together: scene (what is known, what the prior is), draft, optimisation of
the noise, decoding, assembly, report, cache. Rendering runs in a thread of its own, so that events
reach the caller while it works; cancellation is checked at every sampler step.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from engine.cache import CacheKey, LatentCache
from engine.estimate import estimate_of, pace_name
from engine.job import Job
from engine.meter import JobStopped
from engine.models.house.model import HouseModel, load_house
from engine.optimise.memory import free_bytes
from engine.shortage import is_shortage, wanted_bytes
from engine.spec import BridgeError, Cancelled, Event, RenderRequest

_log = logging.getLogger(__name__)

CACHE_LIMIT_BYTES = 4 << 30


class Engine:
    """Renders requests one at a time on one device."""

    def __init__(self, cache_dir: Path | None, device: str | None = None) -> None:
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._model: HouseModel | None = None
        self._pace_s: dict[str, float] = {}  # of the last renders
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
        gc.collect()
        if self.device == "cuda":
            torch.cuda.empty_cache()
        _give_back_freed_memory()

    def render(
        self,
        request: RenderRequest,
        spool_dir: Path,
        cancelled: Callable[[], bool],
        *,
        sparing: bool = False,
    ) -> Iterator[Event]:
        """Render one request; where memory does not suffice, once more with as little as can be.

        Args:
            spool_dir: folder for the finished files; the caller moves them away.
            cancelled: asked between sampler steps; once true, the last event is `Cancelled`.
            sparing: take as little memory as can be from the start.

        Yields:
            progress and previews, then `Stem` and `Done`, or `Cancelled`.

        Raises:
            BridgeError: the request cannot be rendered; `out_of_memory` names the figures.
        """
        _check_model(request)
        events: queue.SimpleQueue[Event | BaseException | None] = queue.SimpleQueue()
        abandoned = threading.Event()

        def stopped() -> bool:
            return abandoned.is_set() or cancelled()

        def attempt(sparing: bool) -> None:
            job = Job(self, request, spool_dir, events.put, stopped, sparing=sparing)
            job.run()
            if (pace_s := job.pace_s) is not None:
                self._pace_s[pace_name(job.settings)] = pace_s

        def work() -> None:
            try:
                self._attempt(attempt, sparing)
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

    def estimate(self, request: RenderRequest) -> dict[str, Any]:
        """What a request will need: see `engine.estimate.Estimate`.

        Raises:
            BridgeError: the request cannot be rendered.
        """
        _check_model(request)
        return estimate_of(self, request, self._pace_s).to_mapping()

    def _attempt(self, attempt: Callable[[bool], None], sparing: bool) -> None:
        """Render, and answer a lack of memory with the policy that needs least.

        Raises:
            BridgeError: `out_of_memory` when that does not suffice either.
        """
        shortage = _shortage_in(lambda: attempt(sparing))
        if shortage is not None and not sparing:
            _log.warning("again with as little memory as can be, for %s", shortage)
            self.unload()
            shortage = _shortage_in(lambda: attempt(True))
        if shortage is not None:
            free = free_bytes(torch.device(self.device))
            self.unload()
            raise _out_of_memory(shortage, free)

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


def _check_model(request: RenderRequest) -> None:
    if request.model != "house":
        raise BridgeError(
            "not_found", f"there is no model {request.model!r}", "the models are: house"
        )


def _shortage_in(run: Callable[[], None]) -> str | None:
    """What an attempt said when memory did not suffice; None where it did.

    Only the words are kept: the error itself would hold on to every tensor of the attempt.
    """
    try:
        run()
    except Exception as error:
        if not is_shortage(error):
            raise
        return str(error) or type(error).__name__
    return None


def _out_of_memory(shortage: str, free: int | None) -> BridgeError:
    wanted = wanted_bytes(shortage)
    figures = [f"{wanted / 2**20:.0f} MiB more were asked for"] if wanted else []
    figures += [f"{free / 2**20:.0f} MiB were free"] if free is not None else []
    said = ", ".join(figures) or shortage[:300]
    return BridgeError(
        "out_of_memory",
        f"too little memory, even with the policy that takes least: {said}",
        "ask for fewer candidates or a shorter result, or close other programs",
    )


def _give_back_freed_memory() -> None:
    """Let the C library return to the system what has been freed; it keeps it otherwise."""
    with contextlib.suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)


def create_engine(cache_dir: Path | None) -> Engine:
    """The engine as the worker and the command line start it."""
    return Engine(cache_dir)
