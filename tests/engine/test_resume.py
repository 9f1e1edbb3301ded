"""A render that was cut off goes on from its checkpoints, and nobody can hear where."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from engine import checkpoints
from engine.job import Job
from engine.meter import JobStopped
from engine.models.house.model import HouseModel, load_house
from engine.spec import Done, Event, Progress, RenderRequest
from tests.engine.fake_model import FakeHost, fake_model

CLIPS = Path(__file__).parents[2] / "scripts" / "clips"


class Run:
    """One attempt of a job."""

    def __init__(self, model: HouseModel, spool: Path, fields: Mapping[str, Any]) -> None:
        spool.mkdir(exist_ok=True)
        self.spool = spool
        self.events: list[Event] = []
        self.refining = 0
        request = RenderRequest.from_mapping(fields)
        self.job = Job(FakeHost(model), request, spool, self._hear, lambda: self._stops())
        self.stop_at: int | None = None

    def _hear(self, event: Event) -> None:
        self.events.append(event)

    def _stops(self) -> bool:
        """Asked at each sampler step; those of the refinement are counted."""
        if any(isinstance(event, Progress) and event.loss is not None for event in self.events):
            self.refining += 1
        return self.stop_at is not None and self.refining > self.stop_at

    def to_the_end(self) -> Run:
        self.job.run()
        return self

    def cut_off(self, after: int) -> Run:
        self.stop_at = after
        with pytest.raises(JobStopped):
            self.job.run()
        return self

    @property
    def report(self) -> dict[str, Any]:
        done = self.events[-1]
        assert isinstance(done, Done)
        drop = ("timings_s", "peak_memory_bytes")
        return {name: value for name, value in done.report.items() if name not in drop}

    @property
    def audio(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.spool.glob("*.wav")}


@pytest.fixture(autouse=True)
def every_step_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "MIN_INTERVAL_S", 0.0)
    monkeypatch.setattr(checkpoints, "_MAX_SHARE", 1e9)


@pytest.fixture
def every_step_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The meter speaks ten times a second; here it must not miss a step."""
    ticks = iter(range(10**9))
    monkeypatch.setattr("engine.meter.time.perf_counter", lambda: float(next(ticks)))


def the_same_end(model: HouseModel, tmp_path: Path, fields: Mapping[str, Any], after: int) -> None:
    whole = Run(model, tmp_path / "whole", fields).to_the_end()
    Run(model, tmp_path / "cut", fields).cut_off(after)
    kept = list((tmp_path / "cut" / "checkpoints").iterdir())
    assert kept, "it was cut off before there was anything to keep"
    again = Run(model, tmp_path / "cut", fields).to_the_end()
    assert again.audio == whole.audio
    assert again.report == whole.report
    assert 0 < again.refining < whole.refining - after // 2, "it did not go on, it began anew"


@pytest.mark.usefixtures("every_step_is_told")
@pytest.mark.parametrize("after", [5, 30])
def test_a_render_without_weights(tmp_path: Path, after: int) -> None:
    rate_hz = 44_100
    time_s = np.arange(4 * rate_hz) / rate_hz
    wave = 0.3 * np.exp(-60 * np.mod(time_s, 0.5)) * np.sin(2 * np.pi * 1800 * time_s)
    soundfile.write(tmp_path / "clip.wav", np.stack([wave, wave], axis=1), rate_hz)
    fields = {
        "task": "extend",
        "source": str(tmp_path / "clip.wav"),
        "seconds": 2.0,
        "method": "ditto",
        "steps": 2,
        "refine": 20,
    }
    the_same_end(fake_model()[1], tmp_path, fields, after)


@pytest.mark.slow
@pytest.mark.usefixtures("every_step_is_told")
@pytest.mark.parametrize(("seconds", "after"), [(2.0, 5), (14.0, 14)])
def test_a_render_of_the_embedded_model(tmp_path: Path, seconds: float, after: int) -> None:
    """In the first window, and in the second of a longer one."""
    torch.manual_seed(0)
    fields = {
        "task": "extend",
        "source": str(CLIPS / "drums.flac"),
        "seconds": seconds,
        "method": "ditto",
        "steps": 2,
        "refine": 4,
    }
    the_same_end(load_house(device="cpu"), tmp_path, fields, after)
