"""One render from request to file: scene, draft, refinement, decoding, assembly, report."""

from __future__ import annotations

import hashlib
import shutil
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from engine.cache import CacheKey, cache_key
from engine.files.audio import MAX_FILE_BYTES, write_audio
from engine.files.quantise import quantise
from engine.models.contracts import decode_in_chunks
from engine.models.house.model import HouseModel
from engine.optimise.noise import OptimisedNoise
from engine.report import build_report
from engine.spec import Done, Event, Preview, Progress, RenderRequest, Stem
from engine.tasks.clips import extend_scene, inpaint_scene, loop_scene
from engine.tasks.scene import Finished, Scene
from engine.tasks.sketches import generate_scene, melody_scene
from engine.timeline import (
    RenderSettings,
    WindowOutcome,
    led_in,
    plan_windows,
    render_timeline,
    without_refinement,
)

SAMPLER_VERSION = "3"  # part of every cache key: raise it when a request renders differently
SCENES: dict[str, Callable[[RenderRequest, HouseModel], Scene]] = {
    "extend": extend_scene,
    "inpaint": inpaint_scene,
    "loop": loop_scene,
    "melody": melody_scene,
    "generate": generate_scene,
}
DEFAULT_VARIATION = {"extend": 0.4, "inpaint": 0.4, "loop": 0.4, "melody": 0.6, "generate": 0.6}
DEFAULT_STEPS = 4
DEFAULT_REFINE = 24
_DECODE_STEPS_COST = 20.0  # decoding a second of audio costs about as much as so many model calls


class JobStopped(Exception):  # noqa: N818 - a signal, not an error
    """Raised inside the sampler when the job was cancelled."""


class Host(Protocol):
    """What a job needs of the engine."""

    device: str

    @property
    def model(self) -> HouseModel:
        """The loaded model."""
        ...

    def cached(self, key: CacheKey) -> tuple[Path, dict[str, Any], dict[str, Any]] | None:
        """Audio, recipe and report of an exact hit."""
        ...

    def remember(
        self,
        key: CacheKey,
        tensors: dict[str, Tensor],
        audio: Path,
        recipe: dict[str, Any],
        report: dict[str, Any],
    ) -> None:
        """Keep a finished render."""
        ...


def settings_for(request: RenderRequest) -> RenderSettings:
    """The request's numbers, with the task's defaults where it leaves them open."""
    variation = request.variation
    return RenderSettings(
        DEFAULT_VARIATION[request.task] if variation is None else variation,
        request.steps or DEFAULT_STEPS,
        DEFAULT_REFINE if request.refine is None else request.refine,
    )


@dataclass(slots=True)
class _Meter:
    """Work done and to do, in model calls; turns it into a fraction and the time left."""

    emit: Callable[[Event], None]
    stopped: Callable[[], bool]
    started_s: float = field(default_factory=time.perf_counter)
    refine_steps: int = 0
    total: float = 1.0
    done: float = 0.0
    told_s: float = 0.0
    timings_s: dict[str, float] = field(default_factory=dict)

    def advance(self, stage: str, cost: float, run: OptimisedNoise | None = None) -> None:
        """Count work; speaks at most ten times a second.

        Raises:
            JobStopped: the job was cancelled.
        """
        if self.stopped():
            raise JobStopped
        self.done += cost
        now = time.perf_counter()
        if now - self.told_s < 0.1:
            return
        self.told_s = now
        fraction = min(0.99, self.done / self.total)
        left_s = (now - self.started_s) * (1 - fraction) / fraction if fraction > 0.02 else None
        loss = None if run is None else run.losses[-1]
        best = None if run is None else run.best_loss
        step = 0 if run is None else len(run.losses)
        steps = 0 if run is None else self.refine_steps + 1
        self.emit(Progress(stage, round(fraction, 4), step, steps, left_s, loss, best))

    def stage(self, name: str, since_s: float) -> None:
        """Book the time of a finished stage."""
        elapsed = time.perf_counter() - since_s
        self.timings_s[name] = round(self.timings_s.get(name, 0.0) + elapsed, 4)


class Job:
    """One render; `run` emits everything up to `Done`."""

    def __init__(
        self,
        host: Host,
        request: RenderRequest,
        spool_dir: Path,
        emit: Callable[[Event], None],
        stopped: Callable[[], bool],
    ) -> None:
        self.host = host
        self.request = request
        self.spool_dir = spool_dir
        self.emit = emit
        self.settings = settings_for(request)
        self.meter = _Meter(emit, stopped, refine_steps=self.settings.refine)
        self.revision = 0

    @torch.no_grad()
    def run(self) -> None:
        """Render.

        Raises:
            BridgeError: bad input. JobStopped: cancelled.
        """
        self.emit(Progress("analysis", 0.0))
        since = time.perf_counter()
        model = self.host.model
        asked = self.request.to_mapping() | self._resolved()
        key = cache_key(_digest(self.request), asked, model.digest, SAMPLER_VERSION)
        if self._from_cache(key):
            return
        scene = SCENES[self.request.task](self.request, model)
        self.meter.stage("analysis", since)
        noise = torch.randn(
            scene.timeline.prior.shape,
            generator=torch.Generator().manual_seed(self.request.seed),
        )
        self._plan_work(scene)
        draft = self._sample(scene, noise, "draft", without_refinement(self.settings))
        finished = self._preview(scene, draft[0], "draft")
        latent, used, outcomes = draft
        if self.settings.refine and any(outcome.losses for outcome in outcomes):
            latent, used, outcomes = self._sample(scene, noise, "refine", self.settings)
            finished = self._preview(scene, latent, "refine")
        self._deliver(scene, finished, key, {"noise": used, "latent": latent}, draft[2], outcomes)

    def _resolved(self) -> dict[str, Any]:
        """The settings as rendered, defaults filled in."""
        names = ("variation", "steps", "refine", "rate")
        return {name: getattr(self.settings, name) for name in names}

    def _plan_work(self, scene: Scene) -> None:
        """Estimate the cost in model calls: a gradient step costs three."""
        flags = [bool(value) for value in scene.timeline.known[0, 0]]
        windows = len(plan_windows(flags, backwards=scene.timeline.backwards))
        calls = self.settings.steps * windows
        decode = scene.timeline.steps / 43 * _DECODE_STEPS_COST
        told = scene.timeline.melody_chroma is not None or any(flags) or windows > 1
        evaluations = self.settings.refine + 1 if self.settings.refine and told else 0
        self.meter.total = calls * (1 + 3 * evaluations) + decode * (2 if evaluations else 1)

    def _sample(
        self, scene: Scene, noise: Tensor, stage: str, settings: RenderSettings
    ) -> tuple[Tensor, Tensor, tuple[WindowOutcome, ...]]:
        since = time.perf_counter()
        cost = 1.0 if stage == "draft" else 3.0
        last: list[OptimisedNoise | None] = [None]

        def step(_: int, run: OptimisedNoise | None) -> None:
            last[0] = run or last[0]
            self.meter.advance(stage, cost if run is None else 0.0, last[0])

        with torch.enable_grad():
            latent, used, outcomes = render_timeline(
                self.host.model,
                scene.timeline.to(self.host.device),
                noise.to(self.host.device),
                settings,
                on_step=step,
            )
        self.meter.stage(stage, since)
        return latent, used.cpu(), outcomes

    def _preview(self, scene: Scene, latent: Tensor, stage: str) -> Finished:
        """Decode, assemble, and let the new part be heard."""
        since = time.perf_counter()
        self.meter.advance("decode", 0.0)
        if self.settings.variation == 0.0:
            audio = scene.guide
        else:
            guide = scene.guide[None].to(latent.device)
            decoded = decode_in_chunks(
                self.host.model.codec,
                latent,
                guide,
                lambda: self.meter.advance("decode", 0.0),
                change=self.settings.variation,
            )[0]
            audio = led_in(scene.guide, decoded.cpu(), scene.timeline, self.settings.variation)
        self.meter.advance("decode", scene.timeline.steps / 43 * _DECODE_STEPS_COST)
        finished = scene.finish(audio.numpy())
        self.meter.stage("decode", since)
        start, stop = finished.new
        exact = quantise(finished.samples[:, start:stop], scene.subtype)
        self.emit(
            Preview(
                self.revision,
                start,
                scene.sample_rate_hz,
                finished.samples.shape[0],
                np.ascontiguousarray(exact.T, dtype="<f4").tobytes(),
            )
        )
        self.revision += 1
        if "first_preview" not in self.meter.timings_s:
            self.meter.stage("first_preview", self.meter.started_s)
        return finished

    def _from_cache(self, key: CacheKey) -> bool:
        hit = self.host.cached(key)
        if hit is None:
            return False
        audio, recipe, report = hit
        # The clip may have been moved since: the recipe names the request of today.
        recipe = recipe | {"request": self.request.to_mapping()}
        path = self.spool_dir / audio.name
        try:
            shutil.copyfile(audio, path)
        except OSError:  # evicted by another process a moment ago: render it again
            return False
        elapsed = round(time.perf_counter() - self.meter.started_s, 4)
        report = report | {"cache": "hit", "timings_s": {"total": elapsed}}
        self.emit(
            Stem(
                "mix",
                str(path),
                report["sample_rate_hz"],
                report["channels"],
                report["length_samples"],
            )
        )
        self.emit(Done(report, recipe))
        return True

    def _deliver(
        self,
        scene: Scene,
        finished: Finished,
        key: CacheKey,
        tensors: dict[str, Tensor],
        draft: tuple[WindowOutcome, ...],
        outcomes: tuple[WindowOutcome, ...],
    ) -> None:
        path = write_audio(
            self.spool_dir / "mix.wav",
            finished.samples,
            scene.sample_rate_hz,
            scene.subtype,
            overwrite=True,
        )
        since = time.perf_counter()
        samples = quantise(finished.samples, scene.subtype)
        report = build_report(scene, finished, samples, draft, outcomes)
        self.meter.stage("report", since)
        self.meter.stage("total", self.meter.started_s)
        model = self.host.model
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
            "device": self.host.device,
            "cache": "miss",
            "model": recipe["model"],
            "seed": self.request.seed,
            "variation": self.settings.variation,
        }
        self.host.remember(key, tensors, path, recipe, report)
        self.emit(Stem("mix", str(path), scene.sample_rate_hz, samples.shape[0], samples.shape[1]))
        self.emit(Done(report, recipe))


def _digest(request: RenderRequest) -> str:
    """SHA-256 of the request's clip or melody; empty where it has none or cannot be read.

    Known before anything is decoded, so that a repeat costs a hash; what is wrong with an
    unreadable file is for its reader to say.
    """
    path = Path(request.source or request.melody or "")
    try:
        status = path.stat()
        # A pipe would never end, and what is too large is refused by its reader.
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
