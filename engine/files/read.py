"""The bytes of a file a musician names, or one clear reason why not."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from engine.opening import open_named
from engine.spec import BridgeError


def shown_name(path: Path) -> str:
    """The file's name as an error message can carry it: printable, and not endless."""
    name = path.name or str(path)
    return "".join(c if c.isprintable() else "?" for c in name)[:80]


def read_bytes(path: Path, *, code: str, wanted: str, max_bytes: int) -> bytes:
    """All bytes of a regular file; pipes and devices are refused, they may never end.

    Args:
        code: error code of a file that cannot be used.
        wanted: what the path should name, such as "an audio file".

    Raises:
        BridgeError: `code`, `too_large` above `max_bytes`, `forbidden` as `open_named`.
    """
    name = shown_name(path)
    hint = f"give the path of {wanted}"
    try:
        with open_named(path) as file:
            # Of the open file: the name may stand for another one a moment later.
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BridgeError(code, f"{name} is no regular file", hint)
            data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise BridgeError(
                "too_large", f"{name} has {status.st_size} bytes", f"at most {max_bytes} are read"
            )
    except IsADirectoryError:
        raise BridgeError(code, f"{name} is a folder", hint) from None
    except FileNotFoundError:
        raise BridgeError(code, f"{name} does not exist", "check the path") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BridgeError(code, f"{name} cannot be read: {reason}", hint) from None
    if not data:
        raise BridgeError(code, f"{name} is an empty file", "export it again")
    return data
