"""Sets to try the script with, what they hold afterwards, and what the daemon was asked."""

from __future__ import annotations

import asyncio
from typing import Any

from daw_bridge.app import App
from daw_bridge.client import Client
from tests.plugins.live.conftest import MakeSound
from tests.plugins.live.device import parameters
from tests.plugins.live.fake_clips import AudioClip
from tests.plugins.live.fake_live import Host
from tests.plugins.live.fake_objects import Device, DeviceParameter
from tests.plugins.live.fake_song import Song, Track, put_audio, warp_to
from tests.plugins.live.live_api import VERSIONS

NEWEST = VERSIONS[-1]


def a_set(make_sound: MakeSound) -> tuple[Song, Track, AudioClip]:
    """A set with one clip, selected: two bars of noise on the track `Drums`."""
    song = Song(NEWEST)
    track = song.f_add_track("Drums")
    clip = put_audio(song, track, 0, make_sound(), name="groove")
    warp_to(clip, 120.0)
    return song, track, clip


def put_device(song: Song, name: str = "daw-bridge", **given: float) -> dict[str, DeviceParameter]:
    """The device on the master track, some of its knobs turned."""
    values = {"Draft": 0.0, **given}
    found = {
        row.name: DeviceParameter(
            song.f_rules, row.name, row.low, row.high, values.get(row.name, row.initial)
        )
        for row in parameters()
    }
    on = DeviceParameter(song.f_rules, "Device On", 0.0, 1.0, 1.0)
    made = Device(song.f_rules, name, "MxDeviceAudioEffect", [on, *found.values()])
    song.f_values["master_track"].f_add_devices(made)
    return found


def look_everywhere(host: Host) -> None:
    """As many ticks as the script needs to see each track twice."""
    for _ in range(2 * len(host.song.f_values["tracks"]) + 3):
        host.tick()


def in_slot(track: Track, row: int) -> AudioClip:
    """The audio clip in a track's slot, which must have one."""
    clip = track.f_values["clip_slots"][row].f_values["clip"]
    assert isinstance(clip, AudioClip)
    return clip


def job_of(app: App, job: str = "j-0001") -> dict[str, Any]:
    """What the daemon says of a job."""

    async def ask() -> dict[str, Any]:
        async with Client(app.url, app.token) as client:
            jobs = (await client.request("jobs"))["jobs"]
            return next(entry for entry in jobs if entry["job"] == job)

    return asyncio.run(ask())


def request_of(app: App, job: str = "j-0001") -> dict[str, Any]:
    """What the daemon was asked."""
    request: dict[str, Any] = job_of(app, job)["request"]
    return request
