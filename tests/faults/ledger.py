"""What clients were told, and whether the disk agrees with it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from engine.spec import RenderRequest
from tests.daw_bridge.fake_engine import results_of

MAX_OPEN = 6


@dataclass
class Ledger:
    """Every promise that a daemon has made to its clients.

    Attributes:
        accepted: what was asked for, by the job that was promised.
        done: the take of a job that was told to be there.
        failed: code and message of a job that was told to have failed.
    """

    accepted: dict[str, RenderRequest] = field(default_factory=dict)
    done: dict[str, str] = field(default_factory=dict)
    failed: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def open_jobs(self) -> list[str]:
        """Jobs whose end has not been told."""
        return [job for job in self.accepted if job not in self.done and job not in self.failed]

    def hear(self, event: dict[str, Any]) -> None:
        """Note the end of a job; one that was told before must have been told the same."""
        job = event["job"]
        if event["event"] == "done":
            assert self.done.setdefault(job, event["take"]) == event["take"]
            assert job not in self.failed
        elif event["event"] == "failed":
            assert event["message"], event
            self.failed[job] = (event["code"], event["message"])
            assert job not in self.done
        else:
            assert event["event"] in ("progress", "preview"), event

    def check_journal(self, data_dir: Path, scratch: Path) -> dict[str, dict[str, Any]]:
        """The journal of a dead daemon is whole and knows every promise; its rows by job.

        It is a copy that is opened, so that the next daemon finds what the last one left.
        """
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        for path in data_dir.glob("journal.sqlite3*"):
            shutil.copy(path, scratch)
        db = sqlite3.connect(scratch / "journal.sqlite3")
        db.row_factory = sqlite3.Row
        try:
            assert [row[0] for row in db.execute("PRAGMA integrity_check")] == ["ok"]
            has_table = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'jobs'").fetchone()
            found = db.execute("SELECT * FROM jobs").fetchall() if has_table else []
        finally:
            db.close()
        rows = {f"j-{row['number']:04d}": dict(row) for row in found}
        for job, request in self.accepted.items():
            row = rows[job]
            assert RenderRequest.from_mapping(json.loads(row["request"])) == request
            assert row["state"] in ("queued", "running", "done", "failed"), (job, row)
            if row["state"] == "failed":
                assert json.loads(row["error"])["message"]
        for job, take in self.done.items():
            assert (rows[job]["state"], rows[job]["take"]) == ("done", take)
        for job in self.failed:
            assert rows[job]["state"] == "failed"
        return rows

    def check_takes(self, data_dir: Path, among: set[str] | None = None) -> int:
        """Every take is complete, made once and as its engine made it; how many there are.

        Args:
            among: the takes to compare; all by default.
        """
        job_of: dict[str, str] = {}
        for folder in (data_dir / "takes").glob("t-*"):
            record = json.loads((folder / "take.json").read_text())
            job_of[folder.name] = record["job"]
            if among is None or folder.name in among:
                recipe = json.loads((folder / "recipe.json").read_text())
                json.loads((folder / "report.json").read_text())
                _check_files(folder, record, RenderRequest.from_mapping(recipe["request"]))
        assert len(set(job_of.values())) == len(job_of), "a job has made two takes"
        for job, take in self.done.items():
            assert job_of[take] == job
        return len(job_of)


def _check_files(folder: Path, record: dict[str, Any], request: RenderRequest) -> None:
    made = {name: (data, length) for name, data, length in results_of(request)}
    assert {item["name"] for item in record["files"]} == set(made)
    for item in record["files"]:
        data, length = made[item["name"]]
        assert (folder / item["file"]).read_bytes() == data
        assert item["length_samples"] == length


def some_request(random: Random) -> RenderRequest:
    """A render that takes up to a tenth of a second, of a mix or of a mix with two stems; the
    engine is busy a little longer than that."""
    return RenderRequest(
        "generate",
        seconds=round(random.uniform(0.05, 0.15), 3),
        seed=random.randrange(10**6),
        prompt=f"sleep={random.uniform(0, 0.1):.3f} settle={random.uniform(0, 0.05):.3f}"
        + random.choice(("", " stems=drums,bass")),
    )
