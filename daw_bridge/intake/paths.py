"""Paths named by clients. Nothing is opened here; decoding is the engine's business."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from engine.spec import BridgeError


def resolve_allowed(text: str, roots: Sequence[Path], max_bytes: int) -> Path:
    """The real file a client names, links resolved.

    Args:
        roots: resolved folders; the file must lie under one of them.

    Raises:
        BridgeError: `bad_request` for a path that is not absolute, `forbidden` outside the roots,
            `not_found` without a file, `bad_audio` for something else than a file, `too_large`.
    """
    path = _real_path(text, roots)
    _check_file(path, max_bytes)
    return path


def resolve_folder(text: str, roots: Sequence[Path]) -> Path:
    """The real folder a client names to write in, links resolved.

    Args:
        roots: as for `resolve_allowed`.

    Raises:
        BridgeError: `bad_request` for a path that is not absolute, `forbidden` outside the roots,
            `not_found` without a folder.
    """
    path = _real_path(text, roots)
    if not path.is_dir():
        raise BridgeError("not_found", f"{path} is no folder", "make it first")
    return path


def _real_path(text: str, roots: Sequence[Path]) -> Path:
    try:
        path = Path(text).expanduser()
        if not path.is_absolute():
            raise BridgeError("bad_request", f"{text[:200]!r} is not an absolute path")
        path = path.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        # A loop of links, an unknown ~user, a name that the system cannot encode.
        raise BridgeError("bad_request", f"{text[:200]!r} is no path: {error}") from None
    if not any(path.is_relative_to(root) for root in roots):
        # Before anything else, so that nothing is told of files outside the roots.
        listed = ", ".join(str(root) for root in roots)
        raise BridgeError(
            "forbidden",
            f"{text[:200]!r} is not in an allowed folder",
            # What to do comes first: where a message has little room, its end is cut off.
            "add its folder to roots in config.toml in the data folder, beside those that "
            f"daw-bridge config shows, and start the daemon anew; allowed now: {listed}",
        )
    return path


def _check_file(path: Path, max_bytes: int) -> None:
    try:
        status = path.stat()
    except OSError as error:
        raise BridgeError("not_found", f"{path}: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        raise BridgeError("bad_audio", f"{path} is not a file")
    if status.st_size > max_bytes:
        raise BridgeError(
            "too_large", f"{path} has {status.st_size} bytes", f"the limit is {max_bytes}"
        )
