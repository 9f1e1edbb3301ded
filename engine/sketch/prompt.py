"""Free text to a sketch. Words nobody here knows are handed back, never silently dropped."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.curves import Form
from engine.sketch import lexicon
from engine.sketch.compose import choose_style, compose, cut_piece
from engine.sketch.score import ROLES, Key, Piece, bar_beats
from engine.sketch.styles import STYLES

_TEMPO = re.compile(r"\b(\d{2,3}(?:\.\d+)?)\s*-?\s*(?:bpm|beats per minute)\b")
_METRE = re.compile(r"\b(\d{1,2})/(1|2|4|8|16)\b(?:\s+time)?")
_KEY = re.compile(
    r"(?<![\w'])([A-Ga-g])\s?(#|♯|♭|b|-?\s?sharp|-?\s?flat)?\s?"
    r"((?i:major|minor|maj|min|dorian|mixolydian)|m)\b(\s+[a-z]+)?"
)
_TONIC = re.compile(r"\b(?:in|key of)\s+([A-G])(#|♯|♭|b)?(?![\w#])")
_WORD = re.compile(r"[\w&#'/.]*[\w&#]")
_LETTERS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
_LONGEST_PHRASE = 4
_OPEN_TEMPO_BPM = (70.0, 140.0)
# What may follow "in a minor" without making its "a" an article ("in a minor key").
_AFTER_KEY = ("with", "and", "at", "on", "for", "in", "no", "without", "by")


@dataclass(slots=True)
class Reading:
    """What a prompt asks for; None or empty where it leaves something open.

    `pace` is the place in the style's range of tempos, `unknown` the words not understood, in
    their order.
    """

    style: str | None = None
    mood: str | None = None
    tempo_bpm: float | None = None
    pace: float | None = None
    metre: tuple[int, int] | None = None
    key: Key | None = None
    mode: str | None = None
    roles: tuple[str, ...] | None = None
    programs: dict[str, int] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Roles:
    """Roles as they are met: named, excluded, or called for alone."""

    named: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    alone: bool = False

    def settle(self) -> tuple[str, ...] | None:
        """The line-up, or None where the prompt leaves it open."""
        chosen = self.named if self.alone and self.named else list(ROLES)
        left = tuple(role for role in ROLES if role in chosen and role not in self.excluded)
        return left if left and left != ROLES else None


def read_prompt(prompt: str) -> Reading:
    """Read a prompt such as "slow funk in A minor with rhodes, no drums" into its wishes.

    Where two words disagree the first counts and the later one is reported as unknown.
    """
    reading = Reading()
    text = _read_key(prompt.replace("_", " "), reading).lower()
    words = _WORD.findall(_read_figures(text, reading).replace("-", " "))
    roles = _Roles()
    place = 0
    while place < len(words):
        place += _read_phrase(words, place, reading, roles)
    reading.roles = roles.settle()
    return reading


def _read_key(text: str, reading: Reading) -> str:
    """Take a key such as "F# minor", "Bbm" or "in C" out of the text, in its own case."""
    for found in _KEY.finditer(text):
        letter, accidental, mode, after = found.groups()
        article = letter == "a" and after is not None and after.strip() not in _AFTER_KEY
        if article or (mode == "m" and letter.islower() and accidental is None):
            continue
        reading.key = _key(letter, accidental, "minor" if mode == "m" else mode.lower())
        return text[: found.start()] + " , " + text[found.end(3) :]
    bare = _TONIC.search(text)
    if bare is not None:
        reading.key = _key(bare[1], bare[2], "major")
        return text[: bare.start()] + " , " + text[bare.end() :]
    return text


def _key(letter: str, accidental: str | None, mode: str) -> Key:
    sign = (accidental or "").strip(" -")
    shift = (sign in ("#", "♯", "sharp")) - (sign in ("b", "♭", "flat"))
    return Key((_LETTERS[letter.lower()] + shift) % 12, lexicon.MODE_WORDS[mode])


def _read_figures(text: str, reading: Reading) -> str:
    """Take tempo and metre out of the text; figures out of range stay in as words."""
    tempo = _TEMPO.search(text)
    if tempo is not None and 20.0 <= float(tempo[1]) <= 400.0:
        reading.tempo_bpm = float(tempo[1])
        text = text.replace(tempo[0], " , ", 1)
    metre = _METRE.search(text)
    if metre is not None and 1 <= int(metre[1]) <= 24:
        reading.metre = (int(metre[1]), int(metre[2]))
        text = text.replace(metre[0], " , ", 1)
    return text


def _read_phrase(words: Sequence[str], place: int, reading: Reading, roles: _Roles) -> int:
    """Read the longest known phrase at `place`; returns how many words it took."""
    if words[place] in lexicon.NOT_WORDS and place + 1 < len(words):
        for size in range(min(_LONGEST_PHRASE, len(words) - place - 1), 0, -1):
            role = lexicon.ROLE_WORDS.get(" ".join(words[place + 1 : place + 1 + size]))
            if role is not None:
                roles.excluded.append(role)
                return size + 1
        # Only whole roles can be left out: the wish is handed back as it was written.
        reading.unknown.append(f"{words[place]} {words[place + 1]}")
        return 2
    for size in range(min(_LONGEST_PHRASE, len(words) - place), 0, -1):
        if _understand(" ".join(words[place : place + size]), reading, roles):
            return size
    reading.unknown.append(words[place])
    return 1


def _understand(phrase: str, reading: Reading, roles: _Roles) -> bool:
    """Take in one phrase; False where it is not known or disagrees with what was said before."""
    if phrase in lexicon.STYLE_WORDS:
        return _settle(reading, "style", lexicon.STYLE_WORDS[phrase])
    if phrase in lexicon.INSTRUMENT_WORDS:
        role, program = lexicon.INSTRUMENT_WORDS[phrase]
        if role in reading.programs and role == "chords" and "lead" not in reading.programs:
            role = "lead"  # the second of two keyboards or guitars takes the tune
        roles.named.append(role)
        return reading.programs.setdefault(role, program) == program
    if phrase in lexicon.ROLE_WORDS:
        roles.named.append(lexicon.ROLE_WORDS[phrase])
        roles.alone |= phrase in lexicon.ALONE_PHRASES
        return True
    if phrase in lexicon.MOOD_WORDS:
        return _settle(reading, "mood", lexicon.MOOD_WORDS[phrase])
    if phrase in lexicon.PACE_WORDS:
        return _settle(reading, "pace", lexicon.PACE_WORDS[phrase])
    if phrase in lexicon.MODE_WORDS:
        return _settle(reading, "mode", lexicon.MODE_WORDS[phrase])
    if phrase in lexicon.ONLY_WORDS:
        roles.alone = True
        return True
    return phrase in lexicon.PLAIN_WORDS


def _settle(reading: Reading, name: str, value: object) -> bool:
    """Set a wish that is still open; True where it now has that value."""
    if getattr(reading, name) is None:
        setattr(reading, name, value)
    return bool(getattr(reading, name) == value)


def sketch_from_prompt(
    prompt: str,
    *,
    rng: np.random.Generator,
    length_s: float | None = None,
    length_beats: float | None = None,
    tempo_bpm: float | None = None,
    metre: tuple[int, int] | None = None,
    key: Key | None = None,
    roles: Sequence[str] | None = None,
    structure: Form | None = None,
) -> tuple[Piece, list[str]]:
    """Compose what a prompt asks for; also returns the words it does not know.

    Arguments given outrank the prompt. The parts of a structure begin on the nearest bar line. The
    length is in seconds or in beats (eight bars where neither is given); everything asked for
    plays from the start. Raises `ValueError` for values out of range.
    """
    _check_lengths(length_s, length_beats)
    reading = read_prompt(prompt)
    tempo = _tempo(rng, reading) if tempo_bpm is None else tempo_bpm
    counted = metre or reading.metre or usual_metre(reading.style)
    if length_s is not None:
        length_beats = length_s * tempo / 60.0
    bars = 8 if length_beats is None else math.ceil(length_beats / bar_beats(counted) - 1e-9)
    wanted = key or reading.key
    if wanted is None and reading.mode is not None:
        wanted = Key(int(rng.integers(12)), reading.mode)
    style = reading.style or choose_style(rng, tempo, counted)
    sections = None
    if structure is not None:
        beats = bars * bar_beats(counted) if length_beats is None else length_beats
        sections = _sections(structure, beats * 60.0 / tempo, bar_beats(counted) * 60.0 / tempo)
    piece = compose(
        rng, style=style, mood=reading.mood, tempo_bpm=tempo, metre=counted, key=wanted,
        bars=max(1, bars), roles=roles or reading.roles or ROLES, programs=reading.programs,
        steady=True, sections=sections,
    )  # fmt: skip
    if length_beats is not None:
        piece = cut_piece(piece, min(length_beats, piece.length_beats))
    return piece, reading.unknown


def _sections(structure: Form, length_s: float, bar_s: float) -> list[tuple[str, int]]:
    """Letters and the bars they begin with; a part that no bar line falls to is left out."""
    starts = [round(start / bar_s) for start in structure.boundaries_s(length_s, bar_s)]
    bars = max(1, round(length_s / bar_s))
    ends = [*starts[1:], bars]
    parts = zip(structure.letters, starts, ends, strict=True)
    return [(letter, start) for letter, start, end in parts if start < min(end, bars)]


def _check_lengths(length_s: float | None, length_beats: float | None) -> None:
    if length_s is not None and length_beats is not None:
        raise ValueError("give the length in seconds or in beats, not both")
    for length in (length_s, length_beats):
        if length is not None and not (length > 0.0 and math.isfinite(length)):
            raise ValueError(f"the length must be above 0, not {length}")


def _tempo(rng: np.random.Generator, reading: Reading) -> float:
    """The tempo asked for, or one inside the style's range where the pace points."""
    if reading.tempo_bpm is not None:
        return reading.tempo_bpm
    low, high = STYLES[reading.style].tempo_bpm if reading.style else _OPEN_TEMPO_BPM
    pace = float(rng.uniform(0.2, 0.8)) if reading.pace is None else reading.pace
    return float(round(low + (high - low) * pace))


def usual_metre(style: str | None) -> tuple[int, int]:
    """The metre a style is mostly in."""
    metres = STYLES[style].metres if style else {"4/4": 1.0}
    beats, unit = max(metres, key=lambda name: metres[name]).split("/")
    return int(beats), int(unit)
