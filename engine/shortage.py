"""Errors that mean too little memory, told by their names and words.

Importing torch to compare types would cost seconds, and may itself fail for want of memory.
"""

from __future__ import annotations

import re

_NAMES = {"MemoryError", "OutOfMemoryError"}
_UNITS = {"": 1, "bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
# "Tried to allocate 2.50 GiB" (CUDA), "you tried to allocate 1048576 bytes" (main memory, torch),
# "Unable to allocate 7.45 GiB" (numpy).
_WANTED = re.compile(r"(?i:tried|unable) to allocate ([\d.]+) ?(bytes|KiB|MiB|GiB)?")


def is_shortage(error: BaseException) -> bool:
    """Whether an error says that there is too little memory."""
    names = {cls.__name__ for cls in type(error).__mro__}
    # Torch's allocator for main memory raises a plain RuntimeError.
    return bool(names & _NAMES) or "can't allocate memory" in str(error)


def wanted_bytes(text: str) -> int | None:
    """What an error says could not be had; None where it names no figure."""
    found = _WANTED.search(text)
    if found is None:
        return None
    return round(float(found[1]) * _UNITS[found[2] or ""])
