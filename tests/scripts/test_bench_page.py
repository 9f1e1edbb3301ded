"""The benchmark page: verdicts against targets, and nothing typed by hand."""

from __future__ import annotations

import pytest
from _bench_page import MEASURES, Measure, page, verdict

MEASURE = Measure("x_s", "X", "s", 3.0, "how")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([3.0], "pass"),
        ([1.0, 2.9, 9.0], "pass"),
        ([3.25], "misses by 0.25 s"),
        ([160.0], "misses by 157 s"),
        ([], "not measured"),
    ],
)
def test_verdict_is_of_the_median(values: list[float], says: str) -> None:
    assert verdict(MEASURE, values) == says


def test_a_promise_is_judged_by_its_slowest_run() -> None:
    promise = Measure("x_s", "X", "s", 3.0, "how", by_largest=True)
    assert verdict(promise, [1.0, 1.0, 4.0]) == "misses by 1 s"
    assert verdict(promise, [1.0, 1.0, 3.0]) == "pass"


def test_page_has_every_figure_with_its_target() -> None:
    values = {measure.key: [measure.target * 0.5] for measure in MEASURES}
    values["cancel_s"] = [0.1, 0.2, 1.5]
    text = page(values, {"Cores": "2"})
    for measure in MEASURES:
        assert f"| {measure.title} |" in text
        assert f"| {measure.target:g} {measure.unit} |" in text
    assert "| Cancel takes effect | 0.2 s | 0.1 s | 1.5 s | 3 | 0.5 s | misses by 1 s |" in text
    assert "- Cores: 2" in text


def test_what_was_not_measured_is_said() -> None:
    assert text_row(page({}, {}), "Weights") == "| Weights | – | – | – | 0 | 32 MB | not measured |"


def text_row(text: str, title: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"| {title} |"))
