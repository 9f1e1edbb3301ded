"""The page of the public models' figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from models_bench.checkpoints import ARCHITECTURES
from models_bench.full_size import OPTIMISED_S, SAMPLED_S

Results = Mapping[str, Any]
WANTED_RATIO = 1.05
WANTED_MEMORY = 0.15
# Seconds for 30 s of audio on an H200, eagerly and with TensorRT, as published.
PUBLISHED_S = {"small-music": (0.46, 0.022), "medium": (0.65, 0.05)}
WANTED_SHARE = 0.5
WANTED_S = {"intensity": 3.0, "melody": 8.0}
_MISSING = "Not measured."


def page(results: Results) -> str:
    """The whole document."""
    return _DOCUMENT.format(
        overhead=_overhead(results.get("overhead")),
        memory=_memory(results.get("memory")),
        full_memory=_full_memory(results.get("full_memory")),
        full_size=_full_size(results.get("full_size")),
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _said(met: bool) -> str:
    return "met" if met else "**missed**"


def _overhead(found: Sequence[Mapping[str, Any]] | None) -> str:
    if not found:
        return _MISSING
    head = ("model", "parameters", "steps", "guidance", "runs", "ours", "pipeline", "ratio", "")
    rows = [
        (
            ARCHITECTURES[each["kind"]].title,
            f"{each['parameters'] / 1e6:.0f} M",
            str(each["steps"]),
            f"{each['guidance']:g}",
            str(len(each["ours_s"])),
            f"{median(each['ours_s']):.2f} s",
            f"{median(each['theirs_s']):.2f} s",
            f"{each['ratio']:.3f} ({each['spread'][0]:.2f} to {each['spread'][1]:.2f})",
            _said(each["ratio"] <= WANTED_RATIO),
        )
        for each in found
    ]
    longest_s = max(each["seconds"] for each in found)
    return (
        f"Windows of up to {longest_s:.1f} s from the same noise in the same steps, latents only; "
        f"the ratio is that of the medians of so many runs in turn, beside it "
        f"the least and the most of runs that followed each other. Wanted is {WANTED_RATIO:g} at "
        "most. Time is the processor's, in one thread, so that other programs count little. Texts "
        "are encoded before, but for ACE-Step, whose pipeline does so within its call: there it "
        f"belongs to both sides.\n\n{_table(head, rows)}"
    )


def _memory(found: Sequence[Mapping[str, Any]] | None) -> str:
    if not found:
        return _MISSING
    rows = [(ARCHITECTURES[each["kind"]].title, *_memory_row(each)) for each in found]
    return (
        "Rise of a process's memory over one sampling (`none`) or one iteration of an optimisation "
        "of four steps towards a level, decoder and spectrum included. `held` is measured with an "
        "allocator that hands back at once what is freed; beside it stands what is foreseen of "
        "that (`engine/optimise/memory.py`): tensors that are there at once during one call of the "
        "network and one of the objective, each with its gradient, of which a checkpointed run "
        "holds one or the other. `heap` is the same rise with the settings of the daemon's engine, "
        "and beside it stands what `estimate` prints. The ratios are foreseen over measured; "
        f"within {WANTED_MEMORY:.0%} is wanted.\n\n{_table(('model', *_MEMORY_HEAD), rows)}"
    )


_MEMORY_HEAD = ("gradients", "weights", "held", "foreseen", "", "heap", "printed", "")


def _memory_row(each: Mapping[str, Any]) -> tuple[str, ...]:
    held, grown = each["peak_bytes"], each["heap_peak_bytes"]
    return (
        each["policy"],
        _megabytes(4 * each["parameters"]),
        _megabytes(held),
        _megabytes(each["estimated_bytes"]),
        _times(each["estimated_bytes"], held),
        _megabytes(grown),
        _megabytes(each["printed_bytes"]),
        _times(each["printed_bytes"], grown),
    )


def _full_memory(found: Mapping[str, Mapping[str, Any]] | None) -> str:
    if not found:
        return _MISSING
    rows = [(name, *_memory_row(row)) for name, each in found.items() for row in each["rows"]]
    said = _table(("Stable Audio 3", *_MEMORY_HEAD), rows)
    if any(each["smaller"] for each in found.values()):
        said += "\n\n**Much smaller than the models, to try the benchmark: no figure here counts.**"
    names = ("before_bytes", "loaded_bytes", "rendered_bytes", "unloaded_bytes")
    names += ("unloaded_again_bytes",)
    head = (
        "Stable Audio 3",
        "before loading",
        "loaded",
        "after three renders",
        "unloaded",
        "and again",
    )
    left = [
        (name, *(_megabytes(each["unloading"][state]) for state in names))
        for name, each in found.items()
    ]
    return (
        f"{said}\n\nResident memory of an engine that loads a model, renders three times, and is "
        "told to unload, and does all that again; before, it had rendered with the embedded model "
        "and unloaded that. What the libraries make once stays.\n\n"
        f"{_table(head, left)}"
    )


def _megabytes(size_bytes: float) -> str:
    return f"{size_bytes / 1e6:.1f} MB"


def _times(estimate: float, peak: float) -> str:
    if peak < 16e6:  # pages and threads' stacks come to as much
        return "–"
    ratio = estimate / peak
    return f"{ratio:.2f}" if abs(ratio - 1.0) <= WANTED_MEMORY else f"**{ratio:.2f}**"


def _full_size(found: Mapping[str, Mapping[str, Any]] | None) -> str:
    if not found:
        return _MISSING
    return "\n\n".join(_variant(name, each) for name, each in found.items())


def _variant(name: str, found: Mapping[str, Any]) -> str:
    parameters = found["parameters"]
    sizes = ", ".join(f"{part} {count / 1e6:.0f} M" for part, count in parameters.items())
    said = f"### Stable Audio 3 {name}\n\nOn {found['device']}, bf16: {sizes} parameters. "
    if found["smaller"]:
        said += "**Much smaller than the model, to try the benchmark: no figure here counts.** "
    said += f"Telling the model a prompt takes {found['told_s']:.3f} s, once for each.\n\n"
    eager_s, best_s = PUBLISHED_S[name]
    head = (f"{SAMPLED_S:g} s", "latents", "and audio", "of published eager", "", "of TensorRT",
            "memory")  # fmt: skip
    rows = [_sampled_row(mode, each, eager_s, best_s) for mode, each in found["sampled"].items()]
    said += _table(head, rows) + "\n\n"
    head = (f"{OPTIMISED_S:g} s", "seconds", "wanted", "", "loss before", "after", "memory")
    return said + _table(head, [_wish_row(*item) for item in found["optimised"].items()])


def _sampled_row(
    mode: str, found: Mapping[str, Any], eager_s: float, best_s: float
) -> tuple[str, ...]:
    if "failed" in found:
        return (mode, found["failed"], *[""] * 5)
    share = found["heard_s"] / eager_s
    return (
        mode,
        f"{found['latent_s']:.3f} s",
        f"{found['heard_s']:.3f} s",
        f"{share:.2f}",
        _said(share <= WANTED_SHARE),
        f"{found['heard_s'] / best_s:.1f} ×",
        _memory_said(found),
    )


def _wish_row(wish: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    if "failed" in found:
        return (wish, found["failed"], *[""] * 5)
    return (
        wish,
        f"{found['seconds']:.2f}",
        f"≤ {WANTED_S[wish]:g}",
        _said(found["seconds"] <= WANTED_S[wish]),
        f"{found['first_loss']:.3g}",
        f"{found['last_loss']:.3g}",
        _memory_said(found),
    )


def _memory_said(found: Mapping[str, Any]) -> str:
    return "–" if found["peak_bytes"] is None else f"{found['peak_bytes'] / 1e9:.1f} GB"


_DOCUMENT = """# How fast public models are

Written by `./scripts/bench_models`; nobody types these numbers. All weights are random: what
a model plays changes nothing of its time.

## What our adapters add

{overhead}

## What they take

{memory}

## What published sizes take

The same on a CPU for a level of 12 s in two steps, in single precision; `one call` is the fast
method, in one step.

{full_memory}

## Published sizes

Stable Audio 3 as published, in its eight steps. Wanted is half of the published eager time of
an H200, for latents and audio together; beside it stands how many times the published time with
TensorRT that is. A control is met by the fast method from pure noise. `eager` is what the engine
does, `graph` launches a whole run as one CUDA graph, `compile` lets torch compile the network and
the decoder.

{full_size}
"""
