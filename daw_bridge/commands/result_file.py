"""`--result-file`: a command's answer for hosts that can start a program but not hear it.

It is a new file with the ending `.json`, as it is written even where the flags are wrong and
nothing else has been looked at: whatever the musician has stays as it is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from daw_bridge.owners import write_private
from engine.spec import BridgeError

RESULT_FILE = "--result-file"


def typed_result_file(typed: Sequence[str]) -> Path | None:
    """Where the answer goes, read before the flags are parsed: they may be what is wrong.

    None where nothing is typed, or what `new_result_file` refuses.
    """
    for place, word in enumerate(typed):
        if word == "--":
            return None
        if word == RESULT_FILE or word.startswith(f"{RESULT_FILE}="):
            following = typed[place + 1] if place + 1 < len(typed) else ""
            with suppress(BridgeError):
                return new_result_file(following if word == RESULT_FILE else word.split("=", 1)[1])
            return None
    return None


def new_result_file(text: str) -> Path:
    """The file of that name, which is not there yet.

    Raises:
        BridgeError: `bad_request` for another ending, or when it is there.
    """
    return new_json_file(RESULT_FILE, text)


def new_json_file(flag: str, text: str) -> Path:
    """The file that a flag names, which is not there yet.

    Raises:
        BridgeError: `bad_request` for another ending, or when it is there.
    """
    path, hint = Path(text), "name a new file that ends in .json"
    if path.suffix.lower() != ".json":
        raise BridgeError("bad_request", f"{flag} {text!r} does not end in .json", hint)
    if os.path.lexists(path):
        raise BridgeError("bad_request", f"{flag} {text!r} exists", hint)
    return path


def write_whole(flag: str, path: Path, text: str) -> None:
    """Write the file that a flag names, at once and whole: who polls for it never reads half.

    Raises:
        BridgeError: `bad_request` when it cannot be written.
    """
    try:
        write_private(path, text)
    except (OSError, ValueError) as error:
        raise BridgeError(
            "bad_request",
            f"{flag} {path} cannot be written: {error}",
            "name a file in a folder that exists and is yours",
        ) from None
