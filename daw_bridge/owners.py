"""Whose a file is and who else may read or change it: what another user wrote is not believed."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS_READ = stat.S_IRGRP | stat.S_IROTH


def is_of_another(status: os.stat_result) -> bool:
    """Whether it belongs to a user that is neither this one nor the system's own."""
    return hasattr(os, "geteuid") and status.st_uid not in (os.geteuid(), 0)


def others_may_write(status: os.stat_result) -> bool:
    """Whether its group or everybody may change it."""
    return os.name == "posix" and bool(status.st_mode & _OTHERS_WRITE)


def others_may_read(status: os.stat_result) -> bool:
    """Whether its group or everybody may read it."""
    return os.name == "posix" and bool(status.st_mode & _OTHERS_READ)


def closed_to_writers(mode: int) -> int:
    """The mode without the permission of others to write."""
    return stat.S_IMODE(mode) & ~_OTHERS_WRITE


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all.

    Raises:
        OSError: as the system; what was there before is untouched then.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        # A name that is not Unicode goes in as the bytes that it is.
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
