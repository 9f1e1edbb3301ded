"""File names that say what a take is."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

from engine.spec import RenderRequest

MAX_CLIP_LENGTH = 48
_NOT_IN_NAMES = re.compile(r"[^\w.-]+")


def slug(text: str, limit: int = MAX_CLIP_LENGTH) -> str:
    """Text as a part of a file name: letters, digits, dots and dashes.

    >>> slug("My Groove (final) #2")
    'My-Groove-final-2'
    """
    return _NOT_IN_NAMES.sub("-", text).strip("-._")[:limit].strip("-._")


def take_slug(request: RenderRequest, report: dict[str, Any]) -> str:
    """Clip, task, tempo, bars and seed: `groove-extend-120bpm-4bars-seed7`."""
    origin = request.source or request.melody
    clip = slug(PurePath(origin).stem if origin else request.prompt)
    bpm = request.bpm or _estimated_bpm(report)
    parts = [
        clip,
        request.task,
        f"{round(bpm, 2):g}bpm" if bpm else "",
        f"{request.bars:g}bars" if request.bars else "",
        f"seed{request.seed}",
    ]
    return "-".join(part for part in parts if part)


def _estimated_bpm(report: dict[str, Any]) -> float | None:
    grid = report.get("grid")
    bpm = grid.get("bpm") if isinstance(grid, dict) else None
    return float(bpm) if isinstance(bpm, int | float) and bpm > 0 else None
