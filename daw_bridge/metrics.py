"""What happened since the daemon started, in the text format of Prometheus.

https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4)
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

RENDER_BOUNDS_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
ENDS = ("done", "failed", "cancelled")
_PREFIX = "daw_bridge_"

Labelled = Sequence[tuple[Mapping[str, str], float]]


class Metrics:
    """Counts; everything else is asked for when somebody looks."""

    def __init__(self) -> None:
        self._ended: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._stream_bytes = 0
        self._renders = [0] * (len(RENDER_BOUNDS_S) + 1)
        self._render_s = 0.0

    def job_ended(self, end: str, render_s: float | None) -> None:
        """A job is over; None where it never began to render."""
        self._ended[end] += 1
        if render_s is not None and render_s >= 0.0:
            self._renders[bisect_left(RENDER_BOUNDS_S, render_s)] += 1
            self._render_s += render_s

    def refused(self, code: str) -> None:
        """A command was refused with this error code."""
        self._refused[code] += 1

    def sent(self, size_bytes: int) -> None:
        """So much of a stream went to a client."""
        self._stream_bytes += size_bytes

    def families(self) -> Iterator[str]:
        """The text of every count."""
        ended: Labelled = [({"end": end}, self._ended[end]) for end in ENDS]
        refused: Labelled = [({"code": code}, n) for code, n in sorted(self._refused.items())]
        yield family("jobs_ended_total", "counter", "jobs that are over", ended)
        yield family("refusals_total", "counter", "commands refused, by error code", refused)
        sent: Labelled = [({}, self._stream_bytes)]
        yield family("stream_bytes_total", "counter", "audio sent in streams", sent)
        yield self._histogram()

    def _histogram(self) -> str:
        name, so_far, buckets = "render_seconds", 0, []
        for bound, count in zip((*RENDER_BOUNDS_S, float("inf")), self._renders, strict=True):
            so_far += count
            buckets.append(_line(f"{name}_bucket", {"le": _number(bound)}, so_far))
        head = _head(name, "histogram", "time from a job's start to its end")
        sums = _line(f"{name}_sum", {}, self._render_s) + _line(f"{name}_count", {}, so_far)
        return head + "".join(buckets) + sums


def family(name: str, kind: str, doc: str, values: Labelled) -> str:
    """The lines of one metric, with its type and meaning.

    >>> print(family("clients", "gauge", "clients now", [({"transport": "websocket"}, 2)]), end="")
    # HELP daw_bridge_clients clients now
    # TYPE daw_bridge_clients gauge
    daw_bridge_clients{transport="websocket"} 2
    """
    return _head(name, kind, doc) + "".join(_line(name, labels, value) for labels, value in values)


def gauge(name: str, doc: str, value: float) -> str:
    """The lines of a metric with one value."""
    return family(name, "gauge", doc, [({}, value)])


def resident_bytes(pid: int | None) -> int | None:
    """Memory of a process, None where the system does not say."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return None


def _head(name: str, kind: str, doc: str) -> str:
    return f"# HELP {_PREFIX}{name} {doc}\n# TYPE {_PREFIX}{name} {kind}\n"


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    listed = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{_PREFIX}{name}{'{' + listed + '}' if listed else ''} {_number(value)}\n"


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) else repr(float(value))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
