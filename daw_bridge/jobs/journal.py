"""The journal: accepted jobs in SQLite, so that none is lost when the daemon dies.

The database is locked for as long as the daemon runs, which also keeps a second daemon off the
same data folder. Write-ahead logging without a sync at each commit survives the death of the
process; a power cut may lose the last moments, never the database.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from daw_bridge.jobs.queue import Job, Placement, Priority, State
from engine.spec import BridgeError, Failed, RenderRequest

_SCHEMA_VERSION = 2
_PRUNE_EVERY = 100
_CACHE_KIB = 256
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    request TEXT NOT NULL,
    state TEXT NOT NULL,
    crashes INTEGER NOT NULL,
    created_s REAL NOT NULL,
    started_s REAL,
    finished_s REAL,
    take TEXT,
    error TEXT,
    slot TEXT NOT NULL DEFAULT '',
    priority TEXT NOT NULL DEFAULT 'interactive',
    reason TEXT NOT NULL DEFAULT ''
);
"""
# Columns that a journal of an earlier version lacks, as they stand in the schema.
_ADDED = tuple(line.strip().rstrip(",") for line in _SCHEMA.splitlines() if "DEFAULT" in line)
_COLUMNS = (
    "number", "request", "state", "crashes", "created_s", "started_s", "finished_s", "take",
    "error", "slot", "priority", "reason",
)  # fmt: skip


class Journal:
    """An open journal; a context manager.

    Args:
        max_finished: jobs that are over to keep; older ones are forgotten.

    Raises:
        BridgeError: `unavailable` when another daemon holds it, or it cannot be opened.
    """

    def __init__(self, path: Path, max_finished: int) -> None:
        self._max_finished = max_finished
        try:
            self._db = sqlite3.connect(path, timeout=0.2, isolation_level=None)
        except sqlite3.Error as error:
            raise BridgeError("unavailable", f"{path} cannot be opened: {error}") from None
        try:
            self._open()
        except sqlite3.Error as error:
            self._db.close()
            if "locked" in str(error):
                raise BridgeError(
                    "unavailable",
                    f"another daemon uses {path.parent}",
                    "stop it, or give this one its own --data-dir",
                ) from None
            raise BridgeError(
                "unavailable",
                f"{path} is damaged: {error}",
                "move it away; takes and recipes are kept outside of it",
            ) from None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self) -> None:
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        # It is written a row at a time and read at the start only: what was written needs no copy.
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        # The lock is taken by the first write.
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute(_SCHEMA)
        present = {row[1] for row in self._db.execute("PRAGMA table_info(jobs)")}
        for column in _ADDED:
            if column.split()[0] not in present:
                self._db.execute(f"ALTER TABLE jobs ADD COLUMN {column}")
        self._db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        self._db.execute("COMMIT")
        self._prune()

    def record(self, job: Job) -> None:
        """Write a job's present state.

        Raises:
            BridgeError: `unavailable` when the disk refuses.
        """
        error = json.dumps(asdict(job.error)) if job.error else None
        values = (
            job.number,
            json.dumps(job.request.to_mapping()),
            str(job.state),
            job.crashes,
            job.created_s,
            job.started_s,
            job.finished_s,
            job.take,
            error,
            _storable(job.placement.slot),
            str(job.placement.priority),
            _storable(job.reason),
        )
        marks = ", ".join("?" * len(_COLUMNS))
        try:
            self._db.execute(f"REPLACE INTO jobs ({', '.join(_COLUMNS)}) VALUES ({marks})", values)
            if job.over and job.number % _PRUNE_EVERY == 0:
                self._prune()
        except (sqlite3.Error, ValueError) as failure:
            raise BridgeError(
                "unavailable", f"the journal cannot be written: {failure}", "is the disk full?"
            ) from None

    def load(self) -> list[Job]:
        """Every job, oldest first; one that this version cannot read any more is failed."""
        rows = self._db.execute(f"SELECT {', '.join(_COLUMNS)} FROM jobs ORDER BY number")
        return [_job_of(dict(zip(_COLUMNS, row, strict=True))) for row in rows]

    def next_number(self) -> int:
        """A number that no job ever had."""
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").fetchone()
        return (row[0] if row else 0) + 1

    def _prune(self) -> None:
        over = [str(state) for state in (State.DONE, State.FAILED, State.CANCELLED)]
        self._db.execute(
            "DELETE FROM jobs WHERE state IN (?, ?, ?) AND number NOT IN "
            "(SELECT number FROM jobs WHERE state IN (?, ?, ?) ORDER BY number DESC LIMIT ?)",
            (*over, *over, self._max_finished),
        )

    def close(self) -> None:
        """Close the database and release the lock."""
        self._db.close()


def _storable(text: str) -> str | bytes:
    """As SQLite takes it: bytes where it is no Unicode, such as a name that was cut in an emoji."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass")
    return text


def _stored(value: str | bytes) -> str:
    return value.decode(errors="surrogatepass") if isinstance(value, bytes) else value


def _job_of(row: dict[str, Any]) -> Job:
    try:
        request = RenderRequest.from_mapping(json.loads(row["request"]))
        state, error = State(row["state"]), json.loads(row["error"]) if row["error"] else None
        failed = Failed(**error) if error else None
        placement = Placement(_stored(row["slot"]), Priority(row["priority"]))
    except (BridgeError, ValueError, TypeError) as problem:
        request, state, placement = RenderRequest("generate"), State.FAILED, Placement()
        failed = Failed("bad_request", f"the journal's entry cannot be read: {problem}"[:300])
    return Job(
        number=row["number"],
        request=request,
        created_s=row["created_s"],
        state=state,
        crashes=row["crashes"],
        started_s=row["started_s"],
        finished_s=row["finished_s"],
        fraction=1.0 if state is State.DONE else 0.0,
        take=row["take"],
        error=failed,
        placement=placement,
        reason=_stored(row["reason"]),
    )
