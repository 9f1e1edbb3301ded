"""The parts of a scene, rendered one after the other, each beside what sounds by then."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import takewhile

import numpy as np
import torch
from torch import Tensor

from engine.chain import is_undone, render_timeline, timeline_noise, windows_of
from engine.checkpoints import Checkpoint, Checkpoints
from engine.costs import StepCosts, decode_cost, refine_cost, start_cost
from engine.files.quantise import quantise
from engine.meter import Meter
from engine.models.studio import Model
from engine.optimise.problem import OptimisedNoise
from engine.optimise.surrogate import DECODES
from engine.spec import ROLES, Event, Preview
from engine.tasks.scene import Finished, Part, Scene
from engine.timeline import Timeline, led_in
from engine.window_task import INVERSION, RenderSettings, WindowOutcome
from engine.windows import Window

_ADDED_SEED = 0x5EED  # another stream than that of the initial noises


@dataclass(frozen=True, slots=True)
class RenderedPart:
    """One part as it stands.

    Attributes:
        latent: `[1, channels, steps]`.
        audio: float32 `[2, samples of whole steps]` as it sounds in the mix.
        draft, outcomes: the windows of the first rendering and of the one that stands.
    """

    latent: Tensor = field(repr=False)
    audio: Tensor = field(repr=False)
    draft: tuple[WindowOutcome, ...]
    outcomes: tuple[WindowOutcome, ...]


class Rendering:
    """Renders a scene; every part that is done is heard in a preview of the mix so far."""

    def __init__(
        self,
        model: Model,
        device: str,
        scene: Scene,
        settings: RenderSettings,
        seed: int,
        meter: Meter,
        emit: Callable[[Event], None],
        start: Mapping[str, Tensor] | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        """Prepare a rendering.

        Args:
            settings: with `candidates` noises for each part.
            start: noises to begin with by the part's name, such as those of an earlier render;
                `near` names the parts that they fitted.
            checkpoints: where the refinement keeps its state, and goes on from.
        """
        self.model = model
        self.device = device
        self.scene = scene
        self.settings = settings
        self.meter = meter
        self.emit = emit
        self.checkpoints = checkpoints
        self.done: list[RenderedPart] = []
        inverted = any(part.timeline.inverted for part in scene.parts)
        count = settings.steps if inverted else settings.candidates
        self._noise = _noises(scene, seed, count)
        self._added = _added_noise(model, scene, seed, settings.steps)
        # An inverted part begins with its own noise, and adds these on the way.
        fitting = {} if inverted else start or {}
        self.near = [name for name, noise in fitting.items() if self._begin_with(name, noise)]
        self._revision = 0
        meter.total = sum(self._cost(part) for part in scene.parts)

    def _begin_with(self, name: str, noise: Tensor) -> bool:
        """Begin a part with earlier noise, where it is as long."""
        fresh = self._noise.get(name)
        if fresh is None or fresh.shape[1:] != noise.shape[1:]:
            return False
        fresh[:1] = noise
        return True

    def noise_of(self, part: Part) -> Tensor:
        """Initial noises of a part `[candidates, channels, steps]`, on the CPU."""
        return self._noise[part.name]

    def settings_of(self, part: Part) -> RenderSettings:
        """How a part is refined: what begins with noise for a wish like this one is mended."""
        return replace(self.settings, near=part.name in self.near)

    def draft(self) -> Finished:
        """Render every part once; the result."""
        settings = replace(self.settings, refine=0)
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
            settings = self.settings_of(part)
            known = drafted.outcomes[0].latent if self.begins_as_drafted(part) else None
            better = self._render(part, self.done[:place], "refine", settings, known)
            self.done[place] = replace(better, draft=drafted.draft)
            finished = self._preview()
        return finished

    def begins_as_drafted(self, part: Part) -> bool:
        """Whether the refinement of the first window has its draft's noise and hears what that
        heard: other candidates are new, and so is what has been refined beside it."""
        before = takewhile(lambda other: other is not part, self.scene.parts)
        heard_anew = any(other.refined for other in before)
        return self.settings.candidates == 1 and not (heard_anew or part.timeline.inverted)

    def tensors(self) -> dict[str, Tensor]:
        """Latent of every part, and the noise where it is there, for the cache."""
        named = zip(self.scene.parts, self.done, strict=True)
        latents = {f"{part.name}.latent": done.latent for part, done in named}
        return latents | self._noises(undone=True)

    def missing_noises(self) -> dict[str, Tensor]:
        """The noise that `tensors` lacks, looked for now.

        Raises:
            JobStopped: nobody wants it any more.
        """
        return self._noises(undone=False)

    def _noises(self, *, undone: bool) -> dict[str, Tensor]:
        return {
            f"{part.name}.noise": timeline_noise(self.noise_of(part), done.outcomes)
            for part, done in zip(self.scene.parts, self.done, strict=True)
            if is_undone(done.outcomes) == undone
        }

    @property
    def undone(self) -> bool:
        """Whether the noise of every part is there."""
        return all(is_undone(done.outcomes) for done in self.done)

    def context(self, before: Sequence[RenderedPart]) -> Tensor | None:
        """Latent of what sounds beside the next part `[1, channels, steps]`.

        None where nothing does, or the model does not hear it.
        """
        if not self.model.hears_context:
            return None
        heard = [part.audio for part in before]
        if self.scene.beside is not None:
            heard.append(self.scene.beside)
        if not heard:
            return None
        total = torch.stack(heard).sum(dim=0).to(self.device)
        return self.model.codec.encode(total)[None]

    def _cost(self, part: Part) -> float:
        """Estimate in model calls."""
        timeline = part.timeline
        windows = len(windows_of(self.model, timeline))
        told = bool(timeline.controls) or bool(timeline.known.any()) or windows > 1
        again = bool(self.settings.refine) and part.refined and told
        calls = self.settings.steps + (refine_cost(self.settings_of(part)) if again else 0.0)
        # What a model refines by another rule than its own is compared with its own draft.
        compared = again and self.model.habits.added_noise
        own_draft = StepCosts.of(self.settings).call * self.settings.steps if compared else 0.0
        if timeline.inverted:  # the variation is the draft
            own_draft = 0.0
        known = again and self.begins_as_drafted(part)
        saved = (own_draft if compared else start_cost(self.settings)) if known else 0.0
        if timeline.inverted:
            calls += self.settings.steps * (1 + INVERSION.refinements)
        sampled = (calls + own_draft) * windows - saved
        return sampled + decode_cost(timeline) * (2 if again else 1)

    def _render(
        self,
        part: Part,
        before: Sequence[RenderedPart],
        stage: str,
        settings: RenderSettings,
        drafted: Tensor | None = None,
    ) -> RenderedPart:
        timeline = replace(part.timeline, context=self.context(before))
        latent, outcomes = self._sample(part, timeline, stage, settings, drafted)
        audio = part.settled(self._decode(part, latent))
        return RenderedPart(latent, audio, outcomes, outcomes)

    def _sample(
        self,
        part: Part,
        timeline: Timeline,
        stage: str,
        settings: RenderSettings,
        drafted: Tensor | None,
    ) -> tuple[Tensor, tuple[WindowOutcome, ...]]:
        since = time.perf_counter()
        costs = StepCosts.of(settings)
        named = stage if len(self.scene.parts) == 1 else f"{stage} {part.name}"
        last: list[OptimisedNoise | None] = [None]

        def step(_: int, run: OptimisedNoise | None) -> None:
            last[0] = run or last[0]
            self.meter.advance(named, costs.call if run is None else costs.evaluation, last[0])

        def keep(window: Window) -> Checkpoint:
            assert self.checkpoints is not None
            name = f"{part.name}-{window.start}-{window.stop}"
            begun = "from earlier noise" if part.name in self.near else ""
            return self.checkpoints.of(name, begun, partial(self._restored, part))

        with torch.enable_grad():
            latent, outcomes = render_timeline(
                self.model,
                timeline.to(self.device),
                self.noise_of(part).to(self.device),
                settings,
                added=None if self._added is None else self._added.to(self.device),
                score=lambda window, new, latents: self._score(part, window, new, latents),
                keep=keep if self.checkpoints is not None else None,
                check=self.meter.check,
                drafted=drafted,
                on_step=step,
            )
        self.meter.stage(stage, since)
        return latent, outcomes

    def _restored(self, part: Part, evaluations: int) -> None:
        """Take what an earlier run of the job has done already out of the work."""
        share = min(1.0, evaluations / (self.settings.refine + 1))
        if self.settings.sparing:  # each candidate is told of by itself
            share /= self.settings.candidates
        self.meter.total -= share * refine_cost(self.settings_of(part))

    @torch.no_grad()
    def _score(
        self, part: Part, window: Window, new: tuple[int, int], latents: Tensor
    ) -> dict[str, Tensor]:
        """How far the new steps of a window's candidates are from what was wished, by other means.

        Decoded; `[candidates]` of each wish that can be judged by them.
        """
        codec, timeline = self.model.codec, part.timeline
        starts_s = timeline.starts_s + window.start * timeline.step_s
        first_s, last_s = (timeline.starts_s + step * timeline.step_s for step in new)
        found: dict[str, list[float]] = {}
        for latent in latents:
            samples = codec.decode(latent).double().cpu().numpy()
            for control in timeline.controls:
                said = control.compare(samples, codec.sample_rate_hz, starts_s, (first_s, last_s))
                found.setdefault(control.name, []).append(math.nan if said is None else said.score)
        scores = {name: torch.tensor(each) for name, each in found.items()}
        return {name: each for name, each in scores.items() if bool(each.isfinite().all())}

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
        self.meter.advance("decode", decode_cost(part.timeline))
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


def _noises(scene: Scene, seed: int, candidates: int) -> dict[str, Tensor]:
    """Initial noises of each part `[candidates, channels, steps]`.

    That of a stem does not depend on who else plays, nor the first one on how many there are.
    """
    shape = scene.parts[0].timeline.prior.shape
    names = [part.name for part in scene.parts]
    drawn: dict[str, list[Tensor]] = {}
    generator = torch.Generator().manual_seed(seed)
    for _ in range(candidates):
        for name in ROLES if names[0] in ROLES else names:
            drawn.setdefault(name, []).append(torch.randn(shape, generator=generator))
    return {name: torch.cat(drawn[name]) for name in names}


def _added_noise(model: Model, scene: Scene, seed: int, steps: int) -> Tensor | None:
    """What the model's own rule adds at each step `[intervals, channels, steps]`, if it does.

    The same for every part and candidate; as many as the fast path may want, too.
    """
    if not model.habits.added_noise:
        return None
    shape = scene.parts[0].timeline.prior.shape[1:]
    generator = torch.Generator().manual_seed(seed ^ _ADDED_SEED)
    return torch.randn(max(steps, *DECODES), *shape, generator=generator)
