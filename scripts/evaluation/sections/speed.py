"""How long a draft takes on two cores of a processor, and how large the weights are."""

from __future__ import annotations

import os
from typing import Any

import torch

from engine.models.house.model import default_weights_path
from engine.pipeline import Engine
from evaluation.bench import Bench
from evaluation.product import open_engine, render
from evaluation.store import Figures

THREADS = 2
STEPS, LENGTHS_S = (2, 4, 8), (6.0, 30.0)  # 4 steps are what a request gets that names none
VARIATIONS: dict[str, float | None] = {"default": None, "noise": 1.0}
_REQUEST: dict[str, Any] = {
    "task": "generate",
    "prompt": "funk",
    "bpm": 104.0,
    "key": "A minor",
}


def weights_bytes(bench: Bench) -> int:
    """Size of the weights: all that ship, or with other weights their file."""
    shipped = bench.weights.resolve() == default_weights_path().resolve()
    files = bench.weights.parent.glob("*.safetensors") if shipped else [bench.weights]
    return sum(file.stat().st_size for file in files)


def _times_s(engine: Engine, runs: int, seed: int, **wanted: Any) -> list[float]:
    """Seconds from each request to the audio of its draft, decoded and in stereo."""
    times = []
    for run in range(runs):
        answer = render(engine, **_REQUEST, **wanted, seed=seed + run)
        assert answer.report["channels"] == 2
        times.append(answer.heard_after_s)
    return times


def measure(bench: Bench) -> Figures:
    """Times of drafts with everything warm, each request its own."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(THREADS, os.cpu_count() or 1))
    rows = []
    try:
        engine = open_engine(bench.weights, "cpu")
        engine.warm_up()
        _times_s(engine, 1, 0, seconds=LENGTHS_S[0], steps=STEPS[0])  # the first pays for caches
        for name, variation in VARIATIONS.items():
            for steps in STEPS:
                for seconds in LENGTHS_S:
                    times = _times_s(
                        engine, bench.plan.speed_runs, 1, variation=variation, steps=steps,
                        seconds=seconds,
                    )  # fmt: skip
                    rows.append({"variation": name, "steps": steps, "length_s": seconds,
                                 "times_s": times})  # fmt: skip
    finally:
        torch.set_num_threads(before)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "rows": rows,
        "threads": min(THREADS, os.cpu_count() or 1),
        "cores": os.cpu_count(),
        "load": load,
        "weights_bytes": weights_bytes(bench),
    }
