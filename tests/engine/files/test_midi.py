"""Melodies: what sounds when, through any tempo map and any kind of file."""

from __future__ import annotations

import io
import random
import struct
from itertools import pairwise
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.files.midi import (
    Melody,
    MelodyNote,
    melody_chroma,
    melody_from_bytes,
    melody_pitches,
    read_melody,
)
from engine.spec import BridgeError

TPQ = 480
On = tuple[str, float, int, int]


def midi(
    *tracks: list[tuple[float, mido.Message | mido.MetaMessage]], kind: int = 1, tpq: int = TPQ
) -> bytes:
    """A file from tracks of (beat, message)."""
    file = mido.MidiFile(type=kind, ticks_per_beat=tpq)
    for events in tracks:
        track, now = mido.MidiTrack(), 0
        for beat, message in sorted(events, key=lambda event: event[0]):
            ticks = round(beat * tpq)
            track.append(message.copy(time=ticks - now))
            now = ticks
        file.tracks.append(track)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def note(start: float, length: float, pitch: int, channel: int = 0, velocity: int = 90) -> list:
    return [
        (start, mido.Message("note_on", note=pitch, velocity=velocity, channel=channel)),
        (start + length, mido.Message("note_off", note=pitch, channel=channel)),
    ]


def tempo(beat: float, bpm: float) -> tuple[float, mido.MetaMessage]:
    return beat, mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm))


def heard(melody: Melody) -> list[tuple[float, float, int]]:
    return [(n.start_beats, n.end_beats, n.pitch) for n in melody.notes]


def test_a_plain_tune(tmp_path: Path) -> None:
    signature = (0.0, mido.MetaMessage("time_signature", numerator=7, denominator=8))
    data = midi([tempo(0, 90), signature], note(0, 1, 60) + note(1, 1, 62) + note(2.5, 0.5, 64))
    path = tmp_path / "tune.mid"
    path.write_bytes(data)
    melody = read_melody(path)
    assert heard(melody) == [(0, 1, 60), (1, 2, 62), (2.5, 3, 64)]
    assert melody.notes[0].velocity == 90
    assert str(melody.metre) == "7/8"
    assert melody.bpm == pytest.approx(90, abs=1e-3)
    assert melody.length_beats == 3
    assert melody.seconds == pytest.approx(2.0, abs=1e-4)


def test_the_highest_note_is_the_melody() -> None:
    chord = note(0, 4, 48) + note(0, 4, 55) + note(0, 2, 72) + note(3, 1, 74, channel=1)
    assert heard(melody_from_bytes(midi(chord))) == [(0, 2, 72), (2, 3, 55), (3, 4, 74)]


def test_an_imprecise_release_is_no_note() -> None:
    legato = note(0, 1.05, 64) + note(1, 1.0, 62)
    assert heard(melody_from_bytes(midi(legato))) == [(0, 1.05, 64), (1.05, 2, 62)]
    touching = note(0, 1.0, 60) + note(0.5, 0.45, 67)
    assert heard(melody_from_bytes(midi(touching))) == [(0, 0.5, 60), (0.5, 0.95, 67)]


def test_a_key_struck_again_is_two_notes() -> None:
    again = note(0, 1, 60) + note(1, 1, 60)
    assert heard(melody_from_bytes(midi(again))) == [(0, 1, 60), (1, 2, 60)]
    overlapping = [
        (0.0, mido.Message("note_on", note=60, velocity=80)),
        (1.0, mido.Message("note_on", note=60, velocity=80)),
        (2.0, mido.Message("note_on", note=60, velocity=0)),
        (3.0, mido.Message("note_on", note=60, velocity=0)),
    ]
    assert heard(melody_from_bytes(midi(overlapping))) == [(0, 1, 60), (1, 3, 60)]


def test_a_note_never_released_ends_with_its_track() -> None:
    events = [
        (0.0, mido.Message("note_on", note=60, velocity=80)),
        (4.0, mido.MetaMessage("text", text="end")),
    ]
    assert heard(melody_from_bytes(midi(events))) == [(0, 4, 60)]


def test_running_status_and_velocity_zero() -> None:
    body = bytes([0, 0x90, 60, 90, 96, 60, 0, 0, 62, 90, 96, 62, 0]) + b"\0\xff\x2f\0"
    data = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 96) + b"MTrk" + struct.pack(">I", len(body))
    assert heard(melody_from_bytes(data + body)) == [(0, 1, 60), (1, 2, 62)]


def test_smpte_time_is_played_in_seconds() -> None:
    """25 frames of 40 ticks: 1000 ticks to the second."""
    body = bytes([0, 0x90, 60, 90, 0x87, 0x68, 60, 0]) + b"\0\xff\x2f\0"  # 0x87 0x68 is 1000
    data = b"MThd" + struct.pack(">IHHbB", 6, 0, 1, -25, 40) + b"MTrk"
    melody = melody_from_bytes(data + struct.pack(">I", len(body)) + body)
    assert melody.seconds == pytest.approx(1.0)
    with pytest.raises(BridgeError, match="time division"):
        melody_from_bytes(
            data.replace(struct.pack("bB", -25, 40), struct.pack("bB", -77, 40))
            + struct.pack(">I", len(body))
            + body
        )


def test_type_2_plays_its_first_song() -> None:
    data = midi([tempo(0, 60)], note(0, 1, 60), note(0, 1, 72), kind=2)
    assert heard(melody_from_bytes(data)) == [(0, 1, 60)]


def test_tempo_changes_move_seconds_and_not_beats() -> None:
    data = midi([tempo(0, 120), tempo(2, 60)], note(0, 2, 60) + note(2, 2, 62))
    melody = melody_from_bytes(data)
    assert heard(melody) == [(0, 2, 60), (2, 4, 62)]
    assert melody.seconds == pytest.approx(1.0 + 2.0)
    assert melody_pitches(melody, np.array([0.5, 1.5, 2.9, 3.1])).tolist() == [60, 62, 62, -1]
    at_fixed = melody_pitches(melody, np.array([0.5, 1.5, 2.1]), tempo=120)
    assert at_fixed.tolist() == [60, 62, -1]


def metres(*changes: tuple[float, int, int]) -> str:
    """The metre map of a file with these signatures: beat, beats, unit."""
    signatures = [
        (beat, mido.MetaMessage("time_signature", numerator=beats, denominator=unit))
        for beat, beats, unit in changes
    ]
    return str(melody_from_bytes(midi(signatures, note(0, 1, 60))).metres)


def test_a_metre_that_is_told_again_restarts_the_bar() -> None:
    assert metres((0, 4, 4), (6, 4, 4)) == "0:4/4,6:4/4"
    assert metres((0, 4, 4), (8, 4, 4)) == "4/4"
    assert metres((0, 3, 4), (7, 7, 8), (14, 7, 8)) == "0:3/4,7:7/8"


def test_before_the_first_signature_is_common_time() -> None:
    assert metres() == "4/4"
    assert metres((0, 7, 8)) == "7/8"
    assert metres((8, 3, 4)) == "0:4/4,8:3/4"
    assert metres((8, 4, 4)) == "4/4"
    assert metres((6, 4, 4)) == "0:4/4,6:4/4"


def test_of_two_signatures_at_once_the_last_counts() -> None:
    assert metres((0, 4, 4), (0, 3, 4)) == "3/4"
    assert metres((0, 4, 4), (8, 6, 8), (8, 5, 4)) == "0:4/4,8:5/4"
    data = midi([tempo(0, 90), tempo(0, 60)], note(0, 1, 60))
    assert melody_from_bytes(data).bpm == pytest.approx(60)


def test_a_tempo_that_is_told_again_is_no_change() -> None:
    data = midi([tempo(0, 60), tempo(2, 60), tempo(4, 120), tempo(5, 60)], note(0, 1, 60))
    assert str(melody_from_bytes(data).tempo_map) == "0:60,4:120,5:60"


def test_chroma_is_one_hot_with_silent_rests() -> None:
    melody = melody_from_bytes(midi([tempo(0, 60)], note(0, 1, 60) + note(2, 1, 71)))
    chroma = melody_chroma(melody, 40, 10.0)
    assert chroma.shape == (40, 12)
    assert chroma.dtype == np.float32
    assert chroma[:10, 0].all()
    assert not chroma[10:20].any()
    assert chroma[20:30, 11].all()
    assert not chroma[30:].any()
    assert set(chroma.sum(axis=1)) == {0.0, 1.0}
    faster = melody_chroma(melody, 40, 10.0, tempo=120)
    np.testing.assert_array_equal(faster[:5], chroma[:10:2])


def refused(data: bytes, code: str = "bad_midi") -> str:
    with pytest.raises(BridgeError) as caught:
        melody_from_bytes(data)
    assert caught.value.code == code
    return caught.value.message


def test_what_is_no_melody_is_refused(tmp_path: Path) -> None:
    assert "no notes" in refused(midi([tempo(0, 90)]))
    assert "only drums" in refused(midi(note(0, 1, 36, channel=9)))
    assert "no notes" in refused(midi([(0.0, mido.Message("note_off", note=60))]))
    assert "not a MIDI file" in refused(b"RIFF and so on")
    good = midi(note(0, 1, 60))
    assert "damaged" in refused(good[:-9])
    assert "damaged" in refused(good[:10])
    assert "60000000 bpm" in refused(
        midi([(0.0, mido.MetaMessage("set_tempo", tempo=1))], note(0, 1, 60))
    )
    assert "inf bpm" in refused(
        midi([(0.0, mido.MetaMessage("set_tempo", tempo=0))], note(0, 1, 60))
    )
    assert "lasts" in refused(midi(note(0, 1, 60) + note(7300, 1, 60)), "too_large")
    assert "metre" in refused(
        midi(
            [(0.0, mido.MetaMessage("time_signature", numerator=99, denominator=4))], note(0, 1, 60)
        )
    )
    empty = tmp_path / "empty.mid"
    empty.touch()
    huge = tmp_path / "huge.mid"
    with open(huge, "wb") as file:
        file.truncate(1 << 30)
    for path, code in (
        (empty, "bad_midi"),
        (tmp_path, "bad_midi"),
        (huge, "too_large"),
        (tmp_path / "none.mid", "bad_midi"),
        (Path("a\0b.mid"), "bad_midi"),
    ):
        with pytest.raises(BridgeError) as caught:
            read_melody(path)
        assert caught.value.code == code


def test_damaged_bytes_raise_nothing_but_the_documented_error() -> None:
    good = midi([tempo(0, 100), tempo(1, 80)], note(0, 1, 60) + note(0.5, 1, 62, channel=9))
    generator = random.Random(7)
    refusals, codes = 0, set()
    for _ in range(300):
        data = bytearray(good)
        for _ in range(generator.randint(1, 4)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        try:
            melody_from_bytes(bytes(data[: generator.randint(1, len(data))]))
        except BridgeError as error:
            refusals += 1
            codes.add(error.code)
    assert refusals > 100
    assert codes <= {"bad_midi", "too_large"}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(1, 24), st.integers(30, 90), st.integers(0, 3)),
        min_size=1,
        max_size=25,
        unique_by=lambda n: (n[0], n[2], n[3]),
    )
)
def test_the_skyline_is_one_voice_of_notes_that_sound(
    notes: list[tuple[int, int, int, int]],
) -> None:
    events = [
        e
        for start, length, pitch, channel in notes
        for e in note(start / 4, length / 4, pitch, channel)
    ]
    melody = melody_from_bytes(midi(events))
    line: list[MelodyNote] = list(melody.notes)
    for before, after in pairwise(line):
        assert before.end_beats <= after.start_beats + 1e-9
    for at in np.arange(0.05, melody.length_beats, 0.5):
        sounding = [p for s, n, p, _ in notes if s / 4 <= at < (s + n) / 4]
        pitch = melody_pitches(melody, np.array([at]), tempo=60)[0]
        if pitch >= 0:
            assert pitch in range(30, 91)
        if sounding and pitch >= 0 and len({(p, c) for _, _, p, c in notes}) == len(notes):
            assert pitch == max(sounding)
