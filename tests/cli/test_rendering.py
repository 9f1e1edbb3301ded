"""Rendering in the command's own process: takes, files never overwritten, failures, recipes."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daw_bridge.commands.plot import draw
from daw_bridge.commands.result import Finished
from daw_bridge.takes.recipes import changed_request
from engine.files.audio import write_audio
from engine.render import plot
from engine.spec import BridgeError, Done, Event, RenderRequest
from tests.cli.conftest import Run
from tests.daw_bridge.fake_engine import FakeEngine


def test_render_keeps_a_take_and_writes_what_was_asked(
    run: Run, clip: Path, tmp_path: Path, data_dir: Path
) -> None:
    out, report = tmp_path / "out.wav", tmp_path / "report.json"
    ran = run("extend", clip, "--seconds", "0.1", "--out", out, "--report", report, "--json")
    assert ran.status == 0
    assert ran.json["take"] == "t-0001"
    assert ran.json["written"] == {"out": str(out), "report": str(report)}
    assert ran.json["recipe"]["request"]["source"] == str(clip)
    assert out.read_bytes() == Path(ran.json["path"]).read_bytes()
    assert json.loads(report.read_text()) == ran.json["report"]
    kept = run("takes", "--json").json["takes"]
    assert [take["take"] for take in kept] == ["t-0001"]
    assert [path.name for path in data_dir.iterdir()] == ["takes"]  # the spool is gone


def test_people_get_a_few_lines(run: Run, clip: Path, data_dir: Path) -> None:
    ran = run("extend", clip, "--seconds", "0.1")
    assert ran.status == 0
    assert ran.out.startswith(str(data_dir / "takes" / "t-0001"))
    assert ran.out.rstrip().endswith("take t-0001")
    assert run("takes").out.split()[:2] == ["t-0001", "extend"]


def test_relative_paths_become_absolute_in_the_recipe(
    run: Run, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clip.parent)
    ran = run("extend", clip.name, "--seconds", "0.1", "--json")
    assert ran.json["recipe"]["request"]["source"] == str(clip)


def test_stems_go_beside_the_file(run: Run, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    typed = ("accompany", clip, "--roles", "bass,drums", "--stems", "--out", out)
    ran = run(*typed, "--json")
    assert ran.status == 0, ran.err
    names = [item["name"] for item in ran.json["files"]]
    assert names == ["mix", "drums", "bass"]
    beside = {name: str(tmp_path / f"out-{name}.wav") for name in ("drums", "bass")}
    assert ran.json["written"] == {"out": str(out), "stems": beside}
    copies = [out.read_bytes(), *(Path(path).read_bytes() for path in beside.values())]
    assert copies == [Path(item["path"]).read_bytes() for item in ran.json["files"]]
    assert len(set(copies)) == 3
    again = run("rerender", "t-0001", "--json").json
    assert [item["name"] for item in again["files"]] == names
    without = run("rerender", "t-0001", "--no-stems", "--json").json
    assert [item["name"] for item in without["files"]] == ["mix"]
    told = run("rerender", "t-0001").out.splitlines()
    assert [line.split(":")[0] for line in told[1:3]] == ["  drums", "  bass"]


@pytest.mark.parametrize("how", ["asked", "again"])
def test_no_stem_replaces_a_file(run: Run, clip: Path, tmp_path: Path, how: str) -> None:
    out, mine = tmp_path / "out.wav", tmp_path / "out-bass.wav"
    typed: tuple[object, ...] = ("accompany", clip, "--stems")
    if how == "again":
        assert run(*typed).status == 0
        typed = ("rerender", "t-0001")
    mine.write_text("precious")
    ran = run(*typed, "--out", out)
    assert (ran.status, "out-bass.wav' exists" in ran.err) == (2, True)
    assert mine.read_text() == "precious"
    assert not out.exists()
    assert run(*typed, "--out", out, "--force").status == 0
    assert mine.read_text("latin-1") != "precious"


def test_not_even_force_replaces_a_source_by_a_stem(run: Run, clip: Path, tmp_path: Path) -> None:
    source = clip.rename(clip.with_name("song-drums.wav"))
    typed = ("accompany", source, "--force", "--out", source.with_name("song.wav"))
    for ran in (
        run(*typed, "--stems"),
        run(*typed),
        run("rerender", "t-0001", "--stems", *typed[2:]),
    ):
        refused = "is the source itself" in ran.err
        assert (ran.status, refused) in ((2, True), (0, False))
    assert source.read_bytes() == b"RIFF"


def test_context_is_named_and_protected(run: Run, clip: Path, tmp_path: Path) -> None:
    context = tmp_path / "song.wav"
    context.write_bytes(b"RIFF")
    typed = ("melody", clip, "--seconds", "0.1", "--context", context)
    ran = run(*typed, "--json")
    assert ran.json["recipe"]["request"]["context"] == str(context)
    ran = run(*typed, "--force", "--out", context)
    assert (ran.status, "is the source itself" in ran.err) == (2, True)
    assert context.read_bytes() == b"RIFF"


def test_plot_gets_the_take(
    run: Run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "daw_bridge.commands.render.draw", lambda finished, path: path.write_text(finished.take)
    )
    plot = tmp_path / "plot.png"
    assert run("extend", clip, "--seconds", "0.1", "--plot", plot).status == 0
    assert plot.read_text() == "t-0001"


def test_plot_shows_what_was_wished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tone = 0.1 * np.sin(np.arange(44_100) / 10.0)[None]
    take = write_audio(tmp_path / "take.wav", tone, 44_100, "PCM_16")
    wish = {"name": "intensity", "unit": "dB²", "kind": "curve", "times_s": [0.0, 0.5]}
    wish |= {"target": [-30.0, None], "result": [-31.0, -29.0]}
    drawn: list[list[str]] = []
    original = plot.plot_render

    def spy(path: Path, panel: plot.Panel, wishes: Sequence[plot.Wish]) -> Path:
        drawn.append([each.name for each in wishes])
        return original(path, panel, wishes)

    monkeypatch.setattr(plot, "plot_render", spy)
    for report in ({"controls": [wish]}, {}):
        draw(Finished("t-0001", take, [], report, {}), tmp_path / "plot.png")
    assert drawn == [["intensity"], []]
    assert (tmp_path / "plot.png").stat().st_size < 150_000


@pytest.mark.parametrize("flag", ["--out", "--report"])
def test_what_exists_is_replaced_only_by_force(
    run: Run, clip: Path, tmp_path: Path, flag: str
) -> None:
    mine = tmp_path / ("mine.wav" if flag == "--out" else "mine.json")
    mine.write_text("precious")
    refused = run("extend", clip, "--seconds", "0.1", flag, mine)
    assert refused.status == 2
    assert "exists (name another file, or add --force)" in refused.err
    assert mine.read_text() == "precious"
    assert run("takes", "--json").json == {"takes": []}  # refused before any work was done
    assert run("extend", clip, "--seconds", "0.1", flag, mine, "--force").status == 0
    assert mine.read_bytes() != b"precious"


def test_not_even_force_replaces_the_source(run: Run, clip: Path, data_dir: Path) -> None:
    typed = ("extend", clip, "--seconds", "0.1", "--force", "--out")
    link = clip.with_name("link.wav")
    link.symlink_to(clip)
    for out in (clip, link):
        ran = run(*typed, out)
        assert (ran.status, "is the source itself" in ran.err) == (2, True)
    assert not data_dir.exists()  # nothing was rendered for it
    run(*typed, clip.with_name("other.wav"))
    again = run("rerender", "t-0001", "--force", "--out", clip)
    assert (again.status, "is the source itself" in again.err) == (2, True)
    assert clip.read_bytes() == b"RIFF"


def test_a_file_that_appears_meanwhile_is_not_replaced(
    run: Run, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.wav"

    class Rival(FakeEngine):
        def render(self, *arguments: Any) -> Iterator[Event]:
            out.write_text("precious")
            return super().render(*arguments)

    ran = run("extend", clip, "--seconds", "0.1", "--out", out, engine=lambda *_: Rival())
    assert ran.status == 2
    assert out.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips", "data", "out.wav"]


def test_folder_that_cannot_be_written_names_the_take(
    run: Run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    ran = run("extend", clip, "--seconds", "0.1", "--out", tmp_path / "out.wav")
    assert ran.status == 1
    assert "No space left on device (the take is kept: " in ran.err


@pytest.mark.parametrize(
    ("prompt", "status", "says"),
    [
        ("refuse", 2, "the clip is empty (choose another)"),
        ("raise", 1, "RuntimeError: something broke"),
        ("silent", 1, "the engine ended without a result"),
    ],
)
def test_failures_of_the_engine(
    run: Run, clip: Path, prompt: str, status: int, says: str, data_dir: Path
) -> None:
    ran = run("extend", clip, "--seconds", "0.1", "--prompt", prompt, "--json")
    assert ran.status == status
    assert says in ran.err.splitlines()[-1]
    assert set(ran.json) == {"error"}
    assert list((data_dir / "takes").iterdir()) == []


def test_figures_that_could_not_be_measured_are_null(run: Run, clip: Path) -> None:
    ran = run("extend", clip, "--seconds", "0.1", "--prompt", "nan", "--json")
    assert ran.json["report"]["loss"] is None


def test_text_that_is_no_unicode_is_told_and_written(run: Run, clip: Path, tmp_path: Path) -> None:
    class Quoting(FakeEngine):
        def render(self, request: RenderRequest, *others: Any) -> Iterator[Event]:
            for event in super().render(request, *others):
                yield (
                    Done({"unknown": request.prompt}, event.recipe)
                    if isinstance(event, Done)
                    else event
                )

    report = tmp_path / "report.json"
    typed = ("extend", clip, "--seconds", "0.1", "--prompt", "warm \udc80 strings ä", "--json")
    ran = run(*typed, "--report", report, engine=lambda *_: Quoting())
    assert ran.status == 0, ran.err
    assert ran.out.isascii()
    assert ran.json["recipe"]["request"]["prompt"] == "warm \udc80 strings ä"
    assert json.loads(report.read_text("utf-8")) == ran.json["report"]


def test_interrupt_cancels_and_leaves_nothing(run: Run, clip: Path, data_dir: Path) -> None:
    class Interrupted(FakeEngine):
        def render(self, *arguments: Any) -> Iterator[Event]:
            signal.raise_signal(signal.SIGINT)
            return super().render(*arguments)

    before = signal.getsignal(signal.SIGINT)
    ran = run(
        *("extend", clip, "--seconds", "0.1", "--prompt", "sleep=30"),
        engine=lambda *_: Interrupted(),
    )
    assert (ran.status, ran.err) == (1, "daw-bridge: cancelled\n")
    assert [path.name for path in data_dir.iterdir()] == ["takes"]
    assert signal.getsignal(signal.SIGINT) is before


class Settling(FakeEngine):
    """Notes what has been told of a result when it does what comes after it."""

    def __init__(self, interrupt: int = 0) -> None:
        self.interrupt = interrupt
        self.told: list[str] = []
        self.ended_early: list[bool] = []

    def settle(self, stopped: Callable[[], bool]) -> None:
        self.told.append(sys.stdout.getvalue())  # type: ignore[attr-defined]
        if len(self.told) == self.interrupt:
            signal.raise_signal(signal.SIGINT)
        self.ended_early.append(stopped())


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_result_is_told_before_what_comes_after_it(
    run: Run, clip: Path, flags: tuple[str, ...]
) -> None:
    engine = Settling()
    ran = run("extend", clip, "--seconds", "0.1", *flags, engine=lambda *_: engine)
    assert (ran.status, engine.told) == (0, [ran.out])
    assert ran.out
    assert engine.ended_early == [False]


def test_an_interrupt_after_the_result_ends_that_and_fails_nothing(
    run: Run, clip: Path, data_dir: Path
) -> None:
    engine, before = Settling(interrupt=1), signal.getsignal(signal.SIGINT)
    ran = run("extend", clip, "--seconds", "0.1", "--json", engine=lambda *_: engine)
    assert (ran.status, ran.err) == (0, "")
    assert engine.ended_early == [True]
    assert [path.name for path in (data_dir / "takes").iterdir()] == [ran.json["take"]]
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_after_one_take_cancels_those_that_are_left(
    run: Run, clip: Path, data_dir: Path
) -> None:
    engine = Settling(interrupt=2)
    ran = run("extend", clip, "--seconds", "0.1", "--takes", "3", engine=lambda *_: engine)
    assert (ran.status, ran.err) == (1, "daw-bridge: cancelled\n")
    assert len(list((data_dir / "takes").iterdir())) == 2


def test_rerender_changes_what_is_given(run: Run, clip: Path) -> None:
    run("extend", clip, "--seconds", "0.1", "--prompt", "bits=16")
    again = run("rerender", "t-0001", "--seed", "5", "--json")
    assert again.status == 0
    asked = again.json["recipe"]["request"]
    assert (asked["seed"], asked["prompt"], asked["seconds"]) == (5, "bits=16", 0.1)
    assert run("rerender", "t-0001", "--roles", "drums").status == 2


def test_a_length_in_one_unit_replaces_the_other() -> None:
    recipe = {"request": {"task": "extend", "source": "a.wav", "seconds": 6.0}}
    changed = changed_request(recipe, {"bars": "4"})
    assert (changed.bars, changed.seconds) == (4.0, None)
    with pytest.raises(BridgeError, match="holds no request"):
        changed_request({}, {})
