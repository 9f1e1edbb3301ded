"""Scales, chords and voice leading: pitch classes only, no time."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from engine.sketch.score import Key

SCALES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}

QUALITIES: dict[str, tuple[int, ...]] = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "5": (0, 7),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "m7b5": (0, 3, 6, 10),
    "dim7": (0, 3, 6, 9),
    "9": (0, 4, 7, 10, 2),
    "maj9": (0, 4, 7, 11, 2),
    "m9": (0, 3, 7, 10, 2),
    "add9": (0, 4, 7, 2),
    "madd9": (0, 3, 7, 2),
}

# How a plain chord may be coloured without changing its function.
_COLOURS: dict[str, tuple[str, ...]] = {
    "": ("add9", "maj7", "6", "sus2"),
    "m": ("m7", "madd9", "m7", "m9"),
    "7": ("9", "7", "7"),
    "maj7": ("maj9", "maj7"),
    "m7": ("m9", "m7"),
}
_DOMINANT, _DOMINANT_COLOURS = 7, ("7", "9")  # semitones above the tonic; a triad's sevenths there

_DEGREES = {"i": 0, "ii": 2, "iii": 4, "iv": 5, "v": 7, "vi": 9, "vii": 11}
_NUMERAL = re.compile(r"^([b#]*)([iIvV]+)(.*)$")


def pitch_classes(root: int, quality: str) -> tuple[int, ...]:
    """The chord's pitch classes, root first."""
    return tuple((root + step) % 12 for step in QUALITIES[quality])


@lru_cache(maxsize=512)
def numeral(text: str) -> tuple[int, str]:
    """`"bVI"` -> (8, ""), `"ii7"` -> (2, "m7"): semitones above the tonic, and the quality.

    Degrees count from the major scale, so a flat is written out in minor keys. Case gives the
    third; the rest is a quality of `QUALITIES`, with "o" for diminished and "h" for m7b5.
    """
    match = _NUMERAL.match(text)
    if match is None or match[2].lower() not in _DEGREES:
        raise ValueError(f"cannot read the chord numeral {text!r}; write for example ii7 or bVI")
    accidentals, roman, suffix = match.groups()
    root = _DEGREES[roman.lower()] + accidentals.count("#") - accidentals.count("b")
    named = {"o": "dim", "h": "m7b5", "o7": "dim7"}
    if suffix in named:
        quality = named[suffix]
    elif roman.islower() and not suffix.startswith(("sus", "5", "m")):
        quality = "m" + suffix
    else:
        quality = suffix
    if quality not in QUALITIES:
        raise ValueError(f"unknown chord quality {quality!r} in {text!r}")
    return root % 12, quality


def colours(key: Key, degree: int, quality: str) -> tuple[str, ...]:
    """Richer qualities of a chord `degree` semitones above the tonic, all of them in the key.

    Only what a colour adds must be of the key's scale, not the chord itself: V in minor has its
    raised leading note. One that is named twice is meant twice as often.
    """
    options = _COLOURS.get(quality, ())
    if degree == _DOMINANT and quality == "":
        options += _DOMINANT_COLOURS
    own, scale = QUALITIES[quality], SCALES[key.mode]
    return tuple(
        rich
        for rich in options
        if all((degree + step) % 12 in scale for step in QUALITIES[rich] if step not in own)
    )


def scale_pitch_classes(key: Key) -> tuple[int, ...]:
    """The key's seven pitch classes, tonic first."""
    return tuple((key.tonic + step) % 12 for step in SCALES[key.mode])


# A tone outside the key takes the place of a neighbour: a raised one (major third, augmented
# fifth, major seventh) of the degree below, a lowered one of the degree above.
_RAISED, _LOWERED = (4, 8, 11), (3, 6, 9, 10)
_DOUBLED = 12.0  # semitones of movement that a top voice on the tune's own pitch class is worth


def chord_scale(key: Key, chord: Sequence[int]) -> tuple[int, ...]:
    """The key's scale bent to hold every chord tone (a raised leading note over V in minor).

    `chord` is pitch classes, root first; the result is ascending pitch classes, seven of them
    unless the chord itself has neighbouring semitones.
    """
    pitches = set(scale_pitch_classes(key))
    for tone in chord:
        if tone in pitches:
            continue
        interval = (tone - chord[0]) % 12
        sides = (-1, 1) if interval in _RAISED else (1, -1)
        if interval not in _RAISED + _LOWERED:
            above, below = (_largest_gap(pitches, tone, side) for side in (1, -1))
            sides = (1, -1) if above <= below else (-1, 1)
        for side in sides:
            neighbour = (tone + side) % 12
            if neighbour in pitches and neighbour not in chord:
                pitches.remove(neighbour)
                break
        pitches.add(tone)
    return tuple(sorted(pitches))


def _largest_gap(pitches: set[int], tone: int, side: int) -> int:
    """The widest step of the scale once `tone` has replaced its neighbour on one side."""
    bent = sorted((pitches | {tone}) - {(tone + side) % 12})
    return max((b - a) % 12 for a, b in zip(bent, bent[1:] + bent[:1], strict=True))


def ladder(pitches: Sequence[int], low: int, high: int) -> list[int]:
    """Every MIDI pitch from low to high (inclusive) whose class is in `pitches`, ascending."""
    allowed = set(pitches)
    return [pitch for pitch in range(low, high + 1) if pitch % 12 in allowed]


def nearest(pitch: float, pitches: Sequence[int]) -> int:
    """The member of `pitches` nearest to `pitch` (the lower of two equally near)."""
    return min(pitches, key=lambda candidate: (abs(candidate - pitch), candidate))


def fold(pitch: int, low: int, high: int) -> int:
    """Move by octaves into low..high (at least an octave wide)."""
    while pitch < low:
        pitch += 12
    while pitch > high:
        pitch -= 12
    return pitch


@lru_cache(maxsize=4096)
def _voicings(chord: tuple[int, ...], low: int, high: int) -> tuple[tuple[int, ...], ...]:
    """Close and open positions of a chord with its lowest note in low..low+14."""
    found: set[tuple[int, ...]] = set()
    for order in itertools.permutations(chord[:4]):
        for bottom in ladder(order[:1], low, low + 14):
            voices = [bottom]
            for tone in order[1:]:
                voices.append(voices[-1] + 1 + (tone - voices[-1] - 1) % 12)
            if voices[-1] <= high and voices[-1] - voices[0] <= 19:
                found.add(tuple(voices))
    return tuple(sorted(found))


def voice_lead(
    chord: tuple[int, ...],
    previous: tuple[int, ...] | None,
    low: int,
    high: int,
    tune: Mapping[int, float] | None = None,
) -> tuple[int, ...]:
    """The voicing of `chord` in low..high that moves least from `previous`.

    Without a previous chord the one nearest the middle of the range is taken. Rich chords leave
    out their fifth, as players do. Under a tune, whose pitches come with the part of the time they
    sound, the top voice neither doubles it nor rises above it where that can be had.
    """
    tones = chord if len(chord) < 5 else tuple(tone for i, tone in enumerate(chord) if i != 2)
    candidates = _voicings(tones, low, high)
    if not candidates:
        return tuple(sorted(fold(tone + 48, low, low + 12) for tone in tones))
    middle = (low + high) / 2

    def in_the_way(voices: tuple[int, ...]) -> float:
        return sum(
            share * (_DOUBLED * ((voices[-1] - pitch) % 12 == 0) + max(0, voices[-1] - pitch))
            for pitch, share in (tune or {}).items()
        )

    def cost(voices: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
        centre = abs(sum(voices) / len(voices) - middle)
        own = 0.2 * (voices[-1] - voices[0]) + in_the_way(voices)
        if previous is None:
            return centre + own, voices
        up = sum(min(abs(a - b) for b in previous) for a in voices)
        down = sum(min(abs(a - b) for b in voices) for a in previous)
        return up + down + 0.3 * centre + own, voices

    return min(candidates, key=cost)
