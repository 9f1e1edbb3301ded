"""How much of music survives the codec, without a model and without a guide."""

from __future__ import annotations

import time
from collections.abc import Iterable

from evaluation.bench import Bench, pictured
from evaluation.material import (
    HELD_OUT_SEEDS,
    RATE_HZ,
    excerpts,
    recording_audio,
    recordings,
)
from evaluation.measures import Audio, level_db, mel_error
from evaluation.product import round_trip
from evaluation.store import Figures

_EXCERPT_S, _LONGEST_S = 6.0, 12.0


def _through(
    bench: Bench, sounds: Iterable[tuple[str, Audio]]
) -> tuple[Figures, list[list[tuple[str, Audio]]]]:
    names, errors, levels_db, seconds, spent_s, pairs = [], [], [], 0.0, 0.0, []
    for name, audio in sounds:
        begun_s = time.perf_counter()
        decoded = round_trip(bench.engine, audio)
        spent_s += time.perf_counter() - begun_s
        seconds += audio.shape[1] / RATE_HZ
        names.append(name)
        errors.append(mel_error(audio, decoded, RATE_HZ))
        levels_db.append(level_db(decoded) - level_db(audio))
        pairs.append([(name, audio), (f"{name}, through the codec", decoded)])
    figures: Figures = {
        "names": names,
        "errors": errors,
        "level_changes_db": levels_db,
        "seconds": seconds,
        "spent_s": spent_s,
    }
    return figures, pairs


def measure(bench: Bench) -> Figures:
    """Errors of the round trip on held-out renders and on real recordings."""
    codec = bench.engine.house.codec
    pieces = excerpts(HELD_OUT_SEEDS, bench.plan.codec_pieces, _EXCERPT_S)
    renders, pairs = _through(bench, ((f"{e.piece.style}, number {e.seed}", e.mix) for e in pieces))
    rows = [pairs[index] for index in pictured(len(pairs))]
    found = recordings(bench.recordings, bench.plan.codec_recordings)
    real = None
    if found:
        longest = round(_LONGEST_S * RATE_HZ)
        real, pairs = _through(bench, ((p.stem, recording_audio(p)[:, :longest]) for p in found))
        rows += [pairs[index] for index in pictured(len(pairs))[:2]]
    bench.draw("codec", rows)
    return {
        "renders": renders,
        "recordings": real,
        "channels": codec.latent_channels,
        "steps_hz": codec.sample_rate_hz / codec.step_samples,
    }
