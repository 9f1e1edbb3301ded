"""A fake engine whose takes are made of the clip, so that each sample is known.

Words of the prompt, with commas as the fields of our scripts have no spaces: `offset=N` places the
take N samples beside the clip's first sample, `rate=N` says that its samples are so many Hz.
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
    return np.concatenate([clip, clip[::-1]]) if task == "extend" else clip[::-1]


class EchoEngine(FakeEngine):
    def render(self, request: RenderRequest, *rest: Any, **how: Any) -> Iterator[Event]:
        orders = dict(word.partition("=")[::2] for word in request.prompt.split(","))
        for event in super().render(request, *rest, **how):
            if isinstance(event, Stem) and request.source is not None:
                clip, clip_hz = soundfile.read(request.source, dtype="float32", always_2d=True)
                take, rate_hz = echo(clip, request.task), int(orders.get("rate", clip_hz))
                soundfile.write(Path(event.path), take, rate_hz, "FLOAT")
                yield replace(
                    event,
                    sample_rate_hz=rate_hz,
                    channels=take.shape[1],
                    length_samples=len(take),
                )
            elif isinstance(event, Done):
                offset = int(orders.get("offset", 0))
                yield replace(event, report=event.report | {"offset_samples": offset})
            else:
                yield event


def create_engine(cache_dir: Path | None, models_file: Path | None = None) -> EchoEngine:
    return EchoEngine()
