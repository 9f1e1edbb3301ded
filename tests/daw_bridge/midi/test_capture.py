"""`daw-bridge capture` from a port in memory to a file, and on to an accompaniment."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import mido
import pytest

from daw_bridge.cli import main
from daw_bridge.commands.arguments import build_parser
from daw_bridge.commands.capture import _melody_flags
from daw_bridge.commands.render import request_of
from daw_bridge.midi.session import Recording
from engine.files.midi import read_melody
from engine.spec import RenderRequest
from engine.units import Metre
from tests.daw_bridge.fake_engine import FakeEngine
from tests.daw_bridge.midi import memory_backend

BACKEND = "tests.daw_bridge.midi.memory_backend"


@pytest.fixture(autouse=True)
def _memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDO_BACKEND", BACKEND)


def play(port: str, beats: list[float], bpm: float, *, with_clock: bool) -> threading.Thread:
    """A player at the port: a quarter of a beat of each note, from the moment it is listened to."""

    def run() -> None:
        output = memory_backend.Output(port)
        deadline = time.monotonic() + 10
        while not memory_backend.listened_to(port) and time.monotonic() < deadline:
            time.sleep(0.001)
        beat_s, begun = 60.0 / bpm, time.monotonic()
        moments: list[tuple[float, Any]] = []
        if with_clock:
            moments = [(n / 24 * beat_s, mido.Message("clock")) for n in range(24 * 13)]
            moments.append((-1.0, mido.Message("start")))
        for place, beat in enumerate(beats):
            pitch = {"note": 60 + place}
            moments.append((beat * beat_s, mido.Message("note_on", velocity=80, **pitch)))
            moments.append(((beat + 0.25) * beat_s, mido.Message("note_off", **pitch)))
        for at, message in sorted(moments, key=lambda moment: moment[0]):
            time.sleep(max(0.0, begun + at - time.monotonic()))
            output.send(message)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_melody_is_recorded_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tune.mid"
    player = play("Keys", [0.5, 1.5, 2.5], 240.0, with_clock=False)
    flags = ["--port", "keys", "--bpm", "240", "--bars", "1", "--count-in", "0"]
    assert main(["capture", *flags, "--out", str(out), "--json"]) == 0
    player.join()
    told = json.loads(capsys.readouterr().out)
    assert (told["notes"], told["bpm"], told["bars"], told["port"]) == (3, 240.0, 1, "Keys")
    melody = read_melody(out)
    # The two clocks start within a moment of each other.
    for note, beat in zip(melody.notes, (0.5, 1.5, 2.5), strict=True):
        assert note.start_beats == pytest.approx(beat, abs=0.3)
    assert main(["capture", *flags, "--out", str(out)]) == 2
    assert "exists" in capsys.readouterr().err


def test_what_was_played_with_a_hosts_clock_is_accompanied(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, mix = tmp_path / "tune.mid", tmp_path / "mix.wav"
    player = play("DAW clock", [4.0, 5.0, 6.0], 300.0, with_clock=True)
    data_dir = str(tmp_path / "data")
    status = main(
        ["capture", "--port", "DAW clock", "--bars", "1", "--quantise", "1/8", "--out", str(out),
         "--json", "--", "--prompt", "soft", "--out", str(mix), "--data-dir", data_dir],
        lambda *_: FakeEngine(),
    )  # fmt: skip
    player.join()
    assert status == 0
    told = json.loads(capsys.readouterr().out)
    asked = told["recipe"]["request"]
    assert (asked["melody"], asked["bars"], asked["prompt"]) == (str(out), 1.0, "soft")
    # Four beats of count-in, and the song began at 0.
    assert (asked["position_beats"], asked["metre"]) == (4.0, "4/4")
    assert asked["bpm"] == pytest.approx(300.0, rel=0.05)
    assert mix.exists()
    melody = read_melody(out)
    assert [note.start_beats for note in melody.notes] == [0.0, 1.0, 2.0]
    assert melody.bpm == pytest.approx(300.0, rel=0.05)


def _asked(given: list[str], recording: Recording, tune: Path) -> RenderRequest:
    flags = _melody_flags(given, recording)
    return request_of(build_parser().parse_args(["melody", str(tune), *flags]))


@pytest.fixture
def tune(tmp_path: Path) -> Path:
    path = tmp_path / "tune.mid"
    path.touch()
    return path


def _recorded(position_beats: float | None, bpm: float = 97.123, metre: str = "7/8") -> Recording:
    return Recording([], bpm, Metre.parse(metre), 14.0, position_beats)


@pytest.mark.parametrize("position_beats", [0.0, 17.5, 3.5 * 300, 0.1 + 0.2, 999_999.75])
@pytest.mark.parametrize("bpm", [97.123, 20.0, 400.0])
def test_the_accompaniment_knows_where_in_the_song_it_was_played(
    tune: Path, position_beats: float, bpm: float
) -> None:
    asked = _asked(["--prompt", "soft"], _recorded(position_beats, bpm), tune)
    assert (asked.position_beats, asked.bpm, asked.metre) == (position_beats, bpm, "7/8")
    assert (asked.bars, asked.prompt) == (4.0, "soft")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--bpm=90"], {"position_beats": 17.5, "bpm": 90.0, "metre": "7/8"}),
        (["--metre", "6/8"], {"position_beats": 17.5, "bpm": 97.123, "metre": "6/8"}),
        (["--tempo-map=0:90,8:100"], {"position_beats": 17.5, "bpm": None, "metre": "7/8"}),
        # Its metre changes count, too.
        (["--tempo-from", "{tune}"], {"position_beats": 17.5, "bpm": None, "metre": None}),
        (["--position-beats", "8", "--bpm", "90"],
         {"position_beats": 8.0, "bpm": 90.0, "metre": None}),
    ],
)  # fmt: skip
def test_what_is_said_of_the_song_counts_before_what_was_heard(
    tune: Path, given: list[str], expected: dict[str, Any]
) -> None:
    flags = [flag.format(tune=tune) for flag in given]
    asked = _asked(flags, _recorded(17.5), tune)
    assert {name: getattr(asked, name) for name in expected} == expected


def test_without_a_hosts_clock_nothing_is_said_of_the_song(tune: Path) -> None:
    asked = _asked([], _recorded(None), tune)
    assert (asked.position_beats, asked.bpm, asked.metre, asked.bars) == (None, None, None, 4.0)


def test_ports_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capture", "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ports": ["Keys", "DAW clock"]}


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--bpm", "3159345"], "bpm is '3159345'"),
        (["--metre", "waltz"], "metre is 'waltz'"),
        (["--bars", "0"], "bars is '0'"),
        (["--quantise", "1/7"], "quantise is '1/7'"),
        (["--quantise", "often"], "quantise is 'often'"),
        (["--count-in", "-1"], "count-in is '-1'"),
        (["--port", "drums"], "no MIDI input 'drums'"),
        ([], "several MIDI inputs fit"),
        (["--port", "Keys", "--", "--colour", "red"], "unrecognized arguments"),
    ],
)
def test_mistakes_are_told_before_anybody_plays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], says: str
) -> None:
    assert main(["capture", "--out", str(tmp_path / "tune.mid"), *flags]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "tune.mid").exists()
    assert main(["capture", "--port", "Keys", "--out", str(tmp_path / "tune.wav")]) == 2
    assert "must end in .mid" in capsys.readouterr().err


def test_without_the_extra_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MIDO_BACKEND", "mido.backends.rtmidi")
    monkeypatch.delitem(sys.modules, "mido.backends.rtmidi", raising=False)
    monkeypatch.setitem(sys.modules, "rtmidi", None)
    assert main(["capture", "--list"]) == 1
    assert "pip install 'daw-bridge[midi]'" in capsys.readouterr().err


def test_what_was_played_outlives_a_file_that_came_into_being_meanwhile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tune.mid"
    player = play("Keys", [0.5, 1.5], 240.0, with_clock=False)
    appears = threading.Timer(0.5, lambda: out.write_bytes(b"another's"))
    appears.start()
    flags = ["--port", "keys", "--bpm", "240", "--bars", "1", "--count-in", "0"]
    assert main(["capture", *flags, "--out", str(out), "--json"]) == 2
    player.join()
    appears.join()
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], out.read_bytes()) == ("bad_request", b"another's")
    kept = Path(error["hint"].removeprefix("the melody is kept: "))
    try:
        assert [note.pitch for note in read_melody(kept).notes] == [60, 61]
    finally:
        kept.unlink()
