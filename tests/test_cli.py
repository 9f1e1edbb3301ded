"""The command line: exit codes, JSON, files never overwritten, rendering here and by the daemon."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daw_bridge import __version__
from daw_bridge.app import App
from daw_bridge.cli import main
from daw_bridge.commands.console import Console, progress_line, table
from daw_bridge.commands.plot import draw
from daw_bridge.commands.remote import websocket_url
from daw_bridge.commands.result import Finished
from daw_bridge.config import Config
from daw_bridge.registration import find_server
from daw_bridge.takes.recipes import changed_request
from engine.files.audio import write_audio
from engine.render import plot
from engine.spec import FIELDS, TASKS, BridgeError, Done, Event, Progress, RenderRequest
from tests.daw_bridge.fake_engine import FakeEngine, create_engine
from tests.daw_bridge.served import served as running

ROOT = Path(__file__).resolve().parents[1]
FACTORY = "tests.daw_bridge.fake_engine:create_engine"


class Ran:
    """One command that ran: its status, its JSON and what it said to people."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.out)
        return value


Run = Callable[..., Ran]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("DAW_BRIDGE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clips" / "My groove.wav"
    path.parent.mkdir()
    path.write_bytes(b"RIFF")
    return path


@pytest.fixture
def run(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object, engine: Callable[[Path | None], Any] = create_engine) -> Ran:
        typed = [*map(str, arguments), "--data-dir", str(data_dir)]
        capsys.readouterr()
        status = main(typed, engine_factory=engine)
        captured = capsys.readouterr()
        return Ran(status, captured.out, captured.err)

    return run


@contextmanager
def daemon(data_dir: Path, roots: list[Path]) -> Iterator[App]:
    """A daemon with the fake engine."""
    ports = {"port": 0, "osc_port": 0}
    settings = {**ports, "data_dir": data_dir, "roots": roots, "engine_factory": FACTORY}
    with running(Config.load(settings)) as app:
        yield app


@pytest.fixture
def served(data_dir: Path, clip: Path) -> Iterator[App]:
    with daemon(data_dir, [clip.parent]) as app:
        yield app


# Bad input


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "COMMAND"),
        (("extnd",), "invalid choice: 'extnd'"),
        (("extend", "{clip}", "--seconds", "6", "--colour", "red"), "--colour red"),
        (("extend", "{clip}"), "give either seconds or bars"),
        (("extend", "{clip}", "--seconds", "6", "--bars", "2"), "give either seconds or bars"),
        (("extend", "{clip}", "--seconds", "6", "--bpm", "3159345"), "it must be 20 to 400 bpm"),
        (("extend", "{clip}", "--seconds", "6", "--variation", "-1"), "it must be 0 to 1"),
        (("extend", "{clip}", "--seconds", "6", "--side", "left"), "one of end, start"),
        (("extend", "nothing.wav", "--seconds", "6"), "there is no file 'nothing.wav'"),
        (("extend", "{clip}", "--seconds", "6", "--out", "x.mp3"), "it must end in .wav"),
        (("extend", "{clip}", "--seconds", "6", "--out", "none/x.wav"), "no folder 'none'"),
        (("extend", "x" * 300 + ".wav", "--seconds", "6"), "File name too long"),
        (("extend", "~no-such-user/x.wav", "--seconds", "6"), "is no path"),
        (("extend", "{clip}", "--seconds", "6", "--out", "x" * 300 + ".wav"), "too long"),
        (("loop", "{clip}"), "give the number of bars"),
        (("inpaint", "{clip}", "--start", "2", "--end", "1"), "before its start"),
        (("melody", "{clip}", "--bars", "2", "--roles", "kazoo"), "drums, bass, chords, lead"),
        (("generate", "--seconds", "soon"), "it must be a number"),
        (("accompany", "{clip}", "--roles", ""), "must name some of drums, bass, chords, lead"),
        (("accompany", "{clip}", "--seconds", "4"), "--seconds 4"),
        (("melody", "{clip}", "--bars", "2", "--context", "none.wav"), "no file 'none.wav'"),
        (("rerender", "t-9999"), "no take 't-9999'"),
        (("rerender", "../../etc"), "no take"),
        (("takes", "--limit", "0"), "limit is '0'"),
        (("extend", "{clip}", "--seconds", "6", "--server", "nonsense"), "write it like ws://"),
        (("takes", "--server", "ftp://127.0.0.1:1"), "write it like ws://"),
    ],
)
def test_bad_input_is_one_clear_line_and_status_2(
    run: Run, clip: Path, arguments: tuple[str, ...], says: str
) -> None:
    ran = run(*(word.format(clip=clip) for word in arguments))
    assert ran.status == 2
    assert ran.out == ""
    assert ran.err.startswith("daw-bridge: ")
    assert ran.err.count("\n") == 1
    assert says in ran.err


def test_bad_input_as_json(run: Run, clip: Path) -> None:
    ran = run("extend", clip, "--seconds", "6", "--bpm", "3159345", "--json")
    assert ran.status == 2
    assert ran.json == {
        "error": {
            "code": "bad_request",
            "message": "bpm is '3159345'",
            "hint": "it must be 20 to 400 bpm",
        }
    }


def test_help_and_version_succeed(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["--version"], ["extend", "--help"], ["serve", "--help"]):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("task", TASKS)
def test_every_field_has_its_flag(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([task, "--help"])
    told = capsys.readouterr().out
    for item in FIELDS:
        if item.kind != "path":
            flag = "--" + item.name.replace("_", "-")
            assert (f"{flag} " in told) == item.applies_to(task), flag


# Rendering in this process


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


def test_models_and_takes_without_a_daemon(run: Run, clip: Path) -> None:
    assert run("models", "--json").json["models"] == [{"name": "house", "digest": "abc"}]
    assert run("takes").out == "no takes yet\n"
    run("extend", clip, "--seconds", "0.1")
    run("extend", clip, "--seconds", "0.1")
    assert len(run("takes", "--limit", "1", "--json").json["takes"]) == 1
    (take,) = run("takes", "--take", "t-0001", "--json").json["takes"]
    assert take["recipe"]["request"]["task"] == "extend"


@pytest.mark.parametrize("arguments", [("jobs",), ("cancel", "j-0001")])
def test_jobs_need_a_daemon(run: Run, arguments: tuple[str, ...]) -> None:
    ran = run(*arguments)
    assert ran.status == 1
    assert "no daemon is running" in ran.err


def test_named_daemon_that_is_not_there(run: Run) -> None:
    ran = run("takes", "--server", "ws://127.0.0.1:9", "--token", "any-token", "--json")
    assert ran.status == 1
    assert ran.json["error"]["code"] == "unavailable"
    assert "give --token" in run("takes", "--server", "ws://127.0.0.1:9").err


# Rendering with the daemon


def no_engine(_: Path | None) -> Any:
    raise AssertionError("the daemon should have rendered")


def test_a_running_daemon_is_found_and_used(
    run: Run, served: App, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.wav"
    ran = run("extend", clip, "--seconds", "0.1", "--out", out, "--json", engine=no_engine)
    assert ran.status == 0, ran.err
    assert out.read_bytes() == Path(ran.json["path"]).read_bytes()
    (job,) = run("jobs", "--json", engine=no_engine).json["jobs"]
    assert (job["state"], job["take"]) == ("done", ran.json["take"])
    assert run("takes", "--json").json["takes"][0]["take"] == ran.json["take"]
    assert run("models", "--json", engine=no_engine).json["models"][0]["name"] == "house"


def test_local_and_remote_say_the_same(run: Run, clip: Path, data_dir: Path) -> None:
    local = run("extend", clip, "--seconds", "0.1", "--json").json
    with daemon(data_dir, [clip.parent]):
        remote = run("extend", clip, "--seconds", "0.1", "--json", engine=no_engine).json
    assert set(local) == set(remote)
    assert local["report"] == remote["report"]
    assert local["recipe"] == remote["recipe"]
    assert Path(local["path"]).read_bytes() == Path(remote["path"]).read_bytes()


def test_a_clip_outside_the_allowed_folders_is_uploaded(
    run: Run, served: App, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.wav"
    elsewhere.write_bytes(b"RIFF")
    ran = run("extend", elsewhere, "--seconds", "0.1", "--json", engine=no_engine)
    assert ran.status == 0, ran.err
    assert "elsewhere" in Path(ran.json["path"]).name


def test_context_outside_the_allowed_folders_is_uploaded(
    run: Run, served: App, clip: Path, tmp_path: Path
) -> None:
    context = tmp_path / "song.wav"
    context.write_bytes(os.urandom(5000))
    typed = ("melody", clip, "--seconds", "0.1", "--stems", "--context", context)
    ran = run(*typed, "--out", tmp_path / "out.wav", "--json", engine=no_engine)
    assert ran.status == 0, ran.err
    asked = ran.json["recipe"]["request"]
    assert Path(asked["context"]).read_bytes() == context.read_bytes()
    assert set(ran.json["written"]["stems"]) == {"drums", "bass", "chords", "lead"}
    again = run("rerender", ran.json["take"], "--json", engine=no_engine)
    assert len(again.json["files"]) == 5


def test_rerender_with_the_daemon(run: Run, served: App, clip: Path) -> None:
    first = run("extend", clip, "--seconds", "0.1", "--json").json
    again = run("rerender", first["take"], "--seed", "5", "--json", engine=no_engine)
    assert again.json["recipe"]["request"]["seed"] == 5
    bad = run("rerender", first["take"], "--seed", "many", engine=no_engine)
    assert (bad.status, "it must be a number" in bad.err) == (2, True)


def test_failure_of_a_job_is_told(run: Run, served: App, clip: Path) -> None:
    ran = run("extend", clip, "--seconds", "0.1", "--prompt", "refuse", engine=no_engine)
    assert (ran.status, "the clip is empty (choose another)" in ran.err) == (2, True)


def test_wrong_token_is_refused(run: Run, served: App, clip: Path) -> None:
    ran = run("takes", "--server", served.url, "--token", "wrong-token", "--json")
    assert ran.status == 2
    assert ran.json["error"]["code"] == "forbidden"


def test_cancel_stops_a_job(run: Run, served: App, clip: Path) -> None:
    statuses: list[int] = []
    typed = ["extend", str(clip), "--seconds", "0.1", "--prompt", "sleep=30"]
    typed += ["--data-dir", str(served.config.data_dir), "--json"]
    worker = threading.Thread(target=lambda: statuses.append(main(typed)))
    worker.start()
    deadline_s = time.monotonic() + 10
    jobs: list[dict[str, Any]] = []
    while not (jobs and jobs[0]["state"] == "running") and time.monotonic() < deadline_s:
        jobs = json.loads(run("jobs", "--json").out.splitlines()[0])["jobs"]
    assert run("cancel", jobs[0]["job"]).status == 0
    worker.join(10)
    assert statuses == [1]


# Several takes, and a place among other requests


def test_several_takes_are_numbered_files_of_seeds_that_follow(
    run: Run, clip: Path, data_dir: Path, tmp_path: Path
) -> None:
    typed = ("generate", "--seconds", "0.1", "--seed", "7", "--takes", "3", "--out")
    (there := tmp_path / "a-2.wav").write_bytes(b"mine")
    refused = run(*typed, tmp_path / "a.wav")
    assert (refused.status, "a-2.wav' exists" in refused.err) == (2, True)
    assert not (data_dir / "takes").exists()
    local = run(*typed, tmp_path / "b.wav", "--report", tmp_path / "r.json", "--json")
    with daemon(data_dir, [clip.parent]):
        remote = run(*typed, tmp_path / "c.wav", "--json", engine=no_engine)
    for ran, name in ((local, "b"), (remote, "c")):
        assert ran.status == 0, ran.err
        takes = ran.json["takes"]
        assert [take["recipe"]["request"]["seed"] for take in takes] == [7, 8, 9]
        for number, take in enumerate(takes, 1):
            out = tmp_path / f"{name}-{number}.wav"
            assert take["written"]["out"] == str(out)
            assert out.read_bytes() == Path(take["path"]).read_bytes()
    assert (tmp_path / "r-3.json").exists()
    assert there.read_bytes() == b"mine"
    told = run(*typed[:-1], "--takes", "2").out.splitlines()
    assert [line.strip() for line in told if "take " in line] == ["take t-0007", "take t-0008"]


def test_several_takes_of_a_take_have_other_seeds(run: Run, clip: Path, data_dir: Path) -> None:
    run("generate", "--seconds", "0.1", "--seed", "7")
    local = run("rerender", "t-0001", "--takes", "2", "--json").json["takes"]
    with daemon(data_dir, [clip.parent]):
        remote = run("rerender", "t-0001", "--takes", "2", "--json", engine=no_engine).json["takes"]
    for takes in (local, remote):
        assert [take["recipe"]["request"]["seed"] for take in takes] == [8, 9]


def test_a_place_among_other_requests_needs_a_daemon(run: Run, clip: Path, data_dir: Path) -> None:
    typed = ("generate", "--seconds", "0.1", "--slot", "verse", "--priority", "batch")
    alone = run(*typed)
    assert (alone.status, "--slot says where" in alone.err) == (2, True)
    assert "start daw-bridge serve" in run("rerender", "t-0001", *typed[5:]).err
    assert "one of interactive, batch" in run(*typed[:3], "--priority", "high").err
    assert "it must be 1 to 16 takes" in run(*typed[:3], "--takes", "17").err
    with daemon(data_dir, [clip.parent]):
        assert run(*typed, engine=no_engine).status == 0
        (job,) = run("jobs", "--json").json["jobs"]
    assert (job["slot"], job["priority"]) == ("verse", "batch")


def test_an_estimate_is_the_same_here_and_by_the_daemon(
    run: Run, clip: Path, data_dir: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.wav"
    elsewhere.write_bytes(b"RIFF")
    typed = ("estimate", "extend", elsewhere, "--seconds", "0.5", "--steps", "7")
    local, lines = run(*typed, "--json"), run(*typed).out.splitlines()
    assert (local.status, local.json["evaluations_least"]) == (0, 7)
    assert lines == [
        "memory: 5120 MiB for the optimisation (keeps full)",
        "network: 7 to 9 evaluations",
        "time: about 0 s",
    ]
    with daemon(data_dir, [clip.parent]):
        assert run(*typed, "--json", engine=no_engine).json == local.json
    assert "give either seconds or bars" in run(*typed[:3]).err
    assert not (data_dir / "takes").exists() or not list((data_dir / "takes").iterdir())


# The real process


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_serve_says_where_and_stops_on_sigterm(data_dir: Path) -> None:
    command = [sys.executable, "-m", "daw_bridge", "serve", "--port", "0", "--osc-port", "0"]
    command += ["--data-dir", str(data_dir), "--engine-factory", FACTORY, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        running = find_server(data_dir)
        assert running is not None
        assert (told["url"], told["osc_port"]) == (running.url, running.osc_port)
        process.terminate()
        assert process.wait(10) == 0
    assert find_server(data_dir) is None


def test_interrupt_cancels_the_job_of_the_daemon(run: Run, served: App, clip: Path) -> None:
    command = [sys.executable, "-m", "daw_bridge", "extend", str(clip), "--seconds", "0.1"]
    command += ["--prompt", "sleep=30", "--data-dir", str(served.config.data_dir)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment()) as process:
        deadline_s = time.monotonic() + 10
        states: list[str] = []
        while states != ["running"] and time.monotonic() < deadline_s:
            states = [job["state"] for job in run("jobs", "--json").json["jobs"]]
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)
    assert (process.returncode, said) == (1, b"daw-bridge: j-0001 was cancelled\n")
    deadline_s = time.monotonic() + 10
    while states != ["cancelled"] and time.monotonic() < deadline_s:
        states = [job["state"] for job in run("jobs", "--json").json["jobs"]]
    assert states == ["cancelled"]


def test_a_reader_that_goes_away_is_no_fault_of_ours(data_dir: Path) -> None:
    command = f"{sys.executable} -m daw_bridge takes --data-dir '{data_dir}' | true; sleep 0.1"
    ran = subprocess.run(command, shell=True, capture_output=True, env=environment(), check=True)
    assert b"Traceback" not in ran.stderr


def test_serve_refuses_a_bad_setting(run: Run) -> None:
    ran = run("serve", "--port", "70000")
    assert ran.status == 2
    assert "port is '70000'" in ran.err


@pytest.mark.parametrize(
    "typed", [("serve",), ("extend", "{clip}", "--seconds", "1"), ("rerender", "t-0001")]
)
def test_data_folder_that_cannot_be_is_one_clear_line(
    clip: Path, capsys: pytest.CaptureFixture[str], typed: tuple[str, ...]
) -> None:
    arguments = [word.format(clip=clip) for word in typed]
    assert main([*arguments, "--data-dir", str(clip / "data")], create_engine) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "cannot be used: Not a directory (choose another: --data-dir)" in said
    assert main(["doctor", "--json", "--data-dir", str(clip / "data")]) == 1
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert [check["state"] for check in checks if check["name"] == "folder"] == ["problem"]


def test_serve_refuses_a_folder_in_use(run: Run, served: App) -> None:
    ran = run("serve", "--port", "0", "--osc-port", "0")
    assert ran.status == 1
    assert ran.err.count("\n") == 1


def test_doctor_names_every_problem_and_what_to_do(run: Run, data_dir: Path) -> None:
    ran = run("doctor", "--json")
    checks = {check["name"]: check for check in ran.json["checks"]}
    assert {"python", "torch", "device", "libraries", "weights", "daemon", "folder"} <= set(checks)
    assert str(data_dir) in checks["folder"]["found"]
    assert all(check["hint"] for check in checks.values() if check["state"] == "problem")
    assert ran.json["ok"] == (ran.status == 0)
    assert "python" in run("doctor").out


def test_doctor_sees_a_running_daemon(run: Run, served: App) -> None:
    checks = {check["name"]: check for check in run("doctor", "--json").json["checks"]}
    assert served.url in checks["daemon"]["found"]


def test_doctor_sees_a_taken_port(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("DAW_BRIDGE_PORT", str(port))
        ran = run("doctor", "--json")
    (check,) = [check for check in ran.json["checks"] if check["name"] == "port"]
    assert check == {
        "name": "port",
        "state": "problem",
        "found": f"{port} is taken",
        "hint": "choose another: serve --port N",
    }
    assert ran.status == 1


# The console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_line_is_redrawn_and_removed_before_the_result() -> None:
    out, err = io.StringIO(), Terminal()
    console = Console(False, out, err)
    console.progress(Progress("refine", 0.5, 12, 40, 13.2, 0.5, 0.25))
    console.progress(Progress("finish", 1.0))
    console.result({}, ["done"])
    assert " 50%  refine  12/40  best 0.25  about 14 s left" in err.getvalue()
    assert err.getvalue().count("\r") == 4
    assert err.getvalue().endswith(" \r")
    assert out.getvalue() == "done\n"


def test_no_progress_where_nobody_watches() -> None:
    err = io.StringIO()
    Console(False, io.StringIO(), err).progress(Progress("refine", 0.5))
    assert err.getvalue() == ""
    assert progress_line(Progress("refine", 0.5)) == " 50%  refine"


def test_table_lines_up() -> None:
    assert table([["a", "bb"], ["ccc", "d"]]) == ["a    bb", "ccc  d"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ws://127.0.0.1:8787/ws", "ws://127.0.0.1:8787/ws"),
        ("http://localhost:8787", "ws://localhost:8787/ws"),
        ("127.0.0.1:8787", "ws://127.0.0.1:8787/ws"),
        ("[::1]:8787", "ws://[::1]:8787/ws"),
    ],
)
def test_addresses_are_understood(typed: str, meant: str) -> None:
    assert websocket_url(typed) == meant


def test_request_from_flags_equals_request_from_the_table(run: Run, clip: Path) -> None:
    """What is typed arrives: every kind of field once."""
    ran = run(
        *("extend", clip, "--bars", "2", "--side", "start", "--bpm", "123.4", "--metre", "7/8"),
        *("--key", "A minor", "--crossfade-ms", "12.5", "--refine", "0", "--seed", "7", "--json"),
    )
    asked = RenderRequest.from_mapping(ran.json["recipe"]["request"])
    assert (asked.bars, asked.side, asked.bpm, asked.metre) == (2.0, "start", 123.4, "7/8")
    assert (asked.key, asked.crossfade_ms, asked.refine, asked.seed) == ("A minor", 12.5, 0, 7)
