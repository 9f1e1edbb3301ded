"""Recording: count-in, bars, early notes and the host's clock, on a clock of our own."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import mido
import pytest

from daw_bridge.midi.files import midi_bytes
from daw_bridge.midi.ports import Handler, choose
from daw_bridge.midi.recorder import LiveNote, Played, notes_of, quantised
from daw_bridge.midi.session import Follower, Plan, Recording, Session
from engine.files.midi import melody_from_bytes
from engine.spec import BridgeError
from engine.units import Metre

FOUR = Metre(4, 4)


class Stage:
    """A port and a clock on which nothing happens but what the test wrote down."""

    def __init__(self, events: list[tuple[float, Any]], stop_s: float = 1e9) -> None:
        self.events = sorted(events, key=lambda event: event[0])
        self.now_s, self.stop_s = 0.0, stop_s
        self.said: list[str] = []
        self.handle: Handler | None = None

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        while self.events and self.events[0][0] <= self.now_s:
            at_s, message = self.events.pop(0)
            assert self.handle is not None
            self.handle(message, at_s)

    @contextmanager
    def listen(self, handle: Handler) -> Iterator[None]:
        self.handle = handle
        yield

    def record(self, plan: Plan) -> Recording:
        session = Session(
            plan,
            now=lambda: self.now_s,
            sleep=self.sleep,
            stopped=lambda: self.now_s >= self.stop_s,
            say=self.said.append,
        )
        return session.run(self.listen)


def key(start_s: float, end_s: float, pitch: int, velocity: int = 90) -> list[tuple[float, Any]]:
    return [
        (start_s, mido.Message("note_on", note=pitch, velocity=velocity)),
        (end_s, mido.Message("note_off", note=pitch)),
    ]


def clock(bpm: float, beats: float, start_s: float) -> list[tuple[float, Any]]:
    period_s = 60.0 / bpm / 24
    return [
        (start_s + number * period_s, mido.Message("clock")) for number in range(round(beats * 24))
    ]


def heard(recording: Recording) -> list[tuple[float, float, int]]:
    return [
        (round(note.start_beats, 4), round(note.end_beats, 4), note.pitch)
        for note in recording.notes
    ]


def test_a_given_tempo_counts_one_bar_in() -> None:
    """At 120 bpm the first bar begins after two seconds."""
    events = key(0.5, 0.7, 50) + key(1.98, 2.5, 60) + key(3.0, 3.25, 64) + key(3.9, 9.0, 67)
    stage = Stage(events)
    recording = stage.record(Plan(120.0, FOUR, bars=1))
    # The first was the player's own count, the second a hair early, the last is cut at the bar.
    assert heard(recording) == [(0.0, 1.0, 60), (2.0, 2.5, 64), (3.8, 4.0, 67)]
    assert (recording.bpm, recording.length_beats, recording.bars) == (120.0, 4.0, 1)
    assert recording.position_beats is None
    assert stage.said == ["1", "2", "3", "4", "recording"]


def test_without_a_length_it_ends_by_hand_in_whole_bars() -> None:
    stage = Stage(key(2.0, 2.4, 60) + key(7.0, 7.2, 62), stop_s=8.0)
    recording = stage.record(Plan(120.0, Metre(3, 4), bars=None, count_in_bars=1))
    assert heard(recording) == [(1.0, 1.8, 60), (11.0, 11.4, 62)]
    assert recording.length_beats == 12.0


def test_what_has_a_length_is_recorded_whole_however_long_it_is() -> None:
    stage = Stage([*key(2.0, 2.5, 60), *key(801.0, 801.5, 72)])
    recording = stage.record(Plan(120.0, FOUR, 400))
    assert (recording.bars, heard(recording)[-1]) == (400, (1598.0, 1599.0, 72))


def test_what_has_none_ends_after_ten_minutes_and_says_so() -> None:
    stage = Stage([*key(2.0, 2.5, 60), *key(599.0, 599.5, 67), *key(801.0, 801.5, 72)])
    recording = stage.record(Plan(120.0, FOUR, None))
    assert heard(recording)[-1] == (1194.0, 1195.0, 67)
    assert recording.bars == 299, "whole bars of what was played"
    assert "10 minutes" in stage.said[-1]


def test_notes_are_moved_only_when_asked() -> None:
    events = key(2.03, 2.27, 60) + key(2.49, 2.7, 62) + key(3.97, 4.2, 64)
    as_played = Stage(list(events)).record(Plan(120.0, FOUR, bars=1))
    assert as_played.notes[0].start_beats == pytest.approx(0.06)
    moved = Stage(list(events)).record(Plan(120.0, FOUR, bars=1, step_beats=Fraction(1, 2)))
    assert heard(moved) == [(0.0, 0.5, 60), (1.0, 1.5, 62), (3.5, 4.0, 64)]


@pytest.mark.parametrize("bpm", [93.0, 174.0])
def test_the_hosts_clock_is_followed(bpm: float) -> None:
    beat_s = 60.0 / bpm
    start_s = 1.0
    events = [(start_s, mido.Message("start")), *clock(bpm, 16, start_s)]
    for beat, pitch in ((4.0, 60), (5.5, 62), (7.0, 64)):
        events += key(start_s + beat * beat_s, start_s + (beat + 0.5) * beat_s, pitch)
    stage = Stage(events)
    recording = stage.record(Plan(None, FOUR, bars=1))
    assert heard(recording) == [(0.0, 0.5, 60), (1.5, 2.0, 62), (3.0, 3.5, 64)]
    assert recording.bpm == pytest.approx(bpm, abs=0.01)
    assert recording.position_beats == 4.0
    assert stage.said[0] == "waiting for the host to start"
    assert stage.said[-1] == "recording"


def test_a_host_that_goes_on_in_the_middle_begins_at_its_next_bar() -> None:
    """Song position 26 sixteenths: beat 6.5. One bar of count-in: the bar line of beat 12."""
    events = [
        (0.5, mido.Message("songpos", pos=26)),
        (1.0, mido.Message("continue")),
        *clock(120.0, 16, 1.0),
    ]
    events += key(1.0 + 5.5 * 0.5, 1.0 + 6.0 * 0.5, 60)
    recording = Stage(events).record(Plan(None, FOUR, bars=1))
    assert recording.position_beats == 12.0
    assert heard(recording) == [(0.0, 0.5, 60)]


@pytest.mark.parametrize(
    "jump", [[mido.Message("songpos", pos=6)], [mido.Message("start")]], ids=["position", "start"]
)
def test_a_host_that_jumps_while_it_plays_moves_nothing(jump: list[Any]) -> None:
    """A loop of two bars: at beat 8, in the middle of what is kept, the song is back before it."""
    events = [
        (1.0, mido.Message("start")),
        *clock(120.0, 16, 1.0),
        *((4.99, message) for message in jump),
    ]
    events += key(3.5, 4.0, 60) + key(5.5, 6.0, 62)
    recording = Stage(events).record(Plan(None, FOUR, bars=2))
    assert heard(recording) == [(1.0, 2.0, 60), (5.0, 6.0, 62)]
    assert recording.position_beats == 4.0


def test_a_host_that_stops_to_begin_its_loop_anew_ends_what_is_kept() -> None:
    """It goes on within the same instant, faster than anyone asks whether it has stopped."""
    events = [
        (1.0, mido.Message("start")),
        *clock(120.0, 8, 1.0),
        (4.99, mido.Message("stop")),
        (4.99, mido.Message("songpos", pos=0)),
        (4.99, mido.Message("continue")),
        *clock(120.0, 8, 5.0),
    ]
    events += key(3.5, 4.0, 60) + key(5.0, 5.4, 62)
    recording = Stage(events).record(Plan(None, FOUR, bars=None))
    assert heard(recording)[0] == (1.0, 2.0, 60)
    assert (recording.position_beats, recording.bpm) == (4.0, pytest.approx(120.0))


def test_where_the_song_is_is_followed_through_jumps_and_stops() -> None:
    follower = Follower()
    follower.handle(mido.Message("songpos", pos=16), 0.0)
    follower.handle(mido.Message("continue"), 1.0)
    for at_s, message in clock(120.0, 4, 1.0):
        follower.handle(message, at_s)
    assert follower.reaches_at(10.0) == pytest.approx(4.0)  # beat 4 was at 1 s
    follower.handle(mido.Message("songpos", pos=0), 2.99)
    assert follower.reaches_at(2.0) == pytest.approx(4.0)  # beat 0 is the tick at 3 s
    for at_s, message in clock(120.0, 2, 3.0):
        follower.handle(message, at_s)
    follower.handle(mido.Message("stop"), 3.99)
    assert follower.reaches_at(2.0) is None
    follower.handle(mido.Message("continue"), 9.0)  # from beat 2, where it stopped
    for at_s, message in clock(120.0, 2, 9.0):
        follower.handle(message, at_s)
    assert follower.reaches_at(4.0) == pytest.approx(10.0)


def test_it_ends_when_the_host_stops() -> None:
    events = [(1.0, mido.Message("start")), *clock(120.0, 11, 1.0), (6.5, mido.Message("stop"))]
    events += key(3.0, 3.5, 60) + key(6.0, 6.4, 62)
    recording = Stage(events).record(Plan(None, FOUR, bars=None))
    assert heard(recording) == [(0.0, 1.0, 60), (6.0, 6.8, 62)]
    assert recording.length_beats == 8.0


@pytest.mark.parametrize(
    ("events", "plan", "says"),
    [
        ([], Plan(None, FOUR, 1, wait_s=2.0), "host has not started"),
        ([(0.5, mido.Message("start"))], Plan(None, FOUR, 1, wait_s=2.0), "does not tick"),
        ([], Plan(120.0, FOUR, 1), "nothing was played"),
        ([(0.1, mido.Message("start")), *clock(900.0, 60, 0.1)], Plan(None, FOUR, 2),
         "ticks at 900.0 bpm"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_told(events: list[Any], plan: Plan, says: str) -> None:
    with pytest.raises(BridgeError, match=says) as caught:
        Stage(list(events)).record(plan)
    assert caught.value.hint


def test_the_file_is_what_was_played() -> None:
    notes = [LiveNote(0.0, 1.0, 60, 90), LiveNote(1.0, 1.5, 60, 70), LiveNote(2.25, 4.0, 64, 100)]
    data = midi_bytes(notes, bpm=93.4, metre=Metre(7, 8), length_beats=7.0)
    melody = melody_from_bytes(data)
    assert [(n.start_beats, n.end_beats, n.pitch, n.velocity) for n in melody.notes] == [
        (0.0, 1.0, 60, 90), (1.0, 1.5, 60, 70), (2.25, 4.0, 64, 100),
    ]  # fmt: skip
    assert melody.bpm == pytest.approx(93.4, abs=1e-4)
    assert str(melody.metre) == "7/8"
    file = mido.MidiFile(file=io.BytesIO(data))
    assert sum(message.time for message in file.tracks[0]) == 7 * 960


def test_keys_that_overlap_and_repeat() -> None:
    def at(second: float, pitch: int, velocity: int = 80) -> Played:
        return Played(second, 0, pitch, velocity)

    played = [at(0, 60), at(1, 60), at(2, 60, 0), at(3, 60, 0), at(3.6, 64), at(1, 50, 0)]
    seconds: Callable[[float], float] = float
    notes = notes_of(played, seconds, 4.0)
    assert [(n.start_beats, n.end_beats, n.pitch) for n in notes] == [
        (0.0, 2.0, 60), (1.0, 3.0, 60), (3.6, 4.0, 64),
    ]  # fmt: skip
    triplets = quantised(notes, Fraction(1, 3), 4.0)
    assert triplets[-1].start_beats == pytest.approx(11 / 3)


def test_steps_that_do_not_fit_into_the_bars_make_them_no_longer() -> None:
    """Quarters in a bar of 7/8: the last has half a beat."""
    notes = [LiveNote(0.0, 3.5, 60, 90), LiveNote(2.9, 3.5, 62, 90), LiveNote(1.0, 2.0, 64, 90)]
    moved = quantised(notes, Fraction(1), 3.5)
    assert [(n.start_beats, n.end_beats) for n in moved] == [(0.0, 3.5), (3.0, 3.5), (1.0, 2.0)]
    data = midi_bytes(moved, bpm=120.0, metre=Metre(7, 8), length_beats=3.5)
    file = mido.MidiFile(file=io.BytesIO(data))
    assert sum(message.time for message in file.tracks[0]) == 3.5 * 960


@pytest.mark.parametrize(
    ("names", "wanted", "found"),
    [
        (["Keys"], None, "Keys"),
        (["Keys", "DAW clock"], "keys", "Keys"),
        (["Key", "Keys"], "Key", "Key"),
    ],
)
def test_a_port_is_found_by_a_part_of_its_name(
    names: list[str], wanted: str | None, found: str
) -> None:
    assert choose(names, wanted) == found


@pytest.mark.parametrize(
    ("names", "wanted", "code"),
    [([], None, "not_found"), (["Keys"], "drums", "not_found"), (["A1", "A2"], None, "bad_request"),
     (["A1", "A2"], "a", "bad_request")],
)  # fmt: skip
def test_a_port_that_is_not_clear_is_asked_for(
    names: list[str], wanted: str | None, code: str
) -> None:
    with pytest.raises(BridgeError) as caught:
        choose(names, wanted)
    assert caught.value.code == code
    assert caught.value.hint
