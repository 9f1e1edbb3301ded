"""Stretches of one metre, which a piece with metre changes is written in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.sketch import form
from engine.sketch.score import ChordSpan, Note, bar_beats


@dataclass(frozen=True, slots=True)
class Stretch:
    """Beats `[start, end)` of a piece; the start is a bar line, the last bar may be cut short."""

    start_beats: float
    end_beats: float
    metre: tuple[int, int]

    @property
    def length_beats(self) -> float:
        """Its length in quarter notes."""
        return self.end_beats - self.start_beats

    @property
    def bar_beats(self) -> float:
        """Length of a bar in quarter notes."""
        return bar_beats(self.metre)

    @property
    def bars(self) -> int:
        """Bars that begin in it."""
        return max(1, math.ceil(self.length_beats / self.bar_beats - 1e-9))

    def own_chords(self, chords: Sequence[ChordSpan]) -> tuple[ChordSpan, ...]:
        """What it has of the piece's chords, counted from its own start."""
        own = []
        for chord in chords:
            begin = max(chord.start_beats, self.start_beats)
            end = min(chord.end_beats, self.end_beats)
            if end > begin + 1e-9:
                start = begin - self.start_beats
                own.append(replace(chord, start_beats=start, duration_beats=end - begin))
        return form.merge_chords(own)

    def own_notes(self, notes: Sequence[Note]) -> Sequence[Note]:
        """The piece's notes from its start on, counted from there."""
        if self.start_beats == 0.0:
            return notes
        own = []
        for note in notes:
            begin = max(note.start_beats, self.start_beats)
            if note.end_beats > begin:
                start = begin - self.start_beats
                own.append(replace(note, start_beats=start, duration_beats=note.end_beats - begin))
        return own

    def in_piece(self, notes: Sequence[Note]) -> list[Note]:
        """Its own notes at their place in the piece."""
        return [replace(note, start_beats=note.start_beats + self.start_beats) for note in notes]


def chords_in_piece(stretch: Stretch, chords: Sequence[ChordSpan]) -> list[ChordSpan]:
    """A stretch's own chords at their place in the piece, none beyond its end."""
    own = Stretch(0.0, stretch.length_beats, stretch.metre).own_chords(chords)
    return [replace(chord, start_beats=chord.start_beats + stretch.start_beats) for chord in own]
