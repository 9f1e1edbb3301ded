"""Notes that were played, as beats from the first bar line on."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

_EARLY_BEATS = 0.25  # played so much before the first bar line, a note belongs to it
_SHORTEST_BEATS = 1 / 64


@dataclass(frozen=True, slots=True)
class Played:
    """A key pressed or released; `velocity` is 0 for a release."""

    at_s: float
    channel: int
    pitch: int
    velocity: int


@dataclass(frozen=True, slots=True)
class LiveNote:
    """A note in quarter notes from the first bar line on."""

    start_beats: float
    end_beats: float
    pitch: int
    velocity: int
    channel: int = 0


def notes_of(
    played: Iterable[Played], beats_at: Callable[[float], float], length_beats: float
) -> list[LiveNote]:
    """The notes that begin within `[0, length_beats)`, in order.

    What was played a little early belongs to the first bar line; a note held over the end is cut
    there. A key that is struck again before its release counts twice; releases go to the oldest.
    """
    pressed: dict[tuple[int, int], deque[tuple[float, int]]] = defaultdict(deque)
    notes: list[LiveNote] = []

    def add(start: float, end: float, key: tuple[int, int], velocity: int) -> None:
        if not -_EARLY_BEATS <= start < length_beats:
            return
        start, end = max(0.0, start), min(end, length_beats)
        channel, pitch = key
        end = max(end, start + _SHORTEST_BEATS)
        notes.append(LiveNote(start, end, pitch, velocity, channel))

    for event in sorted(played, key=lambda one: one.at_s):
        key, at = (event.channel, event.pitch), beats_at(event.at_s)
        if event.velocity > 0:
            pressed[key].append((at, event.velocity))
        elif pressed[key]:
            start, velocity = pressed[key].popleft()
            add(start, at, key, velocity)
    for key, held in pressed.items():
        for start, velocity in held:
            add(start, length_beats, key, velocity)
    return sorted(notes, key=lambda note: (note.start_beats, note.pitch))


def quantised(
    notes: Iterable[LiveNote], step_beats: Fraction, length_beats: float
) -> list[LiveNote]:
    """Every note moved to the nearest step, with a length of whole steps, one at least.

    What lies nearer to the end than to the last step is moved to that one. Where the steps do not
    fit into the bars, the last is cut at the end, and so are the notes that last over it.
    """
    step = float(step_beats)
    last = math.ceil(length_beats / step) - 1
    moved = []
    for note in notes:
        start = min(last, round(note.start_beats / step))
        steps = max(1, round((note.end_beats - note.start_beats) / step))
        end_beats = min((start + steps) * step, length_beats)
        moved.append(LiveNote(start * step, end_beats, note.pitch, note.velocity, note.channel))
    return moved
