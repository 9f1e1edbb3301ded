"""Render real recordings and write the pages that show them: extensions, and levels of variation.

`docs/extensions.md`: ten real recordings, each extended by six seconds with the defaults, source
beside result. `docs/variations.md`: one of them at five levels of variation. All figures on the
pages come from the reports of these renders.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from engine.files.audio import Clip, lossless_subtype, read_clip, write_audio
from engine.pipeline import Engine, create_engine
from engine.render.plot import Panel, plot_grid
from engine.spec import Done, RenderRequest, Stem
from engine.units import Metre

CLIPS = Path("/usr/share/sonic-pi/samples")
PATTERN = "loop_*.flac"
COUNT = 10
CUT_AT = 0.55
SECONDS = 6.0
VARIATIONS = (0.0, 0.25, 0.5, 0.75, 1.0)
VARIED_CLIP = "loop_garzul.flac"
# median and largest value that a seam may have (the music's own are about 0.5, 0.8 and 0.5)
LIMITS = {"step_ratio": (0.8, 1.2), "flux_ratio": (1.0, 1.4), "timbre_ratio": (1.0, 1.6)}
TEMPO_LIMIT_PERCENT = 3.0


@dataclass(frozen=True, slots=True)
class Extension:
    """One render: what came back and its report."""

    source: Clip
    result: Clip
    report: dict[str, Any]

    @property
    def seam(self) -> dict[str, float]:
        """Figures of the seam."""
        return dict(self.report["seams"][0])


def longest_recordings(folder: Path) -> list[Path]:
    """The ten longest loops, by name and length alone."""
    found = list(folder.glob(PATTERN))
    if len(found) < COUNT:
        raise SystemExit(
            f"{folder} holds {len(found)} recordings: install the Debian package "
            "sonic-pi-samples (CC0), or give another folder with --clips"
        )
    return sorted(found, key=lambda path: (-read_clip(path).seconds, path.name))[:COUNT]


def extend(engine: Engine, path: Path, variation: float | None, refine: int | None) -> Extension:
    """One extension through the engine, as the command line does it."""
    request = RenderRequest.from_mapping(
        {"task": "extend", "source": str(path), "seconds": SECONDS, "variation": variation,
         "refine": refine}
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as spool:
        for event in engine.render(request, Path(spool), lambda: False):
            if isinstance(event, Stem):
                result = read_clip(event.path)
            if isinstance(event, Done):
                report = event.report
    return Extension(read_clip(path), result, report)


def cut_short(path: Path, folder: Path) -> Path:
    """The first part of a recording, so that the seam falls into the middle of its music."""
    clip = read_clip(path)
    kept = clip.samples[:, : round(CUT_AT * clip.length_samples)]
    subtype = lossless_subtype(clip.subtype)
    return write_audio(folder / f"{path.stem}.wav", kept, clip.sample_rate_hz, subtype)


def panels(extension: Extension, title: str) -> list[Panel]:
    """Source and result side by side."""
    report, grid = extension.report, extension.report["grid"]
    beat = Metre.parse(grid["metre"]).bar_beats
    trusted = grid["given"] or grid["confidence"] >= 0.35
    plain = Panel(
        title, extension.result.samples, extension.result.sample_rate_hz,
        seams=(report["new_samples"][0],), kept=((0, report["new_samples"][0]),),
        bpm=grid["bpm"] if trusted else None, bar_beats=float(beat),
    )  # fmt: skip
    source = replace(
        plain, samples=extension.source.samples, title=extension.source.name, seams=(), kept=()
    )
    return [source, plain]


def extension_rows(extensions: list[Extension]) -> Iterator[str]:
    """The table of the page."""
    yield "| recording | step | flux | timbre | tempo found | tempo error | loss, draft → refined |"
    yield "|---|---|---|---|---|---|---|"
    for item in extensions:
        seam, grid, losses = item.seam, item.report["grid"], item.report["losses"]
        error = grid.get("tempo_error_percent")
        draft, refined = (losses[name].get("overlap") for name in ("draft", "refined"))
        yield (
            f"| {item.source.name} | {seam['step_ratio']:.2f} | {seam['flux_ratio']:.2f} "
            f"| {seam['timbre_ratio']:.2f} | {grid['bpm']:.1f} ({grid['confidence']:.2f}) "
            f"| {'no beat' if error is None else f'{error:.2f} %'} "
            f"| {_figure(draft)} → {_figure(refined)} |"
        )


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def verdicts(extensions: list[Extension]) -> Iterator[str]:
    """Each limit with what was measured, and by name what exceeds it."""
    for name, (usual, largest) in LIMITS.items():
        values = {item.source.name: item.seam[name] for item in extensions}
        middle, worst = median(values.values()), max(values, key=lambda key: values[key])
        beyond = [f"{key} ({value:.2f})" for key, value in values.items() if value > largest]
        yield (
            f"- `{name}`: median {middle:.2f} (limit {usual}: "
            f"{'met' if middle <= usual else 'missed'}), largest {values[worst]:.2f} "
            f"(limit {largest}: {'met' if not beyond else 'missed by ' + ', '.join(beyond)})."
        )
    errors = {
        item.source.name: item.report["grid"]["tempo_error_percent"]
        for item in extensions
        if item.report["grid"].get("tempo_error_percent") is not None
    }
    late = [f"{name} ({value:.1f} %)" for name, value in errors.items()
            if value > TEMPO_LIMIT_PERCENT]  # fmt: skip
    yield (
        f"- Tempo of the new audio: {len(errors)} of {len(extensions)} recordings have a beat; "
        f"error at most {max(errors.values(), default=0.0):.2f} % (limit {TEMPO_LIMIT_PERCENT:g} %"
        f": {'met' if not late else 'missed by ' + ', '.join(late)})."
    )
    identical = sum(item.report["source_samples_identical"] is True for item in extensions)
    yield f"- Source samples bit-identical outside the crossfade: {identical} of {len(extensions)}."


def write_extensions(engine: Engine, folder: Path, docs: Path, refine: int | None) -> None:
    """The page of ten extensions."""
    extensions = [extend(engine, path, None, refine) for path in longest_recordings(folder)]
    plot_grid(docs / "pictures" / "extensions.png",
              [panels(item, "extended by 6 s") for item in extensions])  # fmt: skip
    variation, resolved = extensions[0].report["variation"], extensions[0].report["model"]
    with tempfile.TemporaryDirectory() as cuts:
        halves = [
            extend(engine, cut_short(path, Path(cuts)), None, 0)
            for path in longest_recordings(folder)
        ]
    lines = [
        "# Ten extensions of real recordings",
        "",
        "*Generated by `scripts/make_pages.py`; nobody typed a number.*",
        "",
        f"The {COUNT} longest loops of Debian's `sonic-pi-samples` (CC0), "
        "chosen by length alone, "
        f"each extended by {SECONDS:g} s with the defaults (variation {variation:g}) by the model "
        f"`{resolved['name']}` ({resolved['digest'][:12]}). Left the source, right the result; the "
        "vertical line is the seam, dotted lines are bars.",
        "",
        "![source and extension of ten recordings](pictures/extensions.png)",
        "",
        "## Seams and tempo",
        "",
        "A ratio of 1 is as rough as the roughest moments of the music around it "
        "([definitions](architecture.md)).",
        "",
        *extension_rows(extensions),
        "",
        *verdicts(extensions),
        "",
        "Where a loop begins on its loudest beat, the seam is that beat, and its flux is above 1 "
        "by nature. A tempo is judged only where a beat was found in the new audio.",
        "",
        f"## The same recordings cut at {100 * CUT_AT:.0f} % of their length",
        "",
        "Here the seam falls anywhere in a bar; these are drafts, without refinement.",
        "",
        *extension_rows(halves),
        "",
        *verdicts(halves),
        "",
    ]
    (docs / "extensions.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


def write_variations(engine: Engine, folder: Path, docs: Path, refine: int | None) -> None:
    """The page of one clip at five levels."""
    made = [extend(engine, folder / VARIED_CLIP, value, refine) for value in VARIATIONS]
    rows = [panels(item, f"variation {value:g}")[1:]
            for item, value in zip(made, VARIATIONS, strict=True)]  # fmt: skip
    plot_grid(docs / "pictures" / "variations.png", rows)
    lines = [
        "# One clip at five levels of variation",
        "",
        "*Generated by `scripts/make_pages.py`; nobody typed a number.*",
        "",
        f"`{VARIED_CLIP}` (CC0, Debian's `sonic-pi-samples`) extended by {SECONDS:g} s. At 0 the "
        "clip's own bars are kept and only the seam is healed, at 1 the model hears nothing "
        "of them: it goes on from the audio before the seam, told their level and their harmony.",
        "",
        "![five variations](pictures/variations.png)",
        "",
        "| variation | step | flux | timbre | tempo error | loudness (LUFS) |",
        "|---|---|---|---|---|---|",
    ]
    for item, value in zip(made, VARIATIONS, strict=True):
        error = item.report["grid"].get("tempo_error_percent")
        lines.append(
            f"| {value:g} | {item.seam['step_ratio']:.2f} | {item.seam['flux_ratio']:.2f} "
            f"| {item.seam['timbre_ratio']:.2f} "
            f"| {'no beat' if error is None else f'{error:.2f} %'} "
            f"| {item.report['loudness_lufs']:.1f} |"
        )
    (docs / "variations.md").write_text("\n".join([*lines, ""]), encoding="utf-8")
    print("\n".join(lines))


def main() -> int:
    """Write both pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, default=CLIPS, help="folder of sonic-pi-samples")
    parser.add_argument("--docs", type=Path, default=Path(__file__).parent.parent / "docs")
    parser.add_argument("--refine", type=int, default=None)
    parser.add_argument("--only", choices=("extensions", "variations"), default=None)
    options = parser.parse_args()
    (options.docs / "pictures").mkdir(parents=True, exist_ok=True)
    engine = create_engine(None)
    if options.only != "variations":
        write_extensions(engine, options.clips, options.docs, options.refine)
    if options.only != "extensions":
        write_variations(engine, options.clips, options.docs, options.refine)
    return 0


if __name__ == "__main__":
    sys.exit(main())
