"""What the benchmark measures, against which targets, and the page that says how it went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure.

    Attributes:
        target: the largest value that is good enough, in `unit`.
        how: what exactly is measured.
        by_largest: whether the slowest run is judged and not the median: for a promise.
    """

    key: str
    title: str
    unit: str
    target: float
    how: str
    by_largest: bool = False

    def judged(self, values: Sequence[float]) -> float:
        """The value that has to meet the target."""
        return max(values) if self.by_largest else median(values)


MEASURES: tuple[Measure, ...] = (
    Measure(
        "first_preview_s", "First audible preview of a 6-second extension", "s", 3.0,
        "from sending the request to the first preview's audio",
    ),
    Measure(
        "draft_s", "Complete draft of it", "s", 5.0,
        "the same request with refine 0, to `done`",
    ),
    Measure(
        "refined_s", "Refined take of it", "s", 60.0,
        "the same request with the default number of steps, to `done`",
    ),
    Measure(
        "cache_hit_s", "Exact cache hit", "s", 0.1,
        "a request made before, to `done`",
    ),
    Measure(
        "cancel_s", "Cancel takes effect", "s", 0.5,
        "from sending the cancel to `cancelled`, at several moments of a refinement; the slowest "
        "counts", by_largest=True,
    ),
    Measure(
        "daemon_start_s", "Daemon started", "s", 1.0,
        "from starting the process to its first answer",
    ),
    Measure(
        "daemon_memory_mb", "Daemon's memory, idle", "MB", 100.0,
        "resident size of the daemon's process, without the engine's",
    ),
    Measure(
        "daemon_cpu_percent", "Daemon's use of a core, idle", "%", 1.0,
        "processor time of the daemon's process over ten seconds in which nobody asks for "
        "anything, the engine ready and listened to",
    ),
    Measure(
        "weights_mb", "Weights", "MB", 32.0,
        "all weights that ship with the package",
    ),
)  # fmt: skip


def verdict(measure: Measure, values: Sequence[float]) -> str:
    """Whether the target is met, or by how much it is missed."""
    if not values:
        return "not measured"
    excess = measure.judged(values) - measure.target
    return "pass" if excess <= 0 else f"misses by {_number(excess)} {measure.unit}"


def page(values: Mapping[str, Sequence[float]], machine: Mapping[str, str]) -> str:
    """The whole document."""
    rows = ["| | median | smallest | largest | runs | target | |", "|---|--:|--:|--:|--:|--:|---|"]
    rows += [_row(measure, values.get(measure.key, ())) for measure in MEASURES]
    return _DOCUMENT.format(
        rows="\n".join(rows),
        how="\n".join(f"- **{measure.title}**: {measure.how}." for measure in MEASURES),
        machine="\n".join(f"- {name}: {value}" for name, value in machine.items()),
    )


def _row(measure: Measure, values: Sequence[float]) -> str:
    figures = [median(values), min(values), max(values)] if values else []
    cells = [f"{_number(value)} {measure.unit}" for value in figures] or ["–"] * 3
    target = f"{measure.target:g} {measure.unit}"
    cells = [measure.title, *cells, str(len(values)), target, verdict(measure, values)]
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


_DOCUMENT = """# Speed

Written by `./scripts/bench`; nobody types these numbers. The requests go through a real daemon over
the WebSocket, with the electric piano clip that ships with the project, the engine warm and nothing
in the cache but where the cache itself is measured. How well the methods of control do
what is asked of them is on [another page](benchmarks.md).

{rows}

## What is measured

{how}

## Where

{machine}
"""
