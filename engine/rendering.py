"""The parts of a scene, rendered one after the other, each beside what sounds by then."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from engine.files.quantise import quantise
from engine.meter import Meter
from engine.models.house.model import HouseModel
from engine.optimise.problem import OptimisedNoise
from engine.spec import ROLES, Event, Preview
from engine.tasks.scene import Finished, Part, Scene
from engine.timeline import (
    RenderSettings,
    Timeline,
    WindowOutcome,
    led_in,
    plan_windows,
    render_timeline,
    without_refinement,
)

_STEPS_HZ = 43
_DECODE_STEPS_COST = 20.0  # decoding a second of audio costs about as much as so many model calls


@dataclass(frozen=True, slots=True)
class RenderedPart:
    """One part as it stands.

    Attributes:
        latent, noise: `[1, 128, steps]`, the noise on the CPU.
        audio: float32 `[2, steps × 1024]` as it sounds in the mix.
        draft, outcomes: the windows of the first rendering and of the one that stands.
    """

    latent: Tensor = field(repr=False)
    noise: Tensor = field(repr=False)
    audio: Tensor = field(repr=False)
    draft: tuple[WindowOutcome, ...]
    outcomes: tuple[WindowOutcome, ...]


class Rendering:
    """Renders a scene; every part that is done is heard in a preview of the mix so far."""

    def __init__(
        self,
        model: HouseModel,
        device: str,
        scene: Scene,
        settings: RenderSettings,
        seed: int,
        meter: Meter,
        emit: Callable[[Event], None],
    ) -> None:
        self.model = model
        self.device = device
        self.scene = scene
        self.settings = settings
        self.meter = meter
        self.emit = emit
        self.done: list[RenderedPart] = []
        self._noise = _noises(scene, seed)
        self._revision = 0
        meter.total = sum(self._cost(part) for part in scene.parts)

    def draft(self) -> Finished:
        """Render every part once; the result."""
        settings = without_refinement(self.settings)
        for part in self.scene.parts:
            self.done.append(self._render(part, self.done, "draft", settings))
            finished = self._preview()
        return finished

    def refine(self) -> Finished | None:
        """Optimise the noise of the parts that have something to meet; None where none has."""
        finished = None
        for place, part in enumerate(self.scene.parts):
            drafted = self.done[place]
            if not part.refined or not any(outcome.losses for outcome in drafted.outcomes):
                continue
            better = self._render(part, self.done[:place], "refine", self.settings)
            self.done[place] = replace(better, draft=drafted.draft)
            finished = self._preview()
        return finished

    def tensors(self) -> dict[str, Tensor]:
        """Noise and latent of every part, for the cache."""
        named = zip(self.scene.parts, self.done, strict=True)
        return {
            f"{part.name}.{kind}": value
            for part, done in named
            for kind, value in (("noise", done.noise), ("latent", done.latent))
        }

    def context(self, before: Sequence[RenderedPart]) -> Tensor | None:
        """Latent of what sounds beside the next part `[1, 128, steps]`; None where nothing does."""
        heard = [part.audio for part in before]
        if self.scene.beside is not None:
            heard.append(self.scene.beside)
        if not heard:
            return None
        total = torch.stack(heard).sum(dim=0).to(self.device)
        return self.model.codec.encode(total)[None]

    def _cost(self, part: Part) -> float:
        """Estimate in model calls: a gradient step costs three."""
        timeline = part.timeline
        flags = [bool(value) for value in timeline.known[0, 0]]
        windows = len(plan_windows(flags, backwards=timeline.backwards))
        calls = self.settings.steps * windows
        told = timeline.melody_chroma is not None or any(flags) or windows > 1
        again = bool(self.settings.refine) and part.refined and told
        evaluations = self.settings.refine + 1 if again else 0
        return calls * (1 + 3 * evaluations) + _decode_cost(timeline) * (2 if again else 1)

    def _render(
        self,
        part: Part,
        before: Sequence[RenderedPart],
        stage: str,
        settings: RenderSettings,
    ) -> RenderedPart:
        timeline = replace(part.timeline, context=self.context(before))
        latent, noise, outcomes = self._sample(part, timeline, stage, settings)
        audio = part.settled(self._decode(part, latent))
        return RenderedPart(latent, noise, audio, outcomes, outcomes)

    def _sample(
        self, part: Part, timeline: Timeline, stage: str, settings: RenderSettings
    ) -> tuple[Tensor, Tensor, tuple[WindowOutcome, ...]]:
        since = time.perf_counter()
        cost = 1.0 if stage == "draft" else 3.0
        named = stage if len(self.scene.parts) == 1 else f"{stage} {part.name}"
        last: list[OptimisedNoise | None] = [None]

        def step(_: int, run: OptimisedNoise | None) -> None:
            last[0] = run or last[0]
            self.meter.advance(named, cost if run is None else 0.0, last[0])

        with torch.enable_grad():
            latent, used, outcomes = render_timeline(
                self.model,
                timeline.to(self.device),
                self._noise[part.name].to(self.device),
                settings,
                on_step=step,
            )
        self.meter.stage(stage, since)
        return latent, used.cpu(), outcomes

    def _decode(self, part: Part, latent: Tensor) -> Tensor:
        """Audio of a rendered part `[2, samples]`."""
        since = time.perf_counter()
        self.meter.advance("decode", 0.0)
        variation = self.settings.variation
        audio = part.guide
        if variation > 0.0:
            decoded = self.model.codec.decode(
                latent,
                part.guide[None].to(latent.device),
                lambda: self.meter.advance("decode", 0.0),
                change=variation,
            )[0]
            audio = led_in(part.guide, decoded.cpu(), part.timeline, variation)
        self.meter.advance("decode", _decode_cost(part.timeline))
        self.meter.stage("decode", since)
        return audio

    def _preview(self) -> Finished:
        """Assemble what is done and let the new part be heard."""
        scene = self.scene
        finished = scene.finish([part.audio.numpy() for part in self.done])
        start, stop = finished.new
        exact = quantise(finished.samples[:, start:stop], scene.subtype)
        self.emit(
            Preview(
                self._revision,
                start,
                scene.sample_rate_hz,
                finished.samples.shape[0],
                np.ascontiguousarray(exact.T, dtype="<f4").tobytes(),
            )
        )
        self._revision += 1
        if "first_preview" not in self.meter.timings_s:
            self.meter.stage("first_preview", self.meter.started_s)
        return finished


def _decode_cost(timeline: Timeline) -> float:
    return timeline.steps / _STEPS_HZ * _DECODE_STEPS_COST


def _noises(scene: Scene, seed: int) -> dict[str, Tensor]:
    """The initial noise of each part; that of a stem does not depend on who else plays."""
    generator = torch.Generator().manual_seed(seed)
    shape = scene.parts[0].timeline.prior.shape
    names = [part.name for part in scene.parts]
    drawn = {
        name: torch.randn(shape, generator=generator)
        for name in (ROLES if names[0] in ROLES else names)
    }
    return {name: drawn[name] for name in names}
