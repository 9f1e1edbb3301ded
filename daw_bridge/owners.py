"""Whose a file is and who else may change it: what another user wrote is not believed."""

from __future__ import annotations

import os
import stat

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
