"""`--plot`: a picture of a take, drawn in this process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daw_bridge.commands.result import Finished
from engine.units import Metre


def draw(finished: Finished, path: Path) -> None:
    """Draw waveform and spectrogram of a take, with its seams and what was kept of the source.

    Below them every wish of the report beside what came of it.

    Raises:
        BridgeError: `bad_audio` when the take cannot be read.
        OSError: the file cannot be written.
    """
    # Brings numpy and matplotlib, which nothing else here needs.
    from engine.files.audio import read_clip
    from engine.render.plot import Panel, plot_render
    from engine.render.wishes import Wish

    clip = read_clip(finished.path)
    panel = Panel(
        title=title_of(finished),
        samples=clip.samples,
        sample_rate_hz=clip.sample_rate_hz,
        seams=[seam["at_sample"] for seam in finished.report.get("seams", ())],
        kept=kept_ranges(finished.report, clip.length_samples),
        **_bars(finished.report),
    )
    plot_render(path, panel, [Wish.of(entry) for entry in finished.report.get("controls", ())])


def title_of(finished: Finished) -> str:
    """What was asked, in a line: `extend groove, 4 bars, seed 0`."""
    request = finished.recipe.get("request", {})
    origin = request.get("source") or request.get("melody")
    subject = Path(origin).stem if origin else request.get("prompt", "")
    length = f"{request['bars']:g} bars" if "bars" in request else ""
    if "seconds" in request:
        length = f"{request['seconds']:g} s"
    parts = (f"{request.get('task', '')} {subject}".strip(), length, f"take {finished.take}")
    return ", ".join(part for part in parts if part)


def kept_ranges(report: Mapping[str, Any], length_samples: int) -> list[tuple[int, int]]:
    """The ranges that are the source's own: everything beside the new audio."""
    if report.get("source_samples_identical") is None or "new_samples" not in report:
        return []
    start, stop = report["new_samples"]
    return [part for part in ((0, start), (stop, length_samples)) if part[0] < part[1]]


def _bars(report: Mapping[str, Any]) -> dict[str, Any]:
    """Bar lines, where it is known on which sample the bars begin."""
    grid = report.get("grid") or {}
    if "bar_lines_s" in grid:
        return {"bar_lines_s": grid["bar_lines_s"]}
    if "first_beat_s" not in grid:
        return {}
    return {
        "bpm": grid["bpm"],
        "bar_beats": float(Metre.parse(grid["metre"]).bar_beats),
        "first_beat_s": grid["first_beat_s"],
    }
