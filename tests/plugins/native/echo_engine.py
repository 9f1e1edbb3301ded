"""A fake engine whose takes are made of the clip, so that a test knows every sample of them.

Words of the prompt, beside those of the fake engine: `offset=N` places the take N samples beside
the clip's first sample, `bits=24` writes 24-bit integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from engine.spec import Done, Event, RenderRequest, Stem
from tests.daw_bridge.fake_engine import FakeEngine


def echo(clip: np.ndarray, task: str) -> np.ndarray:
    """What this engine makes of a clip: an extension keeps it, all else turns it round."""
    backwards = clip[::-1] * np.float32(0.5)
    return np.concatenate([clip, backwards]) if task == "extend" else backwards


class EchoEngine(FakeEngine):
    def render(self, request: RenderRequest, *rest: Any, **how: Any) -> Iterator[Event]:
        orders = dict(word.partition("=")[::2] for word in request.prompt.split())
        place = {"offset_samples": int(orders.get("offset", 0))}
        for event in super().render(request, *rest, **how):
            if isinstance(event, Stem):
                assert request.source is not None
                clip, rate_hz = soundfile.read(request.source, dtype="float32", always_2d=True)
                take = echo(clip, request.task)
                subtype = "PCM_24" if orders.get("bits") == "24" else "FLOAT"
                soundfile.write(Path(event.path), take, rate_hz, subtype)
                yield replace(event, sample_rate_hz=rate_hz, length_samples=len(take))
            elif isinstance(event, Done):
                yield replace(event, report=event.report | place)
            else:
                yield event


def create_engine(cache_dir: Path | None, models_file: Path | None = None) -> EchoEngine:
    return EchoEngine()
