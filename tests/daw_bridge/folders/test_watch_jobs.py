"""Jobs of `daw-bridge watch` that end otherwise: cancelled, superseded, failed for now."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daw_bridge.cli import main
from engine.spec import Event, Failed
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.fake_engine import FakeEngine
from tests.daw_bridge.folders import absent_engine
from tests.daw_bridge.folders.watchers import (
    CLIP,
    CountingEngine,
    Once,
    Watching,
    jobs_of,
    wait_for,
    watching,
)
from tests.daw_bridge.served import served


class UnreadyEngine(CountingEngine):
    """Says at the first render that it is not there now, in the words of a cancelled job."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = words

    def render(self, *given: Any, **how: Any) -> Iterator[Event]:
        events = super().render(*given, **how)
        if self.renders == 1:
            yield Failed("unavailable", self._words)
            return
        yield from events


@pytest.mark.parametrize("words", ["the loading of the model was cancelled", "cancelled"])
def test_what_only_sounds_cancelled_is_tried_again(
    folder: Path, make_config: MakeConfig, words: str
) -> None:
    engine = UnreadyEngine(words)
    watcher = Watching(folder, make_config(), engine)
    (folder / "x.extend-0.1s.wav").write_bytes(CLIP)
    assert watcher.look()[-1] == f"x.extend-0.1s.wav: {words}; tried again in 5 s"
    watcher.now_s += 5
    assert watcher.look()[-1].endswith(".take.wav")
    assert engine.renders == 2
    assert list(folder.glob("*.error.txt")) == []


def test_an_interrupt_while_it_renders_ends_the_watcher_and_refuses_nothing(
    folder: Path, make_config: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(FakeEngine):
        def render(self, *given: Any, **how: Any) -> Iterator[Event]:
            signal.raise_signal(signal.SIGINT)
            return super().render(*given, **how)

    (folder / "x.extend-0.1s-prompt=sleep=30.wav").write_bytes(CLIP)
    typed = ["watch", str(folder), "--settle", "0", "--data-dir", str(make_config().data_dir)]
    assert main(typed, engine_factory=lambda *_: Interrupted()) == 0
    assert capsys.readouterr().err.splitlines()[-1] == "stopped"
    assert [path.suffix for path in folder.iterdir()] == [".wav"]


def test_an_interrupt_after_a_result_ends_the_watcher_once_the_take_is_there(
    folder: Path, make_config: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(FakeEngine):
        def settle(self, stopped: Callable[[], bool]) -> None:
            signal.raise_signal(signal.SIGINT)
            assert stopped()

    (folder / "x.extend-0.1s.wav").write_bytes(CLIP)
    typed = ["watch", str(folder), "--settle", "0", "--data-dir", str(make_config().data_dir)]
    assert main(typed, engine_factory=lambda *_: Interrupted()) == 0
    assert capsys.readouterr().err.splitlines()[-1] == "stopped"
    assert (folder / "x.extend-0.1s.take.wav").exists()


def test_a_job_that_failed_while_the_engine_was_away_is_asked_anew(
    folder: Path, make_config: MakeConfig, engine: CountingEngine
) -> None:
    """By the same daemon, and by the next one, which remembers the failure."""
    config = make_config(engine_factory=f"{absent_engine.__name__}:create_engine")
    watcher = Watching(folder, config, engine)
    (folder / "x.extend-0.1s.wav").write_bytes(CLIP)
    with served(config):
        for wait_s in (5, 10):
            told = watcher.look()[-1]
            assert told == f"x.extend-0.1s.wav: {absent_engine.PROBLEM}; tried again in {wait_s} s"
            watcher.now_s += wait_s
    (config.data_dir / "cache").mkdir(exist_ok=True)
    (config.data_dir / "cache" / "ready").touch()
    with served(config):
        assert watcher.look()[-1] == "x.extend-0.1s.wav: x.extend-0.1s.take.wav"
        jobs = jobs_of(config)
    assert [job["state"] for job in jobs] == ["done", "failed", "failed"]
    assert engine.renders == 0  # none of it was done without the daemon


def test_a_job_that_failed_for_good_is_not_asked_anew(
    folder: Path, make_config: MakeConfig, engine: CountingEngine
) -> None:
    config = make_config()
    source = folder / "x.extend-0.1s-prompt=refuse.wav"
    source.write_bytes(CLIP)
    with served(config):
        Watching(folder, config, engine).look()
        for ledger in (config.data_dir / "watch").glob("*.json"):
            ledger.write_text(ledger.read_text().replace("refused", "begun"))
        assert "the clip is empty" in Watching(folder, config, engine).look()[-1]
        assert len(jobs_of(config)) == 1


def test_a_file_that_was_changed_supersedes_what_it_asked_for(
    folder: Path, make_config: MakeConfig, once: Once
) -> None:
    config = make_config()
    recipe = folder / "x.json"
    recipe.write_text('{"prompt": "sleep=60"}')
    with served(config):
        with watching(folder, config.data_dir):
            (folder / "x.extend-0.1s.wav").write_bytes(CLIP)
            wait_for(lambda: len(jobs_of(config)) == 1, "no job")
        recipe.write_text('{"prompt": "fine"}')
        assert "take" in once()[0]
        jobs = jobs_of(config)
    assert [job["state"] for job in jobs] == ["done", "cancelled"]
    assert "superseded by j-0002" in jobs[1]["reason"]
