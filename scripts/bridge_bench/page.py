"""The page of the bridge's figures, and the picture of its memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from matplotlib.figure import Figure

from bridge_bench.soak import growth

PICTURE = Path("images") / "bridge-memory.png"
Results = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the page: a figure, and the target it has to meet."""

    title: str
    value: float
    unit: str
    target: float
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the target is met."""
        return self.value >= self.target if self.at_least else self.value <= self.target

    def row(self) -> str:
        """A row of the table."""
        sign = "≥" if self.at_least else "≤"
        said = "met" if self.is_met else "**missed**"
        return f"| {self.title} | {self.value:.3g} {self.unit} | {sign} {self.target:g} | {said} |"


def figures(results: Results) -> list[Line]:
    """Every figure that has been measured."""
    found: list[Line] = []
    if "load" in results:
        found += _load_figures(results["load"])
    if "throughput" in results:
        found += _throughput_figures(results["throughput"])
    if "jobs" in results:
        samples = results["jobs"]["samples"]
        half = len(samples) // 2
        grown = _memory(samples[-1:]) - _memory(samples[half : half + 1])
        found.append(Line("memory grown in the second half of the jobs", grown, "MB", 2.0))
    if "soak" in results:
        for who in ("daemon", "engine"):
            grown = growth(results["soak"]["samples"], who)
            more = grown["last_mb"] - grown["first_mb"]
            found.append(Line(f"soak: memory grown, {who}", more, "MB", 4.0))
            found.append(Line(f"soak: files open more, {who}", grown["files"], "", 2.0))
            found.append(Line(f"soak: threads more, {who}", grown["threads"], "", 1.0))
    return found


def _memory(samples: Iterable[Mapping[str, Any]]) -> float:
    return float(median(sample["daemon"]["memory_mb"] for sample in samples))


def _load_figures(load: Mapping[str, Any]) -> list[Line]:
    streams = load["streams"]
    return [
        Line("control round trip under load, median", median(load["loaded_ms"]), "ms", 2.0),
        Line(
            "control round trip under load, 99th percentile", _percentile_99(load["loaded_ms"]),
            "ms", 20.0,
        ),
        Line(
            "underruns of all streams together", sum(each["underruns"] for each in streams), "", 0
        ),
    ]  # fmt: skip


def _throughput_figures(measured: Mapping[str, Any]) -> list[Line]:
    part = median(measured["streamed_mb_s"]) / median(measured["echoed_mb_s"])
    return [
        Line("one stream beside the bare echo", part, "times as fast", 0.5, at_least=True),
        Line(
            "age of a 6-second preview when it is there, median",
            median(measured["preview_ages_ms"]), "ms", 20.0,
        ),
    ]  # fmt: skip


def _percentile_99(values: list[float]) -> float:
    return quantiles(values, n=100)[98]


def page(results: Results) -> str:
    """The whole document."""
    rows = [figure.row() for figure in figures(results)]
    return _DOCUMENT.format(
        rows="\n".join(rows),
        load=_said_of_load(results.get("load")),
        throughput=_said_of_throughput(results.get("throughput")),
        jobs=_said_of_jobs(results.get("jobs")),
        soak=_said_of_soak(results.get("soak")),
        picture=PICTURE.as_posix(),
    )


def _said_of_load(load: Mapping[str, Any] | None) -> str:
    if load is None:
        return "Not measured."
    streams = load["streams"]
    least_ms = 1e3 * min(each["least_ahead_s"] for each in streams)
    return (
        f"{load['idle']} clients that only listen, {load['active']} that ask five times a second "
        f"and {len(streams)} that play a take of {streams[0]['samples'] / 48_000:.0f} s (stereo, "
        "48 kHz) in real time, each wanting the next frame a quarter of a second before it has "
        f"nothing left, while the embedded model makes refined extensions ({load['renders']} were "
        "finished), all on the same cores. "
        f"The shortest time that any stream had left was {least_ms:.0f} ms. "
        "The round trip is that of a `ping` by a process of its own; without any load its median "
        f"is {median(load['alone_ms']):.2f} ms and its 99th percentile "
        f"{_percentile_99(load['alone_ms']):.1f} ms. The {load['active']} asking clients share one "
        f"process with the streams and see {median(load['asked_ms']):.1f} and "
        f"{_percentile_99(load['asked_ms']):.0f} ms, their own waiting for each other included. "
        f"The daemon held {load['daemon']['memory_mb']:.0f} MB."
    )


def _said_of_throughput(measured: Mapping[str, Any] | None) -> str:
    if measured is None:
        return "Not measured."
    ages_ms = measured["preview_ages_ms"]
    return (
        f"A take of a minute (float32, as it lies in its file) came at "
        f"{median(measured['streamed_mb_s']):.0f} MB/s; messages of the same size came back from "
        f"the `websockets` library's own echo at {median(measured['echoed_mb_s']):.0f} MB/s "
        f"(medians of {len(measured['echoed_mb_s'])} in turn). "
        f"Previews of 2.3 MB were {min(ages_ms):.0f} to {max(ages_ms):.0f} ms old when the client "
        "had all of them, from the moment the engine had them: through the pipe, the daemon and "
        "the socket."
    )


def _said_of_jobs(jobs: Mapping[str, Any] | None) -> str:
    if jobs is None:
        return "Not measured."
    return (
        f"{jobs['jobs']} jobs of an engine that makes 50 ms of audio at once, sixteen at a time: "
        f"{jobs['jobs'] / jobs['seconds']:.0f} jobs a second, each journalled and its take kept "
        "with its checksums."
    )


def _said_of_soak(soak: Mapping[str, Any] | None) -> str:
    if soak is None:
        return "Not measured."
    done = ", ".join(f"{count} × {what}" for what, count in soak["done"].items())
    grown = growth(soak["samples"], "daemon")
    return (
        f"{soak['minutes']:.0f} minutes of clients that come, ask for anything and go: {done}. "
        "The first fifth of the time is not judged: what a process takes once is no growth. "
        f"From there on the daemon's memory changed by {grown['mb_per_hour']:+.1f} MB an hour."
    )


def draw(results: Results, folder: Path) -> None:
    """Memory over jobs and over the soak."""
    figure = Figure(figsize=(9, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    if jobs := results.get("jobs"):
        left.plot(
            [sample["jobs"] for sample in jobs["samples"]],
            [sample["daemon"]["memory_mb"] for sample in jobs["samples"]],
        )
    left.set(xlabel="jobs", ylabel="daemon (MB)", ylim=(0, None))
    if soak := results.get("soak"):
        for who in ("daemon", "engine"):
            held = [sample for sample in soak["samples"] if sample[who]]
            right.plot(
                [sample["at_s"] / 60 for sample in held],
                [sample[who]["memory_mb"] for sample in held],
                label=who,
            )
        right.legend()
    right.set(xlabel="minutes of the soak", ylabel="MB", ylim=(0, None))
    (folder / PICTURE).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / PICTURE, dpi=100)


_DOCUMENT = """# The bridge under load and over time

Written by `./scripts/bench_bridge` on two cores; nobody types these numbers.

| | measured | target | |
|---|--:|--:|---|
{rows}

## Many clients and streams

{load}

## What the bridge adds

{throughput}

## Ten thousand jobs

{jobs}

## For a long time

{soak}

![memory over jobs and over time]({picture})
"""
