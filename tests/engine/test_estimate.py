"""What an estimate says of a render, against the render of the embedded model."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.estimate import pace_name
from engine.job import Job
from engine.pipeline import Engine, create_engine
from engine.spec import BridgeError, Event, Preview, Progress, RenderRequest
from engine.window_task import RenderSettings

CLIP = str(Path(__file__).parents[2] / "scripts" / "clips" / "drums.flac")
EXTEND = {
    "task": "extend",
    "source": CLIP,
    "seconds": 1.0,
    "bpm": 120.0,
    "overlap": 0.5,
    "steps": 2,
    "refine": 2,
}
GENERATE = {"task": "generate", "seconds": 1.0, "bpm": 120.0, "intensity": "0:-30,1:-10"}
# The estimate allows for what glibc's heap grows by; how full of holes it is depends on the past.
MEMORY_BOUND = (0.7, 1.5)
HEAP_PIECE_BYTES = 64 << 20  # what a heap is given at a time


def slow(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


class Counter:
    """Calls of the embedded network."""

    def __init__(self) -> None:
        self.calls = 0

    def of(self, engine: Engine, request: RenderRequest, spool: Path) -> int:
        before = self.calls
        for _ in engine.render(request, spool, lambda: False):
            pass
        return self.calls - before


@pytest.fixture(scope="module")
def engine() -> Engine:
    return create_engine(None)


@pytest.fixture
def counter(engine: Engine) -> Iterator[Counter]:
    counter = Counter()

    def count(*_: Any) -> None:
        counter.calls += 1

    hook = engine.house.network.register_forward_pre_hook(count)
    yield counter
    hook.remove()


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "fast"},  # undone after the result, which is not counted
        {"method": "ditto"},
        {"method": "ditto", "steps": 7},  # checkpointed: each step is computed anew
        slow({"method": "ditto-2", "refine": 4}),
        slow({"method": "doodl"}),
        slow({"method": "freedom"}),
        slow({"method": "multidiffusion"}),
        {"method": "ditto", "seconds": 8.0, "refine": 1},  # two windows
        {"method": "fast", "candidates": 2},
        {"refine": 0},
        {"variation": 0.0},
    ],
    ids=str,
)
def test_evaluations_are_exact_where_nothing_depends_on_the_audio(
    engine: Engine, counter: Counter, tmp_path: Path, fields: dict[str, Any]
) -> None:
    request = RenderRequest.from_mapping({**EXTEND, **fields})
    told = engine.estimate(request)
    assert told["evaluations_least"] == told["evaluations_most"]
    assert counter.of(engine, request, tmp_path) == told["evaluations_most"]


@pytest.mark.parametrize(
    "fields",
    [
        {**EXTEND, "refine": 9},  # the first of two runs is undone until it is near enough
        slow({**GENERATE, "stems": True, "roles": "drums,bass"}),
        slow({"task": "vary", "source": CLIP, "steps": 1, "refine": 0}),
        {**GENERATE, "method": "ditto", "refine": 2},  # which may be content at once
    ],
    ids=("fast", "stems", "vary", "content"),
)
def test_evaluations_lie_between_the_two_where_it_does(
    engine: Engine, counter: Counter, tmp_path: Path, fields: dict[str, Any]
) -> None:
    request = RenderRequest.from_mapping(fields)
    told = engine.estimate(request)
    assert told["evaluations_least"] < told["evaluations_most"]
    made = counter.of(engine, request, tmp_path)
    assert told["evaluations_least"] <= made <= told["evaluations_most"]


def test_estimate_and_meter_know_that_noise_is_mended_first(tmp_path: Path) -> None:
    """Noise of a wish like this one takes a run more, where mending it is not enough."""
    engine, counter = create_engine(tmp_path / "cache"), Counter()
    *_, done = engine.render(RenderRequest.from_mapping(GENERATE), tmp_path, lambda: False)
    engine.settle(lambda: False)
    changed = {**GENERATE, "intensity": "0:-10,1:-30", "intensity_match": "shape"}
    request = RenderRequest.from_mapping({**changed, "noise": done.recipe["latent_key"]})
    told = engine.estimate(request)

    def count(*_: Any) -> None:
        counter.calls += 1

    engine.house.network.register_forward_pre_hook(count)
    job = Job(engine, request, tmp_path, lambda event: None, lambda: False)
    job.run()
    assert told["evaluations_least"] <= counter.calls <= told["evaluations_most"]
    assert job.meter.done == pytest.approx(job.meter.total, rel=0.02)


def test_pace_is_of_a_model_and_of_the_work_that_was_done(engine: Engine, tmp_path: Path) -> None:
    settings = RenderSettings(1.0, 8)
    assert pace_name("house", settings) != pace_name("other", settings)
    assert pace_name("house", settings) != pace_name("house", replace(settings, refine=1))
    met_at_once = {**GENERATE, "intensity": "0:-30,1:-30", "refine": 32, "seed": 5}
    request = RenderRequest.from_mapping(met_at_once)
    job = Job(engine, request, tmp_path, lambda event: None, lambda: False)
    job.run()
    assert job.meter.done < 0.9 * job.meter.total
    assert job.pace_s == job.meter.timings_s["total"] / job.meter.done


def _status_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise AssertionError(name)


def _peak_of_refinement_bytes(engine: Engine, request: RenderRequest, spool: Path) -> int:
    """What the process grew by while it refined, as the system counts it."""
    seen: dict[str, int] = {}

    def hear(event: Event) -> None:
        if isinstance(event, Preview) and not seen:
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
            seen["before"] = _status_bytes("VmRSS")
        if isinstance(event, Progress) and event.stage == "refine":
            seen["peak"] = _status_bytes("VmHWM")

    Job(engine, request, spool, hear, lambda: False).run()
    return seen["peak"] - seen["before"]


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="Linux alone resets the peak"
)
@pytest.mark.parametrize(
    ("fields", "policy"),
    [
        ({"method": "ditto", "steps": 4}, "full"),
        slow({"method": "ditto", "steps": 8}, "checkpointed"),
        slow({"method": "doodl"}, "full"),
        ({"method": "fast", "refine": 4}, "one call"),
    ],
)
def test_memory_is_what_the_process_grows_by(
    engine: Engine, tmp_path: Path, fields: dict[str, Any], policy: str
) -> None:
    request = RenderRequest.from_mapping({**EXTEND, **fields})
    told = engine.estimate(request)
    assert (told["policy"], told["cached"]) == (policy, False)
    needed_bytes = told["needed_bytes"]
    grown_bytes = _peak_of_refinement_bytes(engine, request, tmp_path)
    print(f"{policy}: {needed_bytes >> 20} MiB, the process grew by {grown_bytes >> 20} MiB")
    low, high = MEMORY_BOUND
    assert low * needed_bytes <= grown_bytes <= high * needed_bytes + HEAP_PIECE_BYTES
    assert told["free_bytes"] > told["needed_bytes"]


def test_time_is_known_after_a_render_of_the_kind(tmp_path: Path) -> None:
    engine = create_engine(tmp_path / "cache")
    request = RenderRequest.from_mapping({**EXTEND, "refine": 0})
    assert engine.estimate(request)["seconds"] is None
    *_, done = engine.render(request, tmp_path, lambda: False)
    again = engine.estimate(request)
    assert (again["cached"], again["evaluations_most"], again["seconds"]) == (True, 0, 0.0)
    other = engine.estimate(RenderRequest.from_mapping({**EXTEND, "refine": 0, "seed": 1}))
    assert not other["cached"]
    assert other["seconds"] == pytest.approx(done.report["timings_s"]["total"], abs=0.01)
    assert engine.estimate(RenderRequest.from_mapping(EXTEND))["seconds"] is None


def test_what_cannot_be_rendered_is_refused(engine: Engine, tmp_path: Path) -> None:
    for fields, says in (({"model": "other"}, "no model"), ({"source": "/none.wav"}, "none.wav")):
        with pytest.raises(BridgeError, match=says):
            engine.estimate(RenderRequest.from_mapping({**EXTEND, **fields}))
