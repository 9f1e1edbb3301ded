"""Tasks laid out: where a window belongs, what is known of it, and what the model is told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from _tunes import Tune
from ditto_bench.__main__ import main
from ditto_bench.material import (
    STEP_S,
    WINDOW_S,
    WINDOW_SAMPLES,
    Material,
    Music,
    kept_in,
    prompt_of,
    shipped_clips,
)
from ditto_bench.measure import Bench
from ditto_bench.plan import CONTROLS, Job
from ditto_bench.store import Results
from ditto_bench.tasks import Question, ask
from ditto_bench.tunes import cut

from engine.optimise.later import Found, Later
from engine.optimise.problem import OptimisedNoise
from engine.sampling.steps import dpm_solver_2m, euler
from engine.sketch.score import Key, Note
from tests.engine.fake_model import fake_model


@pytest.fixture(scope="module")
def material() -> Material:
    _, model = fake_model()
    notes = tuple(Note(float(n), 1.0, 60 + n % 12, 80) for n in range(64))
    piece = cut(Tune("t", (4, 4), Key(0, "major"), 16, notes), 100.0, WINDOW_S)
    return Material(model, shipped_clips, shipped_clips, levelled=2, tunes=(piece,))


@pytest.mark.parametrize(
    ("task", "known_s", "seams"),
    [("outpaint-2", 2.0, 1), ("loop", 2.0, 2), ("inpaint-3", WINDOW_S - 3.0, 2)],
)
def test_known_audio_stays_as_it_is(
    material: Material, task: str, known_s: float, seams: int
) -> None:
    question = ask(material, task, 0, 2)
    place = question.place
    assert place is not None
    assert float(place.mask.sum()) * STEP_S == pytest.approx(known_s, abs=1.5 * STEP_S)
    assert len(place.seams) == seams
    spliced = place.spliced(np.ones((2, WINDOW_SAMPLES)))
    assert spliced.shape == place.frame.shape
    start, stop = place.free
    assert np.array_equal(spliced[:, : start - 882], place.frame[:, : start - 882])
    assert np.array_equal(spliced[:, stop + 882 :], place.frame[:, stop + 882 :])
    assert bool((spliced[:, start:stop] == 1.0).all())
    assert question.problem.mask is not None


def test_the_known_steps_are_those_of_the_reference(material: Material) -> None:
    latent = material.latent(material.references(0))
    looped = ask(material, "loop", 0, 2).place
    assert looped is not None
    second = int(looped.mask[0, 0].sum()) // 2
    assert torch.equal(looped.prior[..., :second], latent[..., -second:])
    assert torch.equal(looped.prior[..., -second:], latent[..., :second])
    outpainted = ask(material, "outpaint-1", 0, 2).place
    assert outpainted is not None
    assert torch.equal(outpainted.prior[..., :second], latent[..., -second:])


def test_all_methods_have_the_same_noise_and_items_do_not(material: Material) -> None:
    first, again = (ask(material, task, 3, 2).noise for task in ("intensity", "melody"))
    assert torch.equal(first, again)
    assert not torch.equal(first, ask(material, "intensity", 4, 2).noise)
    assert prompt_of(3) == prompt_of(3) != prompt_of(4)


def test_the_model_is_told_only_in_its_own_row_what_is_asked(material: Material) -> None:
    told = material.model.asked  # type: ignore[attr-defined]
    for task in ("outpaint-1", *CONTROLS, "intensity+melody"):
        told.clear()
        ask(material, task, 0, 2)
        (blank, plain), (own, same) = told
        assert plain == same
        assert not blank.kept_mask.any()
        assert blank.melody_chroma is blank.level is blank.melody_onsets is None
        assert bool(own.kept_mask.any()) == ("paint" in task)
        assert (own.melody_chroma is not None) == ("melody" in task)
        assert (own.level is not None) == ("intensity" in task)


def test_single_goals_count_in_their_unit_and_pairs_by_their_weights(material: Material) -> None:
    weights = {
        task: {goal.name: goal.weight for goal in ask(material, task, 0, 2).together.goals}
        for task in ("intensity", "intensity+structure", "intensity+melody")
    }
    assert weights == {
        "intensity": {"intensity": 1.0},
        "intensity+structure": {"intensity": 1 / 40, "structure": 1.0},
        "intensity+melody": {"intensity": 1 / 4, "melody": 1.0},
    }


def test_the_rule_of_a_job_is_the_sampler_of_its_problem(material: Material) -> None:
    assert ask(material, "intensity", 0, 2).problem.rule is euler
    problem = ask(material, "intensity", 0, 2, "dpm-solver-2m").problem
    assert problem.rule is dpm_solver_2m
    asked: list[float | None] = []

    def model(x: torch.Tensor, level: float, next_level: float | None = None) -> torch.Tensor:
        asked.append(next_level)
        return 0.5 * x

    noise = torch.ones(1, 128, 256)
    type(problem)(model, problem.levels, problem.objective, problem.prior).generate(noise)
    assert asked == [0.5, 0.0]  # a flow map is told where the step ends
    asked.clear()
    type(problem)(
        model, problem.levels, problem.objective, problem.prior, rule=dpm_solver_2m
    ).generate(noise)
    assert asked == [None, None]


def test_a_result_is_timed_before_its_noise_is_looked_for(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question for the time is a second; the noise takes a thousand to be found, once."""
    clock_s = [0.0]

    def now_s() -> float:
        clock_s[0] += 1.0
        return clock_s[0]

    def look(items: slice) -> Found:
        clock_s[0] += 1000.0
        return torch.zeros(1, 128, 256)[items], 0.02

    def solved(job: Job, question: Question, noise: torch.Tensor, *_: Any) -> OptimisedNoise:
        own = Later(look, range(1)) if job.method == "fast" else noise
        return OptimisedNoise(own, noise, torch.zeros(1), 0, [0.0], 0.01)

    monkeypatch.setattr("ditto_bench.measure.solved", solved)
    monkeypatch.setattr(
        "ditto_bench.measure.time", SimpleNamespace(perf_counter=now_s, process_time=float)
    )
    bench = Bench(material, Results(tmp_path, "fake"))
    timed = ("seconds", "decode_s", "undoing_s", "drift")
    for method, expected in (("fast", [1.0, 1.0, 1001.0, 0.02]), ("ditto", [1.0, 1.0, None, 0.01])):
        figures = bench.measure(Job("run", "outpaint-2", method, 0, 2, 2))
        assert [figures[name] for name in timed] == expected


def test_music_is_rendered_once(tmp_path: Path) -> None:
    rendered: list[int] = []

    def source(number: int) -> Music:
        rendered.append(number)
        return shipped_clips(number)

    music = kept_in(tmp_path, source)
    first, again = music(1), music(1)
    assert rendered == [1]
    assert torch.equal(first.audio, again.audio)
    assert first.prompt == again.prompt == shipped_clips(1).prompt
    assert np.abs(first.window - shipped_clips(1).window).max() < 1e-6


@pytest.mark.slow
def test_a_quick_run_writes_a_page_beside_the_real_one(tmp_path: Path) -> None:
    assert main(["--quick", "--folder", str(tmp_path), "--only", "controls"]) == 0
    text = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert "A quick run" in text
    assert "| random noise (draft) |" in text
    assert (tmp_path / "images" / "ditto-losses.png").is_file()
    kept = len(list((tmp_path / "results").glob("*.json")))
    assert main(["--quick", "--folder", str(tmp_path), "--only", "controls"]) == 0
    assert len(list((tmp_path / "results").glob("*.json"))) == kept


def test_a_page_of_nothing_is_not_written(tmp_path: Path) -> None:
    """Results are kept by the weights' digest: with new ones there are none yet."""
    kept = tmp_path / "benchmarks.md"
    kept.write_text("measured before", encoding="utf-8")
    assert main(["--quick", "--page", "--folder", str(tmp_path), "--out", str(kept)]) == 1
    assert kept.read_text(encoding="utf-8") == "measured before"
