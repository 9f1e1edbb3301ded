"""What sampling and one iteration of an optimisation take, beside what is foreseen of them.

On a CPU a process of its own loads the model, makes everything once, and then what is measured;
what counts is how far its resident size rises above what it was just before. It is done twice: with
an allocator that is told to hand back at once what is freed, so that the peak is what is held, and
with the settings of the daemon's engine, which `estimate` allows for in what it prints. On a GPU
the allocator knows.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from daw_bridge.engine_process import ENVIRONMENT
from engine.optimise.memory import peak_bytes, taken_by
from engine.optimise.methods import run_method
from engine.optimise.problem import Problem
from engine.sampling.loop import GradientPolicy
from models_bench import quiet
from models_bench.checkpoints import ARCHITECTURES, MIDDLE, TINY, opened, write
from models_bench.work import noise_of, problem, steps_of

ROOT = Path(__file__).resolve().parents[2]
SIZES = {"tiny": TINY, "middle": MIDDLE}
Work = GradientPolicy | Literal["one call"]
POLICIES: tuple[GradientPolicy, ...] = ("none", "full", "checkpointed")
ONE_CALL: Literal["one call"] = "one call"  # a run of the fast method
WORK: tuple[Work, ...] = (*POLICIES, ONE_CALL)
SAMPLER_STEPS = 4
_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"  # proc(5): resets the peak resident size
_HANDING_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def memory(kind: str, size: str) -> list[dict[str, Any]]:
    """One architecture under every policy, each in a fresh process."""
    with tempfile.TemporaryDirectory() as place:
        folder = write(kind, Path(place) / kind, SIZES[size])
        work: dict[str, int] = dict.fromkeys(POLICIES, SAMPLER_STEPS)
        return rows_of(kind, folder, SIZES[size].seconds, work)


def rows_of(
    kind: str, folder: Path, seconds: float, work: Mapping[str, int]
) -> list[dict[str, Any]]:
    """What is foreseen, and what it takes with both allocators.

    Args:
        work: steps of the sampler, by the policy.
    """
    given = (kind, str(folder), str(seconds))
    plan = [f"{policy}:{steps}" for policy, steps in work.items()]
    rows = []
    for row in in_a_process("models_bench.memory", "foreseen", *given, *plan):
        one = (*given, f"{row['policy']}:{row['sampler_steps']}")
        held = in_a_process("models_bench.memory", "peak", *one, settings=_HANDING_BACK)
        grown = in_a_process("models_bench.memory", "peak", *one)
        rows.append(row | {"peak_bytes": held, "heap_peak_bytes": grown})
    return rows


def in_a_process(module: str, *given: str, settings: Mapping[str, str] = ENVIRONMENT) -> Any:
    """What a module of the benchmark says in a process of its own.

    Args:
        settings: of the allocator.
    """
    folders = [str(ROOT), str(ROOT / "scripts")]
    answer = subprocess.run(
        [sys.executable, "-m", module, *given],
        env={**os.environ, **settings, "PYTHONPATH": os.pathsep.join(folders)},
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(answer.stdout.splitlines()[-1])


def _measured(
    what: str, kind: str, folder: Path, seconds: float, work: Sequence[tuple[Work, int]]
) -> Any:
    """What is foreseen of all work, or the peak of the first, in this process."""
    torch.set_num_threads(1)
    model = opened(kind, folder)
    steps = steps_of(model, seconds)
    if kind == "stable-audio-open":
        steps = model.window_steps
    frames_per_step = ARCHITECTURES[kind].frames_per_step
    (policy, sampler_steps), *_ = work
    task = problem(model, frames_per_step, steps, "intensity", sampler_steps)
    noise = noise_of(model, steps)
    if what == "foreseen":
        parameters = sum(weight.numel() for weight in model._network.parameters())
        same = {"kind": kind, "parameters": parameters, "latent_steps": steps}
        return [same | row for row in estimated(task, noise, work)]
    with torch.no_grad():  # what is made once, and the weights, which are read when first needed
        task.objective(task.in_steps(1).generate(noise, "none"))
    return _peak_bytes(lambda: iteration(task, noise, policy))


def estimated(
    task: Problem, noise: torch.Tensor, work: Sequence[tuple[Work, int]]
) -> list[dict[str, Any]]:
    """What the engine foresees of it, in bytes: held, and as it prints it."""
    level, next_level = task.levels[:2]
    state_bytes = noise.numel() * noise.element_size()

    def call(x: torch.Tensor) -> torch.Tensor:
        return task.denoiser(x, level, next_level)

    rows: list[dict[str, Any]] = [{"policy": one, "sampler_steps": steps} for one, steps in work]
    variable = noise.clone().requires_grad_(True)
    for name, in_heap in (("estimated_bytes", False), ("printed_bytes", True)):
        with torch.no_grad():
            plain = taken_by(call, noise, in_heap=in_heap)
        through = taken_by(call, variable, in_heap=in_heap)
        wish = taken_by(task.objective, variable, in_heap=in_heap)
        for row, (policy, steps) in zip(rows, work, strict=True):
            one = plain if policy == "none" else through
            how: GradientPolicy = "full" if policy == ONE_CALL else policy
            row[name] = peak_bytes(how, one, wish, state_bytes, steps)
    return rows


def iteration(task: Problem, noise: torch.Tensor, policy: Work) -> None:
    """Sample; with a gradient, that of the wish by the first noise."""
    if policy == "none":
        task.generate(noise, "none")
        return
    if policy == ONE_CALL:
        run_method("fast", task, noise, iterations=1)
        return
    variable = noise.requires_grad_(True)
    loss = task.objective(task.generate(variable, policy)).sum()
    torch.autograd.grad(loss, variable)


def _peak_bytes(run: Callable[[], None]) -> int:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    _RESET.write_text(_FORGET_PEAK)
    before = kilobytes("VmRSS")
    run()
    return (kilobytes("VmHWM") - before) * 1024


def kilobytes(name: str) -> int:
    """A figure of this process's status."""
    found = re.search(rf"{name}:\s+(\d+) kB", _STATUS.read_text())
    assert found is not None
    return int(found[1])


if __name__ == "__main__":
    quiet()
    what, kind, folder, seconds, *plan = sys.argv[1:]
    pairs = [each.split(":") for each in plan]
    work = [(known, int(steps)) for name, steps in pairs for known in WORK if known == name]
    print(json.dumps(_measured(what, kind, Path(folder), float(seconds), work)))
