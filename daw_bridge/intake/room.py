"""Room on the disk: what would fill it is refused before it begins."""

from __future__ import annotations

import shutil
from pathlib import Path

from engine.spec import BridgeError


def check_room(folder: Path, wanted_bytes: int, min_free_bytes: int) -> None:
    """Refuse what would leave less than `min_free_bytes` on the disk of a folder.

    Raises:
        BridgeError: `unavailable`.
    """
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes - wanted_bytes < min_free_bytes:
        raise BridgeError(
            "unavailable",
            f"the disk of {folder} has {free_bytes} bytes left",
            f"make room: {wanted_bytes} are asked for and {min_free_bytes} stay free",
        )
