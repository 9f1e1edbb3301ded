"""Compares the methods of control on the embedded model and writes docs/benchmarks.md.

Every result is kept as soon as it is there, so a run can be stopped at any time and goes on with
the next one. Held-out music is composed and rendered (Debian packages libfluidsynth3 and
fluid-soundfont-gm); tunes come from `python scripts/_tunes.py` (the extra `train`).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import time
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import torch
from evaluation.judges import judges_digest, load_judges
from evaluation.store import FOLDER as EVALUATION
from evaluation.store import ROOT

from ditto_bench.material import (
    MUSIC_SEEDS,
    REFERENCE_SEEDS,
    Material,
    held_out,
    kept_in,
    shipped_clips,
)
from ditto_bench.measure import Bench
from ditto_bench.page import Facts, items_said, page
from ditto_bench.plan import CONTROLS, SECTIONS, TASKS, Extent, Job, jobs
from ditto_bench.plots import plot_losses
from ditto_bench.results import Found
from ditto_bench.runner import Clock, forecast_s, work
from ditto_bench.store import Results
from engine.models.house.model import HouseModel, load_house

FOLDER = ROOT / ".training" / "bench-ditto"
PAGE = ROOT / "docs" / "benchmarks.md"
QUICK = Extent(steps=2, scale=0.0, fast_iterations=2, surrogate_iterations=2, long_steps=3)
QUICK_NOTE = "A quick run: a first look at whether everything works, good for nothing else."
_PICTURE = Path("images") / "ditto-losses.png"
_QUICK_TASKS = ("outpaint-1", *CONTROLS, "intensity-changed", "intensity+structure")
_FULL_ITEMS, _QUICK_ITEMS = 60, 1


def arguments(given: list[str] | None) -> argparse.Namespace:
    """The command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="bench_ditto", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, help="stop cleanly after so long")
    parser.add_argument("--items", type=int, help=f"of each kind, {_FULL_ITEMS} by default")
    parser.add_argument("--steps", type=int, help="of the sampler, 20 by default")
    parser.add_argument(
        "--iterations-scale", type=float, help="1 is as published, 70 and 150 (by default)"
    )
    parser.add_argument("--only", action="append", choices=list(SECTIONS), help="may be repeated")
    parser.add_argument("--method", action="append", help="leave out others; may be repeated")
    parser.add_argument(
        "--task", action="append", choices=TASKS, help="leave out others; may be repeated"
    )
    parser.add_argument(
        "--page", action="store_true", help="only write the page, of the last run's extent"
    )
    parser.add_argument("--quick", action="store_true", help="seconds, beside the real results")
    parser.add_argument("--forecast", action="store_true", help="only say how long it would take")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--folder", type=Path, help="where results are kept")
    parser.add_argument("--out", type=Path, help="the page")
    options = parser.parse_args(given)
    options.folder = options.folder or (FOLDER / "quick" if options.quick else FOLDER)
    options.out = options.out or (options.folder / "benchmarks.md" if options.quick else PAGE)
    options.items = options.items or (_QUICK_ITEMS if options.quick else _FULL_ITEMS)
    return options


def extent_of(options: argparse.Namespace, tunes: bool) -> Extent:
    """What is asked for; what is not said is the last run's where only the page is written."""
    said = options.folder / "last-run.json"
    plain = QUICK if options.quick else Extent()
    last = json.loads(said.read_text()) if options.page and said.is_file() else {}
    steps = options.steps or last.get("steps", plain.steps)
    scale = options.iterations_scale
    scale = last.get("scale", plain.scale) if scale is None else scale
    found = replace(plain, steps=steps, scale=scale, tunes=tunes)
    if not options.page and not options.forecast:
        options.folder.mkdir(parents=True, exist_ok=True)
        said.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return found


def material_of(options: argparse.Namespace, model: HouseModel) -> Material:
    """Held-out music, or in a quick run the clips that ship with the project."""
    if options.quick:
        return Material(model, shipped_clips, shipped_clips, levelled=2)
    folder = options.folder / "material"
    return Material(
        model,
        kept_in(folder / "references", held_out(REFERENCE_SEEDS)),
        kept_in(folder / "music", held_out(MUSIC_SEEDS)),
    )


def is_asked(job: Job, options: argparse.Namespace) -> bool:
    """Whether the command line leaves a job in; music to compare with has no method or task."""
    if options.quick and not is_quick(job):
        return False
    if job.kind == "music":
        return True
    named = ((job.method, options.method), (job.task, options.task))
    return all(not wanted or name in wanted for name, wanted in named)


def is_quick(job: Job) -> bool:
    """Whether a quick run does this job: one of each kind, and no second look at any."""
    if job.kind == "memory":
        return job.method == "ditto" and job.steps == QUICK.steps
    return job.task in _QUICK_TASKS


def machine() -> dict[str, str]:
    """Where it was measured."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.is_file() else None
    return {
        "Cores": str(os.cpu_count()),
        "Processor": found[1].strip() if found else platform.processor() or "unknown",
        "System": f"{platform.system()} {platform.machine()}",
        "Python, torch": f"{platform.python_version()}, {version('torch')}",
    }


def write(options: argparse.Namespace, found: Found, material: Material) -> None:
    """The page and its picture."""
    picture = options.out.parent / _PICTURE
    drawn = plot_losses(found, picture)
    level = material.mean_level_db if found.figures else None
    loads = [figures["load"] for figures in found.figures.values() if "load" in figures]
    where = machine()
    if loads:
        busy = f"{sorted(loads)[len(loads) // 2]:.1f}, {min(loads):.1f} to {max(loads):.1f}"
        where["Load average during the runs, median and range (1 is one busy core)"] = busy
    weights = material.model.digest
    where["Weights"] = f"SHA-256 `{weights}`"
    note = QUICK_NOTE if options.quick else ""
    shown = _PICTURE.as_posix() if drawn else None
    facts = Facts(weights, level, len(material.tunes), where, shown, note)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(page(found, facts), encoding="utf-8")


def say(line: str) -> None:
    """To the one who waits."""
    print(line, file=sys.stderr, flush=True)


def main(given: list[str] | None = None) -> int:
    """Measure what is missing and write the page."""
    options = arguments(given)
    torch.set_num_threads(options.threads)
    model = load_house()
    material = material_of(options, model)
    extent = extent_of(options, tunes=bool(material.tunes))
    planned = jobs(extent, options.items, options.only or SECTIONS)
    planned = tuple(job for job in planned if is_asked(job, options))
    # Distances are taken between points of one embedding, which is the analyses' own.
    kind = "shipped clips" if options.quick else f"held-out music heard by {judges_digest()}"
    results = Results(options.folder, model.digest, kind)
    if options.forecast:
        say(forecast_s(results, planned))
        return 0
    if not material.tunes:
        say("there are no tunes, so no melody is measured: python scripts/_tunes.py")
    if not options.page:
        embedding = None if options.quick else load_judges(EVALUATION, say).embedding
        ends_s = None if options.minutes is None else time.monotonic() + 60.0 * options.minutes
        clock = Clock(ends_s)
        bench = Bench(material, results, embedding, clock.is_over)
        work(bench, planned, clock, say)
    everything: tuple[Job, ...] = jobs(extent, max(options.items, _FULL_ITEMS))
    kept = {job: figures for job in everything if (figures := results.load(job)) is not None}
    if not kept:
        say("nothing is measured with these weights: the page is left as it is")
        return 1
    found = Found(extent, kept)
    write(options, found, material)
    say(items_said(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
