"""An engine that can be away: it renders only while the folder of its cache has a file `ready`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.spec import BridgeError, Event
from tests.daw_bridge.fake_engine import FakeEngine

PROBLEM = "the drive with the model is not there"


class AbsentEngine(FakeEngine):
    def __init__(self, cache_dir: Path) -> None:
        self._ready = cache_dir / "ready"

    def render(self, *given: Any, **how: Any) -> Iterator[Event]:
        if not self._ready.exists():
            raise BridgeError("unavailable", PROBLEM)
        yield from super().render(*given, **how)


def create_engine(cache_dir: Path | None, models_file: Path | None = None) -> AbsentEngine:
    assert cache_dir is not None
    return AbsentEngine(cache_dir)
