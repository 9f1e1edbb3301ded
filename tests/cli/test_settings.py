"""`daw-bridge config`: what it prints, and that every command obeys the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daw_bridge.cli import main
from daw_bridge.config import settings_table


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text('port = 9001\ntoken = "a-secret-token"\n')
    path.chmod(0o600)
    return tmp_path


def test_every_setting_with_where_it_comes_from(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAW_BRIDGE_OSC_PORT", "9002")
    arguments = ["config", "--data-dir", str(data_dir), "--max-clients", "5"]
    assert main([*arguments, "--json"]) == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)["settings"]}
    assert list(listed) == [setting.name for setting in settings_table()]
    found = {name: (row["value"], row["from"]) for name, row in listed.items()}
    assert found["port"] == (9001, str(data_dir / "config.toml"))
    assert found["osc_port"] == (9002, "environment")
    assert found["max_clients"] == (5, "flag")
    assert found["host"] == ("127.0.0.1", "default")
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "9001" in shown
    assert "a-secret-token" not in shown


@pytest.mark.parametrize("command", ["config", "serve", "doctor", "takes"])
def test_a_wrong_file_stops_every_command(
    data_dir: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (data_dir / "config.toml").write_text("prot = 1\n")
    assert main([command, "--data-dir", str(data_dir)]) == 2
    assert "unknown setting prot (did you mean port?)" in capsys.readouterr().err


def test_an_unknown_flag_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--osc-prot", "5"]) == 2
    assert "did you mean --osc-port?" in capsys.readouterr().err


def test_a_file_may_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("port = 9003\n")
    path.chmod(0o600)
    assert main(["config", "--json", "--config", str(path), "--data-dir", str(tmp_path)]) == 0
    rows = json.loads(capsys.readouterr().out)["settings"]
    assert [row["value"] for row in rows if row["name"] == "port"] == [9003]
