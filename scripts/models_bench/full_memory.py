"""Stable Audio 3 in its published sizes in the memory of a CPU: what refining takes, and unloading.

One iteration is made: the peak does not depend on how many there are.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from engine.models.public.registry import Registry
from engine.optimise.memory import free_bytes
from engine.pipeline import Engine, create_engine
from engine.spec import RenderRequest
from models_bench import quiet
from models_bench.full_size import OPTIMISED_S, write_full_size
from models_bench.memory import ONE_CALL, in_a_process, kilobytes, rows_of

KIND = "stable-audio-3"
WORK = {"none": 2, ONE_CALL: 1, "checkpointed": 2, "full": 2}  # steps of the sampler
UNLOADED_S = 2.0  # of music in each of the renders before a model is given back
_RENDERS = 3
_SMALLER_S = 0.5
_MOST_OF_FREE = 0.6  # that the weights may take, so that there is as much again for the work


def full_memory(variant: str, *, smaller: bool) -> dict[str, Any]:
    """Every row of one variant in single precision, each in a fresh process.

    Raises:
        MemoryError: the weights alone would take most of what is free.
    """
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        folder = write_full_size(place / variant, variant, smaller=smaller, dtype=torch.float32)
        added = Registry(place / "models.json").add(folder, variant)
        free = free_bytes(torch.device("cpu"))
        if free is not None and added.size_bytes > _MOST_OF_FREE * free:
            raise MemoryError(f"{variant} takes {added.size_bytes} bytes, {free} are free")
        seconds = _SMALLER_S if smaller else OPTIMISED_S
        rows = rows_of(KIND, folder, seconds, WORK)
        unloading = in_a_process("models_bench.full_memory", str(place), variant)
        return {"smaller": smaller, "seconds": seconds, "rows": rows, "unloading": unloading}


def _unloading(engine: Engine, name: str, spool: Path) -> dict[str, int]:
    """Resident bytes before a model is there, with it, after renders, and when it is gone.

    And once more when it was loaded, has rendered and is gone again: what the libraries make once
    stays, and what is lost would be lost each time.
    """
    spool.mkdir(exist_ok=True)
    _render(engine, "house", 0, spool)  # what is loaded once, and stays: libraries, for one
    import diffusers  # noqa: F401
    import transformers  # noqa: F401

    engine.unload()
    found = {"before_bytes": _resident_bytes()}
    engine.model(name)
    found["loaded_bytes"] = _resident_bytes()
    for seed in range(_RENDERS):
        _render(engine, name, seed, spool)
    found["rendered_bytes"] = _resident_bytes()
    engine.unload()
    found["unloaded_bytes"] = _resident_bytes()
    _render(engine, name, 0, spool)
    engine.unload()
    return found | {"unloaded_again_bytes": _resident_bytes()}


def _render(engine: Engine, model: str, seed: int, spool: Path) -> None:
    fields = {"task": "generate", "model": model, "prompt": "slow piano", "seed": seed}
    fields |= {"seconds": UNLOADED_S, "bpm": 120.0, "refine": 0, "steps": 2}
    for _ in engine.render(RenderRequest.from_mapping(fields), spool, lambda: False):
        pass


def _resident_bytes() -> int:
    gc.collect()
    return kilobytes("VmRSS") * 1024


if __name__ == "__main__":
    quiet()
    where, variant = Path(sys.argv[1]), sys.argv[2]
    engine = create_engine(None, where / "models.json")
    print(json.dumps(_unloading(engine, variant, where / "spool")))
