"""The index by itself: many who open a new one at the same moment all get it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from engine.cache.index import Index

OPENERS = 4
FILES = 40


def test_nobody_is_turned_away_while_a_new_index_is_made(tmp_path: Path) -> None:
    together = Barrier(OPENERS)

    def open_and_add(who: int) -> None:
        for number in range(FILES):
            together.wait(60)
            index = Index(tmp_path / f"{number}.sqlite3")
            index.add(f"{who}", "source", "model", "loop", 1)
            index.close()

    with ThreadPoolExecutor(OPENERS) as openers:
        list(openers.map(open_and_add, range(OPENERS)))
    for number in range(FILES):
        index = Index(tmp_path / f"{number}.sqlite3")
        assert index.digests() == {str(who) for who in range(OPENERS)}
        index.close()
