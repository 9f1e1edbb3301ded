"""The training scripts as modules; they are no package."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

_SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"


def load(name: str) -> ModuleType:
    """The script with this name, imported as its neighbours import it; `sys.path` is left alone."""
    before = list(sys.path)
    sys.path.insert(0, str(_SCRIPTS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path[:] = before
