"""A cache with room for everything that is put into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.cache import CacheKey, LatentCache, cache_key

ROOMY_BYTES = 10**7


@pytest.fixture
def problems() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, problems: list[str]) -> Iterator[LatentCache]:
    opened = LatentCache(tmp_path / "cache", ROOMY_BYTES, problems.append)
    yield opened
    opened.close()


def make_key(name: str) -> CacheKey:
    return cache_key("clip", {"task": "extend", "prompt": name}, "house", "1")
