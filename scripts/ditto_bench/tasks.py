"""A task and an item as a problem: what is asked, under which conditions, and how it is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from evaluation.measures import Audio
from torch import Tensor

from ditto_bench.curves import curve_of, form_of
from ditto_bench.material import (
    RATE_HZ,
    STEP_S,
    STEP_SAMPLES,
    WINDOW_S,
    WINDOW_SAMPLES,
    Material,
    Music,
    Prompt,
    noise_of,
    prompt_of,
)
from ditto_bench.tunes import EXACTLY, Cut
from engine.controls import intensity, structure
from engine.controls.control import Control, Goal, Scope, Setting
from engine.controls.intensity import WEIGHT_BESIDE_MELODY, Intensity
from engine.controls.melody import Tune
from engine.controls.once import once
from engine.controls.overlap import Overlap, wrap_reference
from engine.controls.together import Together
from engine.curves import Form, Lane
from engine.models.contracts import Denoiser
from engine.models.house.codec import FRAMES_PER_STEP
from engine.models.house.model import WINDOW_STEPS
from engine.models.studio import FrameConditions
from engine.optimise.problem import Problem
from engine.render.splice import inpaint_overlaps, splice_inpaint
from engine.sampling.steps import STEP_RULES

_CROSSFADE_SAMPLES = 882  # 20 ms


@dataclass(frozen=True, slots=True)
class Place:
    """Where a window belongs among audio that is there already.

    Attributes:
        prior: the reference's latent where the mask is 1 `[1, channels, steps]`.
        mask: `[1, 1, steps]`.
        frame: that audio, silent where there is none `[2, samples]`.
        at: where the window begins in the frame, in samples.
        free: the samples of the frame that are to be made.
    """

    prior: Tensor = field(repr=False)
    mask: Tensor = field(repr=False)
    frame: Audio = field(repr=False)
    at: int
    free: tuple[int, int]

    @property
    def seams(self) -> tuple[int, ...]:
        """Where old and new audio meet."""
        return tuple(at for at in self.free if at < self.frame.shape[1])

    def spliced(self, window: Audio) -> Audio:
        """The frame with the free part out of a decoded window."""
        start, stop = self.free
        left, right = inpaint_overlaps(self.frame.shape[1], start, stop, _CROSSFADE_SAMPLES)
        generated = window[:, start - left - self.at : stop + right - self.at]
        return splice_inpaint(self.frame, generated, start, stop, _CROSSFADE_SAMPLES)


@dataclass(frozen=True, slots=True)
class Question:
    """One item of a task.

    Attributes:
        conditional: the same model, told by its own conditions what is asked for.
        cut: the tune that is asked for.
    """

    problem: Problem
    together: Together
    conditional: Denoiser = field(repr=False)
    noise: Tensor = field(repr=False)
    controls: tuple[Control, ...]
    place: Place | None
    cut: Cut | None


def ask(material: Material, task: str, item: int, steps: int, rule: str = "euler") -> Question:
    """The question of a task, such as `melody` or `intensity+outpaint-2`."""
    parts = task.split("+")
    model = material.model
    music = material.references(item) if _is_painting(parts) else None
    place = None if music is None else _place(material, music, parts)
    cut = material.tune(item) if "melody" in parts else None
    blank = torch.zeros(1, model.codec.latent_channels, WINDOW_STEPS)
    prior, mask = (blank, blank[:, :1]) if place is None else (place.prior, place.mask)
    scope = Scope(0, WINDOW_STEPS, prior, mask, once(model.codec.log_mel), RATE_HZ, STEP_SAMPLES)
    controls = tuple(_controls(material, parts, item, cut))
    goals = [goal for control in controls if (goal := Goal.of(control, scope)) is not None]
    if len(goals) == 1:
        goals = [replace(goals[0], weight=1.0)]
    together = Together(goals)
    told = _prompt(item, music, cut).conditions(model)
    own = FrameConditions(prior, mask, **_frames(material, controls, cut))
    problem = Problem(
        model.denoiser(FrameConditions(blank, blank[:, :1]), told),
        model.levels(1.0, steps),
        together,
        prior,
        mask if bool(mask.any()) else None,
        rule=STEP_RULES[rule],
        spacing=model.levels,
    )
    noise = noise_of(item, model.codec.latent_channels)
    return Question(problem, together, model.denoiser(own, told), noise, controls, place, cut)


def _is_painting(parts: Sequence[str]) -> bool:
    return any(part == "loop" or "paint-" in part for part in parts)


def _prompt(item: int, music: Music | None, cut: Cut | None) -> Prompt:
    """The item's own; music is told what it is, and a tune its key and tempo."""
    if music is not None:
        return music.prompt
    drawn = prompt_of(item)
    if cut is None:
        return drawn
    return Prompt(drawn.style, cut.key.tonic, cut.key.mode, cut.tempo_bpm)


def _frames(material: Material, controls: Sequence[Control], cut: Cut | None) -> dict[str, Tensor]:
    """The model's own conditions for what is asked."""
    found = {}
    if cut is not None:
        found["melody_chroma"] = cut.chroma(WINDOW_STEPS, STEP_S, EXACTLY)
        found["melody_onsets"] = cut.onsets(WINDOW_STEPS, STEP_S)
    for control in controls:
        if isinstance(control, Intensity):
            each = control.target_db.view(1, 1, WINDOW_STEPS, FRAMES_PER_STEP).mean(dim=-1)
            found["level"] = material.told_level(each)
    return found


def _controls(
    material: Material, parts: Sequence[str], item: int, cut: Cut | None
) -> list[Control]:
    setting = _setting()
    found: list[Control] = []
    for part in parts:
        if part in ("intensity", "intensity-changed"):
            curve = curve_of(item) if part == "intensity" else curve_of(item).changed
            times_s = setting.times_s(FRAMES_PER_STEP)
            drawn_db = curve.values(len(times_s), material.mean_level_db)
            points = zip(times_s.tolist(), drawn_db.tolist(), strict=True)
            wish = intensity.read(Lane(tuple(points)), setting, "level")
            found.append(replace(wish, weight=WEIGHT_BESIDE_MELODY) if cut else wish)
        elif part == "melody":
            assert cut is not None
            found.append(Tune(cut.chroma(WINDOW_STEPS, STEP_S), cut.pitches_at))
        elif part == "structure":
            found.append(structure.read(Form.parse(form_of(item)), setting))
        else:
            found.append(Overlap())
    return found


def _setting() -> Setting:
    def nothing(path: str) -> tuple[Audio, int]:
        raise FileNotFoundError(path)

    def no_text(path: str) -> str:
        raise FileNotFoundError(path)

    return Setting(WINDOW_STEPS, STEP_S, 0.0, WINDOW_S, None, nothing, no_text)


def _place(material: Material, music: Music, parts: Sequence[str]) -> Place:
    """A reference laid out for a task; seconds are rounded to latent steps."""
    (part,) = (part for part in parts if part == "loop" or "paint-" in part)
    name, _, seconds = part.partition("-")
    asked = round(float(seconds or 1.0) / STEP_S)  # a loop has a second at either end
    latent, audio = material.latent(music), music.window
    mask = torch.zeros_like(latent[:, :1])
    if name == "inpaint":
        start = (WINDOW_STEPS - asked) // 2
        mask[:] = 1.0
        mask[..., start : start + asked] = 0.0
        free = (start * STEP_SAMPLES, (start + asked) * STEP_SAMPLES)
        return Place(latent * mask, mask, _silenced(audio, free), 0, free)
    known = asked * STEP_SAMPLES
    at = WINDOW_SAMPLES - known
    silence = np.zeros((2, at if name == "outpaint" else at - known))
    free = (WINDOW_SAMPLES, WINDOW_SAMPLES + silence.shape[1])
    if name == "loop":
        prior, mask = wrap_reference(latent, WINDOW_STEPS, asked)
        return Place(prior, mask, np.concatenate([audio, silence, audio], axis=1), at, free)
    mask[..., :asked] = 1.0
    prior = torch.zeros_like(latent)
    prior[..., :asked] = latent[..., -asked:]
    return Place(prior, mask, np.concatenate([audio, silence], axis=1), at, free)


def _silenced(audio: Audio, where: tuple[int, int]) -> Audio:
    quiet = audio.copy()
    quiet[:, where[0] : where[1]] = 0.0
    return quiet
