"""One render from request to files: scene, draft, refinement, decoding, assembly, report."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from engine.cache import CacheKey, cache_key
from engine.checkpoints import Checkpoints
from engine.costs import iterations_of
from engine.files.audio import MAX_FILE_BYTES, write_audio
from engine.files.quantise import quantise
from engine.meter import Meter
from engine.models.studio import Habits, Model
from engine.opening import open_named
from engine.rendering import Rendering
from engine.report import build_report
from engine.spec import Done, Event, Progress, RenderRequest, Stem
from engine.tagging import tags_of
from engine.tasks.accompaniments import accompany_scene
from engine.tasks.clips import extend_scene, inpaint_scene, loop_scene
from engine.tasks.scene import Finished, Scene
from engine.tasks.sketches import generate_scene, melody_scene
from engine.tasks.varied import vary_scene
from engine.window_task import RenderSettings

SAMPLER_VERSION = "16"  # part of every cache key: raise it when a request renders differently
MIX = "mix"
SCENES: dict[str, Callable[[RenderRequest, Model], Scene]] = {
    "extend": extend_scene,
    "inpaint": inpaint_scene,
    "loop": loop_scene,
    "melody": melody_scene,
    "accompany": accompany_scene,
    "vary": vary_scene,
    "generate": generate_scene,
}


class Host(Protocol):
    """What a job needs of the engine."""

    device: str

    def model(self, name: str) -> Model:
        """The model of that name, loaded.

        Raises:
            BridgeError: `not_found`.
        """
        ...

    def identity_of(self, name: str) -> str:
        """All of it that renders depend on, for which nothing is loaded.

        Raises:
            BridgeError: `not_found`.
        """
        ...

    def habits_of(self, name: str) -> Habits:
        """How it is used where a request leaves it open; nothing is loaded for it.

        Raises:
            BridgeError: `not_found`.
        """
        ...

    def cached(
        self, key: CacheKey
    ) -> tuple[Mapping[str, Path], dict[str, Any], dict[str, Any]] | None:
        """Audio files by name, recipe and report of an exact hit."""
        ...

    def noises(self, latent_key: str) -> dict[str, Tensor] | None:
        """Refined noises of an earlier render by the part's name; None where they are gone."""
        ...

    def remember(
        self,
        key: CacheKey,
        tensors: dict[str, Tensor],
        audio: Mapping[str, Path],
        recipe: dict[str, Any],
        report: dict[str, Any],
    ) -> bool:
        """Keep a finished render; False where nothing is kept."""
        ...

    def amend(self, key: CacheKey, tensors: dict[str, Tensor]) -> None:
        """Add to a render that is kept; nothing where it is gone by now."""
        ...


def settings_for(request: RenderRequest, habits: Habits) -> RenderSettings:
    """The request's numbers, with the model's habits where it leaves them open.

    Of models that were distilled to few steps the fast path is their own: the noise optimised
    through one or two of them.
    """
    variation, method = request.variation, request.method
    if method == "fast" and habits.few_steps:
        method = "ditto-2"
    return RenderSettings(
        habits.variation[request.task] if variation is None else variation,
        request.steps or habits.steps,
        iterations_of(method) if request.refine is None else request.refine,
        method,
        request.balance,
        1 if request.task == "vary" else request.candidates,  # the clip's own noise and no other
        request.fresh,
    )


class Job:
    """One render; `run` emits everything up to `Done`, and `settle` does what can wait."""

    def __init__(
        self,
        host: Host,
        request: RenderRequest,
        spool_dir: Path,
        emit: Callable[[Event], None],
        stopped: Callable[[], bool],
        *,
        sparing: bool = False,
    ) -> None:
        self.host = host
        self.request = request
        self.spool_dir = spool_dir
        self.emit = emit
        self.settings = replace(
            settings_for(request, host.habits_of(request.model)), sparing=sparing
        )
        self.meter = Meter(emit, stopped, refine_steps=self.settings.refine)
        self._unsettled: tuple[CacheKey, Rendering] | None = None

    @torch.no_grad()
    def run(self) -> None:
        """Render.

        Raises:
            BridgeError: bad input. JobStopped: cancelled.
        """
        self.emit(Progress("analysis", 0.0))
        since = time.perf_counter()
        key = self.key()
        if self._from_cache(key):
            return
        model = self.host.model(self.request.model)
        scene = SCENES[self.request.task](self.request, model)
        self.meter.stage("analysis", since)
        rendering = Rendering(
            model,
            str(model.device),
            scene,
            self.settings,
            self.request.seed,
            self.meter,
            self.emit,
            self.start(),
            Checkpoints(self.spool_dir / "checkpoints", key.digest),
        )
        finished = rendering.draft()
        if self.settings.refine:
            finished = rendering.refine() or finished
        self._deliver(rendering, finished, key)

    @property
    def settled(self) -> bool:
        """Whether there is nothing left to do."""
        return self._unsettled is None

    @torch.no_grad()
    def settle(self, stopped: Callable[[], bool]) -> None:
        """Look for the noise that the result did not wait for, and add it to the cache's entry.

        Args:
            stopped: asked between calls of the network.

        Raises:
            JobStopped: it was true.
        """
        if self._unsettled is None:
            return
        (key, rendering), self._unsettled = self._unsettled, None
        self.meter.fall_silent(stopped)
        self.host.amend(key, rendering.missing_noises())

    @property
    def pace_s(self) -> float | None:
        """Seconds that a unit of the work took that was done; None where nothing was rendered."""
        total_s = self.meter.timings_s.get("total")
        return None if total_s is None else total_s / self.meter.done

    def start(self) -> dict[str, Tensor]:
        """The noises that the request wants to begin with; none where they are gone."""
        name = self.request.noise
        return {} if name is None else self.host.noises(name) or {}

    def key(self) -> CacheKey:
        """Key of the render: files by what is in them, settings as rendered."""
        request = self.request
        asked = request.to_mapping() | self._resolved()
        for name in ("context", "tempo_from", "intensity_from", "structure_from"):
            path = getattr(request, name)
            if path is not None:
                asked[f"{name}_digest"] = _digest(path)
        source = _digest(request.source or request.melody or "")
        model = self.host.identity_of(request.model)
        return cache_key(source, asked, model, SAMPLER_VERSION)

    def _resolved(self) -> dict[str, Any]:
        """The settings as rendered, defaults filled in."""
        names = ("variation", "steps", "refine", "method", "candidates")
        return {name: getattr(self.settings, name) for name in names}

    def _from_cache(self, key: CacheKey) -> bool:
        hit = self.host.cached(key)
        if hit is None:
            return False
        audio, recipe, report = hit
        # The clip may have been moved since: the recipe names the request of today.
        recipe = recipe | {"request": self.request.to_mapping()}
        paths = {name: self.spool_dir / path.name for name, path in audio.items()}
        try:
            for name, path in paths.items():
                shutil.copyfile(audio[name], path)
        except OSError:  # evicted by another process a moment ago: render it again
            return False
        elapsed = round(time.perf_counter() - self.meter.started_s, 4)
        self._hand_over(paths, report | {"cache": "hit", "timings_s": {"total": elapsed}}, recipe)
        return True

    def _deliver(self, rendering: Rendering, finished: Finished, key: CacheKey) -> None:
        scene = rendering.scene
        paths = self._write(rendering.model, scene, finished)
        since = time.perf_counter()
        samples = quantise(finished.samples, scene.subtype)
        draft = tuple(outcome for part in rendering.done for outcome in part.draft)
        outcomes = tuple(outcome for part in rendering.done for outcome in part.outcomes)
        digests = {name: _digest(str(path)) for name, path in paths.items()}
        report = build_report(scene, finished, samples, draft, outcomes, digests)
        self.meter.stage("report", since)
        self.meter.stage("total", self.meter.started_s)
        model = rendering.model
        recipe = {
            "request": self.request.to_mapping(),
            "resolved": self._resolved(),
            "source_digest": scene.digest,
            "model": {"name": model.name, "digest": model.digest},
            "sampler_version": SAMPLER_VERSION,
            "latent_key": key.digest,
        }
        report |= {
            "timings_s": self.meter.timings_s,
            "device": rendering.device,
            "cache": "near" if rendering.near else "miss",
            "model": recipe["model"],
            "seed": self.request.seed,
            "variation": self.settings.variation,
        }
        kept = self.host.remember(key, rendering.tensors(), paths, recipe, report)
        if kept and not rendering.undone:
            self._unsettled = key, rendering
        self._hand_over(paths, report, recipe)

    def _write(self, model: Model, scene: Scene, finished: Finished) -> dict[str, Path]:
        """The files of the result, the stems first and the mix last."""
        tags = tags_of(scene, finished, self.request, model)
        return {
            name: write_audio(
                self.spool_dir / f"{name}.wav",
                samples,
                scene.sample_rate_hz,
                scene.subtype,
                tags=tags if name == MIX else replace(tags, title=f"{tags.title} ({name})"),
                overwrite=True,
            )
            for name, samples in (*finished.stems.items(), (MIX, finished.samples))
        }

    def _hand_over(
        self, paths: Mapping[str, Path], report: dict[str, Any], recipe: dict[str, Any]
    ) -> None:
        shape = (report["sample_rate_hz"], report["channels"], report["length_samples"])
        for name, path in paths.items():
            self.emit(Stem(name, str(path), *shape))
        self.emit(Done(report, recipe))


def _digest(named: str) -> str:
    """SHA-256 of a clip or melody; empty where there is none or it cannot be read.

    Known before anything is decoded, so that a repeat costs a hash; what is wrong with an
    unreadable file is for its reader to say.
    """
    try:
        with open_named(named) as file:
            status = os.fstat(file.fileno())
            # A pipe would never end, and what is too large is refused by its reader.
            if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
                return ""
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
