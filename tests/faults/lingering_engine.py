"""The real engine, which stays with what comes after a result for as long as a file is there."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from engine.pipeline import Engine

LINGER = "linger"  # in the cache's folder


class _LingeringEngine(Engine):
    def __init__(self, cache_dir: Path, models_file: Path | None) -> None:
        super().__init__(cache_dir, models_file=models_file)
        self._marker = cache_dir / LINGER

    def settle(self, stopped: Callable[[], bool]) -> None:
        def lingering() -> bool:
            while self._marker.exists() and not stopped():
                time.sleep(0.01)
            return stopped()

        super().settle(lingering)


def create_engine(cache_dir: Path, models_file: Path | None = None) -> Engine:
    return _LingeringEngine(cache_dir, models_file)
