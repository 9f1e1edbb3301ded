"""Render each control through the engine and write `docs/controls.md`.

    python scripts/make_controls.py [--only NAME] [--cache DIR]

What a control is comes from `engine/controls/table.py` and its file, the flags from the table of
requests, figures and pictures from renders of the shipped clips, and the worked example from the
tests that run it.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daw_bridge.commands.arguments import flag_name
from engine.controls import table
from engine.controls.table import TABLE, Row
from engine.files.audio import Clip, read_clip
from engine.pipeline import Engine, create_engine
from engine.render.plot import Panel, plot_grid
from engine.render.wishes import Wish, plot_wishes
from engine.spec import FIELDS, Done, RenderRequest, Stem

ROOT = Path(__file__).resolve().parents[1]
PAGE, PICTURES = "controls.md", "images"
EXAMPLE = "tests/engine/controls/example_brightness.py"
EXAMPLE_TEST = "tests/engine/controls/test_example.py"
ADDING = "Adding a control"
SHARED_FIELDS = ("balance", "method", "candidates")
_DRUMS, _HARMONIC = "scripts/clips/drums.flac", "scripts/clips/harmonic.flac"
_AROUND_SEAM_S = 1.5
_INDEPENDENT = "by other means"

Request = dict[str, Any]
_DIP = {"task": "extend", "source": _HARMONIC, "seconds": 6, "intensity": "8.3:-14,11:-28,14.3:-12"}
DEMOS: dict[str, tuple[Request, ...]] = {
    # At variation 1 the prior says nothing, and the seam is as good as the overlap.
    "overlap": ({"task": "extend", "source": _HARMONIC, "seconds": 4, "variation": 1},),
    "loop": (
        {"task": "generate", "prompt": "funk", "bars": 2, "bpm": 110, "seamless": True},
        {"task": "loop", "source": _DRUMS, "bars": 4, "bpm": 126},
    ),
    "melody": ({"task": "melody", "melody": "scripts/clips/tune.mid", "bars": 4},),
    "intensity": (_DIP, _DIP | {"intensity_match": "shape"}),
    "structure": (
        {"task": "generate", "seconds": 9, "prompt": "calm piano", "structure": "ABA"},
        {"task": "generate", "seconds": 8, "prompt": "calm piano", "structure_from": _DRUMS},
    ),
}


@dataclass(frozen=True, slots=True)
class Render:
    """What came back."""

    clip: Clip
    report: dict[str, Any]

    def seam(self, name: str) -> dict[str, float]:
        """The seam that the control is about: the wrap of a loop, else the first."""
        seams = self.report["seams"]
        return dict(next((s for s in seams if name == "loop" and s["at_sample"] == 0), seams[0]))

    def wish(self, name: str) -> Wish | None:
        """Target and result of a control, where the report has them."""
        entries = (Wish.of(entry) for entry in self.report.get("controls", ()))
        return next((wish for wish in entries if wish.name == name), None)


@dataclass(frozen=True, slots=True)
class Demo:
    """A request rendered as a draft and refined."""

    request: Request
    draft: Render
    refined: Render


def render(engine: Engine, request: Request) -> Render:
    """One render through the engine, as the command line does it."""
    with tempfile.TemporaryDirectory() as spool:
        for event in engine.render(RenderRequest.from_mapping(request), Path(spool), lambda: False):
            if isinstance(event, Stem):
                clip = read_clip(event.path)
            if isinstance(event, Done):
                report = event.report
    return Render(clip, report)


def command(request: Mapping[str, Any]) -> str:
    """The request as it is typed."""
    typed = ["daw-bridge", str(request["task"])]
    for name, value in request.items():
        if name in ("source", "melody"):
            typed.append(str(value))
        elif value is True:
            typed.append(flag_name(name))
        elif name != "task":
            typed += [flag_name(name), str(value)]
    return shlex.join(typed)


def draw(path: Path, name: str, demo: Demo) -> None:
    """Target and result; for a control without a curve draft and result around the seam."""
    wish = demo.refined.wish(name)
    if wish is not None:
        plot_wishes(path, [wish])
        return
    pair = ((demo.draft, "draft"), (demo.refined, "refined"))
    plot_grid(path, [[_around_seam(each, name, title) for each, title in pair]])


def _around_seam(made: Render, name: str, title: str) -> Panel:
    """The moments before and after a seam, those of a loop's wrap as they sound when it repeats."""
    rate, at = made.clip.sample_rate_hz, int(made.seam(name)["at_sample"])
    reach = min(round(_AROUND_SEAM_S * rate), made.clip.length_samples)
    samples = made.clip.samples.take(range(at - reach, at + reach), axis=1, mode="wrap")
    return Panel(f"{title}, around the seam", samples, rate, seams=(reach,))


def figure_rows(name: str, row_unit: str, demo: Demo) -> Iterator[str]:
    """Draft against refined: the losses, then what other means say."""
    draft, refined = demo.draft.report, demo.refined.report
    units = {row.name: row.unit for row in TABLE}
    units |= {name: row_unit} | {c["name"]: c["unit"] for c in refined.get("controls", ())}
    yield "| | draft | refined |"
    yield "|---|---|---|"
    for loss, value in sorted(refined["losses"]["refined"].items(), key=lambda x: x[0] != name):
        before = refined["losses"]["draft"][loss]
        yield f"| loss of {loss} ({units[loss]}) | {before:.3g} | {value:.3g} |"
    for figure in (key for key in refined if key.startswith(f"{name}_")):
        if isinstance(refined[figure], float) and figure in draft:
            yield (f"| `{figure}`, {_INDEPENDENT} | {draft[figure]:.3g} | {refined[figure]:.3g} |")
    if demo.refined.wish(name) is None:
        before_seam, seam = demo.draft.seam(name), demo.refined.seam(name)
        for figure in (key for key in seam if key.endswith("_ratio")):
            yield f"| seam's `{figure}` | {before_seam[figure]:.2f} | {seam[figure]:.2f} |"


def check_of(name: str) -> str:
    """What judges the finished audio: said by the control itself, else by the analysis."""
    module = importlib.import_module(f"engine.controls.{name}")
    for _, found in inspect.getmembers(module, inspect.isclass):
        said = getattr(getattr(found, "compare", None), "__doc__", None)
        if found.__module__ == module.__name__ and said:
            return str(inspect.cleandoc(said).splitlines()[0])
    analysis = importlib.import_module(f"engine.analysis.{name}")
    file = f"engine/analysis/{name}.py"
    return f"{(analysis.__doc__ or '').splitlines()[0]} ([`{file}`](../{file}))"


def section(row: Row, demos: list[Demo]) -> list[str]:
    """A control's part of the page."""
    module = importlib.import_module(f"engine.controls.{row.name}")
    file = f"engine/controls/{row.name}.py"
    fields = {item.name: item for item in FIELDS}
    asked = [
        f"{'The command’s own file' if fields[name].required else f'`{flag_name(name)}`'}: "
        f"{fields[name].doc}"
        for name in row.fields
    ]
    lines = [
        f"## {row.name}",
        "",
        f"{row.doc[0].upper()}{row.doc[1:]}.",
        "",
        inspect.cleandoc(module.__doc__ or "").replace("`", ""),
        "",
        f"- File: [`{file}`](../{file}). Source: {row.source}.",
        f"- Unit of the loss: {row.unit}. Weight beside others: {row.weight:g}.",
        *(f"- {line}." for line in asked or ["Asked for by the task itself; it has no field"]),
        f"- Independent check: {check_of(row.name)}",
        "",
    ]
    for number, demo in enumerate(demos):
        lines += ["```sh", command(demo.request), "```", ""]
        if row.name not in demo.refined.report["losses"]["refined"]:
            lines += [f"Beside a clip the same is asked of the overlap, not of {row.name}:", ""]
        lines += [
            f"![{row.name}: target and result]({PICTURES}/{picture_name(row.name, number)})",
            "",
            *figure_rows(row.name, row.unit, demo),
            "",
        ]
    return lines


def picture_name(name: str, number: int) -> str:
    """File of a control's picture."""
    return f"control-{name}{f'-{number + 1}' if number else ''}.png"


def introduction(engine: Engine) -> list[str]:
    """What holds for all of them."""
    fields = [item for item in FIELDS if item.name in SHARED_FIELDS]
    return [
        "# Controls",
        "",
        "*Generated by `scripts/make_controls.py`; nobody typed a figure.*",
        "",
        "A control is one wish: a target, a differentiable loss on the latent, and a check of the "
        "finished audio by other means than the loss. Several add up, each with its weight. "
        "The report's `controls` has target and result of every wish that can be drawn, and "
        "`--plot` draws them.",
        "",
        *(f"- `{flag_name(item.name)}`: {item.doc}." for item in fields),
        "",
        f"All examples are rendered by the model `{engine.house.name}` "
        f"({engine.house.digest[:12]}) from the clips in `scripts/clips/`, with the defaults but "
        "for what the command says.",
        "",
    ]


def adding() -> list[str]:
    """How to write one, with an example that the tests run."""
    tests = ast.parse((ROOT / EXAMPLE_TEST).read_text(encoding="utf-8"))
    names = [item.name for item in tests.body if isinstance(item, ast.FunctionDef)]
    shown = [name.removeprefix("test_").replace("_", " ") for name in names if "test_" in name]
    return [
        f"## {ADDING}",
        "",
        "1. A file in `engine/controls/` with a class that follows the protocol `Control` "
        "(`engine/controls/control.py`): `objective` gives the loss of one window, or None where "
        "the wish has nothing to say there, and `compare` judges the finished audio by other "
        "means.",
        "2. A row of `TABLE` in `engine/controls/table.py`, whose `read` makes the control that a "
        "request asks for. A row without a field is asked for by its task.",
        "3. A field in `engine/fields.py` and the attribute of `RenderRequest` of the same name "
        "(`engine/spec.py`). The command line, both wires and the protocol document have it from "
        "there; the render, the report and the picture need no change.",
        "",
        f"[`{EXAMPLE}`](../{EXAMPLE}) is a complete one:",
        "",
        "```python",
        (ROOT / EXAMPLE).read_text(encoding="utf-8").rstrip("\n"),
        "```",
        "",
        "With a field, `read` takes the wish from the request, as that of intensity does:",
        "",
        "```python",
        inspect.getsource(table._intensity).rstrip("\n"),
        "```",
        "",
        f"[`{EXAMPLE_TEST}`](../{EXAMPLE_TEST}) holds what a control has to prove:",
        "",
        *(f"- {name}" for name in shown),
        "",
    ]


def sections_of(page: str) -> dict[str, list[str]]:
    """The parts of a page that was written before, by their headings."""
    parts = ("\n" + page).split("\n## ")[1:]
    return {part.split("\n", 1)[0]: ["## " + part.rstrip("\n"), ""] for part in parts}


def main() -> int:
    """Write the page and its pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=[row.name for row in TABLE], help="leave the others be")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--cache", type=Path, help="folder that keeps renders for a repeat")
    options = parser.parse_args()
    engine = create_engine(options.cache)
    page = options.docs / PAGE
    before = sections_of(page.read_text(encoding="utf-8")) if page.exists() else {}
    lines = introduction(engine)
    for row in TABLE:
        if options.only not in (None, row.name):
            lines += before.get(row.name, [])
            continue
        demos = []
        for number, request in enumerate(DEMOS[row.name]):
            draft = render(engine, request | {"refine": 0})
            demos.append(Demo(request, draft, render(engine, request)))
            draw(options.docs / PICTURES / picture_name(row.name, number), row.name, demos[-1])
        lines += section(row, demos)
        print("\n".join(section(row, demos)), flush=True)
    page.write_text("\n".join([*lines, *adding()]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
