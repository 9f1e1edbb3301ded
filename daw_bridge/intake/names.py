"""Names of files that clients hand in: a harmless part of what they say."""

from __future__ import annotations

import os
from pathlib import PurePosixPath, PureWindowsPath

_SUFFIXES = frozenset(
    {".wav", ".flac", ".aif", ".aiff", ".ogg", ".opus", ".mp3", ".caf", ".w64", ".mid", ".midi",
     ".json"}
)  # fmt: skip
_LONGEST_STEM = 48


def harmless_name(name: str) -> str:
    """Letters, digits and dashes, with the suffix where it is one that we read."""
    # The client may run on the other kind of system.
    bare = PureWindowsPath(PurePosixPath(name).name).name
    stem, suffix = os.path.splitext(bare)
    harmless = "".join(char if char.isalnum() else "-" for char in stem).strip("-")[:_LONGEST_STEM]
    return (harmless or "clip") + (suffix.lower() if suffix.lower() in _SUFFIXES else "")
