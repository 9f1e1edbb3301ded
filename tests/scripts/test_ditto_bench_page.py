"""The benchmark page from results that are made up, and results that are kept."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ditto_bench.__main__ import PAGE, machine
from ditto_bench.acceptance import Line, lines, summary
from ditto_bench.page import Facts, page
from ditto_bench.plan import Extent, Job, cost, jobs
from ditto_bench.plots import plot_losses
from ditto_bench.results import Found, iterations_to_tolerance, race, reuse, updates_to
from ditto_bench.runner import Clock, work
from ditto_bench.store import Results
from evaluation.frechet import frechet_distance

from engine.controls.melody import TOLERANCE_NATS
from engine.models.house.model import weights_digest

Figures = dict[str, Any]
EXTENT = Extent()
ITEMS = 8


def made_up(job: Job, *, good: bool) -> Figures:
    """Results under which every line is met, or under which none is."""
    if job.kind == "memory":
        growth = 1.0 + (0.001 if good else 0.05) * job.steps
        return {"peak_mb": 100.0 * growth * (1.7 if good and job.method == "doodl" else 1.0)}
    rng = np.random.default_rng(job.item)
    points = rng.standard_normal((3, 4))
    if job.kind == "music":
        return {"points": points.tolist()}
    ours = job.method in ("ditto", "fast")
    near = ours == good
    value = 1.0 if near else 20.0
    if job.method == "draft":
        value = 40.0
    seconds = {"ditto": 200.0, "fast": 5.0 if good else 50.0, "doodl": 500.0}.get(job.method, 2.0)
    count = 5 if job.start == "found" and good else 20
    trace = [[seconds * (n + 1) / count, value + count - 1.0 - n] for n in range(count)]
    iteration_s = 9.0 if job.method == "doodl" and good else 4.0
    return {
        "losses": dict.fromkeys(("intensity", "overlap", "melody", "structure"), value),
        "best": value,
        "trace": trace,
        "busy_s": [*(at_s for at_s, _ in trace), seconds],
        "iteration_s": iteration_s,
        "iteration_busy_s": iteration_s,
        "seconds": seconds,
        "decode_s": 1.0,
        "undoing_s": 0.6 * seconds if job.method == "fast" else None,
        "undoing_busy_s": 0.6 * seconds if job.method == "fast" else None,
        "drift": 0.01 if good else 0.06,
        "checks": {
            "latent_std": 1.0,
            "melody_latent_accuracy": 0.95 if near else 0.2,
            "melody_accuracy": 0.8 if near else 0.2,
        },
        "points": (points + (0.0 if near else 2.0)).tolist(),
        "code": "one",
        "load": 1.0,
    }


def found(good: bool, items: int = ITEMS, keep: Callable[[Job], bool] = lambda _: True) -> Found:
    planned = [job for job in jobs(EXTENT, items) if keep(job)]
    return Found(EXTENT, {job: made_up(job, good=good) for job in planned})


def told(line: Line) -> str:
    return f"{line.verdict.what}: {line.verdict.said}"


def test_every_line_is_met_by_good_results() -> None:
    assert [told(line) for line in lines(found(True)) if line.verdict.met is not True] == []


def test_every_line_is_missed_by_bad_results() -> None:
    assert [told(line) for line in lines(found(False)) if line.verdict.met is not False] == []


def test_without_results_nothing_is_judged() -> None:
    judged = lines(Found(EXTENT, {}))
    assert [told(line) for line in judged if line.verdict.met is not None] == []
    assert summary(judged) == (
        f"0 of the 0 lines that were measured are met; {len(judged)} are asked for."
    )


def test_few_items_have_no_frechet_distance() -> None:
    assert found(True, ITEMS - 1).distance("intensity", "ditto").value is None
    assert found(True).distance("intensity", "ditto").value == pytest.approx(0.0, abs=1e-6)
    assert found(True, ITEMS - 1).distances("intensity", "ditto", "draft") is None


def test_the_error_of_a_difference_is_the_jackknifes() -> None:
    results = found(True)
    music = results.music
    assert music is not None
    apart = []
    for left_out in range(ITEMS):
        clouds = [
            np.concatenate(
                [np.array(row["points"]) for item, row in rows.items() if item != left_out]
            )
            for rows in (results.rows("melody", method) for method in ("freedom", "draft"))
        ]
        apart.append(frechet_distance(clouds[0], music) - frechet_distance(clouds[1], music))
    spread = sum((value - sum(apart) / ITEMS) ** 2 for value in apart)
    expected = math.sqrt((ITEMS - 1) / ITEMS * spread)
    assert results.distance_error("melody", "freedom", "draft") == pytest.approx(expected)
    assert results.distance_error("melody", "draft", "draft") == 0.0
    assert found(True, ITEMS - 1).distance_error("melody", "freedom", "draft") is None


def test_the_tasks_where_ditto_is_not_ahead_are_named() -> None:
    results = found(True)
    figures = dict(results.figures)
    for job in figures:
        if (job.task, job.method) == ("melody", "freedom"):
            figures[job] = {**figures[job], "best": 0.5 * TOLERANCE_NATS}
    (line,) = (x for x in lines(Found(EXTENT, figures)) if "that of freedom" in x.verdict.what)
    assert line.verdict.value == 1.0
    assert line.note == "melody"
    for job, row in figures.items():
        if (job.task, job.method) == ("melody", "ditto"):
            figures[job] = {**row, "best": 0.9 * TOLERANCE_NATS}
    (line,) = (x for x in lines(Found(EXTENT, figures)) if "that of freedom" in x.verdict.what)
    assert line.note == "melody (stopped early, near enough)"


def test_methods_are_compared_on_the_items_that_both_have() -> None:
    results = found(True, 3, lambda job: job.method != "freedom" or job.item < 2)
    pair = results.both("intensity", "ditto", "freedom", lambda figures: figures["best"])
    assert pair == (1.0, 20.0, 2)


def test_updates_until_a_loss() -> None:
    trace = [[0.5, 9.0], [1.0, 4.0], [1.5, 1.0]]
    assert [updates_to(trace, target) for target in (9.0, 4.0, 2.0, 0.0)] == [0, 1, 2, 2]
    assert iterations_to_tolerance({"trace": trace}) == 2.0
    assert iterations_to_tolerance({"trace": []}) is None


def test_a_race_is_to_the_loss_of_the_fast_path() -> None:
    figures = {
        "ditto": {"trace": [[4.0, 9.0], [8.0, 3.0]], "busy_s": [4.0, 8.0, 20.0], "best": 1.0},
        "fast": {"trace": [], "busy_s": [2.0], "best": 3.0, "undoing_busy_s": 1.2},
    }
    planned = {job.method: job for job in jobs(EXTENT, 1) if job.task == "melody"}
    result = race(Found(EXTENT, {planned[name]: row for name, row in figures.items()}), "melody")
    assert result is not None
    assert (result.ratio, result.ratio_with_undoing, result.short) == (4.0, 2.5, 0)
    figures["fast"]["undoing_busy_s"] = None  # its draft was near enough
    result = race(Found(EXTENT, {planned[name]: row for name, row in figures.items()}), "melody")
    assert result is not None
    assert (result.ratio, result.ratio_with_undoing) == (4.0, 4.0)
    figures["fast"]["best"] = 0.5 * TOLERANCE_NATS
    figures["ditto"]["trace"] = [[4.0, 9.0], [8.0, TOLERANCE_NATS]]  # where a run stops
    result = race(Found(EXTENT, {planned[name]: row for name, row in figures.items()}), "melody")
    assert result is not None
    assert (result.ratio, result.short) == (4.0, 0)
    figures["ditto"]["trace"] = [[4.0, 9.0], [8.0, TOLERANCE_NATS + 0.1]]
    result = race(Found(EXTENT, {planned[name]: row for name, row in figures.items()}), "melody")
    assert result is not None
    assert (result.ratio, result.short) == (10.0, 1)


def test_noise_that_is_near_enough_as_it_was_found_takes_no_updates() -> None:
    planned = {job.start: job for job in jobs(EXTENT, 1) if job.task == "intensity-changed"}
    fresh = {"trace": [[1.0, 99.0], [2.0, 9.0], [3.0, 1.5]], "best": 1.5}
    found_again = {"trace": [], "best": 1.8}
    figures = {planned["fresh"]: fresh, planned["found"]: found_again}
    again = reuse(Found(EXTENT, figures), planned["fresh"].method)
    assert again is not None
    assert (again.fresh, again.found, again.start_found) == (2.0, 0.0, 1.8)
    assert again.share == 0.0


def test_reuse_counts_updates_to_what_fresh_noise_reached() -> None:
    result = reuse(found(True), "ditto")
    assert result is not None
    # 20 falls to 1 in 19 updates, and is 2, the tolerance, in 18; from found noise in 3
    assert (result.fresh, result.found, result.items) == (18.0, 3.0, ITEMS)
    assert result.share == pytest.approx(1 / 6)


def test_the_page_says_what_it_stands_on() -> None:
    facts = Facts("abc", -21.5, 444, machine(), "images/losses.png", "A note.")
    text = page(found(True), facts)
    assert "Written by `./scripts/bench_ditto`" in text
    assert "**A note.**" in text
    assert "](speed.md)" in text
    assert "-21.5 dBFS" in text
    assert "at most 70, and 150 for melody and structure, of DITTO and DOODL, as published." in text
    assert f"| DITTO | 1 ({ITEMS}) |" in text
    assert "| intensity, ditto | 1 dB² | 8 | at most 4.8 dB² | met |" in text
    assert "![losses](images/losses.png)" in text
    assert f"| fast, its noise, after that | 3 ({ITEMS}) |" in text
    assert "until the result; 25 times with finding its noise" in text
    assert "before it looks for the noise that stands for it" in text
    shorter = page(Found(Extent(scale=0.1), {}), Facts("abc", None, 0, {}))
    assert "which is 0.1 of the published number" in shorter
    assert "too few items for a Fréchet distance" in shorter


def test_the_page_says_where_other_weights_ship() -> None:
    ours = Facts(weights_digest(), None, 0, {})
    said = "**Measured with other weights than those that ship, and to be measured again;"
    assert said not in page(found(True, 1), ours)
    assert said in page(found(True, 1), replace(ours, weights="abc")).split("## ")[0]


def test_the_page_that_is_there_says_so_too() -> None:
    text = PAGE.read_text(encoding="utf-8")
    (measured,) = re.findall(r"^- Weights: SHA-256 `(\w+)`$", text, re.MULTILINE)
    others = "ther weights than those that ship" in text.split("## ")[0]
    assert others == (measured != weights_digest())


def test_the_page_says_where_the_code_has_changed() -> None:
    results = found(True, 2)
    facts = Facts("abc", None, 0, {})
    assert "states" not in page(results, facts)
    job = next(iter(job for job in results.figures if job.kind == "run"))
    changed = {**results.figures, job: {**results.figures[job], "code": "two"}}
    assert "come from 2 states" in page(Found(EXTENT, changed), facts)


def test_a_kept_result_is_not_measured_again(tmp_path: Path) -> None:
    results = Results(tmp_path, "weights")
    asked: list[Job] = []

    def measure(job: Job) -> Figures:
        asked.append(job)
        return {"best": 1.0}

    job = jobs(EXTENT, 1)[0]
    assert results.measured(job, measure)[1]
    again, measured = results.measured(job, measure)
    assert not measured
    assert again["best"] == 1.0
    assert asked == [job]
    assert Results(tmp_path, "other weights").load(job) is None
    assert results.load(Job(**{**again["job"], "item": 1})) is None


class Counting:
    """A bench that measures nothing and counts."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.asked: list[Job] = []

    def measure(self, job: Job) -> Figures:
        self.asked.append(job)
        return {"best": float(len(self.asked))}


def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    bench: Any = Counting(Results(tmp_path, "weights"))
    planned = jobs(EXTENT, 2)
    said: list[str] = []
    work(bench, planned[:5], Clock(), said.append)
    work(bench, planned, Clock(), said.append)
    assert bench.asked == list(planned)
    assert said[0] == "0 of 5 jobs are done already"
    assert f"5 of {len(planned)} jobs are done already" in said


def test_what_does_not_fit_is_passed_over_and_no_second_item_is_begun(tmp_path: Path) -> None:
    bench: Any = Counting(Results(tmp_path, "weights"))
    planned = jobs(EXTENT, 2)
    first = [job for job in planned if job.item == 0]
    given_s = 0.5 * sum(cost(job) for job in first)
    clock = Clock(given_s, lambda: sum(cost(job) for job in bench.asked))
    work(bench, planned, clock, lambda _: None)
    assert {job.item for job in bench.asked} == {0}
    assert clock.now() <= given_s
    left = [cost(job) for job in first if job not in bench.asked]
    assert given_s - clock.now() < min(left)


def test_the_losses_are_drawn(tmp_path: Path) -> None:
    assert not plot_losses(Found(EXTENT, {}), tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
    assert plot_losses(found(True, 1), tmp_path / "images" / "losses.png")
    size = (tmp_path / "images" / "losses.png").stat().st_size
    assert 10_000 < size < 300_000
