"""The figures that come with every render: is it exact, can the seams be heard, is it in time."""

from __future__ import annotations

import math
import resource
import sys
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.analysis.grid import grid_figures
from engine.analysis.loudness import loudness_lufs, true_peak_dbfs
from engine.analysis.melody import melody_accuracy
from engine.analysis.seams import seam_figures, wrap_figures
from engine.files.midi import melody_pitches
from engine.musical_time import MusicalTime
from engine.render.splice import source_samples_identical
from engine.tasks.scene import Finished, Samples, Scene
from engine.units import Metre
from engine.window_task import WindowOutcome

_MOST_BARS = 400
_SAME_BEAT = Fraction(1, 500)
_TICKS = 960  # to the beat, as finely as hosts count
_SHOWN = {"curve": 400, "matrix": 48}  # points, or points either way, at most


def build_report(
    scene: Scene,
    finished: Finished,
    samples: Samples,
    draft: tuple[WindowOutcome, ...],
    outcomes: tuple[WindowOutcome, ...],
    digests: Mapping[str, str],
) -> dict[str, Any]:
    """Figures of one render, measured on the samples as the file holds them.

    Args:
        samples: float64 `[channels, samples]`, the file's own values.
        draft, outcomes: losses before and after the optimisation.
        digests: SHA-256 of the result's files by name.

    Returns:
        a JSON object; units are in the names.
    """
    report: dict[str, Any] = {
        "source_samples_identical": _identical(scene, finished, samples),
        "sample_rate_hz": scene.sample_rate_hz,
        "channels": int(samples.shape[0]),
        "length_samples": int(samples.shape[1]),
        "length_error_samples": int(samples.shape[1]) - scene.expected_samples,
        **place_of(scene, int(samples.shape[1])),
        "new_samples": list(finished.new),
        "headroom_db": finished.headroom_db,
        "seams": [_seam(scene, samples, at) for at in finished.seams],
        "losses": {"draft": _losses(draft), "refined": _losses(outcomes)},
        "loss_curve": [round(value, 6) for outcome in outcomes for value in outcome.curve],
        "loudness_lufs": loudness_lufs(samples, scene.sample_rate_hz),
        "true_peak_dbfs": true_peak_dbfs(samples),
        "peak_memory_bytes": peak_memory_bytes(),
        **scene.facts,
    }
    if finished.stems:
        report |= _stems(finished, samples, digests)
    if scene.grid is not None:
        report["grid"] = _grid(scene, finished, samples)
    report |= _wishes(scene, finished, samples)
    melody = scene.melody
    if melody is not None and scene.grid is not None:
        tempo = scene.grid.bpm if scene.grid.time is None else scene.grid.time.tempo
        accuracy = melody_accuracy(
            samples, scene.sample_rate_hz, lambda times: melody_pitches(melody, times, tempo)
        )
        report["melody_accuracy"] = None if accuracy is None else round(accuracy, 4)
    return report


def _wishes(scene: Scene, finished: Finished, samples: Samples) -> dict[str, Any]:
    """What was wished for beside what the new audio does, and the figures of that."""
    rate = scene.sample_rate_hz
    start, stop = finished.new
    shown: list[dict[str, Any]] = []
    figures: dict[str, float] = {}
    for control in scene.controls:
        found = control.compare(samples, rate, new_s=(start / rate, stop / rate))
        if found is None:
            continue
        figures |= {name: round(value, 6) for name, value in found.figures.items()}
        every = max(1, -(-len(found.times_s) // _SHOWN[found.kind]))
        at = slice(None, None, every)
        pair = at if found.kind == "curve" else (at, at)
        shown.append(
            {
                "name": control.name,
                "unit": control.unit,
                "kind": found.kind,
                "times_s": _listed(found.times_s[at]),
                "target": _listed(found.target[pair]),
                "result": _listed(found.result[pair]),
            }
        )
    return {**figures, "controls": shown} if shown else {}


def _listed(values: npt.NDArray[np.float64]) -> list[Any]:
    """Nested lists in JSON's own terms: three decimals, null where nothing is said."""
    if values.ndim > 1:
        return [_listed(row) for row in values]
    return [round(value, 3) if math.isfinite(value) else None for value in values.tolist()]


def _stems(finished: Finished, samples: Samples, digests: Mapping[str, str]) -> dict[str, Any]:
    """Each stem, and how far their sum is from the mix, relative to the mix."""
    total = np.sum(list(finished.stems.values()), axis=0)
    error_db = rms_dbfs(total - samples) - rms_dbfs(samples)
    return {
        "stems": [
            {"name": name, "level_dbfs": round(rms_dbfs(stem), 2), "sha256": digests[name]}
            for name, stem in finished.stems.items()
        ],
        "stem_sum_error_db": round(error_db, 2),
    }


def rms_dbfs(samples: Samples) -> float:
    """Level of `[channels, samples]`; -200 for silence."""
    return float(10 * np.log10(np.mean(samples**2) + 1e-20))


def _identical(scene: Scene, finished: Finished, samples: Samples) -> bool | None:
    if scene.source is None:
        return None
    return source_samples_identical(scene.source.samples, samples, finished.kept)


def _seam(scene: Scene, samples: Samples, at: int) -> dict[str, float | int]:
    own = samples if scene.source is None else scene.source.samples
    if at == 0:
        return wrap_figures(samples, scene.sample_rate_hz, source=own)
    return seam_figures(samples, scene.sample_rate_hz, at, source=own)


def _grid(scene: Scene, finished: Finished, samples: Samples) -> dict[str, Any]:
    """The grid and how well the new audio keeps to it."""
    assert scene.grid is not None
    grid = scene.grid
    rate = scene.sample_rate_hz
    starts_s = scene.grid_start_samples / rate
    figures: dict[str, Any] = {
        "bpm": round(grid.bpm, 4),
        "metre": str(grid.metre),
        "given": grid.given,
        "confidence": round(grid.confidence, 3),
        "first_beat_s": round((grid.first_beat_s - starts_s) % grid.bar_s, 6),
    }
    if grid.time is not None:
        start, stop = finished.new
        first, length = Fraction(scene.grid_start_samples, rate), Fraction(samples.shape[1], rate)
        figures |= _counted(grid.time, first, length)
        time = grid.time.later(grid.time.tempo.beats_at(first + Fraction(start, rate)))
        figures |= grid_figures(samples[:, start:stop], rate, grid.bpm, time=time)
    elif grid.trusted:
        start, stop = finished.new
        begins_s = starts_s + start / scene.sample_rate_hz
        figures |= grid_figures(
            samples[:, start:stop],
            scene.sample_rate_hz,
            grid.bpm,
            first_beat_s=grid.first_beat_s - begins_s,
        )
    return figures


def place_of(scene: Scene, length_samples: int) -> dict[str, Any]:
    """Where the result belongs: beside its source, and in the host's song where that is known."""
    rate, offset = scene.sample_rate_hz, scene.grid_start_samples
    place: dict[str, Any] = {
        "offset_samples": offset,
        "position_samples": None,
        "position_beats": None,
        "length_beats": None,
    }
    grid = scene.grid
    if grid is None:
        return place
    if grid.time is None:
        if grid.trusted:
            place["length_beats"] = round(length_samples / rate / grid.beat_s, 6)
        return place
    time = grid.time
    start = _tick(time, Fraction(offset, rate), rate)
    end = _tick(time, Fraction(offset + length_samples, rate), rate)
    place["position_samples"] = time.song_samples_at(0, rate) + offset
    place["position_beats"] = round(float(time.position_beats + start), 6)
    place["length_beats"] = round(float(end - start), 6)
    return place


def _tick(time: MusicalTime, seconds: Fraction, rate: int) -> Fraction:
    """The beat of a moment that was rounded to a sample: the tick it was meant to be, if any."""
    at = time.tempo.beats_at(seconds)
    tick = at.limit_denominator(_TICKS)
    near = abs(time.tempo.seconds_at(tick) - seconds) * rate <= 1
    return tick if near else at


def _counted(time: MusicalTime, starts_s: Fraction, length_s: Fraction) -> dict[str, Any]:
    """Tempo and metre changes and the bar lines of a result, on its own axis.

    Args:
        starts_s: where the result begins on the axis of `time`.
    """
    start, stop = (time.tempo.beats_at(at) for at in (starts_s, starts_s + length_s))
    own = time.later(start)
    # The end was rounded to a sample: a bar line that it is meant to be is none of the result's.
    lines = list(own.metres.bar_lines(0, stop - start - _SAME_BEAT))
    figures: dict[str, Any] = {
        "first_beat_s": round(float(own.tempo.seconds_at(lines[0])), 6) if lines else 0.0,
        "bar_lines_s": [round(float(own.tempo.seconds_at(at)), 6) for at in lines[:_MOST_BARS]],
    }
    for name, whole in (("tempo_map", own.tempo), ("metres", own.metres)):
        part = whole.within(0, stop - start)
        if not part.is_constant:
            figures[name] = [
                {"at_beat": float(max(at, Fraction(0))), "value": _plain(value)}
                for at, value in part.changes
            ]
    return figures


def _plain(value: Fraction | Metre) -> float | str:
    return str(value) if isinstance(value, Metre) else round(float(value), 4)


def _losses(outcomes: tuple[WindowOutcome, ...]) -> dict[str, float]:
    """Mean over the windows of each objective's loss."""
    names = {name for outcome in outcomes for name in outcome.losses}
    return {
        name: float(np.mean([o.losses[name] for o in outcomes if name in o.losses]))
        for name in sorted(names)
    }


def peak_memory_bytes() -> int:
    """Largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
