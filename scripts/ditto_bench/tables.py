"""Our figures in tables, the published ones beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evaluation.verdicts import Cell, number, percent, table

from ditto_bench import published
from ditto_bench.plan import CONTROLS, GUIDED, INPAINTS, ITERATING, MASKED, OUTPAINTS, TOGETHER
from ditto_bench.results import (
    Found,
    Mean,
    check,
    iterations_to_tolerance,
    loss,
    own,
    race,
    reuse,
    worked_s,
)

NAMES = {
    "draft": "draft, no condition",
    "conditional": "model's own conditional sampling",
    "naive": "naive",
    "multidiffusion": "MultiDiffusion",
    "multidiffusion-half": "MultiDiffusion, half",
    "guidance-gradients": "Guidance Gradients",
    "freedom": "FreeDoM",
    "flowchef": "FlowChef",
    "doodl": "DOODL",
    "ditto-published": "DITTO as published",
    "ditto": "DITTO",
    "ditto-2": "DITTO-2, on our flow map",
    "fast": "fast",
}
RULES = {"euler": "DDIM", "dpm-solver-2m": "DPM-Solver++(2M)"}
_PAINTERS = ("draft", "conditional", *MASKED, *GUIDED, *reversed(ITERATING))
_PAINTED = (*OUTPAINTS, *INPAINTS)
_SEAMS = {
    "seam_step_ratio": "Largest step beside a seam over those of the music",
    "seam_flux_ratio": "Spectral flux at the roughest seam over that of the music",
    "seam_timbre_ratio": "Change of colour at a seam over those of the music",
    "seam_level_step_db": "Largest step in level at a seam, dB",
}
_CHECKS = {
    "intensity": {"intensity_check": "waveform RMS, dB²", "intensity_correlation": "correlation"},
    "melody": {
        "melody_latent_accuracy": "latent's chroma",
        "melody_accuracy": "constant-Q",
        "melody_voice_accuracy": "pYIN",
    },
    "structure": {"structure_check": "other features"},
}
_BESIDE = {
    "overlap": "overlap, squared latent",
    "structure": "structure, mean squared cosine",
    "melody": "melody, by the latent's chroma",
}
_UNITS = {"intensity": "dB²", "melody": "nats", "structure": "mean squared cosine"}


def painting(found: Found) -> list[str]:
    """Tables 1 and 2: what the overlap is missed by, the seams, and the Fréchet distances."""
    lines = ["Overlap loss, squared latent:", ""]
    lines += _painted(lambda task, method: found.mean(task, method, loss("overlap")).cell)
    for name, title in _SEAMS.items():
        lines += [f"{title}:", ""]
        lines += _painted(
            lambda task, method, name=name: found.mean(task, method, check(name)).cell
        )
    if any(found.distance(task, method).value for task in _PAINTED for method in _PAINTERS):
        lines += ["Fréchet distance of the window with the known audio in it:", ""]
        lines += _painted(lambda task, method: found.distance(task, method).cell)
    else:
        lines += ["There are too few items for a Fréchet distance yet.", ""]
    rows: list[list[Cell]] = [
        [NAMES[method], *(row.get(task) for task in _PAINTED)]
        for method, row in published.PAINTING.items()
    ]
    lines += [
        "Published (Fréchet distance of another embedding, another model and other music):",
        "",
    ]
    return lines + table(("", *_PAINTED), rows)


def _painted(cell: Callable[..., str]) -> list[str]:
    rows = [[NAMES[m], *(cell(task, m) for task in _PAINTED)] for m in _PAINTERS]
    return table(("", *_PAINTED), rows)


def controls(found: Found) -> list[str]:
    """Table 3: each control by its loss, by other means, and what it costs the music."""
    lines: list[str] = []
    for task in CONTROLS:
        share = task == "melody"
        head = (
            "",
            f"loss on the latent, {_UNITS[task]}",
            *_CHECKS[task].values(),
            "Fréchet distance",
            "norm drift",
            "latent deviation",
            "published",
            "its Fréchet distance",
        )
        rows: list[list[Cell]] = []
        for method in ("draft", "conditional", *GUIDED, *reversed(ITERATING)):
            if task == "structure" and method == "conditional":
                continue
            said = published.CONTROLS.get(method, {}).get(task)
            row: list[Cell] = [
                "random noise (draft)" if method == "draft" else NAMES[method],
                found.mean(task, method, loss(task)).cell,
            ]
            for name in _CHECKS[task]:
                measured = found.mean(task, method, check(name))
                row.append(measured.share if share else measured.cell)
            rows.append(
                [
                    *row,
                    found.distance(task, method).cell,
                    found.mean(task, method, own("drift")).share,
                    found.mean(task, method, check("latent_std")).cell,
                    percent(said) if share else said,
                    published.CONTROL_DISTANCES.get(method, {}).get(task),
                ]
            )
        lines += [f"### {task.capitalize()}", "", *table(head, rows)]
    return lines


def efficiency(found: Found) -> list[str]:
    """Table 5: DITTO and DOODL by the number of sampler steps."""
    head = (
        "",
        "loss, dB²",
        "iterations to 2 dB² or the cap",
        "s an iteration",
        "its memory, MB",
        "published: dB²",
        "iterations",
        "s",
        "GB",
    )
    rows: list[list[Cell]] = []
    extent = found.extent
    for steps, known_as in ((extent.steps, 20), (extent.long_steps, 50)):
        for method in ("ditto", "doodl"):
            memory = found.memory_mb(method, steps)
            means = (
                found.mean("intensity", method, figure, steps=steps).cell
                for figure in (loss("intensity"), iterations_to_tolerance, own("iteration_s"))
            )
            beside = published.EFFICIENCY[method, known_as]
            rows.append([f"{NAMES[method]}, {steps} steps", *means, number(memory), *beside])
    return table(head, rows)


def samplers(found: Found) -> list[str]:
    """Table 8: two rules of sampling under DITTO."""
    head = (
        "DITTO by",
        "intensity, dB²",
        "s an iteration",
        "outpainting 2 s, squared latent",
        "published: dB²",
        "Fréchet distance",
        "of outpainting",
    )
    rows: list[list[Cell]] = [
        [
            name,
            found.mean("intensity", "ditto", loss("intensity"), rule=rule).cell,
            found.mean("intensity", "ditto", own("iteration_s"), rule=rule).cell,
            found.mean("outpaint-2", "ditto", loss("overlap"), rule=rule).cell,
            *published.SAMPLERS[rule],
        ]
        for rule, name in RULES.items()
    ]
    return table(head, rows)


def together(found: Found) -> list[str]:
    """Table 9: two wishes at once, the weights of appendix H."""
    lines: list[str] = []
    for task in TOGETHER:
        other = "overlap" if "paint" in task else task.split("+")[1]
        head = ("", "intensity, dB²", _BESIDE[other], "published: dB²", "the other")
        rows: list[list[Cell]] = []
        for method in ("draft", "freedom", "fast", "ditto"):
            if other == "melody":
                second = found.mean(task, method, check("melody_latent_accuracy")).share
            else:
                second = found.mean(task, method, loss(other)).cell
            first = found.mean(task, method, loss("intensity")).cell
            said, beside = published.TOGETHER[task].get(method, (None, None))
            shown = percent(beside) if other == "melody" else number(beside)
            rows.append([NAMES[method], first, second, said, shown])
        lines += [f"### {task.replace('+', ' with ').capitalize()}", "", *table(head, rows)]
    return lines


def latency(found: Found) -> list[str]:
    """Table 11: processor time from the noise to the result, what the fast path does after that,
    and the race of DITTO and the fast path."""
    tasks = ("outpaint-2", *CONTROLS)
    rows: list[list[Cell]] = []
    for method in _PAINTERS:
        ours = (found.mean(task, method, worked_s).cell for task in tasks)
        said = (published.LATENCY.get(method, {}).get(task) for task in CONTROLS)
        rows.append([NAMES[method], *ours, *said])
        if method == "fast":
            after = (found.mean(task, method, own("undoing_busy_s")).cell for task in tasks)
            rows.append(["fast, its noise, after that", *after, *[None] * len(CONTROLS)])
    head = ("processor seconds a sample", *tasks, *(f"published: {task}" for task in CONTROLS))
    return [*table(head, rows), *_races(found)]


def _races(found: Found) -> list[str]:
    head = (
        "processor time without the decoder",
        "DITTO, s",
        "fast, s",
        "its noise after that, s",
        "DITTO to the loss of fast, s",
        "never had it",
        "ratio",
        "ratio with its noise",
        "DITTO's loss",
        "that of fast",
    )
    rows: list[list[Cell]] = []
    for task in ("outpaint-2", *CONTROLS):
        run = race(found, task)
        if run is None:
            continue
        losses = found.both(task, "ditto", "fast", own("best"))
        ours, theirs = (None, None) if losses is None else losses[:2]
        never = f"{run.short} of {run.items}"
        times = (run.ditto_s, run.fast_s, run.undoing_s, run.same_s)
        rows.append([task, *times, never, run.ratio, run.ratio_with_undoing, ours, theirs])
    return table(head, rows) if rows else []


def reused(found: Found) -> list[str]:
    """A changed curve from the noise found for the curve before."""
    head = (
        "",
        "iterations from fresh noise",
        "from found noise",
        "share",
        "first loss, fresh, dB²",
        "found",
    )
    rows: list[list[Cell]] = []
    for method in ("ditto", "fast"):
        run = reuse(found, method)
        if run is None:
            rows.append([NAMES[method], *["–"] * 5])
            continue
        values: Sequence[float] = (run.fresh, run.found)
        counts = (Mean(value, run.items).cell for value in values)
        starts = (run.start_fresh, run.start_found)
        rows.append([NAMES[method], *counts, percent(run.share), *starts])
    return table(head, rows)
