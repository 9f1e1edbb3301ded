"""A daemon that is not there, comes, goes and comes back; and ticks that never wait."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from daw_bridge.app import App
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.served import served
from tests.plugins.live.conftest import MakeSound, OpenLive
from tests.plugins.live.fake_live import PLUGIN, Host, running
from tests.plugins.live.sets import (
    a_set,
    in_slot,
    job_of,
    look_everywhere,
    put_device,
    request_of,
)


def write_server_file(data_dir: Path, **changed: Any) -> None:
    values = {
        "url": "ws://127.0.0.1:1/ws",
        "osc_port": 1,
        "osc_tcp_port": 1,
        "pid": os.getpid(),
        "token": "a-token-of-ours",
        **changed,
    }
    data_dir.mkdir(exist_ok=True)
    (data_dir / "server.json").write_text(json.dumps(values))


def ask(host: Host) -> None:
    host.rename(host.song.f_values["view"].f_values["detail_clip"], "groove > extend 4")


def test_no_daemon(open_live: OpenLive, make_sound: MakeSound) -> None:
    song, _, _ = a_set(make_sound)
    knobs = put_device(song)
    host = open_live(song)
    look_everywhere(host)
    assert not host.shown  # nobody has asked
    host.press(knobs["Extend"])
    told = host.until_shown("daw-bridge is not running")
    assert "daw-bridge serve" in told
    host.until(lambda: knobs["Extend"].f_values["value"] == 0.0)
    assert not host.surface._bridge.jobs


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"pid": 2**22 + 1}, "is not running"),
        ({"url": "ws://203.0.113.9:80/ws"}, "is not running"),
        ({"osc_tcp_port": 0}, "has no OSC over TCP"),
        ({"osc_tcp_port": "none"}, "cannot be read"),
        ({}, "does not answer"),
    ],
)
def test_server_file_that_leads_nowhere(
    open_live: OpenLive,
    make_sound: MakeSound,
    data_dir: Path,
    free_port: int,
    changed: dict[str, Any],
    words: str,
) -> None:
    write_server_file(data_dir, **({"osc_tcp_port": free_port} | changed))
    song, _, _ = a_set(make_sound)
    host = open_live(song)
    ask(host)
    host.until_shown(words)


def test_stranger_on_the_port_is_given_up(
    open_live: OpenLive, make_sound: MakeSound, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    song, _, _ = a_set(make_sound)
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        write_server_file(data_dir, osc_tcp_port=stranger.getsockname()[1])
        host = open_live(song)
        monkeypatch.setattr("DawBridge.bridge.ANSWER_PATIENCE_S", 0.3)
        ask(host)
        host.until_shown("does not answer")
        assert not host.surface._bridge.jobs


def test_daemon_that_was_started_later(
    make_config: MakeConfig, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song, track, _ = a_set(make_sound)
    host = open_live(song)
    ask(host)
    host.until_shown("is not running")
    with served(make_config()):
        ask(host)
        host.until_shown("groove extend is on Drums")
    assert in_slot(track, 1)


def test_job_goes_on_while_the_daemon_is_restarted(
    make_config: MakeConfig,
    open_live: OpenLive,
    make_sound: MakeSound,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    song, track, clip = a_set(make_sound)
    host = open_live(song)
    monkeypatch.setattr("DawBridge.link.RETRY_S", 0.05)
    with served(make_config()):
        host.rename(clip, "groove > extend 4: sleep=2")
        host.until(lambda: any(job.is_accepted for job in host.surface._bridge.jobs))
    host.until_shown("the daemon has gone away")
    with served(make_config()) as app:
        host.until_shown("groove extend is on Drums")
        assert request_of(app)["prompt"] == "sleep=2"
    assert in_slot(track, 1).f_values["name"] == "groove extend t-0001"
    assert not track.f_values["clip_slots"][2].f_values["clip"]


def test_job_that_was_cancelled_while_the_daemon_was_away_ends_when_it_is_back(
    make_config: MakeConfig,
    open_live: OpenLive,
    make_sound: MakeSound,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    song, track, clip = a_set(make_sound)
    host = open_live(song)
    monkeypatch.setattr("DawBridge.link.RETRY_S", 0.05)
    bridge = host.surface._bridge
    with served(make_config()):
        host.rename(clip, "groove > extend 4: sleep=30")
        host.until(lambda: any(job.is_accepted for job in bridge.jobs))
    host.until_shown("the daemon has gone away")
    (job,) = bridge.jobs
    bridge.cancel(job)
    assert not bridge.jobs
    with served(make_config()) as app:
        host.until(lambda: job_of(app)["state"] == "cancelled")
    assert not track.f_values["clip_slots"][1].f_values["clip"]


def test_wrong_token_is_told(
    daemon: App, open_live: OpenLive, make_sound: MakeSound, data_dir: Path
) -> None:
    write_server_file(data_dir, osc_tcp_port=daemon.osc_tcp_port)
    song, _, _ = a_set(make_sound)
    host = open_live(song)
    ask(host)
    host.until_shown("token")


@pytest.mark.parametrize(
    ("orders", "words"), [("refuse", "the clip is empty: choose another"), ("raise", "something")]
)
def test_failed_job_says_what_to_do(
    daemon: App, open_live: OpenLive, make_sound: MakeSound, orders: str, words: str
) -> None:
    song, _, clip = a_set(make_sound)
    host = open_live(song)
    host.rename(clip, f"groove > extend 4: {orders}")
    host.until_shown(words)
    assert not host.surface._bridge.jobs


def test_script_without_its_table_says_so(
    open_live: OpenLive, make_sound: MakeSound, tmp_path: Path
) -> None:
    song, _, _ = a_set(make_sound)
    host = open_live(song)
    module = __import__("DawBridge.protocol").protocol
    before, module.PLACES = module.PLACES, (str(tmp_path / "protocol.json"),)
    try:
        surface = __import__("DawBridge").create_instance(host.instance)
        surface.update_display()
        surface.disconnect()
    finally:
        module.PLACES = before
    assert "hosts install live" in host.shown[-1]


def test_installed_copy_stands_alone(daemon: App, make_sound: MakeSound, tmp_path: Path) -> None:
    scripts = tmp_path / "Remote Scripts"
    shutil.copytree(
        PLUGIN / "DawBridge", scripts / "DawBridge", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(PLUGIN.parent / "protocol.json", scripts / "DawBridge")
    song, track, _ = a_set(make_sound)
    with running(song, scripts) as host:
        assert sys.modules["DawBridge.surface"].__file__ == str(scripts / "DawBridge/surface.py")
        ask(host)
        host.until_shown("groove extend is on Drums")
    assert in_slot(track, 1)


def test_track_that_is_gone_loses_nothing(
    daemon: App, open_live: OpenLive, make_sound: MakeSound
) -> None:
    song, track, clip = a_set(make_sound)
    host = open_live(song)
    host.rename(clip, "groove > extend 4: sleep=0.3")
    host.until_shown("is asked for")
    track.f_values.update(is_frozen=True, name="Frozen")
    song.f_max_tracks = 1
    assert "no more tracks in this edition" in host.until_shown("Drag it from")
