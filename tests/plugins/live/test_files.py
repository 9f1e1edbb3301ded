"""The plugin's own readers and writers against those of others."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from pythonosc import slip
from pythonosc.osc_message import OscMessage

from daw_bridge.protocol.framing import SlipFraming
from tests.plugins.live.fake_live import PLUGIN

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40)


def part(name: str) -> Any:
    """A module of the script, read outside of Live."""
    sys.path.insert(0, str(PLUGIN))
    try:
        return importlib.import_module(f"DawBridge.{name}")
    finally:
        sys.path.remove(str(PLUGIN))
        for loaded in [key for key in sys.modules if key.split(".")[0] == "DawBridge"]:
            del sys.modules[loaded]


OSC, MIDI, TIMELINE, WISHES = map(part, ("osc", "midi_files", "timeline", "wishes"))


@pytest.fixture
def audio_files() -> Any:
    return part("audio_files")


def finish(cutter: Any) -> None:
    while not cutter.step():
        pass


@pytest.mark.parametrize(
    ("container", "subtype"),
    [
        *(
            ("WAV", subtype)
            for subtype in ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "PCM_U8")
        ),
        *(("WAVEX", subtype) for subtype in ("PCM_24", "FLOAT")),
        *(("AIFF", subtype) for subtype in ("PCM_16", "PCM_24", "FLOAT")),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_part_of_a_file_has_the_files_own_samples(
    audio_files: Any, tmp_path: Path, container: str, subtype: str, channels: int
) -> None:
    noise = np.random.default_rng(3).uniform(-1, 1, (3001, channels))
    path, made = str(tmp_path / "whole"), str(tmp_path / "part")
    soundfile.write(path, noise, 44_100, subtype, format=container)
    sound = audio_files.read_sound(path)
    assert (sound.sample_rate_hz, sound.length_samples) == (44_100, 3001)
    cutter = audio_files.Cutter(path, sound, 1000, 2001, made)
    finish(cutter)
    found = soundfile.info(made)
    assert (found.samplerate, found.channels, found.subtype) == (44_100, channels, subtype)
    kind = "float64" if subtype in ("FLOAT", "DOUBLE") else "int32"
    whole, _ = soundfile.read(path, dtype=kind, always_2d=True)
    cut, _ = soundfile.read(made, dtype=kind, always_2d=True)
    assert np.array_equal(cut, whole[1000:2001])
    assert list(tmp_path.glob("*.part")) == []


@pytest.mark.parametrize("container", ["FLAC", "OGG"])
def test_other_files_are_left_to_the_daemon(
    audio_files: Any, tmp_path: Path, container: str
) -> None:
    path = str(tmp_path / "clip")
    soundfile.write(path, np.zeros((100, 2)), 44_100, format=container)
    assert audio_files.read_sound(path) is None


@pytest.mark.parametrize("length", range(0, 40, 3))  # the whole header has 44 bytes
def test_damaged_header_is_refused(audio_files: Any, tmp_path: Path, length: int) -> None:
    whole = io.BytesIO()
    soundfile.write(whole, np.zeros((0, 2)), 44_100, format="WAV")
    path = tmp_path / "clip.wav"
    path.write_bytes(whole.getvalue()[:length])
    is_wav = length >= 12
    if is_wav:
        with pytest.raises(audio_files.Refusal, match="damaged"):
            audio_files.read_sound(str(path))
    else:
        assert audio_files.read_sound(str(path)) is None


def test_file_that_has_become_shorter_is_told(audio_files: Any, tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.zeros((1000, 2)), 44_100)
    sound = audio_files.read_sound(str(path))
    path.write_bytes(path.read_bytes()[:600])
    cutter = audio_files.Cutter(str(path), sound, 0, 1000, str(tmp_path / "part.wav"))
    with pytest.raises(Exception, match="shorter than it says"):
        finish(cutter)
    assert [item.name for item in tmp_path.iterdir()] == ["clip.wav"]


def test_copy_that_was_given_up_begins_again(audio_files: Any, tmp_path: Path) -> None:
    noise = np.random.default_rng(4).uniform(-1, 1, (300_000, 2))
    path, made = str(tmp_path / "whole.wav"), tmp_path / "part.wav"
    soundfile.write(path, noise, 44_100, "FLOAT")
    whole, _ = soundfile.read(path, dtype="float32")
    cutter = audio_files.Cutter(path, audio_files.read_sound(path), 10, 290_000, str(made))
    assert not cutter.step()
    assert not made.exists()  # it has its name once it is whole
    cutter.close()
    assert [item.name for item in tmp_path.iterdir()] == ["whole.wav"]
    for _ in range(2):  # and again, where somebody has deleted it
        finish(cutter)
        assert np.array_equal(soundfile.read(made, dtype="float32")[0], whole[10:290_000])
        made.unlink()


def test_vanished_file_is_told(audio_files: Any, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="cannot be read"):
        audio_files.read_sound(str(tmp_path / "clip.wav"))


NOTES = st.lists(
    st.tuples(
        st.integers(0, 64 * 8).map(lambda n: n / 8),
        st.integers(1, 64).map(lambda n: n / 8),
        st.integers(0, 127),
        st.integers(1, 127),
    ),
    min_size=1,
    max_size=20,
    unique_by=lambda note: note[2],  # one pitch cannot sound twice at a time
)


@given(
    NOTES,
    st.sampled_from([(4, 4), (3, 4), (7, 8), (6, 16)]),
    st.floats(20, 400).map(lambda bpm: round(bpm, 3)),
    TEXT,
)
def test_melody_is_read_by_mido_as_it_was(
    notes: list[tuple[float, float, int, int]], metre: tuple[int, int], bpm: float, title: str
) -> None:
    data = MIDI.midi_file([MIDI.Note(*note) for note in notes], 80.0, bpm, metre, title)
    file = mido.MidiFile(file=io.BytesIO(data))
    (track,) = file.tracks
    ticks, sounding, found = 0, {}, []
    for message in track:
        ticks += message.time
        beats = ticks / file.ticks_per_beat
        if message.type == "note_on":
            sounding[message.note] = (beats, message.velocity)
        elif message.type == "note_off":
            start, velocity = sounding.pop(message.note)
            found.append((start, beats - start, message.note, velocity))
        elif message.type == "set_tempo":
            assert mido.tempo2bpm(message.tempo) == pytest.approx(bpm, rel=1e-5)
        elif message.type == "time_signature":
            assert (message.numerator, message.denominator) == metre
    assert sorted(found) == sorted(notes)
    assert ticks == 80 * file.ticks_per_beat
    assert not sounding


@given(st.one_of(TEXT, st.from_regex(r"[a-z]* ?> ?(extend|loop|vary|x)( [a-z0-9.]{1,9}){0,5}:?.*")))
def test_any_name_is_a_command_or_none_or_refused(name: str) -> None:
    with contextlib.suppress(WISHES.Refusal):
        wish = WISHES.read_command(name, WISHES.Protocol.load())
        assert (wish is None) == (">" not in name)
    left = WISHES.without_command(name)
    assert name.startswith(left, len(name) - len(name.lstrip()))
    is_whole = left == name.strip()
    assert is_whole or any(verb in name.lower() for verb in (*WISHES.VERBS, WISHES.CANCEL))


VALUES = st.lists(
    st.one_of(TEXT, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False)),
    max_size=6,
)


@given(VALUES)
def test_messages_are_read_by_python_osc_as_they_were(values: list[Any]) -> None:
    packet = OSC.encode("/dawbridge/extend", values)
    told = OscMessage(packet)
    assert told.address == "/dawbridge/extend"
    assert list(told.params) == values
    assert OSC.decode(packet) == ("/dawbridge/extend", values)


@given(st.lists(st.binary(min_size=1, max_size=80), max_size=5), st.integers(1, 17))
def test_frames_are_those_of_the_daemon(packets: list[bytes], step: int) -> None:
    sent = b"".join(OSC.wrap(packet) for packet in packets)
    assert sent == b"".join(slip.encode(packet) for packet in packets)
    assert list(SlipFraming(1 << 16).feed(sent)) == packets
    reader, found = OSC.Unwrapper(), []
    for at in range(0, len(sent), step):
        found += reader.feed(sent[at : at + step])
    assert found == packets


@given(st.binary(max_size=60))
def test_any_packet_is_read_or_refused(packet: bytes) -> None:
    for data in (packet, b"/a\0\0," + packet):
        with contextlib.suppress(ValueError):
            OSC.decode(data)


def test_stream_without_an_end_is_refused() -> None:
    reader = OSC.Unwrapper()
    assert list(reader.feed(b"x" * 130_000)) == []
    with pytest.raises(ValueError, match="does not end"):
        list(reader.feed(b"x" * 2000))


MARKERS = st.lists(
    st.tuples(st.floats(0.05, 5.0), st.floats(0.05, 8.0)), min_size=1, max_size=6
).map(lambda steps: [(0.0, 0.0), *((s, b) for s, b in np.cumsum(steps, axis=0).tolist())])


@given(MARKERS, st.floats(-3.0, 40.0))
def test_timeline_is_numpys_between_markers_and_straight_beyond(
    markers: list[tuple[float, float]], seconds: float
) -> None:
    line = TIMELINE.Timeline([TIMELINE.Marker(*marker) for marker in markers])
    beats = line.beats(seconds)
    assert line.seconds(beats) == pytest.approx(seconds, abs=1e-6)
    if 0.0 <= seconds <= markers[-1][0]:
        assert beats == pytest.approx(np.interp(seconds, *np.transpose(markers)), abs=1e-9)
    # What is cut out of a file and laid beside it plays at the same beats.
    cut = TIMELINE.Timeline(line.part(seconds, seconds + 2.0))
    for later in (0.0, 0.7, 2.0):
        assert cut.beats(later) == pytest.approx(line.beats(seconds + later) - beats, abs=0.02)


def test_markers_that_change_nothing_are_left_out() -> None:
    line = TIMELINE.Timeline([TIMELINE.Marker(n / 2, float(n)) for n in range(9)])
    assert line.part(0.25, 3.5) == [(0.0, 0.0), (3.25, 6.5)]
    bent = TIMELINE.Timeline(
        [TIMELINE.Marker(*m) for m in ((0, 0), (1, 2), (2, 4), (3, 5), (4, 6))]
    )
    assert bent.part(0.0, 4.0) == [(0.0, 0.0), (2.0, 4.0), (4.0, 6.0)]


def test_tempo_is_as_it_is_shown() -> None:
    assert TIMELINE.shown_bpm(float(np.float32(123.45))) == 123.45
    assert TIMELINE.shown_bpm(97.50000000000001) == 97.5
    assert TIMELINE.shown_bpm(93.12345678) == 93.123457
    assert TIMELINE.on_grid(8.00002) == 8.0
    assert TIMELINE.on_grid(8.3) == 8.3
