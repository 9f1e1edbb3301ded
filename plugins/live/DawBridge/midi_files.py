"""A Standard MIDI File of one melody."""

from __future__ import annotations

import struct
from typing import NamedTuple, Sequence

TICKS_PER_BEAT = 960  # Live's own grid, triplets and 64ths included


class Note(NamedTuple):
    """A note, its times in quarter notes from the file's start."""

    start_beats: float
    duration_beats: float
    pitch: int
    velocity: int


def midi_file(
    notes: Sequence[Note], length_beats: float, bpm: float, metre: tuple[int, int], title: str
) -> bytes:
    """A file of format 0 with tempo, metre and notes, as long as it is said to be."""
    numerator, denominator = metre
    events: list[tuple[int, int, bytes]] = [
        (0, 0, _meta(0x03, title.encode("utf-8", "replace")[:120])),
        (0, 0, _meta(0x51, round(60e6 / bpm).to_bytes(3, "big"))),
        (0, 0, _meta(0x58, bytes((numerator, denominator.bit_length() - 1, 24, 8)))),
    ]
    for note in notes:
        start = round(note.start_beats * TICKS_PER_BEAT)
        stop = max(start + 1, round((note.start_beats + note.duration_beats) * TICKS_PER_BEAT))
        # An end sorts before a beginning at the same tick, so that repeated notes sound.
        events.append((stop, 1, bytes((0x80, note.pitch, 0))))
        events.append((start, 2, bytes((0x90, note.pitch, min(max(note.velocity, 1), 127)))))
    events.sort(key=lambda event: event[:2])
    end = max([round(length_beats * TICKS_PER_BEAT), *(tick for tick, _, _ in events)])
    parts: list[bytes] = []
    last = 0
    for tick, _, data in [*events, (end, 3, _meta(0x2F, b""))]:
        parts += (_variable(tick - last), data)
        last = tick
    track = b"".join(parts)
    head = struct.pack(">4sIHHH", b"MThd", 6, 0, 1, TICKS_PER_BEAT)
    return head + struct.pack(">4sI", b"MTrk", len(track)) + track


def _meta(kind: int, data: bytes) -> bytes:
    return bytes((0xFF, kind)) + _variable(len(data)) + data


def _variable(value: int) -> bytes:
    """MIDI's numbers of seven bits a byte, the highest first."""
    data = bytes((value & 0x7F,))
    while value > 0x7F:
        value >>= 7
        data = bytes((0x80 | value & 0x7F,)) + data
    return data
