"""Results kept one by one as JSON, so that a run can be stopped at any time and goes on later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluation.store import Figures, Store

from ditto_bench.plan import ITERATING, Job
from engine.controls.melody import AHEAD, ENOUGH
from engine.controls.structure import TOLERANCE
from engine.optimise.doodl import DoodlSettings
from engine.optimise.fast import FastSettings
from engine.optimise.flowchef import FlowChefSettings
from engine.optimise.freedom import FreeDomSettings
from engine.optimise.guidance_gradients import GuidanceGradientsSettings
from engine.optimise.masking import MULTIDIFFUSION, MULTIDIFFUSION_HALF, NAIVE
from engine.optimise.methods import DITTO
from engine.optimise.noise import NoiseSettings
from engine.optimise.surrogate import SurrogateSettings

VERSION = 1  # raise it when the same job would mean something else
SETTINGS: Mapping[str, object] = {
    "fast": FastSettings(),
    "ditto-2": SurrogateSettings(),
    "ditto": DITTO,
    "ditto-published": NoiseSettings(),
    "doodl": DoodlSettings(),
    "freedom": FreeDomSettings(),
    "guidance-gradients": GuidanceGradientsSettings(),
    "flowchef": FlowChefSettings(),
    "naive": NAIVE,
    "multidiffusion": MULTIDIFFUSION,
    "multidiffusion-half": MULTIDIFFUSION_HALF,
}


@dataclass(frozen=True, slots=True)
class Results:
    """All results of one set of weights.

    Attributes:
        weights: digest of the weights.
        material: what the items are made of, where that can differ.
    """

    folder: Path
    weights: str
    material: str = "held-out music"

    def key(self, job: Job) -> dict[str, Any]:
        """Everything that a result depends on, but for the code, which it names."""
        return {
            **asdict(job),
            "weights": self.weights,
            "material": self.material,
            "settings": repr(SETTINGS.get(job.method, "")),
            "version": VERSION,
            **({"seconds": "until the result"} if job.method == "fast" else {}),
            **({"enough": (*ENOUGH, AHEAD)} if "melody" in job.task else {}),
            **({"stops": TOLERANCE} if "structure" in job.task and job.method in ITERATING else {}),
        }

    def load(self, job: Job) -> Figures | None:
        """A finished result, or None where it is missing or damaged."""
        return self._store(job).load(self._name(job))

    def keep(self, job: Job, figures: Figures) -> None:
        """Write a result; it is there whole or not at all."""
        self._store(job).save(self._name(job), {"job": asdict(job), **figures})

    def measured(self, job: Job, measure: Callable[[Job], Figures]) -> tuple[Figures, bool]:
        """The kept result, or a new one; and whether it had to be measured."""
        kept = self.load(job)
        if kept is not None:
            return kept, False
        figures = measure(job)
        self.keep(job, figures)
        return figures, True

    def noise_path(self, job: Job) -> Path:
        """Where the noise that a run has found lies."""
        said = json.dumps(self.key(job), sort_keys=True)
        return self.folder / "noise" / f"{hashlib.sha256(said.encode()).hexdigest()[:16]}.pt"

    def _store(self, job: Job) -> Store:
        return Store(self.folder / "results", self.key(job))

    def _name(self, job: Job) -> str:
        parts = (job.kind, job.task, job.method, str(job.item))
        return "_".join(part for part in parts if part)
