"""The files of a take: JSON that is on the disk for good when a function returns, and digests."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.spec import BridgeError
from engine.units import finite_figures


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file of a take.

    Raises:
        BridgeError: `not_found` when it is missing or damaged.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BridgeError("not_found", f"{path.parent.name} is damaged: {error}") from None
    if not isinstance(values, dict):
        raise BridgeError("not_found", f"{path.parent.name} is damaged: {path.name} is no object")
    return values


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a new file.

    Raises:
        OSError: as the system; FileExistsError when it is there.
    """
    # A name that is not Unicode becomes the same escape that JSON has for it.
    with path.open("x", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(finite_figures(dict(values)), file, indent=1, ensure_ascii=False, allow_nan=False)
        file.write("\n")
    sync(path)


def replace_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a file or replace it: whoever reads finds the old one or the new one, whole.

    Raises:
        OSError: as the system; the old file is untouched then.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        write_json(partial, values)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    sync(path.parent)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: as the system.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Make sure that a file or folder is on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
