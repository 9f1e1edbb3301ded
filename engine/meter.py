"""How far a job is, how long it will take, and whether it was told to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.optimise.problem import OptimisedNoise
from engine.spec import Event, Progress


class JobStopped(Exception):  # noqa: N818 - a signal, not an error
    """Raised inside the sampler when the job was cancelled."""


@dataclass(slots=True)
class Meter:
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
        self.check()
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

    def check(self) -> None:
        """Go on only if nobody has asked to stop.

        Raises:
            JobStopped: the job was cancelled.
        """
        if self.stopped():
            raise JobStopped

    def fall_silent(self, stopped: Callable[[], bool]) -> None:
        """The result is handed over: no more is told, and `stopped` alone ends what follows."""
        self.emit, self.stopped = _untold, stopped

    def stage(self, name: str, since_s: float) -> None:
        """Book the time of a finished stage."""
        elapsed = time.perf_counter() - since_s
        self.timings_s[name] = round(self.timings_s.get(name, 0.0) + elapsed, 4)


def _untold(event: Event) -> None:
    """Nobody listens any more."""
