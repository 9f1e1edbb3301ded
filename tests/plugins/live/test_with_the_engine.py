"""Takes of the real engine, in a Live: samples, bars and places as the musician hears them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from daw_bridge.config import Config
from tests.daw_bridge.served import served
from tests.plugins.live.conftest import MakeSound, OpenLive
from tests.plugins.live.fake_clips import AudioClip
from tests.plugins.live.fake_objects import MidiNote
from tests.plugins.live.fake_song import (
    Song,
    put_audio,
    put_in_arrangement,
    put_midi,
    warp_to,
)
from tests.plugins.live.live_api import VERSIONS
from tests.plugins.live.sets import in_slot

BPM = 97.5
QUICK = "refine 0 steps 1"


@pytest.fixture
def engine(tmp_path: Path, data_dir: Path) -> Iterator[None]:
    values = {"port": 0, "osc_port": 0, "data_dir": data_dir, "roots": [tmp_path]}
    with served(Config.load(values, environment={})):
        yield


def same_samples(take: AudioClip, source: str, take_at: int, samples: int) -> bool:
    """Whether a stretch of the take is the source's beginning, bit for bit."""
    made, _ = soundfile.read(take.f_values["file_path"], dtype="int32")
    whole, _ = soundfile.read(source, dtype="int32")
    return np.array_equal(made[take_at : take_at + samples], whole[:samples])


@pytest.mark.slow
def test_takes_lie_on_the_grid_and_have_the_sources_samples(
    engine: None, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song = Song(VERSIONS[-1], bpm=BPM)
    drums, keys = song.f_add_track("Drums"), song.f_add_track("Keys", audio=False)
    beats = 8
    path = make_sound(beats * 60 / BPM)
    rate_hz = soundfile.info(path).samplerate
    host = open_live(song)

    clip = put_audio(song, drums, 0, path, name="Groove")
    warp_to(clip, BPM)
    host.rename(clip, f"Groove > extend 1 {QUICK}")
    host.until_shown("Groove extend is on Drums")
    take = in_slot(drums, 1)
    assert take.f_values["loop_end"] == beats + 4
    assert same_samples(take, path, 0, round(beats * 60 / BPM * rate_hz) - rate_hz // 10)

    host.rename(clip, f"Groove > loop 1 {QUICK}")
    host.until_shown("Groove loop is on Drums")
    take = in_slot(drums, 2)
    assert (take.f_values["looping"], take.f_values["loop_end"]) == (True, 4.0)

    placed = put_in_arrangement(song, drums, 16.0, path, name="Placed")
    warp_to(placed, BPM)
    host.rename(placed, f"Placed > extend 1 side start {QUICK}")
    host.until_shown("Placed extend is on Drums takes at bar 4")
    (take,) = song.f_values["tracks"][1].f_values["arrangement_clips"]
    assert take.f_values["start_time"] == pytest.approx(12.0, abs=1e-4)
    assert take.f_get_end_time() == pytest.approx(24.0, abs=1e-4)
    new = round(4 * 60 / BPM * rate_hz)
    made, _ = soundfile.read(take.f_values["file_path"], dtype="int32")
    whole, _ = soundfile.read(path, dtype="int32")
    tail = len(whole) - rate_hz // 10
    assert np.array_equal(made[-tail:], whole[-tail:])
    assert abs(len(made) - len(whole) - new) <= 1

    song.f_values.update(loop=True, loop_start=18.0, loop_length=2.0)
    for verb, track in (("inpaint", 2), ("accompany", 3)):
        song.f_values["loop"] = verb == "inpaint"
        host.rename(placed, f"Placed > {verb} {QUICK}")
        host.until_shown(f"Placed {verb} is on Drums takes {track} at bar 5")
        (take,) = song.f_values["tracks"][track].f_values["arrangement_clips"]
        assert take.f_values["start_time"] == 16.0
        assert take.f_get_end_time() == pytest.approx(24.0, abs=1e-4)
    assert not any(track.f_overwritten for track in song.f_values["tracks"])

    tune = [MidiNote(song.f_rules, 60 + step, float(step), 1.0) for step in range(4)]
    melody = put_midi(song, keys, 0, tune, 4.0, name="Tune", looping=True)
    host.rename(melody, f"Tune > melody {QUICK}")
    host.until_shown("Tune melody is on Keys takes")
    take = in_slot(song.f_values["tracks"][-1], 0)
    assert (take.f_values["looping"], take.f_values["loop_end"]) == (True, 4.0)
