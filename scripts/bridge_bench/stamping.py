"""An engine that does nothing but say when it said it, in the first samples of its previews."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine.spec import Event, Preview, RenderRequest
from tests.daw_bridge.fake_engine import CHANNELS, SAMPLE_RATE_HZ, FakeEngine

PREVIEW_S = 6.0
REPEATS = 20
_PAUSE_S = 0.05
_STAMP = struct.Struct("<q")


class _StampingEngine(FakeEngine):
    def render(
        self, request: RenderRequest, spool_dir: Path, cancelled: Callable[[], bool], **how: Any
    ) -> Iterator[Event]:
        rest = bytes(round(PREVIEW_S * SAMPLE_RATE_HZ) * CHANNELS * 4 - _STAMP.size)
        if "stamps" in request.prompt:
            for revision in range(REPEATS):
                time.sleep(_PAUSE_S)
                stamped = _STAMP.pack(time.monotonic_ns()) + rest
                yield Preview(revision, 0, SAMPLE_RATE_HZ, CHANNELS, stamped)
        yield from super().render(request, spool_dir, cancelled, **how)


def create_engine(cache_dir: Path | None, models_file: Path | None = None) -> FakeEngine:
    """For `--engine-factory`."""
    return _StampingEngine()


def age_ms(pcm: bytes) -> float:
    """Milliseconds since a preview was made; the clock is that of the whole machine."""
    return (time.monotonic_ns() - int(_STAMP.unpack_from(pcm)[0])) / 1e6
