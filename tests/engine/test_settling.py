"""What comes after a result: the noise of its guided runs, which the files did not wait for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine import window_task
from engine.cache import Entry
from engine.job import Job
from engine.optimise import inversion
from engine.pipeline import Engine, create_engine
from engine.spec import Cancelled, Done, Event, Preview, Progress, RenderRequest, Stem

CLIPS = Path(__file__).parents[2] / "scripts" / "clips"
# Far from what is there, so that every step of the guided run is corrected.
EXTEND = {
    "task": "extend",
    "source": str(CLIPS / "drums.flac"),
    "seconds": 1.0,
    "bpm": 120.0,
    "overlap": 0.5,
    "intensity": "0:-30,1:-10",
    "refine": 3,
    "steps": 3,
}
LONG = EXTEND | {"seconds": 8.0, "intensity": "0:-30,8:-10"}
STEMS = {
    "task": "generate",
    "prompt": "pop",
    "seconds": 1.0,
    "intensity": "0:-10,0.5:-60,1:-10",
    "variation": 1.0,  # a draft that varies its prior meets the level by itself
    "stems": True,
    "roles": "drums,bass",
    "refine": 4,
    "steps": 4,
}


def never() -> bool:
    return False


class Watched:
    """An engine, how many items its network was asked for at each call, and what was undone."""

    def __init__(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.engine = engine
        self.batches: list[int] = []
        self.undone_steps = 0
        undone_step = inversion.undone_step

        def counted(*given: Any) -> Tensor:
            self.undone_steps += 1
            return undone_step(*given)

        monkeypatch.setattr(inversion, "undone_step", counted)
        self.hook = engine.house.network.register_forward_pre_hook(
            lambda _, given: self.batches.append(len(given[0]))
        )

    def render(self, folder: Path, fields: dict[str, Any]) -> tuple[Done, list[Event]]:
        spool = folder / f"spool{len(list(folder.iterdir()))}"
        spool.mkdir()
        request = RenderRequest.from_mapping(fields)
        events = list(self.engine.render(request, spool, never))
        done = events[-1]
        assert isinstance(done, Done)
        return done, events

    def entry(self, done: Done) -> Entry:
        assert self.engine._cache is not None
        entry = self.engine._cache.named(done.recipe["latent_key"])
        assert entry is not None
        return entry

    def kept(self, done: Done) -> dict[str, Tensor]:
        return self.entry(done).load_tensors()


Watch = Callable[[Engine], Watched]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    watched: list[Watched] = []

    def watch(engine: Engine) -> Watched:
        watched.append(Watched(engine, monkeypatch))
        return watched[-1]

    yield watch
    for each in watched:
        each.hook.remove()


@pytest.fixture(scope="module")
def model() -> Engine:
    """Loads the weights once for all engines of this file."""
    return create_engine(None)


@pytest.fixture
def watched(watch: Watch, model: Engine, tmp_path: Path) -> Watched:
    engine = create_engine(tmp_path / "cache")
    engine.shelf = model.shelf
    return watch(engine)


@pytest.mark.parametrize("fields", [EXTEND, LONG, STEMS], ids=("one", "windows", "stems"))
def test_the_noise_that_is_added_is_what_undoing_at_once_gives(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    done, events = watched.render(tmp_path, fields)
    before = watched.kept(done)
    assert watched.undone_steps == 0
    calls = len(watched.batches)
    watched.engine.settle(never)
    assert len(watched.batches) > calls
    assert watched.undone_steps > 0
    kept = watched.kept(done)
    assert {name for name in kept if name not in before} == {
        name.replace("latent", "noise") for name in before if name.endswith(".latent")
    }

    run_method = window_task.run_method

    def at_once(*given: Any, **how: Any) -> Any:
        run = run_method(*given, **how)
        assert run.noise.isfinite().all()
        return run

    monkeypatch.setattr(window_task, "run_method", at_once)
    eager = create_engine(tmp_path / "eager")
    eager.shelf = watched.engine.shelf
    watched.engine = eager
    again, events_again = watched.render(tmp_path, fields)
    expected = watched.kept(again)
    assert kept.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(kept[name], tensor), name
    files, files_again = (
        [Path(event.path).read_bytes() for event in each if isinstance(event, Stem)]
        for each in (events, events_again)
    )
    assert files == files_again
    calls = len(watched.batches)
    eager.settle(never)
    assert len(watched.batches) == calls


def test_of_candidates_only_the_chosen_one_is_undone(watched: Watched, tmp_path: Path) -> None:
    done, _ = watched.render(tmp_path, EXTEND | {"candidates": 3})
    assert max(watched.batches) >= 3
    watched.batches.clear()
    watched.engine.settle(never)
    assert max(watched.batches) < 3
    assert watched.kept(done)["mix.noise"].shape[0] == 1


@pytest.mark.parametrize("change", [{"refine": 0}, {"method": "ditto", "refine": 1}])
def test_what_has_its_noise_at_once_leaves_nothing(
    watched: Watched, tmp_path: Path, change: dict[str, Any]
) -> None:
    done, _ = watched.render(tmp_path, EXTEND | change)
    assert "mix.noise" in watched.kept(done)
    calls = len(watched.batches)
    watched.engine.settle(never)
    assert len(watched.batches) == calls


def test_without_a_cache_nothing_is_undone(watch: Watch, model: Engine, tmp_path: Path) -> None:
    watched = watch(model)
    watched.render(tmp_path, EXTEND)
    calls = len(watched.batches)
    model.settle(never)
    assert (len(watched.batches), watched.undone_steps) == (calls, 0)


def test_a_changed_curve_begins_with_the_noise_that_was_found_after_the_result(
    watched: Watched, tmp_path: Path
) -> None:
    """Even where nobody has asked for it: what is left of a render is done before the next."""
    done, _ = watched.render(tmp_path, EXTEND)
    changed = {"intensity": "0:-29,1:-10", "noise": done.recipe["latent_key"]}
    near, _ = watched.render(tmp_path, EXTEND | changed)
    assert near.report["cache"] == "near"
    assert "mix.noise" in watched.kept(done)


@pytest.mark.parametrize("calls", [0, 1, 4])
def test_one_that_is_stopped_leaves_an_entry_without_noise(
    watched: Watched, tmp_path: Path, calls: int
) -> None:
    done, _ = watched.render(tmp_path, LONG)
    begun = len(watched.batches)
    watched.engine.settle(lambda: len(watched.batches) - begun >= calls)
    assert len(watched.batches) - begun == max(1, calls), "it went on after it was stopped"
    assert sorted(watched.kept(done)) == ["mix.latent"]
    assert watched.engine.noises(done.recipe["latent_key"]) == {}
    changed = {"intensity": "0:-29,8:-10", "noise": done.recipe["latent_key"], "refine": 0}
    again, _ = watched.render(tmp_path, LONG | changed)
    assert again.report["cache"] == "miss"
    hit, events = watched.render(tmp_path, LONG)
    assert hit.report["cache"] == "hit"
    assert any(isinstance(event, Stem) for event in events)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA error"), OSError("disk")])
def test_what_goes_wrong_after_a_result_is_logged_and_nothing_else(
    watched: Watched,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    done, _ = watched.render(tmp_path, EXTEND)

    def fails(*_: Any) -> None:
        raise error

    monkeypatch.setattr(inversion, "undone_step", fails)
    with caplog.at_level(logging.WARNING):
        watched.engine.settle(never)
    assert [record.message for record in caplog.records] == [
        f"the noise of the last render was not found: {str(error) or 'MemoryError'}"
    ]
    assert sorted(watched.kept(done)) == ["mix.latent"]
    watched.engine.settle(never)  # it is not tried again
    monkeypatch.undo()
    assert watched.render(tmp_path, EXTEND)[0].report["cache"] == "hit"


def test_nothing_is_left_of_a_render_that_was_cancelled(watched: Watched, tmp_path: Path) -> None:
    request = RenderRequest.from_mapping(EXTEND)
    heard: list[Event] = []
    for event in watched.engine.render(
        request, tmp_path, lambda: any(isinstance(event, Preview) for event in heard)
    ):
        heard.append(event)
    assert isinstance(heard[-1], Cancelled)
    calls = len(watched.batches)
    watched.engine.settle(never)
    assert len(watched.batches) == calls


def test_nothing_is_told_after_the_result(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(10**9))  # the meter speaks ten times a second: here it may at every call
    monkeypatch.setattr("engine.meter.time.perf_counter", lambda: float(next(ticks)))
    heard: list[Event] = []
    request = RenderRequest.from_mapping(EXTEND)
    job = Job(watched.engine, request, tmp_path, heard.append, never)
    job.run()
    assert isinstance(heard[-1], Done)
    told = len(heard)
    assert not job.settled
    job.settle(never)
    assert job.settled
    assert watched.undone_steps > 0
    assert len(heard) == told


def test_the_work_that_is_counted_ends_with_the_result(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The meter's fraction comes near 1 by what was counted, whatever comes after."""
    ticks = iter(range(10**9))
    monkeypatch.setattr("engine.meter.time.perf_counter", lambda: float(next(ticks)))
    for change in ({}, {"refine": 8}, {"refine": 12}, {"candidates": 2}):
        _, events = watched.render(tmp_path, EXTEND | change)
        told = [event.fraction for event in events if isinstance(event, Progress)]
        assert told == sorted(told)
        assert 0.85 < told[-1] <= 0.99, change
