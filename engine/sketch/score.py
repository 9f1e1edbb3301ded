"""Notes, parts and pieces: the symbolic music every sketch module passes around.

Times are in beats and a beat is always a quarter note, whatever the metre. Note times are final:
swing and human timing are already in them, so audio and truth can never disagree.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.musical_time import TempoMap, exact_beats

ROLES = ("drums", "bass", "chords", "lead")
MODES = ("major", "minor", "dorian", "mixolydian")
_DENOMINATORS = (1, 2, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class Note:
    """One sounding note. `start_beats` >= 0, `duration_beats` > 0, MIDI pitch and velocity."""

    start_beats: float
    duration_beats: float
    pitch: int
    velocity: int

    def __post_init__(self) -> None:
        if not (self.start_beats >= 0.0 and self.duration_beats > 0.0):
            raise ValueError(
                f"a note needs start_beats >= 0 and duration_beats > 0, "
                f"not {self.start_beats} and {self.duration_beats}"
            )
        if not (0 <= self.pitch <= 127 and 1 <= self.velocity <= 127):
            raise ValueError(
                f"a note needs a pitch of 0..127 and a velocity of 1..127, "
                f"not {self.pitch} and {self.velocity}"
            )

    @property
    def end_beats(self) -> float:
        """Where it stops sounding."""
        return self.start_beats + self.duration_beats


@dataclass(frozen=True, slots=True)
class Key:
    """A tonic (0 = C .. 11 = B) and a mode out of `MODES`."""

    tonic: int
    mode: str

    def __post_init__(self) -> None:
        if not 0 <= self.tonic <= 11:
            raise ValueError(f"a tonic is 0 (C) to 11 (B), not {self.tonic}")
        if self.mode not in MODES:
            raise ValueError(f"unknown mode {self.mode!r}; choose one of {', '.join(MODES)}")


@dataclass(frozen=True, slots=True)
class ChordSpan:
    """A chord held for a stretch of time; `pitch_classes` starts with the root."""

    start_beats: float
    duration_beats: float
    root: int
    quality: str
    pitch_classes: tuple[int, ...]

    @property
    def end_beats(self) -> float:
        """Where it stops sounding."""
        return self.start_beats + self.duration_beats


@dataclass(frozen=True, slots=True)
class Part:
    """One instrument's line. For drums, `program` is the General MIDI kit.

    `pan` runs from -1 (left) to 1 (right), `gain_db` is relative to the role's usual level,
    `chorus` is an effect send of 0..1.
    """

    role: str
    program: int
    notes: tuple[Note, ...]
    pan: float
    gain_db: float
    chorus: float = 0.0

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"unknown role {self.role!r}; choose from {', '.join(ROLES)}")
        if not 0 <= self.program <= 127:
            raise ValueError(f"a program is 0..127, not {self.program}")


@dataclass(frozen=True, slots=True)
class Piece:
    """A composed piece.

    `swing` is where the off-beat falls inside its pair of `swing_unit_beats` (0.5 is straight,
    2/3 is a triplet), `space` the size of the room around it (0 dry .. 1 hall). Where the tempo
    changes, `tempo` says how, counted from `lead_beats` into the piece, and `tempo_bpm` is only
    that of the start.
    """

    style: str
    mood: str
    tempo_bpm: float
    metre: tuple[int, int]
    key: Key
    chords: tuple[ChordSpan, ...]
    parts: tuple[Part, ...]
    length_beats: float
    swing: float = 0.5
    swing_unit_beats: float = 1.0
    space: float = 0.3
    tempo: TempoMap | None = None
    lead_beats: float = 0.0

    def __post_init__(self) -> None:
        check_metre(self.metre)
        if not 20.0 <= self.tempo_bpm <= 400.0:
            raise ValueError(f"the tempo must be 20 to 400 bpm, not {self.tempo_bpm}")
        if not self.length_beats > 0.0:
            raise ValueError(f"a piece needs a length above 0 beats, not {self.length_beats}")

    @property
    def bar_beats(self) -> float:
        """The length of a bar in quarter notes."""
        return bar_beats(self.metre)

    @property
    def length_s(self) -> float:
        """The length in seconds, without a tail."""
        if self.tempo is None:
            return self.length_beats * 60.0 / self.tempo_bpm
        lead = exact_beats(self.lead_beats)
        end = self.tempo.seconds_at(exact_beats(self.length_beats) - lead)
        return float(end - self.tempo.seconds_at(-lead))

    def length_samples(self, sample_rate_hz: int) -> int:
        """The exact length of a rendering of this piece."""
        return self.samples_at(self.length_beats, sample_rate_hz)

    def samples_at(self, beats: float, sample_rate_hz: int) -> int:
        """Where a time in beats falls in a rendering; exact, and rounded once."""
        if self.tempo is None:
            return round(beats * 60.0 * sample_rate_hz / self.tempo_bpm)
        lead = exact_beats(self.lead_beats)
        start = self.tempo.samples_at(-lead, sample_rate_hz)
        return self.tempo.samples_at(exact_beats(beats) - lead, sample_rate_hz) - start

    def part(self, role: str) -> Part | None:
        """The part of that role, or None where the piece has none."""
        return next((part for part in self.parts if part.role == role), None)


def check_metre(metre: tuple[int, int]) -> None:
    """Raise `ValueError` unless the metre is one to twenty-four of a power-of-two note."""
    beats, unit = metre
    if not 1 <= beats <= 24 or unit not in _DENOMINATORS:
        raise ValueError(f"cannot count {beats}/{unit}; write a metre such as 4/4, 3/4, 6/8 or 7/8")


def bar_beats(metre: tuple[int, int]) -> float:
    """The length of a bar in quarter notes."""
    return metre[0] * 4.0 / metre[1]
