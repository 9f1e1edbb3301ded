"""`daw-bridge service`: the files as their managers read them, put there and taken away."""

from __future__ import annotations

import json
import plistlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from daw_bridge.cli import main
from daw_bridge.commands.service import install, manager_of, remove
from daw_bridge.commands.units import launchd_plist, systemd_unit
from engine.spec import BridgeError

COMMAND = ["/opt/my python", "-m", "daw_bridge", "serve", "--data-dir", '/x/50% "$HOME"\\y']
linux = pytest.mark.skipif(sys.platform != "linux", reason="systemd")


def test_launchd_reads_what_was_meant() -> None:
    values = plistlib.loads(launchd_plist(COMMAND).encode())
    assert values["ProgramArguments"] == COMMAND
    assert values["KeepAlive"] == {"SuccessfulExit": False}
    assert values["Umask"] == 0o077


def test_systemd_gets_each_word_quoted() -> None:
    (line,) = [x for x in systemd_unit(COMMAND).splitlines() if x.startswith("ExecStart=")]
    words = shlex.split(line.removeprefix("ExecStart="))
    assert [word.replace("%%", "%").replace("$$", "$") for word in words] == COMMAND
    assert "UMask=0077" in systemd_unit(COMMAND)


def verified(unit: Path) -> list[str]:
    """What systemd complains of in this unit."""
    folder = str(unit.parent)
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(unit)],
        capture_output=True,
        text=True,
        env={"XDG_RUNTIME_DIR": folder, "HOME": folder, "PATH": "/usr/bin:/bin"},
        check=False,
    )
    return [line for line in ran.stderr.splitlines() if unit.name in line]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_systemd_finds_no_fault(tmp_path: Path) -> None:
    unit = tmp_path / "daw-bridge.service"
    unit.write_text(systemd_unit([sys.executable, "-P", "-m", "daw_bridge", "serve"]))
    assert verified(unit) == []
    unit.write_text(unit.read_text().replace("RestartSec=2", "RestartSec=soon"))
    assert len(verified(unit)) == 1, "it would not have complained"


@linux
def test_what_is_printed_starts_the_daemon_s_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert main(["service", "print", "--json", "--data-dir", str(tmp_path / "d")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["path"] == str(tmp_path / "systemd" / "user" / "daw-bridge.service")
    assert not Path(told["path"]).exists()
    (line,) = [x for x in told["text"].splitlines() if x.startswith("ExecStart=")]
    command = shlex.split(line.removeprefix("ExecStart="))
    assert command[-2:] == ["--data-dir", str(tmp_path / "d")]
    ran = subprocess.run([*command, "--help"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0
    assert "--osc-port" in ran.stdout


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_install_and_remove(tmp_path: Path, platform: str) -> None:
    manager = manager_of(platform, {"HOME": str(tmp_path)})
    ran: list[Sequence[str]] = []

    def fine(command: Sequence[str]) -> str:
        ran.append(command)
        return ""

    told = install(manager, manager.write(COMMAND), fine)
    assert manager.path.is_file()
    assert tmp_path in manager.path.parents
    assert str(manager.path) in told[0]
    assert ran == list(manager.started_by)
    ran.clear()
    install(manager, manager.write([*COMMAND, "--port", "1"]), fine)  # again, with another command
    # A manager leaves alone what runs, and launchd refuses to load it twice.
    assert ran == [*manager.stopped_by, *manager.started_by]
    assert "--port" in manager.path.read_text()
    assert [path.name for path in manager.path.parent.iterdir()] == [manager.path.name]
    ran.clear()
    remove(manager, fine)
    assert not manager.path.exists()
    assert ran == list(manager.stopped_by)
    assert "there is no" in remove(manager, fine)[0]


def test_a_file_of_somebody_else_stays(tmp_path: Path) -> None:
    manager = manager_of("linux", {"HOME": str(tmp_path)})
    manager.path.parent.mkdir(parents=True)
    manager.path.write_text("[Unit]\n")
    for act in (lambda: install(manager, "text", lambda _: ""), lambda: remove(manager)):
        with pytest.raises(BridgeError, match="was not written by this command"):
            act()
    assert manager.path.read_text() == "[Unit]\n"


def test_a_manager_that_does_not_answer_is_told(tmp_path: Path) -> None:
    manager = manager_of("linux", {"HOME": str(tmp_path)})
    told = install(manager, manager.write(COMMAND), lambda _: "no bus")
    assert all("no bus; type it yourself" in line for line in told[1:])
    assert manager.path.is_file()


def test_where_there_is_no_manager_that_is_said() -> None:
    with pytest.raises(BridgeError) as caught:
        manager_of("win32", {})
    assert caught.value.code == "unavailable"
