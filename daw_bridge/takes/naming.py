"""File names that say what a take is."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

from engine.spec import RenderRequest

MAX_CLIP_LENGTH = 48
_MAX_KEY_LENGTH = 24  # a request's key is free text
_NOT_IN_NAMES = re.compile(r"[^\w.-]+")


def slug(text: str, limit: int = MAX_CLIP_LENGTH) -> str:
    """Text as a part of a file name: letters, digits, dots and dashes.

    >>> slug("My Groove (final) #2")
    'My-Groove-final-2'
    """
    return _NOT_IN_NAMES.sub("-", text).strip("-._")[:limit].strip("-._")


def take_slug(request: RenderRequest, report: dict[str, Any]) -> str:
    """Clip, task, tempo, key, bars and seed: `groove-extend-120bpm-A-minor-4bars-seed7`."""
    origin = request.source or request.melody
    clip = slug(PurePath(origin).stem if origin else request.prompt)
    bpm = request.bpm or _estimated_bpm(report)
    parts = [
        clip,
        request.task,
        f"{round(bpm, 2):g}bpm" if bpm else "",
        _key(request, report),
        f"{request.bars:g}bars" if request.bars else "",
        f"seed{request.seed}",
    ]
    return "-".join(part for part in parts if part)


def _key(request: RenderRequest, report: dict[str, Any]) -> str:
    """The key that was asked for, composed in or heard: `Fsharp-minor`."""
    names = (request.key, report.get("key"), report.get("heard_key"))
    key = next((name for name in names if isinstance(name, str) and name), "")
    return slug(key.replace("#", "sharp").replace("♯", "sharp").replace("♭", "b"), _MAX_KEY_LENGTH)


def _estimated_bpm(report: dict[str, Any]) -> float | None:
    grid = report.get("grid")
    bpm = grid.get("bpm") if isinstance(grid, dict) else None
    return float(bpm) if isinstance(bpm, int | float) and bpm > 0 else None
