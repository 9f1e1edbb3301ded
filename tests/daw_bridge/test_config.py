from __future__ import annotations

import os
from pathlib import Path

import pytest

from daw_bridge.config import Config, default_data_dir, settings_table
from engine.spec import BridgeError


def test_command_line_wins_over_environment_wins_over_default() -> None:
    environment = {"DAW_BRIDGE_PORT": "1234", "DAW_BRIDGE_OSC_PORT": "4321"}
    config = Config.load({"port": 99, "osc_port": None}, environment)
    assert (config.port, config.osc_port, config.host) == (99, 4321, "127.0.0.1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "65536"),
        ("port", "x"),
        ("host", "0.0.0.0"),
        ("max_frame_bytes", "0"),
        ("cancel_grace_s", "nan"),
        ("heartbeat_interval_s", "0"),
        ("osc_token_required", "perhaps"),
    ],
)
def test_bad_value_is_refused_by_name(name: str, value: str) -> None:
    variable = f"DAW_BRIDGE_{name.upper()}"
    with pytest.raises(BridgeError, match=variable) as caught:
        Config.load({}, {variable: value})
    assert caught.value.code == "bad_request"
    assert caught.value.hint


def test_unknown_setting_is_refused() -> None:
    with pytest.raises(BridgeError, match="colour"):
        Config.load({"colour": "red"}, {})


def test_roots_are_a_path_list_and_resolved(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    listed = os.pathsep.join([str(tmp_path / "link"), str(tmp_path / "real")])
    config = Config.load({"data_dir": tmp_path / "data"}, {"DAW_BRIDGE_ROOTS": listed})
    own = (tmp_path / "data" / name for name in ("takes", "uploads"))
    assert config.allowed_roots == ((tmp_path / "real").resolve(), *own)


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"XDG_DATA_HOME": "/x"}, Path("/x/daw-bridge")),
        ("linux", {}, Path.home() / ".local/share/daw-bridge"),
        ("darwin", {}, Path.home() / "Library/Application Support/daw-bridge"),
        ("win32", {"LOCALAPPDATA": "/l"}, Path("/l/daw-bridge")),
    ],
)
def test_data_folder_follows_the_platform(
    platform: str, environment: dict[str, str], expected: Path
) -> None:
    assert default_data_dir(platform, environment) == expected


def test_every_setting_says_what_it_is() -> None:
    for setting in settings_table():
        assert setting.doc
        assert setting.environment == f"DAW_BRIDGE_{setting.name.upper()}"
        for unit in ("bytes", "s"):
            assert setting.name.endswith(f"_{unit}") == (setting.unit == unit)
