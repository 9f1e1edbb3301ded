"""Long parts of files, which are copied over many ticks: whole, once, and for whoever waits."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from daw_bridge.app import App
from tests.plugins.live.conftest import RATE_HZ, MakeSound, OpenLive
from tests.plugins.live.fake_clips import AudioClip
from tests.plugins.live.fake_live import Host
from tests.plugins.live.fake_song import Song, put_audio, warp_to
from tests.plugins.live.sets import NEWEST, look_everywhere, put_device, request_of

PATIENCE_S = 10.0  # of the script, with a daemon that does not answer
STEP_BYTES = 1 << 20  # the most that a tick may copy
COPYING_TICKS = 8  # 28 seconds of stereo in 24 bits, in such steps


def a_long_clip(make_sound: MakeSound) -> tuple[Song, AudioClip]:
    """A clip of which a part is selected that takes many ticks to copy."""
    song = Song(NEWEST)
    clip = put_audio(song, song.f_add_track("Drums"), 0, make_sound(30.0), name="long")
    warp_to(clip, 120.0)
    clip.f_values.update(looping=True, loop_start=1.0, loop_end=57.0)
    return song, clip


def part_of(clip: AudioClip) -> Any:
    """The samples that the loop of such a clip has."""
    whole, _ = soundfile.read(clip.f_values["file_path"], dtype="int32")
    return whole[RATE_HZ // 2 : round(28.5 * RATE_HZ)]


def samples_of(path: str) -> Any:
    return soundfile.read(path, dtype="int32")[0]


def ask_for_draft(host: Host) -> None:
    """Two jobs for one part of a file; when this ends the daemon has been reached."""
    knobs = put_device(host.song, Draft=1.0)
    look_everywhere(host)
    host.until(lambda: host.surface._bridge._link.is_open)
    host.press(knobs["Extend"])
    host.tick()


def test_long_part_is_copied_in_steps(
    daemon: App, open_live: OpenLive, make_sound: MakeSound, data_dir: Path
) -> None:
    song, clip = a_long_clip(make_sound)
    host = open_live(song)
    host.rename(clip, "long > extend 1")
    folder = data_dir / "exports" / "live"
    sizes = [0]
    for _ in range(COPYING_TICKS):
        assert not any(folder.glob("*.wav"))
        host.tick()
        sizes.append(sum(path.stat().st_size for path in folder.iterdir()))
    (copy,) = folder.glob("*.wav")
    assert max(after - before for before, after in itertools.pairwise(sizes)) <= STEP_BYTES + 100
    assert np.array_equal(samples_of(str(copy)), part_of(clip))
    host.until_shown("is on Drums")


def test_files_of_a_pack_are_told_apart(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song = Song(NEWEST)
    track = song.f_add_track("Drums")
    paths = [make_sound(4.0, "one.wav"), make_sound(5.0, "two.wav")]
    samples = samples_of(paths[1])
    soundfile.write(paths[1], samples[::-1], RATE_HZ, "PCM_24")
    host = open_live(song)
    for number, path in enumerate(paths, start=1):
        os.utime(path, ns=(0, 10**18))  # as the archive has it, for all of them
        clip = put_audio(song, track, 0, path, name="loop")
        warp_to(clip, 120.0)
        clip.f_values.update(looping=True, loop_start=2.0, loop_end=4.0)
        host.rename(clip, "loop > extend 1")
        host.until_shown("loop extend is on Drums")
        sent = samples_of(request_of(daemon, f"j-000{number}")["source"])
        assert np.array_equal(sent, samples_of(path)[RATE_HZ : 2 * RATE_HZ])


def test_live_that_is_closed_leaves_nothing_behind(
    daemon: App, open_live: OpenLive, make_sound: MakeSound, data_dir: Path
) -> None:
    song, clip = a_long_clip(make_sound)
    host = open_live(song)
    host.rename(clip, "long > extend 1")
    host.tick()
    assert any((data_dir / "exports" / "live").glob("*.part"))
    host.surface.disconnect()
    assert not any((data_dir / "exports" / "live").iterdir())


def test_slow_disk_is_no_daemon_that_does_not_answer(
    daemon: App, open_live: OpenLive, make_sound: MakeSound, data_dir: Path
) -> None:
    song, clip = a_long_clip(make_sound)
    host = open_live(song)
    bridge = host.surface._bridge
    clock_s, late_s = bridge._clock_s, 0.0
    bridge._clock_s = lambda: clock_s() + late_s
    ask_for_draft(host)
    for _ in range(COPYING_TICKS - 2):
        late_s += 0.5 * PATIENCE_S
        host.tick()
        assert not any((data_dir / "exports" / "live").glob("*.wav"))
    host.until_shown("long extend draft is on Drums")
    host.until_shown("long extend is on Drums")
    for job in ("j-0001", "j-0002"):
        assert np.array_equal(samples_of(request_of(daemon, job)["source"]), part_of(clip))


@pytest.mark.parametrize("place", [0, 1])
def test_copy_goes_on_for_the_job_that_is_left(
    daemon: App, open_live: OpenLive, make_sound: MakeSound, data_dir: Path, place: int
) -> None:
    song, clip = a_long_clip(make_sound)
    host = open_live(song)
    ask_for_draft(host)
    host.tick()
    (copy,) = (data_dir / "exports" / "live").glob("*.part")
    copied_bytes = copy.stat().st_size
    bridge = host.surface._bridge
    bridge.cancel(bridge.jobs[place])
    host.tick()
    assert copy.stat().st_size > copied_bytes
    host.until_shown("long extend is on Drums" if place == 0 else "long extend draft is on Drums")
    assert np.array_equal(samples_of(request_of(daemon)["source"]), part_of(clip))
    assert not any((data_dir / "exports" / "live").glob("*.part"))


def test_last_job_that_is_cancelled_ends_the_copy(
    daemon: App, open_live: OpenLive, make_sound: MakeSound, data_dir: Path
) -> None:
    song, _ = a_long_clip(make_sound)
    host = open_live(song)
    ask_for_draft(host)
    bridge = host.surface._bridge
    for left in (1, 0):
        assert any((data_dir / "exports" / "live").iterdir())
        bridge.cancel(bridge.jobs[0])
        assert len(bridge.jobs) == left
    assert not any((data_dir / "exports" / "live").iterdir())
