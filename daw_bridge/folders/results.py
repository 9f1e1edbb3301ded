"""What a watched folder gets back: the take beside its source, or a text that says why not."""

from __future__ import annotations

import filecmp
import hashlib
import itertools
import os
import stat
from collections.abc import Callable
from pathlib import Path

from engine.spec import BridgeError

_MARK = "daw-bridge could not do this:\n"
_USUAL_NAME_BYTES = 255
# For `.take-99-chords.wav`, and for what a file is called while it is being written.
_ENDINGS_BYTES = 48
Publish = Callable[[Path, bool, Callable[[Path], object]], None]


def put_take(source: Path, take: Path, copy: Callable[[Path, Path], None]) -> Path:
    """Put a take beside its source: `groove.take.wav`, or `groove.take-2.wav` beside an older one.

    Args:
        copy: copies a file to a name, whole or not at all, and never over another.

    Raises:
        BridgeError: `unavailable` when the folder cannot be written.
    """
    for number in itertools.count(1):
        suffix = "" if number == 1 else f"-{number}"
        target = source.with_name(f"{result_stem(source)}.take{suffix}{take.suffix}")
        if os.path.lexists(target):
            # Killed after the copy and before the note of it.
            if not target.is_symlink() and filecmp.cmp(target, take, shallow=False):
                return target
            continue
        copy(take, target)
        return target
    raise AssertionError("unreachable")


def result_stem(source: Path) -> str:
    """What the names of a file's results begin with: its own stem.

    One that leaves no room for their endings is cut, and marked by a digest of the whole.
    """
    raw = os.fsencode(source.stem)
    most_bytes = _most_name_bytes(source.parent) - _ENDINGS_BYTES
    if len(raw) <= most_bytes:
        return source.stem
    mark = f"~{hashlib.sha256(raw).hexdigest()[:8]}"
    return raw[: most_bytes - len(mark)].decode("utf-8", "ignore") + mark


def _most_name_bytes(folder: Path) -> int:
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # Windows, or a folder that is just going
        return _USUAL_NAME_BYTES


def error_path(source: Path) -> Path:
    """Where the refusal of a file stands."""
    return source.with_name(f"{result_stem(source)}.error.txt")


def put_error(source: Path, error: BridgeError, publish: Publish) -> Path | None:
    """Write why nothing came; None where a file of that name is the musician's own.

    Raises:
        OSError: the folder cannot be written.
    """
    path = error_path(source)
    if os.path.lexists(path) and not _is_ours(path):
        return None
    lines = [_MARK, f"{error.message}\n", *([f"{error.hint}\n"] if error.hint else [])]
    text = "".join([*lines, f"({source.name}, {error.code})\n"])
    # A name that is not Unicode is written as an escape.
    publish(path, True, lambda partial: partial.write_text(text, "utf-8", "backslashreplace"))
    return path


def take_back_error(source: Path) -> None:
    """Remove a refusal of before.

    Raises:
        OSError: the folder cannot be written.
    """
    path = error_path(source)
    if _is_ours(path):
        path.unlink(missing_ok=True)


def _is_ours(path: Path) -> bool:
    """Whether it is a refusal of ours. A link or a pipe is never opened."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return False
        with path.open("rb") as file:
            return file.read(len(_MARK.encode())) == _MARK.encode()
    except OSError:
        return False
