"""One recording: count-in, notes in the host's time, whole bars."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from daw_bridge.midi.clock import MidiClock
from daw_bridge.midi.ports import Handler, played
from daw_bridge.midi.recorder import LiveNote, Played, notes_of, quantised
from engine.musical_time import FASTEST_BPM, SLOWEST_BPM
from engine.spec import BridgeError
from engine.units import Metre

Listen = Callable[[Handler], AbstractContextManager[None]]
_POLL_S = 0.005
_LONGEST_S = 600.0  # where nobody says how long it is to be
_LATE_S = 0.05  # a release that comes just after the end belongs to its note
_SIXTEENTH_BEATS = Fraction(1, 4)  # what song positions count in
MOST_EVENTS = 100_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be recorded.

    Attributes:
        bpm: the host's tempo; None to follow its MIDI clock.
        bars: how many; None to record until it is stopped, by the clock or by hand, or for ten
            minutes.
        count_in_bars: bars before the first one that is kept.
        step_beats: what notes are moved to; None leaves them as they were played.
        wait_s: how long to wait for the host's start.
    """

    bpm: float | None
    metre: Metre
    bars: int | None
    count_in_bars: int = 1
    step_beats: Fraction | None = None
    wait_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Recording:
    """What was played.

    Attributes:
        length_beats: whole bars.
        position_beats: where it begins in the song, by the clock's song position; None without one.
        lost_ticks: of the clock.
    """

    notes: list[LiveNote] = field(repr=False)
    bpm: float
    metre: Metre
    length_beats: float
    position_beats: float | None = None
    lost_ticks: int = 0

    @property
    def bars(self) -> int:
        """Length in bars."""
        return round(self.length_beats / float(self.metre.bar_beats))


@dataclass(frozen=True, slots=True)
class _Begun:
    """Where a recording begins, in beats of the clock and of the song."""

    clock_beats: float
    song_beats: float


class Follower:
    """A host's transport: where it began, whether it runs, when it will come to a beat.

    Messages come in the driver's thread.

    Attributes:
        origin_beats: of the song, where the clock's beats count from.
        has_stopped: it ran, and was stopped.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.clock = MidiClock()
        self.origin_beats = Fraction(0)
        self.runs = False
        self.has_stopped = False

    def handle(self, message: Any, at_s: float) -> None:
        """Take a message of the port; what is none of the transport's is left alone."""
        with self.lock:
            if message.type == "clock":
                if self.runs:
                    self.clock.tick(at_s)
            elif message.type == "songpos":
                self._is_at(message.pos * _SIXTEENTH_BEATS)
            elif message.type in ("start", "continue"):
                if message.type == "start":
                    self._is_at(Fraction(0))
                if not self.runs:
                    self.clock.restart()
                self.runs, self.has_stopped = True, False
            elif message.type == "stop":
                if self.runs:  # "continue" goes on from here
                    self.origin_beats += self.clock.beats
                self.has_stopped, self.runs = self.has_stopped or self.runs, False

    def _is_at(self, song_beats: Fraction) -> None:
        """Place the next tick; some hosts tell of every jump while they play, without a stop."""
        self.origin_beats = song_beats - (self.clock.beats if self.runs else 0)

    def reaches_at(self, beat: float) -> float | None:
        """The second (`time.monotonic`) of a beat; None while the host stands still."""
        with self.lock:
            if not self.runs:
                return None
            return self.clock.next_at(beat - float(self.origin_beats))


class Session:
    """Takes the messages of a port while the caller waits in `run`."""

    def __init__(
        self,
        plan: Plan,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        stopped: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Prepare a recording.

        Args:
            stopped: whether it was stopped by hand; what was played until then is kept.
            say: remarks for the player.
        """
        self._plan = plan
        self._now, self._sleep = now, sleep
        self._by_hand = stopped
        self._say = say
        self._bar_beats = float(plan.metre.bar_beats)
        self._played: list[Played] = []
        self._host = Follower()
        self._zero_s = math.inf
        self._begun: _Begun | None = None

    def handle(self, message: Any, at_s: float) -> None:
        """Take a message of the port."""
        # A host that loops may stop and go on at once, elsewhere: what was played is timed by the
        # ticks before.
        if not (self._begun and self._host.has_stopped):
            self._host.handle(message, at_s)
        if (event := played(message, at_s)) and len(self._played) < MOST_EVENTS:
            self._played.append(event)

    def run(self, listen: Listen) -> Recording:
        """Record.

        Raises:
            BridgeError: `unavailable` where no clock starts, `bad_midi` where nothing was played
                or the clock's tempo is absurd.
        """
        with listen(self.handle):
            if self._plan.bpm is None:
                self._await_clock()
            else:
                self._zero_s = self._now() + self._count_in_beats * 60.0 / self._plan.bpm
            self._count_in()
            self._await_end()
        return self._recording()

    @property
    def _count_in_beats(self) -> float:
        return self._plan.count_in_bars * self._bar_beats

    def _zero(self) -> _Begun:
        """The first bar line after the count-in; once it has passed, jumps do not move it."""
        origin, bar = self._host.origin_beats, self._plan.metre.bar_beats
        position = math.ceil((origin + Fraction(self._count_in_beats)) / bar) * bar
        return self._begun or _Begun(float(position - origin), float(position))

    def _await_clock(self) -> None:
        self._say("waiting for the host to start")
        deadline_s = self._now() + self._plan.wait_s
        while True:
            with self._host.lock:
                if self._host.clock.bpm is not None:
                    return
                runs = self._host.runs
            if self._now() > deadline_s or self._by_hand():
                missing = "MIDI clock does not tick" if runs else "host has not started"
                raise BridgeError(
                    "unavailable",
                    f"the {missing}",
                    "let the DAW send MIDI clock to this port and press play, or give --bpm",
                )
            self._sleep(_POLL_S)

    def _count_in(self) -> None:
        """Say every beat before the first bar line."""
        told = -1
        while not self._by_hand() and not self._host.has_stopped:
            left = -self._beats_now()
            if left <= 0.0:
                self._begun = self._zero()
                self._say("recording")
                return
            beat = math.floor(self._count_in_beats - left + 1e-9)
            if told < beat < self._count_in_beats:
                told = beat
                self._say(str(beat % max(1, round(self._bar_beats)) + 1))
            self._sleep(_POLL_S)

    def _await_end(self) -> None:
        bars = self._plan.bars
        length = math.inf if bars is None else bars * self._bar_beats
        begun_s = self._now()
        while not self._by_hand() and not self._host.has_stopped:
            if self._beats_now() >= length:
                break
            if bars is None and self._now() - begun_s > _LONGEST_S:
                self._say(f"{_LONGEST_S / 60:g} minutes are recorded; more needs a number of bars")
                break
            self._sleep(_POLL_S)
        self._sleep(_LATE_S)

    def _beats_now(self) -> float:
        return self._beats_at(self._now())

    def _beats_at(self, at_s: float) -> float:
        """Beats since the first bar line that is kept."""
        if self._plan.bpm is not None:
            return (at_s - self._zero_s) * self._plan.bpm / 60.0
        with self._host.lock:
            return self._host.clock.beats_at(at_s) - self._zero().clock_beats

    def _recording(self) -> Recording:
        events = list(self._played)
        bpm = self._plan.bpm or self._host.clock.mean_bpm or 0.0
        if not SLOWEST_BPM <= bpm <= FASTEST_BPM:
            raise BridgeError(
                "bad_midi",
                f"the MIDI clock ticks at {bpm:.1f} bpm",
                f"{SLOWEST_BPM} to {FASTEST_BPM} bpm are taken",
            )
        bars = self._plan.bars
        length = self._now_length(events) if bars is None else bars * self._bar_beats
        notes = notes_of(events, self._beats_at, length)
        if self._plan.step_beats is not None:
            notes = quantised(notes, self._plan.step_beats, length)
        if not notes:
            raise BridgeError(
                "bad_midi", "nothing was played", "play after the count-in; is it the right port?"
            )
        position = self._zero().song_beats if self._plan.bpm is None else None
        return Recording(
            notes, round(bpm, 3), self._plan.metre, length, position, self._host.clock.lost_ticks
        )

    def _now_length(self, events: list[Played]) -> float:
        """Whole bars up to the last key that was pressed or released."""
        last = max((self._beats_at(event.at_s) for event in events), default=0.0)
        # A release a little after the bar line opens no new bar.
        return max(1, math.ceil((last - 0.25) / self._bar_beats)) * self._bar_beats
