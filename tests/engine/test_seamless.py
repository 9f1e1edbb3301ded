"""Loops without a reference: made from words or a melody, they repeat without a seam."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.controls.melody import Tune as Wish
from engine.files.audio import read_clip
from engine.pipeline import create_engine
from engine.spec import BridgeError, Done, RenderRequest, Stem
from engine.tasks.stems import Tune, wrapped
from engine.units import Metre, bars_to_samples

CLIPS = Path(__file__).parents[2] / "scripts" / "clips"


def _render(folder: Path, **fields: Any) -> tuple[list[Path], dict[str, Any]]:
    request = RenderRequest.from_mapping(fields)
    events = list(create_engine(None).render(request, folder, lambda: False))
    done = events[-1]
    assert isinstance(done, Done)
    return [Path(event.path) for event in events if isinstance(event, Stem)], done.report


def test_what_rings_on_rings_into_the_beginning() -> None:
    stem = np.arange(1.0, 8.0, dtype=np.float32)[None]
    found = wrapped({"bass": stem}, 4, 6)["bass"]
    assert found.tolist() == [[1 + 5, 2 + 6, 3 + 7, 4, 6, 8, 10, 4, 6, 8]]


@pytest.mark.parametrize("task", ["generate", "melody"])
def test_a_loop_is_exact_and_its_wrap_cannot_be_heard(tmp_path: Path, task: str) -> None:
    asked: dict[str, Any] = {"task": task, "bars": 2, "bpm": 133.3, "refine": 6, "seamless": True}
    said = {"prompt": "funk"} if task == "generate" else {"melody": str(CLIPS / "tune.mid")}
    (path,), report = _render(tmp_path, **asked, **said)
    samples = read_clip(path).samples
    assert samples.shape[1] == bars_to_samples(2, "133.3", Metre(4, 4), 44_100)
    (wrap,) = report["seams"]
    assert wrap["at_sample"] == 0
    assert wrap["step_ratio"] < 1.0
    assert wrap["flux_ratio"] < 1.2
    assert report["losses"]["refined"]["loop"] < report["losses"]["draft"]["loop"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_sounds_at_the_end_of_a_sketch_goes_on_in_its_next_round(
    tmp_path: Path, seed: int
) -> None:
    """Cut off at the end, a kick or a bass note leaves a step where the round begins again."""
    _, report = _render(
        tmp_path, task="generate", prompt="funk", bars=2, bpm=133.3, seamless=True, seed=seed,
        variation=0, refine=0,
    )  # fmt: skip
    (wrap,) = report["seams"]
    assert wrap["step_ratio"] < 1.0


@pytest.mark.parametrize("stems", [False, True])
def test_a_loop_that_rises_begins_as_softly_as_it_is_drawn(tmp_path: Path, stems: bool) -> None:
    """What rings on into the beginning is the next round, which begins at its own first level."""
    levels_db = []
    for seamless in (False, True):
        folder = tmp_path / str(seamless)
        folder.mkdir()
        paths, _ = _render(
            folder, task="generate", bars=2, bpm=120, seed=3, roles=["drums"],
            intensity="0:-30,4:-12", seamless=seamless, stems=stems, variation=0, refine=0,
        )  # fmt: skip
        begun = read_clip(paths[-1]).samples[:, : round(0.02 * 44_100)]
        levels_db.append(10.0 * np.log10(np.mean(begun**2)))
    assert abs(levels_db[1] - levels_db[0]) < 3.0


def test_stems_of_a_loop_sum_to_it(tmp_path: Path) -> None:
    paths, report = _render(
        tmp_path, task="generate", prompt="pop", bars=1, bpm=120, seamless=True, stems=True,
        roles=["drums", "bass"], refine=0,
    )  # fmt: skip
    *stems, mix = (read_clip(path).samples for path in paths)
    assert np.allclose(sum(stems), mix, atol=2**-22)
    assert report["seams"][0]["step_ratio"] < 1.0


def test_the_tune_of_a_loop_begins_again() -> None:
    chroma = torch.zeros(1, 12, 10)
    chroma[0, torch.arange(10), torch.arange(10)] = 1.0
    tune = Tune(chroma, chroma, Wish(chroma)).repeated(9.5, 14)
    assert tune.chroma[0].argmax(0).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3]
    assert torch.equal(tune.control.chroma, tune.chroma)


def test_a_clip_knows_no_such_wish() -> None:
    with pytest.raises(BridgeError, match="no field 'seamless'"):
        RenderRequest.from_mapping({"task": "extend", "source": "a", "bars": 1, "seamless": True})
