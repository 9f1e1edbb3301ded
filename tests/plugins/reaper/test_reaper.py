"""REAPER's actions in a strict stand-in of REAPER, against the real command and a real daemon."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import soundfile

from tests.plugins.reaper.stage import (
    FAKE,
    FAKE_GFX,
    LENGTH_S,
    PLUGIN,
    POSITION_S,
    RATE_HZ,
    act,
    takes_of,
    tmp_path_of,
)

pytestmark = [
    pytest.mark.daw,
    pytest.mark.skipif(shutil.which("lua5.4") is None, reason="lua5.4 is not installed"),
]


def newest_recipe(place: Path) -> str:
    found = max((place / "data").rglob("recipe.json"), key=lambda path: path.stat().st_mtime_ns)
    return found.read_text()


def assert_is_the_take(place: Path, before: set[Path], inserted: Path, action: str) -> None:
    """The inserted file sounds as the one take that has appeared, sample for sample."""
    (recipe,) = takes_of(place) - before
    assert json.loads(recipe.read_text())["request"]["task"] == action
    (mix,) = recipe.parent.glob("*.wav")
    told, rate_hz = soundfile.read(mix)
    got, got_rate_hz = soundfile.read(inserted)
    assert (got_rate_hz, bool(told.any())) == (rate_hz, True)
    np.testing.assert_array_equal(got, told)


@pytest.mark.parametrize("action", ["extend", "loop", "inpaint", "vary"])
def test_a_take_of_the_item(place: Path, tmp_path: Path, action: str) -> None:
    before = takes_of(place)
    sounds = {"take_volume": -0.25, "take_pan": 0.5}  # normalised, its polarity turned
    after = act(place, tmp_path, action, from_s=2.1, to_s=2.3, **sounds)
    assert after["message"] == ""
    assert (after["tracks"], after["takes"]) == ("1", "2")
    assert after["sounds"] == "-0.25 0.5", "the files are without, so the take needs it, too"
    assert after["undo"] == f"daw-bridge: {action}"
    assert_is_the_take(place, before, Path(after["audio"]), action)


@pytest.mark.parametrize("action", ["accompany", "melody"])
def test_a_track_below(place: Path, tmp_path: Path, action: str) -> None:
    notes = [[0, 480, 60], [480, 960, 60]]
    scene: dict[str, Any] = {"notes": notes} if action == "melody" else {}
    before = takes_of(place)
    after = act(place, tmp_path, action, take_volume=-0.25, **scene)
    assert after["message"] == ""
    assert (after["tracks"], after["position_s"]) == ("2", str(POSITION_S))
    assert after["sounds"] == "1 0", "another instrument is as loud as it is"
    assert_is_the_take(place, before, Path(after["audio"]), action)


@pytest.mark.parametrize(("action", "tracks"), [("vary", "1"), ("accompany", "2")])
def test_a_take_lands_in_its_own_project_though_another_is_in_front(
    place: Path, tmp_path: Path, action: str, tracks: str
) -> None:
    before = takes_of(place)
    after = act(place, tmp_path, action, user="function(ui) ui.show_tab(2) end")
    assert after["message"] == ""
    assert (after["tracks"], after["undo"]) == (tracks, f"daw-bridge: {action}")
    assert (after["in_front"], after["other_tracks"], after["other_undo"]) == ("other", "1", "")
    assert_is_the_take(place, before, Path(after["audio"]), action)


@pytest.mark.parametrize(
    ("user", "scene", "told"),
    [
        ("function(ui) ui.close_tab(1) end", {}, "The project was closed"),
        ("nil", {"deleted": True}, "The item was deleted"),
    ],
)
def test_a_take_without_a_place_is_named(
    place: Path, tmp_path: Path, user: str, scene: dict[str, Any], told: str
) -> None:
    before = takes_of(place)
    after = act(place, tmp_path, "vary", user=user, **scene)
    said, _, path = after["message"].rpartition(" The take is ")
    assert told in said
    assert_is_the_take(place, before, Path(path), "vary")
    assert (after["takes"], after["undo"], after["other_undo"]) == ("1", "", "")


def test_the_notes_go_out_as_midi(place: Path, tmp_path: Path) -> None:
    # Start, end, pitch, channel, velocity, muted: a repeat, a chord, one muted, one past the end.
    notes: list[list[Any]] = [
        [0, 240, 60, 0, 100, False],
        [240, 480, 60, 0, 90, False],
        [240, 300, 64, 9, 1, False],
        [300, 400, 70, 0, 80, True],
        [900, 2000, 72, 3, 127, False],
    ]
    after = act(place, tmp_path, "melody", notes=notes)
    assert after["message"] == ""
    written = mido.MidiFile(next(tmp_path_of(place, tmp_path).rglob("*-melody.mid")))
    assert written.ticks_per_beat == 960
    now, sounding, heard = 0, {}, []
    for message in written.tracks[0]:
        now += message.time
        if message.type == "note_on":
            sounding[message.channel, message.note] = (now, message.velocity)
        elif message.type == "note_off":
            start, velocity = sounding.pop((message.channel, message.note))
            heard.append([start, now, message.note, message.channel, velocity])
    end = round(LENGTH_S * 2 * 960)  # two beats a second
    assert (now, sounding) == (end, {})
    told = [[start, min(stop, end), *rest] for start, stop, *rest, muted in notes if not muted]
    assert sorted(heard) == sorted(told)


FRAMES = round(LENGTH_S * RATE_HZ)


@pytest.mark.parametrize(
    ("scene", "frames"),
    [
        ({"offset_s": 0.1, "length_s": 0.25}, 4410 + np.arange(11025)),
        ({"rate": 2, "length_s": 0.25}, 2 * np.arange(11025)),
        ({"reversed": True, "section_s": 0}, np.arange(FRAMES)[::-1]),
        ({"section_s": 0.2}, 8820 + np.arange(FRAMES)),
        ({"effects": 1, "accessor_start_s": 0.25}, np.arange(FRAMES)),
        ({"stretch_markers": 2}, np.arange(FRAMES)),
        ({"channel_mode": 1}, np.arange(FRAMES)),
    ],
    ids=["trimmed", "stretched", "reversed", "section", "effects", "markers", "channels"],
)
def test_what_is_not_the_whole_file_is_written_as_it_sounds(
    place: Path, tmp_path: Path, scene: dict[str, Any], frames: np.ndarray
) -> None:
    after = act(place, tmp_path, "vary", answer='{"error": {"message": "enough"}}', **scene)
    assert after["message"] == "enough"
    written = next(tmp_path_of(place, tmp_path).rglob("*-source.wav"))
    assert f'"{written}"' in after["line"]
    samples, rate_hz = soundfile.read(written, dtype="float32")
    assert rate_hz == RATE_HZ
    np.testing.assert_array_equal(samples[:, 0], frames)
    np.testing.assert_array_equal(samples[:, 1], frames + 0.5)


def test_silence_past_the_end_of_the_file_is_silent(place: Path, tmp_path: Path) -> None:
    act(place, tmp_path, "vary", length_s=2.5, answer='{"error": {"message": "enough"}}')
    written = next(tmp_path_of(place, tmp_path).rglob("*-source.wav"))
    samples, _ = soundfile.read(written, dtype="float32")
    assert len(samples) == round(2.5 * RATE_HZ)
    assert not samples[FRAMES:].any()
    np.testing.assert_array_equal(samples[:FRAMES, 0], np.arange(FRAMES))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is full")
@pytest.mark.parametrize(
    ("action", "scene"), [("vary", {"effects": 1}), ("melody", {"notes": [[0, 480, 60]]})]
)
def test_a_full_disk_is_told_and_nothing_is_sent(
    place: Path, tmp_path: Path, action: str, scene: dict[str, Any]
) -> None:
    answer = '{"error": {"message": "enough"}}'
    after = act(place, tmp_path, action, answer=answer, is_disk_full=True, **scene)
    assert after["message"].startswith(f"Cannot write {tmp_path_of(place, tmp_path)}")
    assert after["message"].endswith(": No space left on device")
    assert (after["line"], after["takes"], after["running"]) == ("", "1", "")
    left = tmp_path_of(place, tmp_path).rglob("*")
    assert [path for path in left if path.is_symlink()] == []


def windows_words(line: str) -> list[str]:
    """The words that a Windows program gets of its command line."""
    words = []
    for quoted in re.findall(r'"((?:[^"\\]|\\+[^"\\]|(?:\\\\)+(?="))*)"(?: |$)', line):
        tail = len(quoted) - len(quoted.rstrip("\\"))
        words.append(quoted[: len(quoted) - tail // 2])
    return words


def test_a_command_line_of_windows(place: Path, tmp_path: Path) -> None:
    after = act(
        place,
        tmp_path,
        "vary",
        os="Win64",
        source="C:\\My Song\\groove.wav",
        settings={"prompt": 'a "soft" pad in C:\\'},
        answer='{"error": {"message": "enough"}}',
    )
    words = windows_words(after["line"].replace(" vary ", ' "vary" ', 1))
    assert words[:3] == [str(place / "daw-bridge"), "vary", "C:\\My Song\\groove.wav"]
    assert "--prompt=a 'soft' pad in C:\\" in words
    assert [word.partition("=")[0] for word in words[-2:]] == ["--out", "--result-file"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#!/no/such/python\n", ""),
        ("#!/bin/sh\necho no module >&2\nexit 1\n", "no module"),
        ("#!/bin/sh\necho something else 1.0\n", "something else"),
    ],
)
def test_a_command_that_cannot_start_is_told_at_once(
    place: Path, tmp_path: Path, text: str, said: str
) -> None:
    command = tmp_path / "wrong"
    command.write_text(text)
    command.chmod(0o755)
    after = act(place, tmp_path, "vary", command="", chosen=str(command))
    assert "does not run as daw-bridge" in after["message"]
    assert said in after["message"]
    assert (after["command"], after["line"], after["takes"]) == ("", "", "1")


def test_the_settings_work_on_the_next_render(place: Path, tmp_path: Path) -> None:
    before = takes_of(place)
    after = act(
        place,
        tmp_path,
        ["settings", "extend", "vary"],
        typed="2\n0.25\nslow, warm\n\nn\nn",
        settings={"prompt": "old", "refine": "3"},
        command="",
        chosen=str(place / "daw-bridge"),
    )
    assert (after["message"], after["probes"]) == ("", "1")
    assert "saved_refine" not in after
    requests = [json.loads(path.read_text())["request"] for path in takes_of(place) - before]
    assert {request["task"] for request in requests} == {"extend", "vary"}
    for request in requests:
        assert request["prompt"] == "slow, warm"
    assert after["line"].count('"--variation=0.25"') == 2
    assert after["line"].count('"--bars=2"') == 1


def test_the_console_says_that_it_goes_on(place: Path, tmp_path: Path) -> None:
    after = act(place, tmp_path, "vary", settings={"prompt": "sleep=2"}, clock_rate=20)
    assert after["message"] == ""
    assert "!SHOW:daw-bridge: vary: draft 25 %, 2 s left" in after["console"]


def test_tempo_markers_and_a_ramp_go_out(place: Path, tmp_path: Path) -> None:
    # 4 s at 120 are 8 beats; 4 s from 90 to 150 are 8 beats more; then 100 and 3/4.
    tempo = [[0.0, 120.0, 4, 4, False], [4.0, 90.0, 0, 0, True], [8.0, 150.0, 3, 4, False]]
    after = act(
        place, tmp_path, "vary", tempo=tempo, position_s=5.0, answer='{"error": {"message": "no"}}'
    )
    told = dict(re.findall(r'"--([a-z-]+)=([^"]*)"', after["line"]))
    points = [tuple(map(float, point.split(":"))) for point in told["tempo-map"].split(",")]
    assert [beat for beat, _ in points] == pytest.approx([0, *range(8, 17)])
    ends = [beat for beat, _ in points[1:]]
    spans_s = [60 * (end - beat) / bpm for (beat, bpm), end in zip(points[:-1], ends, strict=True)]
    assert sum(spans_s) == pytest.approx(8.0)
    assert points[-1][1] == 150
    assert told["metre"] == "0:4/4,16:3/4"
    assert float(told["position-beats"]) == pytest.approx(8 + (90 + 15 / 2) / 60)


def test_song_markers_and_envelope_go_out(place: Path, tmp_path: Path) -> None:
    after = act(
        place,
        tmp_path,
        "extend",
        envelope="function(at) return at < 2.2 and 1.0 or 0.1 end",
        tempo=[[0.0, 120.0, 3, 4, False]],
        markers=[[2.0, "Verse"], [2.25, "Hook"], [9.0, "Late"]],
        settings={"structure": "y", "intensity": "y", "prompt": 'soft "pad"', "bars": "2"},
    )
    assert after["message"] == ""
    recipe = newest_recipe(place)
    for told in ("0:A,0.25:B", "3/4", "soft 'pad'", "-20"):
        assert told in recipe


@pytest.mark.parametrize(
    ("action", "scene", "told"),
    [
        ("extend", {"nothing_selected": True}, "Select one item"),
        ("inpaint", {}, "time selection inside the item"),
        ("melody", {}, "Select a MIDI item"),
        ("vary", {"notes": [[0, 480, 60]]}, "Select an audio item"),
        ("extend", {"command": "/no/such/command"}, "was not found"),
        ("extend", {"settings": {"bars": "many"}}, "bars"),
        ("vary", {"settings": {"prompt": "refuse"}}, "the clip is empty"),
    ],
)
def test_mistakes_are_told(
    place: Path, tmp_path: Path, action: str, scene: dict[str, Any], told: str
) -> None:
    after = act(place, tmp_path, action, **scene)
    assert after["message"]
    assert told in after["message"]
    assert (after["takes"], after["undo"]) == ("1", "")


def test_settings_stay_in_the_project(place: Path, tmp_path: Path) -> None:
    after = act(place, tmp_path, "settings", typed="8\n0.3\nslow, warm\n\nn\ny")
    assert (after["saved_bars"], after["saved_prompt"]) == ("8", "slow, warm")
    assert after["saved_intensity"] == "y"


@pytest.mark.skipif(shutil.which("luacheck") is None, reason="luacheck is not installed")
def test_luacheck_is_content() -> None:
    options = ["--globals", "reaper", "gfx", "--max-line-length", "120", "--"]
    ran = subprocess.run(["luacheck", *options, PLUGIN], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize(("prefix", "fake"), [("reaper", FAKE), ("gfx", FAKE_GFX)])
def test_each_name_of_reaper_is_one_that_was_compared(prefix: str, fake: Path) -> None:
    # Also on lines that no test reaches. A row that nobody uses was compared for nothing.
    text = "".join(path.read_text() for path in PLUGIN.glob("*.lua"))
    used = set(re.findall(rf"\b{prefix}\.(\w+)", text))
    rows = set(re.findall(r'\b(\w+) = "[^"]*>[^"]*"', fake.read_text()))
    if prefix == "gfx":
        rows |= set(re.findall(r"\b(\w+) = \d+\.0\b", fake.read_text()))
        used |= {"texth"}  # the stand-in's own, for its lines
    assert used - rows == set()
    assert rows - used == set()
