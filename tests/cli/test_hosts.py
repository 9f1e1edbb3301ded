"""`daw-bridge hosts`: what is found, and files that are put and taken away, no others."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daw_bridge.cli import main
from daw_bridge.hosts.finding import existing, expanded, version_of
from daw_bridge.hosts.installing import Installer
from daw_bridge.hosts.table import HOST_BY_NAME, HOSTS
from engine.spec import BridgeError

ROOT = Path(__file__).resolve().parents[2]
PLATFORMS = ("linux", "darwin", "win32")
Hosts = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """A folder of plugins with something for every row."""
    folder = tmp_path / "plugins"
    for host in HOSTS:
        for part in host.parts:
            name = part.source.replace("*", "daw-bridge")
            path = folder / name
            if path.suffix in (".lv2", ".vst3", "") or path.name == "DawBridge":
                (path / "Contents").mkdir(parents=True)
                (path / "Contents" / "daw-bridge.so").write_bytes(b"\x7fELF")
                (path / "__pycache__").mkdir()
                (path / "__pycache__" / "x.pyc").write_bytes(b"")
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{name} 1\n")
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder in which every host was started once."""
    path = tmp_path / "home"
    for name in (".config/ardour7", ".config/ardour8", "Library/Preferences/Ardour8",
                 "AppData/Local/ardour8", "Documents/Max 8", "Documents/Max 9", "Bitwig Studio",
                 "Documents/Bitwig Studio", "Music/Ableton/User Library",
                 "Documents/Ableton/User Library"):  # fmt: skip
        (path / name).mkdir(parents=True)
    return path


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def installer(plugins: Path, home: Path, name: str, platform: str = "linux") -> Installer:
    data_dir = home.parent / "data"
    return Installer(HOST_BY_NAME[name], plugins, data_dir, platform, {"HOME": str(home)})


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", [host.name for host in HOSTS if host.parts])
def test_what_was_put_is_taken_away_and_no_more(
    plugins: Path, home: Path, name: str, platform: str
) -> None:
    here = installer(plugins, home, name, platform)
    before = set(home.rglob("*"))
    if platform == "linux" and name in ("live", "max"):
        with pytest.raises(BridgeError, match="has no place for it on linux"):
            here.install()
        return
    assert here.state() == "not installed"
    written = here.install().written
    assert written
    assert all(path.is_relative_to(home) for path in written)
    assert here.state() == "installed"
    assert here.install().written == []
    assert set(here.uninstall().removed) == set(written)
    assert set(home.rglob("*")) == before
    assert here.state() == "not installed"
    with pytest.raises(BridgeError, match="nothing is installed"):
        here.uninstall()


def test_a_file_that_the_host_holds_is_taken_away_the_next_time(
    plugins: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = installer(plugins, home, "puredata")
    (written,) = here.install().written

    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(13, "in use", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        with pytest.raises(BridgeError, match="in use"):
            here.uninstall()
    assert here.uninstall().removed == [written]


def test_a_newer_file_that_came_another_way_is_ours_as_well(plugins: Path, home: Path) -> None:
    here = installer(plugins, home, "puredata")
    (written,) = here.install().written
    (origin,) = (plugins / "puredata").iterdir()
    for path in (origin, written):
        path.write_text("version 2")
    assert here.install().unchanged == [written]
    assert here.state() == "installed"
    assert here.uninstall().removed == [written]


def test_what_folders_above_are_called_does_not_matter(plugins: Path, home: Path) -> None:
    above = home.parent / ".build" / "plugins"
    plugins.rename(above.parent.parent / "moved")
    above.parent.mkdir()
    (home.parent / "moved").rename(above)
    written = installer(above, home, "native").install().written
    assert len(written) == 3
    assert not [path for path in written if "__pycache__" in path.parts]


def test_a_place_that_cannot_be_looked_into_is_told(plugins: Path, home: Path) -> None:
    here = installer(plugins, home, "puredata")
    (written,) = here.install().written
    written.unlink()
    written.parent.rmdir()
    written.parent.write_text("a file where the folder was")
    assert here.state() == "changed"
    with pytest.raises(BridgeError, match="daw-bridge"):
        here.install()


def test_where_things_go(plugins: Path, home: Path) -> None:
    """The places as the hosts' manuals name them."""
    for name, platform, expected in (
        ("ardour", "linux", {f".config/ardour{version}/scripts/daw_bridge_{name}.lua"
                             for version in (7, 8) for name in ("action", "takes")}),
        ("live", "darwin", {
            "Music/Ableton/User Library/Remote Scripts/DawBridge/Contents/daw-bridge.so",
            "Music/Ableton/User Library/Remote Scripts/DawBridge/protocol.json",
            "Music/Ableton/User Library/Presets/Audio Effects/Max Audio Effect/daw-bridge.amxd"}),
        ("bitwig", "linux", {"Bitwig Studio/Controller Scripts/daw-bridge/daw-bridge.js"}),
        ("reaper", "win32", {"AppData/Roaming/REAPER/Scripts/daw-bridge/daw-bridge.lua"}),
        ("native", "linux", {".lv2/daw-bridge.lv2/Contents/daw-bridge.so",
                             ".vst3/daw-bridge.vst3/Contents/daw-bridge.so",
                             ".clap/daw-bridge.clap"}),
        ("max", "darwin", {"Documents/Max 8/Library/daw-bridge/daw-bridge.maxpat",
                           "Documents/Max 8/Library/daw-bridge/daw-bridge.js",
                           "Documents/Max 9/Library/daw-bridge/daw-bridge.js",
                           "Documents/Max 9/Library/daw-bridge/daw-bridge.maxpat"}),
    ):  # fmt: skip
        here = installer(plugins, home, name, platform)
        assert {str(path.relative_to(home)) for path in here.install().written} == expected
        here.uninstall()


def test_files_of_the_musician_are_kept(plugins: Path, home: Path) -> None:
    here = installer(plugins, home, "puredata")
    folder = home / ".local/lib/pd/extra/daw-bridge"
    folder.mkdir(parents=True)
    target = folder / "daw-bridge.pd"
    target.write_text("my own")
    assert here.install().kept == [target]
    assert target.read_text() == "my own"
    target.unlink()
    here.install()
    target.write_text("changed by me")
    assert here.state() == "changed"
    (plugins / "puredata" / "daw-bridge.pd").write_text("version 2")
    assert here.install().kept == [target]
    outcome = here.uninstall()
    assert (outcome.kept, outcome.removed) == ([target], [])
    assert target.read_text() == "changed by me"


def test_a_newer_version_replaces_and_drops(plugins: Path, home: Path) -> None:
    here = installer(plugins, home, "puredata")
    origin = plugins / "puredata" / "daw-bridge.pd"
    other = origin.with_name("old.pd")
    other.write_text("gone in version 2")
    here.install()
    other.unlink()
    origin.write_text("version 2")
    assert here.state() == "older"
    outcome = here.install()
    assert [path.name for path in outcome.written] == ["daw-bridge.pd"]
    assert [path.name for path in outcome.removed] == ["old.pd"]
    assert here.state() == "installed"


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_a_link_in_the_place_is_not_followed(plugins: Path, home: Path, tmp_path: Path) -> None:
    folder = home / ".local/lib/pd/extra/daw-bridge"
    folder.mkdir(parents=True)
    mine = tmp_path / "mine.pd"
    mine.write_text("mine")
    (folder / "daw-bridge.pd").symlink_to(mine)
    assert installer(plugins, home, "puredata").install().kept == [folder / "daw-bridge.pd"]
    assert mine.read_text() == "mine"


def test_a_host_that_was_never_started(plugins: Path, tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="Ardour has no folder") as refused:
        installer(plugins, tmp_path / "empty", "ardour").install()
    assert "start it once" in refused.value.hint


@pytest.mark.parametrize(
    ("name", "platform", "folder"),
    [
        ("live", "win32", "Documents/Ableton/User Library"),
        ("live", "darwin", "Music/Ableton/User Library"),
        ("bitwig", "win32", "Documents/Bitwig Studio"),
    ],
)
def test_a_folder_that_the_host_keeps_elsewhere_is_not_made(
    plugins: Path, tmp_path: Path, name: str, platform: str, folder: str
) -> None:
    """Files in a folder of ours would never be seen, and it would say that they are installed."""
    home = tmp_path / "home"
    (home / "OneDrive" / folder).mkdir(parents=True)
    here = installer(plugins, home, name, platform)
    before = set(home.rglob("*"))
    with pytest.raises(BridgeError, match=f"has no folder ~/{folder} ") as refused:
        here.install()
    assert "by hand" in refused.value.hint
    assert set(home.rglob("*")) == before
    assert here.state() == "not installed"


def test_no_part_in_this_version(home: Path, tmp_path: Path) -> None:
    here = installer(tmp_path / "none", home, "bitwig")
    assert here.state() == "no part"
    with pytest.raises(BridgeError, match="nothing of ours for Bitwig Studio"):
        here.install()


@pytest.fixture
def hosts(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Hosts:
    """The command, in that home folder."""
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        status = main(["hosts", *arguments, "--json", "--data-dir", str(home.parent / "data")])
        return status, json.loads(capsys.readouterr().out)

    return run


@pytest.mark.skipif(sys.platform != "linux", reason="places of Linux")
def test_the_command(hosts: Hosts, home: Path) -> None:
    _, listed = hosts()
    assert [item["name"] for item in listed["hosts"]] == [host.name for host in HOSTS]
    status, put = hosts("install", "puredata")
    folder = home / ".local/lib/pd/extra/daw-bridge"
    assert status == 0
    assert {Path(name).name for name in put["written"]} == {
        path.name for path in (ROOT / "plugins" / "puredata").glob("*.pd")
    }
    part = {item["name"]: item["part"] for item in hosts()[1]["hosts"]}
    assert (part["puredata"], part["supercollider"]) == ("installed", "not installed")
    (folder / "dawbridge.pd").write_text("mine")
    status, taken = hosts("uninstall", "puredata")
    assert (status, taken["kept"]) == (1, [str(folder / "dawbridge.pd")])
    assert files_in(folder) == {"dawbridge.pd"}
    for name, words in (("cubase", "daw-bridge watch"), ("none", "known: ardour, live")):
        status, refused = hosts("install", name)
        assert status == 2
        assert words in refused["error"]["hint"]


@pytest.mark.daw
@pytest.mark.skipif(not shutil.which("pd"), reason="Pure Data is not installed")
def test_pure_data_finds_what_was_installed(hosts: Hosts, home: Path, tmp_path: Path) -> None:
    hosts("install", "puredata")
    patch = tmp_path / "x.pd"
    patch.write_text(
        "#N canvas 0 0 200 200 12;\n#X declare -path daw-bridge;\n#X obj 10 10 dawbridge;\n"
        "#X obj 10 40 dawbridge-play~;\n#X obj 90 10 declare -path daw-bridge;\n"
        "#X obj 10 70 loadbang;\n#X msg 10 100 \\; pd quit;\n#X connect 3 0 4 0;\n"
    )
    command = ["pd", "-nogui", "-noaudio", "-nomidi", "-stderr", "-nrt", "-open", str(patch)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "couldn't create" not in said.stderr + said.stdout


@pytest.mark.daw
@pytest.mark.skipif(not shutil.which("sclang"), reason="SuperCollider is not installed")
def test_supercollider_finds_what_was_installed(hosts: Hosts, home: Path, tmp_path: Path) -> None:
    hosts("install", "supercollider")
    script = tmp_path / "x.scd"
    script.write_text('(DawBridge.filenameSymbol.postln; "HERE".postln; 0.exit)\n')
    environment = {
        **os.environ,
        "XDG_RUNTIME_DIR": str(tmp_path),
        "QT_QPA_PLATFORM": "offscreen",
        "QTWEBENGINE_DISABLE_SANDBOX": "1",
    }
    said = subprocess.run(
        ["sclang", str(script)], capture_output=True, text=True, timeout=60, env=environment,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert str(home / ".local/share/SuperCollider/Extensions/daw-bridge") in said.stdout


def test_versions_without_starting_the_host(tmp_path: Path) -> None:
    bundle = tmp_path / "Ableton Live 12 Suite.app"
    (bundle / "Contents").mkdir(parents=True)
    assert version_of(HOST_BY_NAME["live"], bundle) == "12"
    text = (
        '<?xml version="1.0"?><plist version="1.0"><dict><key>CFBundleShortVersionString</key>'
        "<string>12.1.5</string></dict></plist>"
    )
    (bundle / "Contents" / "Info.plist").write_text(text)
    assert version_of(HOST_BY_NAME["live"], bundle) == "12.1.5"
    (bundle / "Contents" / "Info.plist").write_text("no list")
    assert version_of(HOST_BY_NAME["live"], bundle) == ""
    silent = tmp_path / "pd"
    silent.write_text("#!/bin/sh\nexit 1\n")
    silent.chmod(0o755)
    assert version_of(HOST_BY_NAME["puredata"], silent) == ""


def test_places_are_expanded(tmp_path: Path) -> None:
    variables = {"HOME": str(tmp_path), "ProgramFiles": "D:/Programs"}
    assert expanded("~/x", variables) == tmp_path / "x"
    assert expanded("$XDG_DATA_HOME/x", variables) == tmp_path / ".local/share/x"
    assert expanded("$ProgramFiles/Pd*", variables) == Path("D:/Programs/Pd*")
    (tmp_path / "Max 8" / "Library").mkdir(parents=True)
    (tmp_path / "Max 9").mkdir()
    assert existing(tmp_path / "Max [0-9]*") == [tmp_path / "Max 8", tmp_path / "Max 9"]
    assert existing(tmp_path / "Max [0-9]*" / "Library") == [tmp_path / "Max 8" / "Library"]
    assert existing(tmp_path / "none" / "*") == []


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("hatchling") is None, reason="hatchling is not installed"
)
def test_the_plugins_travel_with_the_wheel(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = "from daw_bridge.hosts.installing import plugins_folder; import sys; "
    code += "sys.stdout.write(str(plugins_folder()))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    said = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True,
        cwd=tmp_path, check=True,
    )  # fmt: skip
    folder = Path(said.stdout)
    assert folder == tmp_path / "site" / "daw_bridge" / "plugins"
    assert (folder / "puredata" / "dawbridge.pd").is_file()
