"""The cache's index: which entries there are, how large, and in what order they were used.

SQLite in WAL mode, so several processes may share one cache folder. The files are the truth and
the index only a summary of them: an index that cannot be read is thrown away and built anew.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    digest TEXT PRIMARY KEY,
    source_digest TEXT NOT NULL,
    model_digest TEXT NOT NULL,
    task TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    used INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS oldest ON entries (used);
"""
_NEXT_USE = "(SELECT COALESCE(MAX(used), 0) + 1 FROM entries)"
_BUSY_TIMEOUT_S = 10.0
_BUSY_AGAIN_S = 0.01


def _into_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL mode, waiting for other processes that do the same with a new file.

    SQLite keeps its busy timeout for locks it can wait for, and this switch is none of them: of two
    processes at once it tells one, straight away, that the database is locked.
    """
    until_s = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until_s:
                raise
        time.sleep(_BUSY_AGAIN_S)


class Index:
    """Rows of (digest, what it was made of, bytes, order of use)."""

    def __init__(self, path: Path) -> None:
        """Open or create the index.

        Raises:
            sqlite3.Error: the file cannot be read even after it was made anew.
        """
        self._path = path
        self.rebuilt = False
        try:
            self._connection = self._open()
        except sqlite3.DatabaseError as error:
            # Busy or out of space is no damage; only a file that is not a database is replaced.
            if isinstance(error, sqlite3.OperationalError):
                raise
            for suffix in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    path.with_name(path.name + suffix).unlink()
            self.rebuilt = True
            self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        # Autocommit: `transaction` alone says where a write begins and ends.
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            _into_wal(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
            if connection.execute("PRAGMA quick_check").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("the index fails its own check")
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the write lock over all processes; changes are kept together or not at all."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def add(
        self, digest: str, source_digest: str, model_digest: str, task: str, size_bytes: int
    ) -> None:
        """Note an entry as the one used last, replacing a row of the same digest."""
        self._connection.execute(
            f"INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, {_NEXT_USE})",
            (digest, source_digest, model_digest, task, size_bytes),
        )

    def grow(self, digest: str, size_bytes: int) -> None:
        """Note that an entry is larger by so much; that is no use of it."""
        self._connection.execute(
            "UPDATE entries SET size_bytes = size_bytes + ? WHERE digest = ?", (size_bytes, digest)
        )

    def remove(self, digest: str) -> None:
        """Forget an entry; unknown ones are ignored."""
        self._connection.execute("DELETE FROM entries WHERE digest = ?", (digest,))

    def touch(self, digest: str) -> None:
        """Note that an entry was used now."""
        self._connection.execute(
            f"UPDATE entries SET used = {_NEXT_USE} WHERE digest = ?", (digest,)
        )

    def digests(self) -> set[str]:
        """Every entry known."""
        return {row[0] for row in self._connection.execute("SELECT digest FROM entries")}

    def oldest(self) -> str | None:
        """The entry unused for longest."""
        row = self._connection.execute("SELECT digest FROM entries ORDER BY used LIMIT 1")
        found = row.fetchone()
        return None if found is None else str(found[0])

    def total(self) -> tuple[int, int]:
        """Number of entries and their bytes."""
        row = self._connection.execute(
            "SELECT COUNT(*), COALESCE(SUM(size_bytes), 0) FROM entries"
        ).fetchone()
        return int(row[0]), int(row[1])

    def close(self) -> None:
        """Release the file."""
        self._connection.close()
