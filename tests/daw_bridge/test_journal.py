from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from daw_bridge.jobs.journal import Journal
from daw_bridge.jobs.queue import Job, Placement, Priority, State
from engine.spec import BridgeError, Failed, RenderRequest

KEEP = 3
REQUEST = RenderRequest("loop", source="/clips/ä.wav", bars=4.0, bpm=123.4, metre="7/8")


def test_jobs_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    jobs = [
        Job(1, REQUEST, 1.5, State.DONE, 1, 2.0, 3.0, fraction=1.0, take="t-0001"),
        Job(2, REQUEST, 1.5, State.FAILED, error=Failed("bad_audio", "empty", "choose another")),
        Job(3, REQUEST, 1.5, State.QUEUED, placement=Placement("verse", Priority.BATCH)),
        Job(4, REQUEST, 1.5, State.CANCELLED, reason="superseded by j-0005"),
        Job(5, REQUEST, 1.5, State.QUEUED, placement=Placement("cut in an emoji \ud83c")),
        Job(6, REQUEST, 1.5, State.QUEUED, reason="superseded in slot \udce9"),
    ]
    with Journal(path, KEEP) as journal:
        for job in jobs:
            journal.record(job)
    with Journal(path, KEEP) as journal:
        assert journal.load() == jobs
        assert journal.next_number() == 7


def test_numbers_are_not_used_again_after_pruning(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    with Journal(path, 10) as journal:
        journal.record(Job(1, REQUEST, 0.0, State.QUEUED))
        for number in range(2, 7):
            journal.record(Job(number, REQUEST, 0.0, State.CANCELLED))
    with Journal(path, 0) as journal:
        assert [job.number for job in journal.load()] == [1]
        assert journal.next_number() == 7


def test_journal_of_a_long_run_does_not_grow(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite3", KEEP) as journal:
        for number in range(1, 301):
            journal.record(Job(number, REQUEST, 0.0, State.DONE, take="t-0001"))
        assert [job.number for job in journal.load()] == [298, 299, 300]


def test_second_daemon_is_kept_off(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    with Journal(path, KEEP), pytest.raises(BridgeError, match="another daemon"):
        Journal(path, KEEP)
    Journal(path, KEEP).close()


def test_damaged_journal_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(BridgeError, match="damaged"):
        Journal(path, KEEP)


def test_entry_that_cannot_be_read_is_failed_and_keeps_its_number(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    with Journal(path, KEEP) as journal:
        journal.record(Job(1, REQUEST, 0.0))
    with sqlite3.connect(path) as db:
        db.execute("""UPDATE jobs SET request = '{"task": "dance"}'""")
    db.close()
    with Journal(path, KEEP) as journal:
        (job,) = journal.load()
    assert (job.number, job.state) == (1, State.FAILED)


def test_disk_that_refuses_is_an_error_of_ours(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite3", KEEP)
    journal.close()
    with pytest.raises(BridgeError) as caught:
        journal.record(Job(1, REQUEST, 0.0))
    assert caught.value.code == "unavailable"


def test_journal_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    with Journal(path, KEEP) as journal:
        journal.record(Job(1, REQUEST, 0.0))
    with sqlite3.connect(path) as db:
        for column in ("slot", "priority", "reason"):
            db.execute(f"ALTER TABLE jobs DROP COLUMN {column}")
    db.close()
    with Journal(path, KEEP) as journal:
        assert journal.load() == [Job(1, REQUEST, 0.0)]
        journal.record(Job(2, REQUEST, 0.0, placement=Placement("verse", Priority.BATCH)))
        assert journal.load()[1].placement.slot == "verse"
