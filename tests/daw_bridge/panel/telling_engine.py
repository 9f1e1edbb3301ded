"""The fake engine with all that the real one tells: losses, previews, seams, a grid."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine.spec import Done, Event, Preview, Progress, RenderRequest, Stem
from tests.daw_bridge.fake_engine import CHANNELS, SAMPLE_RATE_HZ, FakeEngine, wav_bytes

LENGTH_S = 2.0
SEAM_S = 1.0
PREVIEW_S = 0.5
LOSSES = (0.5, 0.2, 0.3, 0.1)
STEMS = ("drums", "mix")


class TellingEngine(FakeEngine):
    def render(
        self,
        request: RenderRequest,
        spool_dir: Path,
        cancelled: Callable[[], bool],
        *,
        sparing: bool = False,
    ) -> Iterator[Event]:
        for step, loss in enumerate(LOSSES, 1):
            done = 0.1 + 0.1 * step
            yield Progress("refine", done, step, len(LOSSES), 2.0, loss, min(LOSSES[:step]))
            if step in (2, 3):
                yield Preview(
                    step - 2, preview_offset(), SAMPLE_RATE_HZ, CHANNELS, preview_pcm(step - 2)
                )
        for event in super().render(request, spool_dir, cancelled, sparing=sparing):
            if isinstance(event, Stem):
                yield from _stems(request, spool_dir)
            elif isinstance(event, Done):
                yield Done(
                    _report(request), {"request": request.to_mapping(), "resolved": {"refine": 4}}
                )
            elif not isinstance(event, Progress):
                yield event


def preview_offset() -> int:
    return round(SEAM_S * SAMPLE_RATE_HZ)


def preview_pcm(revision: int) -> bytes:
    """Half a second of a quiet tone, higher with each revision."""
    count = round(PREVIEW_S * SAMPLE_RATE_HZ)
    values = (
        0.1 * math.sin(2 * math.pi * 220 * (revision + 1) * n / SAMPLE_RATE_HZ)
        for n in range(count)
        for _ in range(CHANNELS)
    )
    return struct.pack(f"<{CHANNELS * count}f", *values)


def _stems(request: RenderRequest, spool_dir: Path) -> Iterator[Stem]:
    length = round(LENGTH_S * SAMPLE_RATE_HZ)
    for number, name in enumerate(STEMS):
        path = spool_dir / f"{name}.wav"
        path.write_bytes(wav_bytes(length, request.seed + number, "24"))
        yield Stem(name, str(path), SAMPLE_RATE_HZ, CHANNELS, length)


def _seam(at_sample: int, step: float, flux: float, timbre: float) -> dict[str, Any]:
    ratios = {"step_ratio": step, "flux_ratio": flux, "timbre_ratio": timbre}
    return {"at_sample": at_sample, **ratios, "level_step_db": -1.5}


def _report(request: RenderRequest) -> dict[str, Any]:
    length, seam = round(LENGTH_S * SAMPLE_RATE_HZ), round(SEAM_S * SAMPLE_RATE_HZ)
    return {
        "source_samples_identical": True,
        "length_samples": length,
        "length_error_samples": 0,
        "offset_samples": 0,
        "length_beats": 8.0,
        "headroom_db": 0.0,
        "new_samples": [seam, length],
        "seams": [_seam(seam, 0.4, 1.3, 2.1), _seam(0, 0.2, 0.3, 0.4)],
        "loss_curve": list(LOSSES),
        "loudness_lufs": -10.0,
        "true_peak_dbfs": -0.5,
        "grid": {"bpm": 240.0, "metre": "4/4", "given": True, "confidence": 1.0,
                 "first_beat_s": 0.0, "tempo_error_percent": 0.1},
        "seed": request.seed,
        "device": "fake",
        "model": {"name": "house", "digest": "abc"},
        "timings_s": {"total": 0.1},
    }  # fmt: skip


def create_engine(cache_dir: Path | None, models_file: Path | None = None) -> TellingEngine:
    return TellingEngine()
