"""What a watched folder gets back: the take beside its source, or a text that says why not."""

from __future__ import annotations

import filecmp
import hashlib
import itertools
import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from engine.spec import ROLES, BridgeError

_MARK = b"daw-bridge could not do this:\n"
_MOST_REFUSALS_BYTES = 1 << 20  # more in one file was not written by us
_USUAL_NAME_BYTES = 255
# For `.take-99-chords.wav`, and for what a file is called while it is being written.
_ENDINGS_BYTES = 48
Publish = Callable[[Path, bool, Callable[[Path], object]], None]


def put_take(
    source: Path,
    take: Path,
    stems: Mapping[str, Path],
    stem_path: Callable[[Path, str], Path],
    copy: Callable[[Path, Path], None],
) -> Path:
    """Put a take beside its source: `groove.take.wav`, or `groove.take-2.wav` beside an older one.

    Its stems go beside it. A number is taken whole: a mix never stands beside another take's stems,
    also where the musician has moved some of that one's files away.

    Args:
        stems: the take's files by role, without the mix.
        stem_path: the name of a stem, from the mix's.
        copy: copies a file to a name, whole or not at all, and never over another.

    Raises:
        OSError: the folder cannot be written.
        BridgeError: `bad_request` when a file of the name has come into being meanwhile.
    """
    for number in itertools.count(1):
        suffix = "" if number == 1 else f"-{number}"
        target = source.with_name(f"{result_stem(source)}.take{suffix}{take.suffix}")
        origins = {target: take, **{stem_path(target, role): stems[role] for role in stems}}
        names = {*origins, *(stem_path(target, role) for role in ROLES)}
        there = {name for name in names if os.path.lexists(name)}
        # Killed after a copy and before the note of it, the same take goes on here.
        if all(name in origins and _is_copy(name, origins[name]) for name in there):
            for name, origin in origins.items():
                if name not in there:
                    copy(origin, name)
            return target
    raise AssertionError("unreachable")


def _is_copy(path: Path, origin: Path) -> bool:
    return not path.is_symlink() and filecmp.cmp(path, origin, shallow=False)


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

    `groove.wav` and `groove.mid` share the file: what it says of the other stays in it.

    Raises:
        OSError: the folder cannot be written.
    """
    path = error_path(source)
    refusals = _refusals(path) if os.path.lexists(path) else []
    if refusals is None:
        return None
    lines = [error.message, *([error.hint] if error.hint else []), f"({source.name}, {error.code})"]
    own = _MARK + "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
    text = b"".join([*_of_others(refusals, source), own])
    publish(path, True, lambda partial: partial.write_bytes(text))
    return path


def take_back_error(source: Path, publish: Publish) -> None:
    """Remove a refusal of before; that of another source stays.

    Raises:
        OSError: the folder cannot be written.
    """
    path = error_path(source)
    refusals = _refusals(path) or []
    left = _of_others(refusals, source)
    if left and len(left) < len(refusals):
        publish(path, True, lambda partial: partial.write_bytes(b"".join(left)))
    elif refusals and not left:
        path.unlink(missing_ok=True)


def _of_others(refusals: list[bytes], source: Path) -> list[bytes]:
    """The refusals whose last line names another source."""
    name = source.name.encode("utf-8", "backslashreplace")  # not Unicode, it is an escape
    own = re.compile(rb"\n\(" + re.escape(name) + rb", \w+\)\s*\Z")
    return [refusal for refusal in refusals if not own.search(refusal)]


def _refusals(path: Path) -> list[bytes] | None:
    """What a file of ours refuses, one after the other; None for another's.

    A link or a pipe is never opened.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with path.open("rb") as file:
            text = file.read(_MOST_REFUSALS_BYTES + 1)
    except OSError:
        return None
    if not text.startswith(_MARK) or len(text) > _MOST_REFUSALS_BYTES:
        return None
    return [_MARK + refusal for refusal in text.split(_MARK)[1:]]
