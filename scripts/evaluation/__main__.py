"""Measures the embedded model and writes docs/model.md with its pictures.

Held-out music is composed and rendered (Debian packages libfluidsynth3 and fluid-soundfont-gm),
real recordings are Debian's sonic-pi-samples. Interrupted, it goes on with the next section.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import torch

from daw_bridge.engine_process import ENVIRONMENT
from engine.models.house.model import default_weights_path
from engine.pipeline import Engine
from evaluation.bench import FULL, QUICK, QUICK_NOTE, Bench
from evaluation.material import RECORDINGS
from evaluation.page import SECTIONS, page
from evaluation.product import open_engine
from evaluation.store import FOLDER, ROOT, Figures, Store, file_digest, measuring_digest


def arguments(given: list[str] | None) -> argparse.Namespace:
    """The command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="evaluate_model", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few items of each kind")
    parser.add_argument("--share", type=int, default=1, help="measure one in so many items")
    parser.add_argument("--only", action="append", choices=list(SECTIONS), help="may be repeated")
    parser.add_argument("--weights", type=Path, default=default_weights_path())
    parser.add_argument("--recordings", type=Path, default=RECORDINGS, help="folder of loop_*.flac")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "model.md")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--again", action="store_true", help="measure also what is kept")
    return parser.parse_args(given)


def measured(bench: Bench, store: Store, wanted: list[str], again: bool) -> dict[str, Figures]:
    """Figures of every section: the wanted ones, measured unless they are kept, and kept others."""
    found: dict[str, Figures] = {}
    for name, section in SECTIONS.items():
        kept = None if again and name in wanted else store.load(name)
        if kept is None and name in wanted:
            begun_s = time.perf_counter()
            bench.say(f"{name} …")
            kept = section.measure(bench)
            store.save(name, kept)
            bench.say(f"{name}: {time.perf_counter() - begun_s:.0f} s")
        if kept is not None:
            found[name] = kept
    return found


def machine(bench: Bench, device: str, code: str) -> dict[str, str]:
    """Where it was measured, and what."""
    return {
        "Weights": f"`{bench.weights.name}`, SHA-256 `{file_digest(bench.weights)}`",
        "Code": f"SHA-256 of the engine and the evaluation `{code[:16]}`",
        "Device": f"{device} (draft time always on the processor)",
        "Cores": str(os.cpu_count()),
        "System": f"{platform.system()} {platform.machine()}",
        "Python, torch": f"{platform.python_version()}, {version('torch')}",
    }


def write(options: argparse.Namespace, text: str, pictures: Path) -> None:
    """The page, and the pictures it shows beside it."""
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text, encoding="utf-8")
    target = options.out.parent / "pictures"
    target.mkdir(exist_ok=True)
    for picture in sorted(pictures.glob("model-*.png")):
        if picture.name in text:
            shutil.copyfile(picture, target / picture.name)


def main(given: list[str] | None = None) -> int:
    """Measure, write, and say how many targets are met."""
    options = arguments(given)
    torch.set_num_threads(options.threads)
    weights: Path = options.weights
    plan = QUICK if options.quick else FULL.share(options.share) if options.share > 1 else FULL
    extent = "quick" if options.quick else f"one-in-{options.share}"
    note = QUICK_NOTE if options.quick else ""
    if options.share > 1 and not options.quick:
        note = f"A shortened run: one in {options.share} of the items, so the figures are rough."
    code = measuring_digest()
    settings = {
        "plan": asdict(plan),
        "code": code,
        "recordings": len(list(options.recordings.glob("loop_*.flac"))),
    }
    folder = FOLDER / file_digest(weights)[:12] / extent

    def make_engine() -> Engine:
        engine = open_engine(weights)
        engine.warm_up()
        return engine

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    bench = Bench(plan, weights, options.recordings, folder / "pictures", FOLDER, say, make_engine)
    found = measured(bench, Store(folder, settings), options.only or list(SECTIONS), options.again)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    text = page(found, machine(bench, device, code), note)
    write(options, text, bench.pictures)
    print(text[text.index("## Targets") : text.index("## Codec")])
    return 0


def as_the_engine_runs() -> None:
    """Start again in the environment of the daemon's engine processes, unless it is this one: how
    the allocator is set decides a part of the draft time.
    """
    if not ENVIRONMENT.keys() <= os.environ.keys():
        command = [sys.executable, "-m", "evaluation", *sys.argv[1:]]
        os.execve(sys.executable, command, {**ENVIRONMENT, **os.environ})


if __name__ == "__main__":
    as_the_engine_runs()
    raise SystemExit(main())
