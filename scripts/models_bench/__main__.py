"""Measures public models, with random weights, and writes docs/models-speed.md.

What was measured is kept in build/models-speed.json, so that parts can be measured one at a time.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from models_bench import quiet
from models_bench.checkpoints import ARCHITECTURES, MIDDLE, TINY
from models_bench.full_memory import full_memory
from models_bench.full_size import MODES, VARIANTS, full_size
from models_bench.memory import memory
from models_bench.overhead import overhead
from models_bench.page import page

ROOT = Path(__file__).resolve().parents[2]
FULL_MEMORY = ("small-music",)  # medium wants 24 GB free
KEPT = ROOT / "build" / "models-speed.json"


def main(given: list[str] | None = None) -> int:
    """Measure and write the page; 2 where what is asked for needs a GPU and there is none."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="bench_models", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=("overhead", "memory", "full-memory"))
    parser.add_argument("--kind", action="append", choices=tuple(ARCHITECTURES))
    parser.add_argument("--tiny", action="store_true", help="to try it; the figures mean nothing")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--full-size", action="store_true", help="published sizes, on a GPU")
    parser.add_argument("--anyway", action="store_true", help="without a GPU, much smaller")
    parser.add_argument("--modes", default="eager,graph", help=f"of {','.join(MODES)}")
    parser.add_argument("--variant", action="append", choices=tuple(VARIANTS))
    parser.add_argument("--kept", type=Path, default=KEPT, help="where results are kept")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "models-speed.md")
    options = parser.parse_args(given)
    quiet()
    results = json.loads(options.kept.read_text()) if options.kept.exists() else {}
    if options.full_size:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cpu" and not options.anyway:
            print("bench_models: full-size models want a GPU; --anyway tries much smaller ones")
            return 2
        _measure_full_size(options, device, results)
    else:
        _measure_here(options, results)
        if "full-memory" in (options.only or ()):
            _measure_full_memory(options, results)
    return 0


def _write(options: argparse.Namespace, results: dict[str, Any]) -> None:
    """Keep what is known so far, and make the page of it."""
    options.kept.parent.mkdir(parents=True, exist_ok=True)
    options.kept.write_text(json.dumps(results))
    options.out.write_text(page(results), encoding="utf-8")


def _measure_full_size(options: argparse.Namespace, device: str, results: dict[str, Any]) -> None:
    modes = tuple(options.modes.split(","))
    if unknown := [mode for mode in modes if mode not in MODES]:
        raise SystemExit(f"bench_models: there is no mode {unknown[0]!r}; choose of {MODES}")
    known = results.setdefault("full_size", {})
    for variant in options.variant or VARIANTS:
        known[variant] = full_size(variant, device, modes, options.repeats, smaller=device == "cpu")
        _write(options, results)


def _measure_full_memory(options: argparse.Namespace, results: dict[str, Any]) -> None:
    known = results.setdefault("full_memory", {})
    for variant in options.variant or FULL_MEMORY:
        known[variant] = full_memory(variant, smaller=options.tiny)
        _write(options, results)


def _measure_here(options: argparse.Namespace, results: dict[str, Any]) -> None:
    wanted = options.only or ("overhead", "memory")
    for kind in options.kind or ARCHITECTURES:
        for part in ("overhead", "memory"):
            if part not in wanted:
                continue
            if part == "overhead":
                found = overhead(kind, TINY if options.tiny else MIDDLE, options.repeats)
            else:
                found = memory(kind, "tiny" if options.tiny else "middle")
            others = [each for each in results.get(part, []) if each["kind"] != kind]
            order = list(ARCHITECTURES)
            results[part] = sorted([*others, *found], key=lambda each: order.index(each["kind"]))
            _write(options, results)


if __name__ == "__main__":
    raise SystemExit(main())
