"""Known tunes, their keys and metres. All are traditional or long out of copyright."""

from __future__ import annotations

from engine.sketch.score import Key, Note

_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_MARKS = {"#": 1, "b": -1, "'": 12, ",": -12}


def tune(text: str) -> list[Note]:
    """`"C E:0.5 r F#'"` -> notes from middle C; a length in beats after the colon, r rests."""
    now = 0.0
    notes = []
    for item in text.split():
        name, _, length = item.partition(":")
        beats = float(length) if length else 1.0
        if name != "r":
            pitch = 60 + _LETTERS[name[0]] + sum(_MARKS[mark] for mark in name[1:])
            notes.append(Note(now, beats, pitch, 90))
        now += beats
    return notes


TWINKLE = tune(
    "C C G G A A G:2 F F E E D D C:2 G G F F E E D:2 G G F F E E D:2 C C G G A A G:2 "
    "F F E E D D C:2"
)
ODE_TO_JOY = tune(
    "F# F# G A A G F# E D D E F# F#:1.5 E:.5 E:2 F# F# G A A G F# E D D E F# E:1.5 D:.5 D:2"
)
SCALE = tune("C D E F G A B C' B A G F E D C:2")
FRERE_JACQUES = tune(
    "F G A F F G A F A Bb C':2 A Bb C':2 C':.5 D':.5 C':.5 Bb:.5 A F C':.5 D':.5 C':.5 Bb:.5 A F "
    "F C F:2 F C F:2"
)
HAPPY_BIRTHDAY = tune(
    "r:2 D:.75 D:.25 E D G F#:2 D:.75 D:.25 E D A G:2 D:.75 D:.25 D' B G F# E C':.75 C':.25 "
    "B G A G:2"
)
SAINTS = tune(
    "r C E F G:4 r C E F G:4 r C E F G:2 E:2 C:2 E:2 D:4 r E E D C:3 C E:2 G G G F:3 r E F G:2 "
    "E:2 C:2 D:2 C:4"
)
DRUNKEN_SAILOR = tune(
    "A A:.5 A:.5 A A:.5 A:.5 A D F A G G:.5 G:.5 G G:.5 G:.5 G C E G A A:.5 A:.5 A A:.5 A:.5 "
    "A B C' D' C' A G E D:2 D:2"
)
HARMONIC_MINOR = tune("E F# G A B:2 A G F# E D# F# E:4 B A G F# G:2 E:2 F# D# E:4")

TUNES: dict[str, tuple[list[Note], Key, tuple[int, int]]] = {
    "twinkle": (TWINKLE, Key(0, "major"), (4, 4)),
    "ode to joy": (ODE_TO_JOY, Key(2, "major"), (4, 4)),
    "scale": (SCALE, Key(0, "major"), (4, 4)),
    "frere jacques": (FRERE_JACQUES, Key(5, "major"), (4, 4)),
    "happy birthday": (HAPPY_BIRTHDAY, Key(7, "major"), (3, 4)),
    "saints": (SAINTS, Key(0, "major"), (4, 4)),
    "drunken sailor": (DRUNKEN_SAILOR, Key(2, "dorian"), (4, 4)),
    "harmonic minor": (HARMONIC_MINOR, Key(4, "minor"), (4, 4)),
}
