"""Tempo and metre changes through the tasks: every note where the tempo map says, to the sample."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import soundfile
import torch

from engine.analysis.grid import grid_figures
from engine.chain import windows_of
from engine.files.audio import read_clip
from engine.models.studio import beat_channels
from engine.musical_time import MetreMap, MusicalTime, TempoMap
from engine.report import build_report
from engine.spec import BridgeError, RenderRequest
from engine.tasks.accompaniments import accompany_scene
from engine.tasks.clips import extend_scene, inpaint_scene, loop_scene
from engine.tasks.scene import Scene, beat_phases
from engine.tasks.sketches import generate_scene, melody_scene
from engine.tasks.varied import vary_scene
from engine.units import Metre
from tests.engine.fake_model import fake_model

RATE_HZ = 44_100
SONG = "0:120,4:60,8:150,16:90"
SECONDS = {0: 0, 4: 2, 8: 6, 16: Fraction(46, 5)}  # by hand: 4 / 2, + 4 / 1, + 8 / 2.5
TUNE = [(0, 72), (2, 74), (4, 76), (5.5, 77), (8, 79), (Fraction(34, 3), 76), (16, 74), (18, 72)]


def seconds_at(beat: float | Fraction) -> Fraction:
    """The song's time, written out."""
    at = Fraction(beat).limit_denominator(960)
    start, bpm = {True: (0, 120)}.get(at < 4) or next(
        pair for pair in ((16, 90), (8, 150), (4, 60)) if at >= pair[0]
    )
    return SECONDS[start] + (at - start) * 60 / bpm


def sample_at(beat: float | Fraction, rate: int = RATE_HZ) -> int:
    return int(seconds_at(beat) * rate + Fraction(1, 2))


def tune(path: Path, changes: str = SONG, metres: str = "0:4/4") -> str:
    """Short notes with rests between them, so that each onset stands alone."""
    events: list[tuple[Fraction, Any]] = []
    for beat, bpm in TempoMap.parse(changes).changes:
        events.append((beat, mido.MetaMessage("set_tempo", tempo=round(60_000_000 / bpm))))
    for point in metres.split(","):
        at, _, metre = point.partition(":")
        beats, _, unit = metre.partition("/")
        signature = mido.MetaMessage("time_signature", numerator=int(beats), denominator=int(unit))
        events.append((Fraction(at), signature))
    for beat, pitch in TUNE:
        events.append((Fraction(beat), mido.Message("note_on", note=pitch, velocity=100)))
        events.append((Fraction(beat) + Fraction(1, 4), mido.Message("note_off", note=pitch)))
    file, track, now = mido.MidiFile(ticks_per_beat=480), mido.MidiTrack(), 0
    for beat, message in sorted(events, key=lambda event: event[0]):
        track.append(message.copy(time=round(beat * 480) - now))
        now = round(beat * 480)
    file.tracks.append(track)
    file.save(path)
    return str(path)


def clip(path: Path, seconds: float = 6.0, rate: int = 48_000, channels: int = 2) -> str:
    time = np.arange(round(seconds * rate)) / rate
    wave = 0.3 * np.sin(2 * np.pi * 220 * time) * np.exp(-8 * np.mod(time, 0.5))
    soundfile.write(path, np.repeat(wave[:, None], channels, axis=1), rate, subtype="PCM_24")
    return str(path)


def scene_of(make: Any, **fields: Any) -> Scene:
    made: Scene = make(RenderRequest.from_mapping({"variation": 0, **fields}), fake_model()[1])
    return made


def onsets(audio: np.ndarray[Any, Any], expected: list[int]) -> list[int]:
    """The first sample that sounds after at least 5 ms of silence, near each expected one."""
    heard = np.abs(audio).max(axis=0) > 1e-7
    found = []
    for at in expected:
        start = max(0, at - 220)
        assert not heard[start : max(0, at - 1)].any(), f"it sounds before sample {at}"
        found.append(start + int(np.argmax(heard[start:])))
    return found


@pytest.mark.parametrize("metres", ["0:4/4", "0:4/4,8:3/4,14:7/8", "0:5/4"])
def test_a_melodys_notes_sound_where_its_tempo_map_says(tmp_path: Path, metres: str) -> None:
    melody = tune(tmp_path / "tune.mid", metres=metres)
    scene = scene_of(melody_scene, task="melody", melody=melody, seconds=12, roles="lead")
    expected = [sample_at(beat) for beat, _ in TUNE if seconds_at(beat) < 12]
    found = onsets(scene.parts[0].guide.numpy(), expected)
    # A tone begins with its first sample at zero.
    assert [0 <= late - at <= 1 for at, late in zip(expected, found, strict=True)] == [True] * 8


def test_a_request_that_names_a_tempo_is_played_in_it(tmp_path: Path) -> None:
    melody = tune(tmp_path / "tune.mid")
    scene = scene_of(melody_scene, task="melody", melody=melody, seconds=12, bpm=100, roles="lead")
    assert scene.grid is not None
    assert (scene.grid.bpm, scene.grid.time) == (100.0, None)
    expected = [round(beat * 60 * RATE_HZ / 100) for beat, _ in TUNE]
    found = onsets(scene.parts[0].guide.numpy(), expected)
    assert [0 <= late - at <= 1 for at, late in zip(expected, found, strict=True)] == [True] * 8


def test_bars_are_as_long_as_tempo_and_metre_make_them(tmp_path: Path) -> None:
    melody = tune(tmp_path / "tune.mid", metres="0:4/4,8:3/4,14:7/8")
    for bars, beats in ((1, 4), (2, 8), (3, 11), (4, 14), (6, 21)):
        scene = scene_of(melody_scene, task="melody", melody=melody, bars=bars, roles="drums")
        assert scene.expected_samples == sample_at(beats)


def test_the_bars_of_the_band_are_those_of_the_song(tmp_path: Path) -> None:
    """A kick or a hat sounds on every bar line, and chords change on bar lines or inside bars."""
    melody = tune(tmp_path / "tune.mid", metres="0:4/4,8:3/4,14:7/8")
    scene = scene_of(
        melody_scene, task="melody", melody=melody, bars=6, prompt="rock", roles="drums", seed=3
    )
    assert scene.grid is not None
    assert scene.grid.time is not None
    lines = [0, 4, 8, 11, 14, Fraction(35, 2)]
    assert list(scene.grid.time.metres.bar_lines(0, 21)) == lines
    audio = np.abs(scene.parts[0].guide.numpy()).max(axis=0)
    for beat in lines[1:]:
        at = sample_at(beat)
        # Strokes are played with up to 9 ms of human timing at the first tempo.
        before = audio[at - 3000 : at - 1200].max()
        assert audio[at - 1200 : at + 2400].max() > 1.3 * before, f"no stroke at beat {beat}"


def test_what_the_model_is_told_follows_the_map(tmp_path: Path) -> None:
    melody = tune(tmp_path / "tune.mid", metres="0:4/4,8:3/4")
    scene = scene_of(melody_scene, task="melody", melody=melody, seconds=12)
    timeline = scene.parts[0].timeline
    assert timeline.beat is not None
    assert timeline.melody_onsets is not None
    steps = {math.ceil(seconds_at(beat) * RATE_HZ / 1024): pitch for beat, pitch in TUNE}
    told = np.argwhere(timeline.melody_onsets[0].numpy().T > 0).tolist()
    assert told == [[step, pitch % 12] for step, pitch in sorted(steps.items())]
    for step in (0, 40, 100, 250, 300, 420):
        beat = TempoMap.parse(SONG).beats_at(Fraction(step * 1024, RATE_HZ))
        line, size = (0, 4) if beat < 8 else (8, 3)
        since = (beat - line) % size
        phases = [np.array(float(x), dtype=np.float32) for x in (since % 1, since / size)]
        wanted = beat_channels(*(torch.tensor(x)[None] for x in phases))[..., 0]
        assert timeline.beat[0, :, step].numpy() == pytest.approx(wanted.numpy(), abs=1e-5)


def test_the_report_counts_in_the_songs_time(tmp_path: Path) -> None:
    melody = tune(tmp_path / "tune.mid", metres="0:4/4,8:3/4")
    scene = scene_of(melody_scene, task="melody", melody=melody, seconds=11, roles="lead")
    finished = scene.finish([part.guide.numpy() for part in scene.parts])
    report = build_report(scene, finished, finished.samples, (), (), {})
    grid = report["grid"]
    assert grid["tempo_map"] == [
        {"at_beat": 0.0, "value": 120.0}, {"at_beat": 4.0, "value": 60.0},
        {"at_beat": 8.0, "value": 150.0}, {"at_beat": 16.0, "value": 90.0},
    ]  # fmt: skip
    assert grid["metres"] == [{"at_beat": 0.0, "value": "4/4"}, {"at_beat": 8.0, "value": "3/4"}]
    lines = [0, 4, 8, 11, 14, 17]
    assert grid["bar_lines_s"] == [round(float(seconds_at(beat)), 6) for beat in lines]
    assert report["melody_accuracy"] > 0.9
    assert grid["onset_deviation_ms_median"] < 12


def test_grid_figures_through_a_change_against_clicks() -> None:
    tempo = TempoMap.parse("0:120,4:97,9:133")
    time = MusicalTime(tempo, MetreMap.constant(Metre(4, 4)))
    clicks = np.zeros((1, 10 * RATE_HZ))
    burst = np.random.default_rng(0).normal(size=400) * np.exp(-np.arange(400) / 60)
    for beat in range(18):
        at = tempo.samples_at(beat, RATE_HZ)
        clicks[0, at : at + 400] += 0.5 * burst
    through = grid_figures(clicks, RATE_HZ, 120.0, time=time)
    at_first = grid_figures(clicks, RATE_HZ, 120.0)
    assert through["onset_deviation_ms_median"] is not None
    assert through["onset_deviation_ms_median"] < 6.0
    assert through["tempo_error_percent"] is not None
    assert through["tempo_error_percent"] < 0.5
    assert at_first["onset_deviation_ms_median"] is not None
    assert at_first["onset_deviation_ms_median"] > 10.0


@pytest.mark.parametrize("position", [0, 8, 6, 5.5])
def test_a_melody_lies_in_its_song(tmp_path: Path, position: float) -> None:
    """The same notes with the map that holds from their place on; bars are the song's."""
    melody = tune(tmp_path / "tune.mid", changes="0:77")
    scene = scene_of(
        melody_scene, task="melody", melody=melody, seconds=6, roles="lead",
        tempo_map=SONG, position_beats=position,
    )  # fmt: skip
    start = seconds_at(position)
    expected = [
        int((seconds_at(position + beat) - start) * RATE_HZ + Fraction(1, 2))
        for beat, _ in TUNE
        if seconds_at(position + beat) - start < 6
    ]
    found = onsets(scene.parts[0].guide.numpy(), expected)
    assert [0 <= late - at <= 1 for at, late in zip(expected, found, strict=True)] == [True] * len(
        expected
    )
    assert scene.grid is not None
    assert scene.grid.time is not None
    since, bar = scene.grid.time.phase(0)
    assert (since, bar) == (Fraction(position) % 4, 4)


def test_the_tempo_of_a_file_is_the_songs(tmp_path: Path) -> None:
    song = tune(tmp_path / "song.mid", metres="0:3/4")
    source = clip(tmp_path / "clip.wav")
    scene = scene_of(
        extend_scene, task="extend", source=source, bars=2, tempo_from=song, position_beats=3
    )
    assert scene.grid is not None
    assert scene.grid.time is not None
    assert str(scene.grid.time.metres.first) == "3/4"
    # The clip lasts 6 s from beat 3: half a second to beat 4, four to beat 8, then at 150 bpm.
    end = seconds_at(3) + 6
    beats = 8 + (end - 6) * Fraction(150, 60)
    wanted = (seconds_at(beats + 6) - seconds_at(3)) * 48_000
    assert scene.expected_samples == int(wanted + Fraction(1, 2))


@pytest.mark.parametrize("side", ["end", "start"])
def test_an_extension_in_bars_ends_on_the_songs_bar(tmp_path: Path, side: str) -> None:
    source = clip(tmp_path / "clip.wav", seconds=2.4)  # beats 8 to 14 at 150 bpm
    scene = scene_of(
        extend_scene, task="extend", source=source, bars=1, side=side, tempo_map=SONG,
        metre="0:4/4,8:3/4", position_beats=8,
    )  # fmt: skip
    start, stop = (8, 17) if side == "end" else (4, 14)
    assert scene.expected_samples == int(
        (seconds_at(stop) - seconds_at(start)) * 48_000 + Fraction(1, 2)
    )
    finished = scene.finish([part.guide.numpy() for part in scene.parts])
    assert finished.samples.shape[1] == scene.expected_samples
    report = build_report(scene, finished, finished.samples, (), (), {})
    assert report["source_samples_identical"]
    place = (report["position_beats"], report["position_samples"], report["offset_samples"])
    at = sample_at(8, 48_000)
    assert place == ((8, at, 0) if side == "end" else (4, sample_at(4, 48_000), -192_000))
    assert report["length_beats"] == stop - start
    lines = [8, 11, 14] if side == "end" else [4, 8, 11]
    assert report["grid"]["bar_lines_s"] == [
        round(float(seconds_at(beat) - seconds_at(start)), 6) for beat in lines
    ]


@pytest.mark.parametrize(
    ("task", "fields"),
    [
        ("inpaint", {"start": 0.0, "end": 12.0}),
        ("inpaint", {"start": 0.02, "end": 12.0}),
        ("inpaint", {"start": 4.0, "end": 16.0}),
        ("extend", {"seconds": 12.0, "side": "start"}),
        ("extend", {"seconds": 12.0}),
    ],
    ids=str,
)
def test_every_window_begins_beside_what_is_known(
    tmp_path: Path, task: str, fields: dict[str, Any]
) -> None:
    """Also where the clip's head is replaced: the windows are made from its kept part on."""
    scenes = {"inpaint": inpaint_scene, "extend": extend_scene}
    source = clip(tmp_path / "clip.wav", seconds=16.0)
    scene = scene_of(scenes[task], task=task, source=source, bpm=120, **fields)
    timeline = scene.parts[0].timeline
    known, windows = timeline.known.clone(), windows_of(fake_model()[1], timeline)
    assert len(windows) > 1
    for window in windows:
        assert bool(window.of(known).any()), window
        window.of(known)[:] = 1.0


def test_loops_repairs_and_variations_in_a_songs_time(tmp_path: Path) -> None:
    source = clip(tmp_path / "clip.wav")
    told = {"source": source, "tempo_map": SONG, "position_beats": 2}
    loop = scene_of(loop_scene, task="loop", bars=1, **told)
    assert loop.expected_samples == 48_000 + 96_000  # two beats at 120 bpm, two at 60
    repair = scene_of(inpaint_scene, task="inpaint", start=2.0, end=3.0, **told)
    assert repair.grid is not None
    assert repair.grid.bpm == 60.0
    varied = scene_of(vary_scene, task="vary", **told)
    assert varied.grid is not None
    beat = beat_phases(1, 1024, varied.grid, 0.0)
    assert beat[0, :, 0].numpy() == pytest.approx(
        beat_channels(*(torch.tensor([x]) for x in (0.0, 0.5)))[:, 0].numpy(),
        abs=1e-6,
    )


def test_parts_for_a_clip_follow_its_song(tmp_path: Path) -> None:
    source = clip(tmp_path / "clip.wav")
    scene = scene_of(
        accompany_scene, task="accompany", source=source, tempo_map=SONG, position_beats=2,
        metre="0:4/4,8:3/4", roles="drums", prompt="rock",
    )  # fmt: skip
    assert scene.expected_samples == read_clip(source).length_samples
    audio = np.abs(scene.parts[0].guide.numpy()).max(axis=0)
    for beat in (4, 8):
        at = int((seconds_at(beat) - seconds_at(2)) * RATE_HZ)
        assert audio[at - 1200 : at + 2400].max() > 1.3 * audio[at - 3000 : at - 1200].max()


def test_a_piece_from_words_in_a_songs_time(tmp_path: Path) -> None:
    scene = scene_of(
        generate_scene, task="generate", prompt="rock drums", bars=3, tempo_map=SONG,
        position_beats=4, structure="A1 B2",
    )  # fmt: skip
    assert scene.expected_samples == sample_at(16) - sample_at(4)
    structure = next(control for control in scene.controls if control.name == "structure")
    assert structure is not None
    with pytest.raises(BridgeError, match="changes within what is to be made"):
        scene_of(
            generate_scene, task="generate", prompt="rock", bars=4, tempo_map=SONG,
            metre="0:4/4,8:3/4",
        )  # fmt: skip
    later = scene_of(
        generate_scene, task="generate", prompt="rock", bars=4, bpm=120, position_beats=0,
        metre="0:4/4,64:7/8",
    )  # fmt: skip
    assert later.expected_samples == 8 * RATE_HZ


@pytest.mark.parametrize(
    "told", [{"bpm": 120}, {"bpm": 120, "position_beats": 0}, {"tempo_map": "0:120,64:100"}]
)
def test_music_keeps_its_own_metre_where_the_host_names_none(
    tmp_path: Path, told: dict[str, Any]
) -> None:
    waltz = tune(tmp_path / "waltz.mid", changes="0:120", metres="0:3/4")
    played = scene_of(melody_scene, task="melody", melody=waltz, bars=4, **told)
    worded = scene_of(generate_scene, task="generate", prompt="waltz", bars=4, **told)
    source = clip(tmp_path / "clip.wav")
    beside = scene_of(
        accompany_scene, task="accompany", source=source, prompt="waltz in 3/4", **told
    )
    assert [s.expected_samples for s in (played, worded)] == [6 * RATE_HZ] * 2
    for scene in (played, worded, beside):
        assert scene.grid is not None
        assert scene.grid.metre == Metre(3, 4)
    changing = tune(tmp_path / "changing.mid", changes="0:120", metres="0:3/4,6:4/4")
    scene = scene_of(melody_scene, task="melody", melody=changing, bars=4, **told)
    assert scene.expected_samples == 7 * RATE_HZ, "two bars of three and two of four"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"position_beats": 4}, "without the song's tempo"),
        ({"bpm": 120, "tempo_map": "0:120"}, "both bpm and tempo_map"),
        ({"tempo_map": "0:3159345"}, "tempo_map is '0:3159345'"),
        ({"bpm": 120, "position_beats": 2e6}, "position_beats is"),
        ({"metre": "0:4/4,3"}, "metre is"),
        ({"metre": "0:4/4,4:99/4"}, "metre is"),
    ],
)
def test_what_a_host_sends_is_checked_by_name(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(BridgeError, match=says) as caught:
        RenderRequest.from_mapping({"task": "vary", "source": "a.wav", **fields})
    assert caught.value.code == "bad_request"
    assert caught.value.hint


def test_tempi_and_metres_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    slow = tune(tmp_path / "slow.mid", changes="0:20")
    file = mido.MidiFile(slow)
    for message in file.tracks[0]:
        if message.type == "set_tempo":
            message.tempo = 6_000_000  # 10 bpm
    file.save(slow)
    source = clip(tmp_path / "clip.wav")
    with pytest.raises(BridgeError, match=r"10 bpm; it must be 20 to 400 bpm") as caught:
        scene_of(melody_scene, task="melody", melody=slow, seconds=4)
    assert caught.value.code == "bad_midi"
    with pytest.raises(BridgeError, match="tempo_from has a tempo of 10 bpm"):
        scene_of(vary_scene, task="vary", source=source, tempo_from=slow)
    with pytest.raises(BridgeError, match="whose tempo is not given"):
        scene_of(vary_scene, task="vary", source=source, metre="0:4/4,8:3/4")
    with pytest.raises(BridgeError, match="cannot count 27/32"):
        scene_of(melody_scene, task="melody", melody=tune(tmp_path / "t.mid"), seconds=2,
                 bpm=120, metre="27/32")  # fmt: skip
