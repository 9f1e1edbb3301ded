"""Renders as the product makes them: a request through the engine, and the file read back."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.files.audio import read_clip
from engine.models.house.model import load_house
from engine.pipeline import Engine, create_engine
from engine.render.finish import to_model
from engine.sketch.score import Key
from engine.spec import Done, Preview, RenderRequest, Stem
from evaluation.measures import Audio

_TONICS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


@dataclass(frozen=True, slots=True)
class Rendered:
    """One render.

    Attributes:
        audio: float64 `[2, samples]` at 44.1 kHz, the whole file.
        stems: the same of every other file, by name.
        heard_after_s: from the request to the audio of the first preview.
        report: as the product gives it.
    """

    audio: Audio = field(repr=False)
    stems: dict[str, Audio] = field(repr=False)
    heard_after_s: float
    report: dict[str, Any] = field(repr=False)

    @property
    def new(self) -> Audio:
        """What was made, without the source; in samples of the file at 44.1 kHz."""
        scale = 44_100 / int(self.report["sample_rate_hz"])
        start, stop = (round(at * scale) for at in self.report["new_samples"])
        return self.audio[:, start:stop]


def open_engine(weights: Path | None, device: str | None = None) -> Engine:
    """The engine with these weights or the shipped ones; the device is the engine's own choice."""
    engine = create_engine(None)
    engine.device = device or engine.device
    engine.shelf.put_house(load_house(weights, device=engine.device))
    return engine


def key_text(key: Key) -> str:
    """A key as a request names it."""
    return f"{_TONICS[key.tonic]} {key.mode}"


def _stereo(path: str) -> Audio:
    clip = read_clip(path)
    return to_model(clip.samples, clip.sample_rate_hz).astype(np.float64)


def render(engine: Engine, **wanted: Any) -> Rendered:
    """Render a draft (refine 0 unless asked for); `None` leaves a field to the product."""
    request = RenderRequest.from_mapping({"refine": 0, **wanted})
    files: dict[str, Audio] = {}
    heard_after_s, report = 0.0, None
    begun_s = time.perf_counter()
    with tempfile.TemporaryDirectory() as spool:
        for event in engine.render(request, Path(spool), lambda: False):
            if isinstance(event, Preview):
                heard_after_s = heard_after_s or time.perf_counter() - begun_s
            if isinstance(event, Stem):
                files[event.name] = _stereo(event.path)
            if isinstance(event, Done):
                report = event.report
    assert report is not None, "the render ended without a result"
    return Rendered(files.pop("mix"), files, heard_after_s, report)


@torch.no_grad()
def round_trip(engine: Engine, audio: Audio) -> Audio:
    """Through the codec and back without a guide; float64 `[2, samples]` of the same length."""
    codec = engine.house.codec
    samples = torch.from_numpy(audio.astype(np.float32)).to(engine.device)
    decoded = codec.decode(codec.encode(samples)[None])[0]
    return decoded.cpu().numpy().astype(np.float64)[:, : audio.shape[1]]
