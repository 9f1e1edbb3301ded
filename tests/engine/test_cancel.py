"""A cancel stops the engine within one sampler step: counted in model calls, wherever it comes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.fields import METHODS
from engine.job import Job
from engine.meter import JobStopped
from engine.spec import RenderRequest
from tests.engine.fake_model import FakeHost, FakeModel

RATE_HZ = 44_100
# Of what is more than one call: EDICT moves two states in turn, and a guided step is one call with
# its gradient and one that makes it.
CALLS_OF_A_STEP = {"doodl": 2, "fast": 2}


class CancellingModel(FakeModel):
    """Sets the flag of a cancel during one of its calls."""

    def __init__(self, cancel_at: int | None) -> None:
        super().__init__()
        self.cancel_at = cancel_at

    @property
    def cancelled(self) -> bool:
        return self.cancel_at is not None and self.calls >= self.cancel_at


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    time_s = np.arange(3 * RATE_HZ) / RATE_HZ
    wave = 0.3 * np.exp(-60 * np.mod(time_s, 0.5)) * np.sin(2 * np.pi * 1800 * time_s)
    soundfile.write(tmp_path / "clip.wav", np.stack([wave, wave], axis=1), RATE_HZ)
    return tmp_path / "clip.wav"


def calls_of(fields: Mapping[str, Any], spool: Path, cancel_at: int | None = None) -> int:
    """Model calls of a render that is cancelled during one of them; all of them without."""
    model = CancellingModel(cancel_at)
    spool.mkdir()
    request = RenderRequest.from_mapping(fields)
    job = Job(FakeHost(model), request, spool, lambda event: None, lambda: model.cancelled)
    if cancel_at is None:
        job.run()
    else:
        with pytest.raises(JobStopped):
            job.run()
    return model.calls


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("steps", [2, 8])  # everything kept, and each step computed anew
def test_a_cancel_lets_the_step_end_and_no_other_begin(
    tmp_path: Path, clip: Path, method: str, steps: int
) -> None:
    fields = {
        "task": "extend",
        "source": str(clip),
        "seconds": 1.0,
        "method": method,
        "steps": steps,
        "refine": 2,
    }
    total = calls_of(fields, tmp_path / "whole")
    assert total > steps
    for cancel_at in range(1, total + 1):
        made = calls_of(fields, tmp_path / f"cut{cancel_at}", cancel_at)
        allowed = cancel_at + CALLS_OF_A_STEP.get(method, 1)
        assert made <= allowed, f"cancelled in call {cancel_at} of {total}"
