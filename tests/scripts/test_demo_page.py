"""The demonstration's page and its verdicts."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from _demo_page import Played, light, page, worst_light
from _demo_plan import CLIPS, own_plan, shipped_plan
from demo_run import faults_of

from engine.spec import RenderRequest

SEAM = {"at_sample": 1000, "step_ratio": 0.5, "flux_ratio": 1.2, "timbre_ratio": 1.7}
REPORT: dict[str, Any] = {
    "seams": [SEAM],
    "length_samples": 2000,
    "length_error_samples": 0,
    "source_samples_identical": True,
    "grid": {"bpm": 123.4, "metre": "7/8"},
    "melody_accuracy": 0.75,
    "cache": "miss",
}
DONE = Played(
    "Drums <b>&</b> more",
    "OSC",
    {"task": "extend", "prompt": "<script>"},
    "done",
    4.0,
    [1.0, 3.0],
    "source.flac",
    "a b.wav",
    "a b.png",
    "a b.json",
    REPORT,
    "A note.",
)


class Balance(HTMLParser):
    """Checks that every element that has to be closed is."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    ("value", "seen"),
    [(0.5, "good"), (0.8, "good"), (0.81, "fair"), (1.2, "fair"), (1.3, "poor"), (None, "none")],
)
def test_lights(value: float | None, seen: str) -> None:
    assert light(value, 0.8, 1.2) == seen


def test_worst_light_of_all_seams() -> None:
    assert worst_light(REPORT) == "poor"
    assert worst_light({"seams": [{"step_ratio": 0.1, "flux_ratio": None}]}) == "good"
    assert worst_light({}) == "none"


def test_page_is_whole_and_needs_no_network() -> None:
    text = page([DONE, Played("Stopped", "WebSocket", {}, "cancelled", 0.3)], {"Device": "cpu"})
    reader = Balance()
    reader.feed(text)
    assert reader.open == []
    assert "script" not in reader.seen
    assert "http" not in text.replace("http-equiv", "")
    assert "&lt;script&gt;" in text
    assert "Drums &lt;b&gt;&amp;&lt;/b&gt; more" in text
    assert 'src="a%20b.wav"' in text


def test_page_says_what_was_measured() -> None:
    text = page([DONE], {})
    for said in ("click 0.50", "cut 1.20", "colour 1.70", "exact to the sample", "123.4 bpm, 7/8"):
        assert said in text
    assert re.findall(r'class="light (\w+)" title', text) == ["good", "fair", "poor"]
    assert re.findall(r'style="left:([\d.]+)%', text) == ["25.0", "75.0"]


@pytest.mark.parametrize("short", [False, True])
def test_plans_hold_valid_requests_for_files_that_ship(short: bool) -> None:
    for step in shipped_plan(short).steps:
        values = {k: str(v) if isinstance(v, Path) else v for k, v in step.values.items()}
        RenderRequest.from_mapping({"task": step.task, **values})
        for value in step.values.values():
            assert not isinstance(value, Path) or value.is_file()


def test_a_repeated_step_asks_the_very_same() -> None:
    steps = shipped_plan(short=False).steps
    (again,) = [step for step in steps if step.repeats]
    assert any(
        step.values == again.values and step.task == again.task
        for step in steps[: steps.index(again)]
    )


def test_own_clip_is_extended() -> None:
    (step,) = own_plan(CLIPS / "drums.flac", short=True).steps
    assert (step.task, step.source) == ("extend", CLIPS / "drums.flac")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"length_error_samples": 3}, "3 samples off"),
        ({"source_samples_identical": False}, "the source was changed"),
        ({"cache": "miss"}, "cache miss, not hit"),
    ],
)
def test_faults_are_seen(change: dict[str, Any], says: str) -> None:
    (again,) = [step for step in shipped_plan(short=True).steps if step.repeats]
    report = {**REPORT, "cache": "hit"}
    fine = Played("x", "OSC", {}, "done", 1.0, report=report)
    assert faults_of(again, fine) == []
    (fault,) = faults_of(again, Played("x", "OSC", {}, "done", 1.0, report=report | change))
    assert says in fault


def test_a_step_that_ended_otherwise_is_a_fault() -> None:
    *_, cancelled = shipped_plan(short=True).steps
    assert faults_of(cancelled, Played("x", "OSC", {}, "cancelled", 1.0)) == []
    assert "done, not cancelled" in faults_of(cancelled, Played("x", "OSC", {}, "done", 1.0))[0]


def test_request_is_shown_as_json() -> None:
    shown = re.search(r"<code>(.*?)</code>", page([DONE], {}))
    assert shown is not None
    assert json.loads(shown[1].replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">"))
