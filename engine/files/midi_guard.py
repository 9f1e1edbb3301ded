"""What is refused of a MIDI file before and after it is parsed, because it would cost too much.

The standard says that a variable-length number has four bytes at most; the parser reads as many as
come, and the time that takes grows with their square.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from engine.spec import BridgeError

MAX_FILE_BYTES = 1 << 20  # a parser in Python takes seconds for each megabyte
MAX_TICKS = (1 << 28) - 1  # four bytes of seven bits: the longest wait between two messages
# Text in some alphabets has no byte below 128 for a long while; a number never needs as many.
_ENDLESS_NUMBER = re.compile(rb"[\x80-\xff]{4096}")


def check_midi_bytes(data: bytes, name: str) -> None:
    """Refuse what would keep the parser busy for hours.

    Raises:
        BridgeError: `bad_midi`.
    """
    if _ENDLESS_NUMBER.search(data):
        raise BridgeError(
            "bad_midi",
            f"{name} holds a number of thousands of bytes",
            "the standard allows four; export the melody again",
        )


def check_midi_ticks(tracks: Iterable[Iterable[Any]], name: str) -> None:
    """Refuse waits that no MIDI file can hold.

    Raises:
        BridgeError: `bad_midi`.
    """
    if any(message.time > MAX_TICKS for track in tracks for message in track):
        raise BridgeError(
            "bad_midi",
            f"{name} waits over {MAX_TICKS} ticks between two messages",
            "the standard allows no more; export the melody again",
        )
