"""One job done: a method on a question, with its losses over time and what is heard in the end."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median

import torch
from evaluation.embedding import Embedding
from evaluation.measures import Audio
from evaluation.store import Figures, code_digest
from torch import Tensor

from ditto_bench.judge import checks, heard
from ditto_bench.material import Material
from ditto_bench.memory import peak_of
from ditto_bench.plan import REUSED, Job, replace_task
from ditto_bench.store import Results
from ditto_bench.tasks import Question, ask
from engine.optimise.later import Later
from engine.optimise.methods import run_method
from engine.optimise.problem import OptimisedNoise, Problem

_CODE = ("engine/optimise", "engine/controls", "engine/sampling", "engine/models")
Point = tuple[float, float]  # seconds since the start, loss


class OutOfTimeError(Exception):
    """The time given is over in the middle of a job, which is given up."""


class MissingError(Exception):
    """A job cannot be done: not before another one is, or not on this system."""


def _peak_of(job: Job) -> Figures:
    try:
        return peak_of(job)
    except subprocess.CalledProcessError as error:  # only Linux tells what a process held at most
        reason = (error.stderr or "").strip().splitlines()[-1:] or ["it failed"]
        raise MissingError(
            f"the memory of {job.method} in {job.steps} steps: {reason[0]}"
        ) from None


@dataclass
class Bench:
    """What jobs are done with.

    Attributes:
        embedding: of what is heard, for the Fréchet distance; None leaves it out.
        out_of_time: asked after every sampler step.
    """

    material: Material
    results: Results
    embedding: Embedding | None = None
    out_of_time: Callable[[], bool] = lambda: False
    code: str = field(default_factory=lambda: code_digest(_CODE)[:16])

    def measure(self, job: Job) -> Figures:
        """The figures of a job.

        Raises:
            OutOfTimeError: the time is over.
            MissingError: the run whose noise is wanted has not been made.
        """
        match job.kind:
            case "memory":
                found: Figures = _peak_of(job)
            case "music":
                found = {"points": self._points(self.material.music(job.item).window)}
            case _:
                found = self._run(job)
        return {**found, "code": self.code, "load": os.getloadavg()[0]}

    def _run(self, job: Job) -> Figures:
        question = ask(self.material, job.task, job.item, job.steps, job.rule)
        noise = self._noise(job, question)
        trace: list[Point] = []
        busy_s: list[float] = []
        device = noise.device
        begun_s, begun_busy_s = time.perf_counter(), worked_s(device)

        def watch(run: OptimisedNoise) -> None:
            trace.append((time.perf_counter() - begun_s, run.losses[-1]))
            busy_s.append(worked_s(device) - begun_busy_s)

        run = solved(job, question, noise, watch, self._on_call)
        seconds = time.perf_counter() - begun_s
        busy_s.append(worked_s(device) - begun_busy_s)
        begun_s = time.perf_counter()
        audio = self._decoded(run.latent)
        decode_s = time.perf_counter() - begun_s
        undoing = _undoing(run)
        if job.task == "intensity" and job.method in REUSED:
            self._keep_noise(job, run.noise)
        goals = {goal.name: goal for goal in question.together.goals}
        with torch.no_grad():
            losses = {name: float(goal.loss(run.latent)) for name, goal in goals.items()}
        return {
            "losses": losses,
            "best": run.best_loss,
            "trace": [[round(at_s, 3), loss] for at_s, loss in trace],
            "busy_s": [round(at_s, 3) for at_s in busy_s],
            "iteration_s": iteration_s([at_s for at_s, _ in trace]),
            "iteration_busy_s": iteration_s(busy_s[:-1]),
            "seconds": seconds,
            "decode_s": decode_s,
            **undoing,
            "drift": run.drift,
            "checks": checks(question, run.latent, audio, self.material.model.codec.log_mel),
            "points": self._points(heard(question, audio)),
        }

    def _decoded(self, latent: Tensor) -> Audio:
        audio = self.material.model.codec.decode(latent)[0]
        return audio.cpu().double().numpy()

    def _points(self, audio: Audio) -> list[list[float]] | None:
        if self.embedding is None:
            return None
        return [[round(float(value), 5) for value in row] for row in self.embedding(audio)]

    def _on_call(self) -> None:
        if self.out_of_time():
            raise OutOfTimeError

    def _noise(self, job: Job, question: Question) -> Tensor:
        if job.start == "fresh":
            return question.noise
        path = self.results.noise_path(replace_task(job, "intensity"))
        if not path.is_file():
            raise MissingError(f"the noise of {job.method} on curve {job.item} is not there")
        found: Tensor = torch.load(path, weights_only=True)
        return found

    def _keep_noise(self, job: Job, noise: Tensor) -> None:
        path = self.results.noise_path(job)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(noise.cpu(), path)


def solved(
    job: Job,
    question: Question,
    noise: Tensor,
    watch: Callable[[OptimisedNoise], None],
    on_call: Callable[[], None],
) -> OptimisedNoise:
    """Run the job's method; "conditional" is the draft under the model's own conditions."""
    problem: Problem = replace(question.problem, on_call=on_call)
    method = job.method
    if method == "conditional":
        problem, method = replace(problem, denoiser=question.conditional), "draft"
    return run_method(
        method,
        problem,
        noise,
        iterations=job.iterations or None,
        watch=watch,
        reached=question.together.reached,
        near=job.start == "found",
    )


def worked_s(device: torch.device) -> float:
    """A clock for comparisons: the processor's own time, which other programs hardly touch; that of
    the wall where the work is done elsewhere."""
    return time.process_time() if device.type == "cpu" else time.perf_counter()


def _undoing(run: OptimisedNoise) -> dict[str, float | None]:
    """Look for the noise of a result that is there before it, and time that; None for others."""
    if not isinstance(run.own, Later):
        return {"undoing_s": None, "undoing_busy_s": None}
    begun_s, begun_busy_s = time.perf_counter(), worked_s(run.latent.device)
    assert run.noise.shape == run.latent.shape
    return {
        "undoing_s": time.perf_counter() - begun_s,
        "undoing_busy_s": worked_s(run.latent.device) - begun_busy_s,
    }


def iteration_s(at_s: Sequence[float]) -> float | None:
    """Median time of an iteration; the last evaluation, which has no gradient, is left out."""
    apart = [after - before for before, after in pairwise(at_s)]
    complete = apart[:-1] if len(apart) > 1 else apart
    return float(median(complete)) if complete else None
