"""A short form of the fuzzing, and that it would find what it looks for."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest
from fuzzing.__main__ import KINDS, Plan, State, main
from fuzzing.files import FileReader, make_file
from fuzzing.messages import Messages
from fuzzing.mutate import MAX_BYTES, damaged
from fuzzing.watch import Log, Sentinels, Tally

COUNT = 300


@pytest.mark.parametrize("kind", KINDS)
def test_some_hundred_cases_of_each_kind(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["--count", str(COUNT), "--only", kind, "--folder", str(tmp_path)])
    said = capsys.readouterr().out
    assert status == 0, said
    assert f"0 to {COUNT - 1}" in said
    assert State(tmp_path / "state.json", 1).next_of(kind) == COUNT


def test_a_case_is_made_from_its_number_alone() -> None:
    messages = Messages("token", "/good", ("/hostile",))
    plans = [Plan("osc", 1, 0, 10) for _ in range(2)]
    first, second = ([messages.osc(plan.random(n)) for n in plan.numbers()] for plan in plans)
    assert first == second
    assert len(set(first)) == len(first)
    assert first != [messages.osc(Plan("osc", 2, 0, 10).random(n)) for n in range(10)]


def test_damage_is_bounded_and_mostly_damage() -> None:
    random = Random(1)
    cases = [damaged(random, b"x" * 100) for _ in range(500)]
    assert max(map(len, cases)) <= MAX_BYTES
    assert sum(case != b"x" * 100 for case in cases) > 400


def test_the_counter_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    State(path, 1).save("wav", 500)
    State(path, 2).save("wav", 7)
    State(path, 1).save("osc", 20)
    kept = State(path, 1)
    assert (kept.next_of("wav"), kept.next_of("osc"), kept.next_of("midi")) == (500, 20, 0)
    kept.save("wav", 3)  # a case that was repeated does not turn it back
    assert State(path, 1).next_of("wav") == 500


def test_what_is_touched_is_seen(tmp_path: Path) -> None:
    sentinels = Sentinels(tmp_path / "outside")
    assert sentinels.touched() == []
    (sentinels.folder / "new").write_bytes(b"x")
    sentinels.files[0].write_bytes(b"changed")
    if Sentinels.reading_is_seen(tmp_path):
        sentinels.files[1].read_bytes()
        assert str(sentinels.files[1]) in sentinels.touched()
    assert str(sentinels.folder / "new") in sentinels.touched()
    assert str(sentinels.files[0]) in sentinels.touched()


def test_a_traceback_in_a_log_is_seen_once(tmp_path: Path) -> None:
    log = Log(tmp_path)
    (tmp_path / "daemon.log").write_text("2026 INFO fine\n")
    assert log.news() == []
    with (tmp_path / "daemon.log").open("a") as file:
        file.write("Traceback (most recent call last):\n  boom\n")
    assert len(log.news()) == 1
    assert log.news() == []


def test_a_reader_that_dies_is_a_finding_and_is_replaced() -> None:
    tally = Tally()
    with FileReader() as reader:
        os.kill(reader._process.pid, 9)
        assert "ended with -9" in reader.read("wav", make_file("wav", Random(1)), tally)
        assert reader.read("midi", b"MThd", tally) == ""
    assert tally.outcomes == {"bad_midi": 1}


def test_growth_counts_from_when_it_is_warm() -> None:
    tally = Tally()
    for now_bytes in (10, 50):
        tally.memory(now_bytes)
    tally.settle()
    for now_bytes in (60, 75):
        tally.memory(now_bytes)
    assert tally.growth_bytes == 15
