"""Finished sections kept as JSON, so that an interrupted evaluation goes on where it stopped.

A result belongs to the weights, the settings and the code it was measured with; when any of them
changes it is measured anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".training" / "evaluation"
# What a figure depends on; the pages only tell what was measured.
MEASURING = (
    "engine",
    "scripts/evaluation",
    "scripts/training_pieces.py",
    "scripts/_effects.py",
    "scripts/_fluidsynth.py",
    "scripts/_tunes.py",
)
_TELLING = ("pages", "page.py", "verdicts.py", "__main__.py", "store.py")

Figures = dict[str, Any]


def code_digest(names: Iterable[str], root: Path = ROOT) -> str:
    """SHA-256 of Python files and of those in folders, in the order of their names."""
    digest = hashlib.sha256()
    for name in names:
        place = root / name
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def measuring_digest(root: Path = ROOT) -> str:
    """SHA-256 of all code that a figure depends on, without the code that writes pages."""
    return code_digest(_measuring_files(root), root)


def _measuring_files(root: Path) -> list[str]:
    found = []
    for name in MEASURING:
        place = root / name
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            own = file.relative_to(root)
            if own.parts[:2] != ("scripts", "evaluation") or own.parts[2] not in _TELLING:
                found.append(str(own))
    return found


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True, slots=True)
class Store:
    """The results of one set of weights under one set of settings.

    Attributes:
        folder: of these weights; the pictures lie beside the results.
        settings: whatever else a result depends on.
    """

    folder: Path
    settings: Mapping[str, Any]

    def _path(self, section: str) -> Path:
        said = json.dumps(dict(self.settings), sort_keys=True)
        return self.folder / f"{section}-{hashlib.sha256(said.encode()).hexdigest()[:12]}.json"

    def load(self, section: str) -> Figures | None:
        """A finished section, or None where it is missing or damaged."""
        try:
            loaded: Figures = json.loads(self._path(section).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return loaded

    def save(self, section: str, figures: Figures) -> None:
        """Keep a finished section; it is there whole or not at all."""
        path = self._path(section)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(figures, indent=1), encoding="utf-8")
        partial.rename(path)
