"""How long a sketch is and in which time it is counted: a steady tempo, or a song's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from engine.analysis.tempo import Grid
from engine.models.studio import STUDIO_RATE_HZ
from engine.musical_time import MusicalTime, TempoMap
from engine.sketch.score import Piece
from engine.sketch.stretches import Stretch
from engine.spec import BridgeError, RenderRequest
from engine.tasks.song_time import playable
from engine.units import Metre, bars_to_seconds, exact, seconds_to_samples

LONGEST_RESULT_S = 300.0


@dataclass(frozen=True, slots=True)
class Pulse:
    """The beat of a result.

    Attributes:
        bpm, metre: at its start.
        seconds: length of the result.
        time: the song's time from the result's start on; None where the tempo is steady and a bar
            begins with the result.
    """

    bpm: float
    metre: Metre
    seconds: Fraction
    time: MusicalTime | None = None

    @property
    def length(self) -> int:
        """Samples of the result at 44.1 kHz."""
        return seconds_to_samples(self.seconds, STUDIO_RATE_HZ)

    @property
    def tempo(self) -> float | TempoMap:
        """The tempo, fixed or as a map."""
        return self.bpm if self.time is None else self.time.tempo

    @property
    def lead_beats(self) -> Fraction:
        """How much of its first bar lies before the result."""
        return Fraction(0) if self.time is None else -self.time.metres.bar_line(0)

    @property
    def length_beats(self) -> float:
        """Quarter notes from the first bar line to the result's end."""
        if self.time is None:
            return beats_of(self.length, self.bpm)
        end = self.time.tempo.beats_at(Fraction(self.length, STUDIO_RATE_HZ))
        return float(self.lead_beats + end)

    @property
    def counted(self) -> tuple[int, int]:
        """The metre at the start as beats and unit.

        Raises:
            BridgeError: `bad_request` where no parts can be written in it.
        """
        return playable(self.metre)

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """Stretches of one metre from the first bar line on; empty where it never changes.

        Raises:
            BridgeError: as `counted`.
        """
        if self.time is None:
            return ()
        lead, end = float(self.lead_beats), self.length_beats
        found = tuple(
            Stretch(float(start) + lead, float(stop) + lead, playable(metre))
            for start, stop, metre in self.time.metres.stretches(0, Fraction(end) - self.lead_beats)
        )
        return found if len(found) > 1 else ()

    @property
    def grid(self) -> Grid:
        """The beats on the result's time axis."""
        if self.time is None:
            return Grid(self.bpm, 1.0, 0.0, True, self.metre)
        return Grid.of(self.time)

    def timed(self, piece: Piece) -> Piece:
        """A piece that was written from the first bar line on, in this time."""
        if self.time is None:
            return piece
        return replace(piece, tempo=self.time.tempo, lead_beats=float(self.lead_beats))


def pulse_of(request: RenderRequest, bpm: float, metre: Metre, time: MusicalTime | None) -> Pulse:
    """The pulse of a request with a length in seconds or bars.

    Args:
        bpm, metre: where there is no `time`.

    Raises:
        BridgeError: `too_large`.
    """
    if time is not None:
        bpm, metre = float(time.tempo.bpm_at(0)), time.metres.metre_at(0)
    if request.seconds is not None:
        seconds = exact(request.seconds)
    elif time is not None:
        seconds = time.bars_s(request.bars or 0)
    else:
        seconds = bars_to_seconds(request.bars or 0, bpm, metre)
    check_length(float(seconds))
    return Pulse(bpm, metre, seconds, time)


def beats_of(length_samples: int, bpm: float) -> float:
    """Quarter notes in so many samples at 44.1 kHz."""
    return length_samples / STUDIO_RATE_HZ * bpm / 60.0


def check_length(seconds: float) -> None:
    """Refuse a result that would take too long.

    Raises:
        BridgeError: `too_large`.
    """
    if seconds > LONGEST_RESULT_S:
        raise BridgeError(
            "too_large",
            f"the result would be {seconds:.0f} s long",
            f"ask for at most {LONGEST_RESULT_S:.0f} s",
        )
