"""An engine that reads what it is told to and renders nothing: what is fuzzed is the way there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine.files.audio import read_clip
from engine.files.midi import read_melody
from engine.files.read import read_bytes
from engine.spec import PATH_FIELDS, Cancelled, Done, Event, RenderRequest

_MAX_BYTES = 1 << 20


class Reader:
    """Opens every path of a request, as the real engine would, and finishes without audio."""

    def warm_up(self) -> None:
        """Nothing to load."""

    def info(self) -> dict[str, Any]:
        """What it is."""
        return {"device": "none", "models": []}

    def unload(self) -> None:
        """Nothing to free."""

    def settle(self, stopped: Callable[[], bool]) -> None:
        """Nothing is left to do."""

    def estimate(self, request: RenderRequest) -> dict[str, Any]:
        """Nothing is needed to read."""
        return {
            "cached": False,
            "policy": "none",
            "needed_bytes": 0,
            "free_bytes": None,
            "evaluations_least": 0,
            "evaluations_most": 0,
            "seconds": None,
        }

    def render(
        self,
        request: RenderRequest,
        spool_dir: Path,
        cancelled: Callable[[], bool],
        *,
        sparing: bool = False,
    ) -> Iterator[Event]:
        """Read; a refusal ends the job with its error."""
        for name in PATH_FIELDS:
            path = getattr(request, name)
            if path is None:
                continue
            if name == "melody":
                read_melody(path)
            elif name.endswith("_from"):
                read_bytes(Path(path), code="bad_request", wanted="a file", max_bytes=_MAX_BYTES)
            else:
                read_clip(path)
        yield Cancelled() if cancelled() else Done({}, {})


def create_engine(cache_dir: Path | None, models_file: Path | None = None) -> Reader:
    """The engine's factory."""
    return Reader()
