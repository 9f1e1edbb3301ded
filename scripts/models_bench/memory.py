"""What sampling and one iteration of an optimisation take, beside what is foreseen of them.

On a CPU a process of its own loads the model, makes everything once, and then what is measured;
what counts is how far its resident size rises above what it was just before. The allocator is told
to hand back at once what is freed, so that the peak is what is held. On a GPU the allocator knows.
"""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from engine.optimise.memory import Kept, kept_by, peak_bytes
from engine.optimise.problem import Problem
from engine.sampling.loop import GradientPolicy
from models_bench import quiet
from models_bench.checkpoints import ARCHITECTURES, MIDDLE, TINY, opened, write
from models_bench.work import noise_of, problem, steps_of

ROOT = Path(__file__).resolve().parents[2]
SIZES = {"tiny": TINY, "middle": MIDDLE}
POLICIES: tuple[GradientPolicy, ...] = ("none", "full", "checkpointed")
SAMPLER_STEPS = 4
_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"  # proc(5): resets the peak resident size
_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def memory(kind: str, size: str) -> list[dict[str, Any]]:
    """One architecture under every policy, each in a fresh process."""
    with tempfile.TemporaryDirectory() as place:
        folder = write(kind, Path(place) / kind, SIZES[size])
        return [_in_a_process(kind, folder, size, policy) for policy in POLICIES]


def _in_a_process(kind: str, folder: Path, size: str, policy: str) -> dict[str, Any]:
    folders = [str(ROOT), str(ROOT / "scripts")]
    environment = {**os.environ, **_ALLOCATOR, "PYTHONPATH": os.pathsep.join(folders)}
    answer = subprocess.run(
        [sys.executable, "-m", "models_bench.memory", kind, str(folder), size, policy],
        env=environment,
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def measured(kind: str, folder: Path, size: str, policy: GradientPolicy) -> dict[str, Any]:
    """Peak of one kind of work and the estimate of it, in this process."""
    torch.set_num_threads(1)
    model = opened(kind, folder)
    steps = steps_of(model, SIZES[size].seconds)
    if kind == "stable-audio-open":
        steps = model.window_steps
    task = problem(model, ARCHITECTURES[kind].frames_per_step, steps, "intensity", SAMPLER_STEPS)
    foreseen = estimated(task, noise_of(model, steps), policy)
    one_step = task.in_steps(1)
    iteration(one_step, noise_of(model, steps), "full")
    peak = _peak_bytes(lambda: iteration(task, noise_of(model, steps), policy))
    parameters = sum(weight.numel() for weight in model._network.parameters())
    return {"kind": kind, "size": size, "parameters": parameters, "policy": policy} | {
        "latent_steps": steps,
        "peak_bytes": peak,
        "estimated_bytes": foreseen,
    }


def estimated(task: Problem, noise: torch.Tensor, policy: GradientPolicy) -> int:
    """What the engine foresees of it, in bytes."""
    level, next_level = task.levels[:2]
    latent = noise.clone().requires_grad_(True)
    call = kept_by(lambda: task.denoiser(latent, level, next_level))
    wish = Kept() if policy == "none" else kept_by(lambda: task.objective(latent))
    state_bytes = noise.numel() * noise.element_size()
    return peak_bytes(policy, call, wish, state_bytes, len(task.levels) - 1)


def iteration(task: Problem, noise: torch.Tensor, policy: GradientPolicy) -> None:
    """Sample; with a gradient, that of the wish by the first noise."""
    if policy == "none":
        task.generate(noise, "none")
        return
    variable = noise.requires_grad_(True)
    loss = task.objective(task.generate(variable, policy)).sum()
    torch.autograd.grad(loss, variable)


def _peak_bytes(run: Callable[[], None]) -> int:
    gc.collect()
    _RESET.write_text(_FORGET_PEAK)
    before = _kilobytes("VmRSS")
    run()
    return (_kilobytes("VmHWM") - before) * 1024


def _kilobytes(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", _STATUS.read_text())
    assert found is not None
    return int(found[1])


if __name__ == "__main__":
    quiet()
    kind, folder, size, policy = sys.argv[1:]
    chosen = next(known for known in POLICIES if known == policy)
    print(json.dumps(measured(kind, Path(folder), size, chosen)))
