"""The evaluation's page, its verdicts, what is kept between runs, and renders read back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import evaluation.__main__ as program
import numpy as np
import pytest
from evaluation.bench import FULL, QUICK, QUICK_NOTE, Bench, pictured
from evaluation.page import SECTIONS, Section, page
from evaluation.pages.extensions import collapsed
from evaluation.product import key_text, render
from evaluation.sections import extensions, text
from evaluation.sections.speed import weights_bytes
from evaluation.store import Figures, Store, measuring_digest
from evaluation.verdicts import Told, Verdict, number, percent, table

from engine.files.audio import write_audio
from engine.sketch.prompt import read_prompt
from engine.sketch.score import Key
from engine.sketch.styles import STYLES
from engine.spec import Done, Event, Preview, RenderRequest, Stem
from tests.scripts.test_evaluation_analyses import excerpt

ADHERENCE: dict[str, Any] = {
    "tempo_right": 0.85, "tempo_double": 0.05, "tempo_half": 0.1, "tempo_other": 0.0,
    "usual_right": 0.93, "usual_known": 7,
    "onsets_ms": 12.5, "onsets_known": 9, "key_right": 0.6, "keys_known": 8, "roles_auc": 0.96,
}  # fmt: skip
WAYS = ("real", "codec", "sketch", "default", "noise")
DISTANCES = {
    name: {"music": music, "fit": fit, "variety": variety, "from_source": 1.0, "from_repeat": 0.5}
    for name, music, fit, variety in (
        ("truth", 0.0, 0.0, 0.0), ("model", 0.2, 0.3, 0.4), ("repeat", 0.1, 0.25, 0.5),
        ("shuffled", 0.3, 0.6, 0.7), ("exchanged", 0.05, 0.9, 1.1), ("silence", 4.0, 5.0, 6.0),
    )
}  # fmt: skip
CONTINUED: dict[str, Any] = {
    "cases": ["a", "b"],
    "tempo_errors_percent": {"truth": [0.1, 0.2], "model": [0.5, 3.75]},
    "level_gaps_db": {"truth": [[0.0, 1.0]] * 2, "model": [[0.0, -7.0], [6.0, 2.0]]},
    "distances": DISTANCES,
}
PLACED: dict[str, Any] = {
    "distances": {"the other half": 0.05, "the same half through the codec": 0.1,
                  "the same half, shuffled": 0.4},
}  # fmt: skip
PLACED["by_part"] = {
    name: {"instruments": 0.01, "sound": 0.02, "order": value}
    for name, value in PLACED["distances"].items()
}
FOUND: dict[str, Figures] = {
    "codec": {
        "renders": {"names": ["x", "y"], "errors": [0.03, 0.06], "level_changes_db": [0.1, 0.2],
                    "seconds": 12.0, "spent_s": 3.0},
        "recordings": None, "channels": 128, "steps_hz": 44100 / 1024,
    },
    "text": {"pieces": 9, "adherence": {**dict.fromkeys(WAYS, ADHERENCE),
                                        "noise": {**ADHERENCE, "key_right": 0.4}},
             "distances": {"default": 0.123, "silence": 9.0}},
    "melody": {"pieces": 3, **{kind: {**dict.fromkeys(WAYS, 0.8), "noise": 0.5, "unrelated": 0.1}
                               for kind in ("mean", "median")}},
    "extensions": {"renders": CONTINUED, "recordings": None},
    "stems": {"pieces": 2, "tunes": 4, "stems": {"available": False},
              "backings": {name: {"own": own, "unrelated": 0.2, "error": 0.021}
                           for name, own in (("real", 0.3), ("sketch", 0.2), ("default", 0.24),
                                             ("noise", 0.35))}},
    "speed": {"rows": [{"variation": v, "steps": n, "length_s": s, "times_s": [0.4 * n * s / 6]}
                       for v in ("default", "noise") for n in (2, 8) for s in (6.0, 30.0)],
              "threads": 2, "cores": 4, "load": 0.5, "weights_bytes": 27_000_000},
    "analyses": {"trial": {"pieces": 10, "patches": 99, "sounds": 10, "tempo_right": 0.8,
                           "pulse_right": 0.6, "usual_right": 0.9, "usual_sounds": 7,
                           "tempo_pieces": 12, "auc": dict.fromkeys("dbcl", 0.97)},
                 "pieces": 10, "points": 40, "dimensions": 20,
                 **PLACED},
}  # fmt: skip


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (Verdict("x", 0.05, 0.05), "met"),
        (Verdict("x", 0.05, 0.05, strict=True), "missed by 0"),
        (Verdict("x", 0.07, 0.04), "missed by 0.03"),
        (Verdict("x", 1.5, 1.0, "s"), "missed by 0.5 s"),
        (Verdict("x", 0.9, 0.9, "%", at_least=True), "met"),
        (Verdict("x", 0.75, 0.9, "%", at_least=True), "missed by 15 points"),
        (Verdict("x", None, 0.9, at_least=True), "not measured"),
        (Verdict("x", 0.5, None), "not measured"),
    ],
)
def test_verdicts_say_by_how_much(verdict: Verdict, said: str) -> None:
    assert verdict.said == said


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (0.0312345, "0.0312"), (12.345, "12.3"), (123.4, "123"), (None, "–"),
     (0.0000123, "0.000012"), (-151.2, "-151")],
)  # fmt: skip
def test_numbers_have_three_digits(value: float | None, shown: str) -> None:
    assert number(value) == shown


def test_tables_hold_every_cell() -> None:
    assert table(["", "a", "b"], [["x", 1.0, None], ["y", percent(0.255), 3]]) == [
        "|  | a | b |", "|---|--:|--:|", "| x | 1 | – |", "| y | 26 % | 3 |", "",
    ]  # fmt: skip


def row(told: str, name: str) -> list[str]:
    """Cells of the first table row of that name, without the name."""
    line = next(line for line in told.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


@pytest.mark.parametrize(
    ("target", "cells"),
    [
        ("codec error (mean abs. Δ log10 mel), held-out renders",
         ["0.045", "–", "at most 0.04", "missed by 0.005"]),
        ("codec error (mean abs. Δ log10 mel), real recordings",
         ["–", "–", "at most 0.05", "not measured"]),
        ("tempo within 2 %, variation 1", ["85 %", "85 %", "at least 90 %", "missed by 5 points"]),
        ("key as asked, default variation", ["60 %", "60 %", "at least 48 %", "met"]),
        ("key as asked, variation 1", ["40 %", "60 %", "at least 48 %", "missed by 8 points"]),
        ("roles as asked (AUC), default variation", ["0.96", "0.96", "at least 0.95", "met"]),
        ("melody accuracy, variation 1", ["50 %", "80 %", "at least 56 %", "missed by 6 points"]),
        ("tempo error (%), largest, renders at variation 1",
         ["3.75", "0.2", "less than 3", "missed by 0.75"]),
        ("Fréchet distance: music, half of shuffled clips, renders at variation 1",
         ["0.2", "–", "at most 0.15", "missed by 0.05"]),
        ("Fréchet distance: variety, below the repeated bar, renders at variation 1",
         ["0.4", "–", "less than 0.5", "met"]),
        ("seconds beyond ±6 dB of the source, renders at variation 1",
         ["1", "0", "at most 0", "missed by 1"]),
        ("melody in a backing, variation 1",
         ["35 %", "30 %", "at most 25 %", "missed by 10 points"]),
        ("stems against the mix, variation 1", ["–", "–", "–", "not measured"]),
        ("6-second draft, 8 steps, variation 1",
         ["3.2 s", "–", "at most 2.5 s", "missed by 0.7 s"]),
        ("30 over 6 seconds, 2 steps, default variation", ["5", "–", "at most 5", "met"]),
        ("all weights", ["27 MB", "–", "less than 32 MB", "met"]),
    ],
)  # fmt: skip
def test_page_judges_every_target(target: str, cells: list[str]) -> None:
    assert row(page(FOUND, {}, False), target) == cells


def test_page_names_what_is_missing_and_who_is_late() -> None:
    told = page(FOUND, {"Cores": "2"}, QUICK_NOTE)
    assert "Real recordings: skipped, the folder holds none" in told
    assert "Stems: not available in this version of the engine." in told
    assert "| variation 1 | 35 % | 20 % | 2.1 points |" in told
    assert "Tempo over the limit: b (3.75 %)." in told
    assert "A quick run" in told
    assert "- Cores: 2" in told
    some = page({"codec": FOUND["codec"]}, {})
    assert some.count("Not measured in this run.") == len(SECTIONS) - 1
    assert "A quick run" not in some


def test_page_shows_only_pictures_that_are_drawn() -> None:
    shown = re.findall(r"pictures/(model-[\w-]+\.png)", page(FOUND, {}, False))
    assert shown == ["model-codec.png", "model-text.png", "model-extensions.png"]


def test_collapse_is_counted_by_continuation() -> None:
    assert collapsed([[0.0, 5.9], [-6.1, 20.0], []]) == [0, 2, 0]


def bench(folder: Path, weights: Path | None = None) -> Bench:
    def no_engine() -> Any:
        raise AssertionError("nothing here renders")

    def say(_: str) -> None: ...

    weights = weights or folder / "house.safetensors"
    return Bench(QUICK, weights, folder, folder / "pictures", folder, say, no_engine)


def test_an_interrupted_run_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def measuring(name: str, broken: list[bool]) -> Callable[[Bench], Figures]:
        def measure(_: Bench) -> Figures:
            calls.append(name)
            if broken and broken.pop():
                raise KeyboardInterrupt
            return {"name": name}

        return measure

    def tell(figures: Figures) -> Told:
        return Told([figures["name"]], [])

    sections = {
        name: Section(name, measuring(name, broken), tell)
        for name, broken in (("first", []), ("second", [True]))
    }
    monkeypatch.setattr(program, "SECTIONS", sections)
    store = Store(tmp_path, {"plan": 1})
    with pytest.raises(KeyboardInterrupt):
        program.measured(bench(tmp_path), store, ["first", "second"], again=False)
    found = program.measured(bench(tmp_path), store, ["first", "second"], again=False)
    assert calls == ["first", "second", "second"]
    assert found == {"first": {"name": "first"}, "second": {"name": "second"}}
    program.measured(bench(tmp_path), store, ["first"], again=True)
    assert calls[3:] == ["first"]
    other = program.measured(bench(tmp_path), Store(tmp_path, {"plan": 2}), ["first"], False)
    assert calls[4:] == ["first"], "other settings are measured anew"
    assert list(other) == ["first"]


def test_a_damaged_result_is_measured_anew(tmp_path: Path) -> None:
    store = Store(tmp_path, {})
    store.save("codec", {"x": 1.5})
    assert store.load("codec") == {"x": 1.5}
    (kept,) = tmp_path.glob("*.json")
    kept.write_text("{", encoding="utf-8")
    assert store.load("codec") is None


def test_results_belong_to_the_code_that_measures(tmp_path: Path) -> None:
    names = ("engine/job.py", "scripts/evaluation/measures.py", "scripts/evaluation/page.py",
             "scripts/training_pieces.py", "scripts/_effects.py", "scripts/_fluidsynth.py",
             "scripts/_tunes.py")  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a = 1\n", encoding="utf-8")
    before = measuring_digest(tmp_path)
    (tmp_path / "scripts/evaluation/page.py").write_text("a = 2\n", encoding="utf-8")
    assert measuring_digest(tmp_path) == before
    (tmp_path / "scripts/evaluation/measures.py").write_text("a = 2\n", encoding="utf-8")
    assert measuring_digest(tmp_path) != before


def test_pictures_are_drawn_by_a_seed() -> None:
    assert pictured(50) == pictured(50)
    assert len(set(pictured(50))) == 3
    assert pictured(2) == [0, 1]


def test_weights_are_all_that_ship_or_the_file_given(tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_bytes(b"12345")
    (tmp_path / "other.safetensors").write_bytes(b"123")
    assert weights_bytes(bench(tmp_path, tmp_path / "mine.safetensors")) == 5


def test_requests_are_valid_and_every_style_is_understood() -> None:
    request = RenderRequest.from_mapping(text.request_for(excerpt()))
    assert (request.bpm, request.metre, request.roles) == (120.0, "4/4", ("chords", "lead"))
    assert all(read_prompt(style).style == style for style in STYLES)
    assert key_text(Key(1, "dorian")) == "Db dorian"
    assert read_prompt("in " + key_text(Key(1, "dorian"))).key == Key(1, "dorian")


class FakeEngine:
    """Yields what an engine yields, with a ramp as its audio."""

    def render(
        self, request: RenderRequest, spool: Path, cancelled: Callable[[], bool]
    ) -> Iterator[Event]:
        assert request.refine == 0
        ramp = np.linspace(-0.5, 0.5, 22_050)[None]
        for name in ("lead", "mix"):
            path = write_audio(spool / f"{name}.wav", ramp, 22_050, "PCM_24")
            yield Stem(name, str(path), 22_050, 1, 22_050)
        yield Preview(0, 0, 22_050, 1, b"")
        report = {"sample_rate_hz": 22_050, "channels": 1, "new_samples": [11_025, 22_050]}
        yield Done(report, {})


def test_a_render_is_read_back_as_the_model_hears_it() -> None:
    engine: Any = FakeEngine()
    answer = render(engine, task="generate", prompt="funk", seconds=1, variation=None)
    assert answer.audio.shape == (2, 44_100)
    assert list(answer.stems) == ["lead"]
    assert answer.heard_after_s > 0.0
    assert answer.new.shape == (2, 22_050)
    assert float(answer.new[:, 100:-100].min()) > 0.0


def test_distances_of_continuations(tmp_path: Path) -> None:
    """With a made-up embedding: the mean of each half second of the left channel."""
    rng = np.random.default_rng(0)
    length = 6 * 44_100

    def levels() -> Any:
        return np.repeat(rng.uniform(-1.0, 1.0, (2, 24)), length // 24, axis=1)

    cases = [
        extensions.Case(f"{k}", levels(), levels(), levels(), length // 3, None) for k in range(6)
    ]

    class Judges:
        @staticmethod
        def embedding(audio: Any) -> Any:
            return audio[:, : length - length % 24].reshape(2, 12, -1).mean(axis=2).T

    handed = bench(tmp_path)
    handed.__dict__["judges"] = Judges()
    found = extensions.distances(extensions.clouds(handed, cases))
    assert found["truth"]["music"] == pytest.approx(0.0, abs=1e-9)
    assert found["exchanged"]["music"] == pytest.approx(0.0, abs=1e-9), "the same crowd"
    assert found["exchanged"]["fit"] > 0.0, "but not of the same source"
    assert found["repeat"]["from_repeat"] == 0.0
    assert found["repeat"]["variety"] > found["model"]["variety"]
    assert extensions.tempo_errors(cases, [case.made for case in cases]) == [None] * 6


def test_a_shortened_run_measures_its_share_of_every_kind() -> None:
    some = FULL.share(4)
    assert (some.extensions, some.codec_pieces) == (round(FULL.extensions / 4), 6)
    assert some.speed_runs == 2, "never fewer than two"
