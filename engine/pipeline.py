"""The engine: a request in, events and finished files out.

Here the stages are put together: scene (what is known, what the prior is), draft, optimisation of
the noise, decoding, assembly, report, cache. Rendering runs in a thread of its own, so that events
reach the caller while it works; cancellation is checked at every sampler step. What a result need
not wait for is done after it, in `Engine.settle`.
"""

from __future__ import annotations

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
from engine.models.house.model import HouseModel
from engine.models.studio import Habits, Model
from engine.optimise.memory import free_bytes
from engine.shelf.shelf import Shelf
from engine.shortage import is_shortage, wanted_bytes
from engine.spec import BridgeError, Cancelled, Event, RenderRequest

_log = logging.getLogger(__name__)

CACHE_LIMIT_BYTES = 4 << 30


class Engine:
    """Renders requests one at a time on one device."""

    def __init__(
        self, cache_dir: Path | None, device: str | None = None, models_file: Path | None = None
    ) -> None:
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.shelf = Shelf(self.device, models_file)
        self._pace_s: dict[str, float] = {}  # of the last renders
        self._unsettled: Job | None = None
        self._cache = LatentCache(cache_dir, CACHE_LIMIT_BYTES) if cache_dir else None

    @property
    def house(self) -> HouseModel:
        """The embedded model, loaded on first use."""
        return self.shelf.house

    def model(self, name: str) -> Model:
        """The model of that name, loaded."""
        return self.shelf.get(name)

    def identity_of(self, name: str) -> str:
        """All of a model that its renders depend on, for which nothing is loaded."""
        return self.shelf.identity_of(name)

    def habits_of(self, name: str) -> Habits:
        """How a model is used where a request leaves it open."""
        return self.shelf.habits_of(name)

    def warm_up(self) -> None:
        """Load the embedded model and everything that is slow the first time."""
        self.house.warm_up()

    def info(self) -> dict[str, Any]:
        """What this engine can render with."""
        return {
            "device": self.device,
            "threads": torch.get_num_threads(),
            "models": self.shelf.info(),
        }

    def unload(self) -> None:
        """Drop the models and give their memory back."""
        self.shelf.clear()

    def render(
        self,
        request: RenderRequest,
        spool_dir: Path,
        cancelled: Callable[[], bool],
        *,
        sparing: bool = False,
    ) -> Iterator[Event]:
        """Render one request; where memory does not suffice, once more with as little as can be.

        What is left of the render before is done first, if nobody has called `settle`.

        Args:
            spool_dir: folder for the finished files; the caller moves them away.
            cancelled: asked between sampler steps; once true, the last event is `Cancelled`.
            sparing: take as little memory as can be from the start.

        Yields:
            progress and previews, then `Stem` and `Done`, or `Cancelled`.

        Raises:
            BridgeError: the request cannot be rendered; `out_of_memory` names the figures.
        """
        events: queue.SimpleQueue[Event | BaseException | None] = queue.SimpleQueue()
        abandoned = threading.Event()

        def stopped() -> bool:
            return abandoned.is_set() or cancelled()

        def attempt(sparing: bool) -> None:
            job = Job(self, request, spool_dir, events.put, stopped, sparing=sparing)
            self._unsettled = job  # before anybody can hear its `Done`, and ask for what is left
            job.run()
            if (pace_s := job.pace_s) is not None:
                self._pace_s[pace_name(request.model, job.settings)] = pace_s

        def work() -> None:
            try:
                self.settle(stopped)
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

    def settle(self, stopped: Callable[[], bool]) -> None:
        """Do what the last render has left for after its result: find its noise for later ones.

        The result is handed over, so nothing that goes wrong here is more than logged.

        Args:
            stopped: asked between calls of the network; once true, the noise is done without.
        """
        job, self._unsettled = self._unsettled, None
        if job is None:
            return
        try:
            job.settle(stopped)
        except JobStopped:
            _log.info("the noise of the last render was not looked for to the end")
        except Exception as error:
            said = str(error)[:300] or type(error).__name__
            _log.warning("the noise of the last render was not found: %s", said)

    def estimate(self, request: RenderRequest) -> dict[str, Any]:
        """What a request will need: see `engine.estimate.Estimate`.

        Raises:
            BridgeError: the request cannot be rendered.
        """
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
    ) -> bool:
        """Keep a finished render for repeats; False where it is not kept."""
        return bool(self._cache and self._cache.put(key, tensors, audio, recipe, report))

    def amend(self, key: CacheKey, tensors: dict[str, torch.Tensor]) -> None:
        """Add to a render that is kept."""
        if self._cache:
            self._cache.amend(key.digest, tensors)


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


def create_engine(cache_dir: Path | None, models_file: Path | None = None) -> Engine:
    """The engine as the worker and the command line start it.

    Args:
        models_file: the registry of installed models; None for the embedded one alone.
    """
    return Engine(cache_dir, models_file=models_file)
