"""Measures the bridge under load and over time, and writes docs/bridge.md.

What was measured is kept in build/bridge.json, so that parts can be measured one at a time.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bridge_bench.load import load
from bridge_bench.many import many_jobs
from bridge_bench.page import draw, figures, page
from bridge_bench.soak import soak
from bridge_bench.throughput import throughput

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "bridge.json"


def main(given: list[str] | None = None) -> int:
    """Measure and write the page; 0 when every target is met, else 1."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="bench_bridge", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=("load", "throughput", "jobs", "soak"))
    parser.add_argument("--jobs", type=int, default=10_000, help="how many, of a fake engine")
    parser.add_argument("--minutes", type=float, default=60.0, help="of the soak")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "bridge.md")
    options = parser.parse_args(given)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "throughput": throughput,
        "load": load,
        "jobs": lambda: many_jobs(options.jobs),
        "soak": lambda: soak(options.minutes),
    }
    results = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    for name, measure in parts.items():
        if options.only is None or name in options.only:
            results[name] = measure()
            KEPT.parent.mkdir(exist_ok=True)
            KEPT.write_text(json.dumps(results))
    options.out.write_text(page(results), encoding="utf-8")
    draw(results, options.out.parent)
    measured = figures(results)
    print("\n".join(line.row() for line in measured))
    return 0 if all(line.is_met for line in measured) else 1


if __name__ == "__main__":
    raise SystemExit(main())
