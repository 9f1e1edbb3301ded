"""Peak memory of one iteration, seen by a process that does nothing else.

The process loads the model, samples once, so that all that is made when first needed is there, and
then makes one iteration. What counts is how far the resident size rises above what it was just
before. The allocator is told to hand back at once what is freed, so that the peak is what is held.
"""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import torch
from evaluation.store import ROOT, Figures

from ditto_bench.plan import Job
from engine.models.house.model import WINDOW_STEPS, load_house
from engine.optimise.methods import run_method
from engine.optimise.problem import Problem

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"  # proc(5): resets the peak resident size
_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def peak_of(job: Job) -> Figures:
    """Peak and time of one iteration of a job's method, measured in a fresh process."""
    folders = [str(ROOT), str(ROOT / "scripts")]
    environment = {**os.environ, **_ALLOCATOR, "PYTHONPATH": os.pathsep.join(folders)}
    answer = subprocess.run(
        [sys.executable, "-m", "ditto_bench.memory", job.method, str(job.steps)],
        env=environment,
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    found: Figures = json.loads(answer.stdout.splitlines()[-1])
    return found


def _kilobytes(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", _STATUS.read_text())
    assert found is not None
    return int(found[1])


def measured(method: str, steps: int) -> dict[str, float]:
    """Rise of the resident size over one iteration in MB, and its seconds; in this process."""
    from engine.controls.intensity import intensity_objective
    from engine.models.studio import FrameConditions

    torch.set_num_threads(min(2, os.cpu_count() or 1))
    model = load_house()
    blank = torch.zeros(1, model.codec.latent_channels, WINDOW_STEPS)
    frames = 2 * WINDOW_STEPS
    objective = intensity_objective(
        model.codec.log_mel, torch.full((frames,), -20.0), torch.ones(frames), 44_100, 512 / 44_100
    )
    denoiser = model.denoiser(FrameConditions(blank, blank[:, :1]), model.unconditioned(1))
    problem = Problem(denoiser, model.levels(1.0, steps), objective, blank)
    noise = torch.randn(blank.shape, generator=torch.Generator().manual_seed(0))
    run_method(method, problem.in_steps(1), noise, iterations=1)
    gc.collect()
    _RESET.write_text(_FORGET_PEAK)
    before = _kilobytes("VmRSS")
    begun_s = time.perf_counter()
    run_method(method, problem, noise, iterations=1)
    return {
        "peak_mb": (_kilobytes("VmHWM") - before) / 1024,
        "seconds": time.perf_counter() - begun_s,
    }


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], int(sys.argv[2]))))
