"""`daw-bridge doctor`: what it finds around the installation, and what to do about it."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
import types
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from daw_bridge.app import App
from daw_bridge.commands import surroundings
from daw_bridge.commands.checks import OK, PROBLEM, WARNING, Check
from daw_bridge.commands.doctor import as_lines, as_result, examine
from daw_bridge.config import Config
from daw_bridge.guests import MAX_GUESTS, SILENCE_S, Guests
from daw_bridge.hosts.finding import found_hosts
from daw_bridge.protocol.messages import Call
from daw_bridge.registration import ServerInfo, announce, token_of
from engine.spec import BridgeError
from tests.cli.conftest import Run
from tests.daw_bridge.conftest import MakeConfig, make_config
from tests.daw_bridge.liblo import LIBLO, liblo_wires
from tests.daw_bridge.served import served as running
from tests.daw_bridge.wires import wires

__all__ = ["make_config"]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    tmp_path.chmod(0o700)
    return Config.load({"data_dir": tmp_path, "port": 0, "osc_port": 0}, {})


def checks(config: Config, name: str) -> list[Check]:
    return [check for check in examine(config) if check.name == name]


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make exactly these optional packages seem to be there."""
    real = importlib.util.find_spec

    def find(name: str, package: str | None = None) -> Any:
        if name in ("rtmidi", "sounddevice"):
            return object() if name in names else None
        return real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)


def test_everything_is_looked_at_and_nothing_goes_wrong(config: Config) -> None:
    found = examine(config)
    assert {"midi", "audio", "host", "permissions", "folder", "weights"} <= {c.name for c in found}
    assert not [c for c in found if c.hint == "report this"], "a check itself has failed"
    assert all(c.hint for c in found if c.state != OK)
    assert as_result(found)["ok"] == all(c.state != PROBLEM for c in found)
    assert len(as_lines(found)) == len(found) + sum(bool(c.hint) for c in found)


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_permissions_of_the_data_folder(config: Config) -> None:
    folder = config.data_dir
    token_of(folder)
    announce(folder, ServerInfo("ws://127.0.0.1:1/ws", 2, 1, "secret-token"))
    (check,) = checks(config, "permissions")
    assert check.state == OK
    for path, mode, state, hint in (
        (folder, 0o755, WARNING, "chmod 700"),
        (folder, 0o777, PROBLEM, "chmod 700"),
        (folder, 0o770, PROBLEM, "chmod 700"),
        (folder / "token", 0o644, PROBLEM, "chmod 600"),
        (folder / "server.json", 0o640, PROBLEM, "chmod 600"),
    ):
        before = path.stat().st_mode
        path.chmod(mode)
        (check,) = checks(config, "permissions")
        path.chmod(before)
        assert (check.state, check.hint[: len(hint)]) == (state, hint), path


@pytest.mark.parametrize("look", [surroundings.midi, surroundings.audio])
def test_what_is_not_installed_is_no_problem_and_is_told(
    config: Config, monkeypatch: pytest.MonkeyPatch, look: Callable[[Config], Any]
) -> None:
    installed(monkeypatch)
    (check,) = look(config)
    assert check.state == OK
    assert "pip install" in check.hint


def test_midi_ports_are_named(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "rtmidi")
    for names, shown in ((["Keystation 61"], "Keystation 61"), ([], "no input port")):
        monkeypatch.setattr("daw_bridge.midi.ports.input_names", lambda names=names: names)
        (check,) = surroundings.midi(config)
        assert (check.state, check.found) == (OK, shown)

    def refuse() -> list[str]:
        raise BridgeError("unavailable", "this system has no MIDI", "load the module snd-seq")

    monkeypatch.setattr("daw_bridge.midi.ports.input_names", refuse)
    (check,) = surroundings.midi(config)
    assert (check.state, check.hint) == (WARNING, "load the module snd-seq")


def test_audio_devices_are_named(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "sounddevice")
    devices = [
        {"name": "Microphone", "max_output_channels": 0},
        {"name": "Interface", "max_output_channels": 8},
    ]
    module = types.ModuleType("sounddevice")
    module.query_devices = lambda: devices  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    (check,) = surroundings.audio(config)
    assert (check.state, check.found) == (OK, "Interface")
    devices.pop()
    (check,) = surroundings.audio(config)
    assert check.found == "no output device"

    def fail() -> list[dict[str, Any]]:
        raise OSError("PortAudio library not found")

    module.query_devices = fail  # type: ignore[attr-defined]
    (check,) = surroundings.audio(config)
    assert (check.state, check.found) == (WARNING, "PortAudio library not found")


def test_hosts_are_found_on_the_path_and_in_their_places(tmp_path: Path) -> None:
    command = tmp_path / "bin" / "reaper"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    flatpak = tmp_path / ".local/share/flatpak/app/com.bitwig.BitwigStudio"
    flatpak.mkdir(parents=True)
    (tmp_path / "Applications" / "Ableton Live 12 Suite.app").mkdir(parents=True)
    (tmp_path / "data" / "Ableton" / "Live 12 Lite").mkdir(parents=True)
    environment = {"HOME": str(tmp_path), "PATH": str(command.parent)}

    def names(platform: str, **more: str) -> dict[str, Path]:
        return {host.title: at for host, at in found_hosts(platform, environment | more)}

    linux = names("linux")
    assert linux["REAPER"] == command
    if not Path("/opt/bitwig-studio").exists():
        assert linux["Bitwig Studio"] == flatpak
    assert names("darwin")["Ableton Live"].name == "Ableton Live 12 Suite.app"
    assert names("win32", ProgramData=str(tmp_path / "data"))["Ableton Live"].name == "Live 12 Lite"


def test_no_host_is_no_problem(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "look", lambda _: iter(()))
    (check,) = surroundings.hosts(config)
    assert check.state == OK
    assert "docs/protocol.md" in check.hint


def test_who_talks_to_the_daemon(make_config: MakeConfig) -> None:
    """By connection and by UDP, and what was silent for long is left out."""
    config = make_config()
    assert list(surroundings.clients(config)) == []
    with running(config) as app:
        (check,) = surroundings.clients(config)
        assert "nobody" in check.found
        with wires(app) as ours, liblo_wires(app) if LIBLO else nullcontext({}) as foreign:
            everybody = [*ours.values(), *foreign.values()]
            for wire in everybody:
                wire.say(Call("1", "hello", {"client": "a sampler"}))
                wire.hear()
            (check,) = surroundings.clients(config)
            assert check.found == f"a sampler ({len(everybody)})"
            assert len(everybody) >= 3


def test_a_daemon_of_before_names_no_clients(
    monkeypatch: pytest.MonkeyPatch, make_config: MakeConfig
) -> None:
    monkeypatch.setattr(surroundings, "ask", lambda *_: {"clients": 1})
    with running(make_config()):
        (check,) = surroundings.clients(make_config())
    assert "nobody" in check.found


def test_guests_go_when_they_are_silent() -> None:
    now_s = 0.0
    guests = Guests(lambda: now_s)
    connected, address = SimpleNamespace(is_connected=True), SimpleNamespace(is_connected=False)
    peers = {name: type(name, (), vars(of))() for name, of in (("a", connected), ("b", address))}
    guests.introduce(peers["a"], "panel")
    guests.introduce(peers["b"], "x" * 200)
    assert guests.names() == ["panel", "x" * 80]
    now_s = SILENCE_S - 1
    guests.heard(peers["b"])
    now_s += SILENCE_S
    assert len(guests.names()) == 2
    now_s += 1
    assert guests.names() == ["panel"]
    guests.forget(peers["a"])
    assert guests.names() == []
    for _ in range(MAX_GUESTS + 5):
        guests.introduce(type("peer", (), {"is_connected": True})(), "many")
    assert len(guests.names()) == MAX_GUESTS


def test_doctor_names_every_problem_and_what_to_do(run: Run, data_dir: Path) -> None:
    ran = run("doctor", "--json")
    checks = {check["name"]: check for check in ran.json["checks"]}
    assert {"python", "torch", "device", "libraries", "weights", "daemon", "folder"} <= set(checks)
    assert str(data_dir) in checks["folder"]["found"]
    assert all(check["hint"] for check in checks.values() if check["state"] == "problem")
    assert ran.json["ok"] == (ran.status == 0)
    assert "python" in run("doctor").out


def test_doctor_sees_a_running_daemon(run: Run, served: App) -> None:
    checks = {check["name"]: check for check in run("doctor", "--json").json["checks"]}
    assert served.url in checks["daemon"]["found"]


def test_doctor_sees_a_taken_port(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("DAW_BRIDGE_PORT", str(port))
        ran = run("doctor", "--json")
    (check,) = [check for check in ran.json["checks"] if check["name"] == "port"]
    assert check == {
        "name": "port",
        "state": "problem",
        "found": f"{port} is taken",
        "hint": "choose another: serve --port N",
    }
    assert ran.status == 1
