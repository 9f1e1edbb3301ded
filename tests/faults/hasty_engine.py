"""The real engine, which keeps its checkpoints more often than every two seconds, so that a test
needs not wait for them."""

from __future__ import annotations

from pathlib import Path

from engine import checkpoints
from engine.pipeline import Engine


def create_engine(cache_dir: Path | None, models_file: Path | None = None) -> Engine:
    checkpoints.MIN_INTERVAL_S = 0.2
    checkpoints._MAX_SHARE = 0.05
    return Engine(cache_dir, models_file=models_file)
