from __future__ import annotations

import os
from pathlib import Path

import pytest

from daw_bridge.config import Config, default_data_dir, load_with_origins, settings_table
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


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_flag_wins_over_environment_wins_over_file_wins_over_default(tmp_path: Path) -> None:
    write(tmp_path / "config.toml", "port = 1\nosc_port = 2\nosc_tcp_port = 3\n")
    environment = {"DAW_BRIDGE_PORT": "11", "DAW_BRIDGE_OSC_PORT": "12"}
    config, origins = load_with_origins({"port": 111, "data_dir": tmp_path}, environment)
    assert (config.port, config.osc_port, config.osc_tcp_port) == (111, 12, 3)
    assert origins["port"] == "flag"
    assert origins["osc_port"] == "environment"
    assert origins["osc_tcp_port"] == str(tmp_path / "config.toml")
    assert origins["host"] == "default"
    assert set(origins) == {setting.name for setting in settings_table()}


def test_a_named_file_stands_for_that_of_the_data_folder(tmp_path: Path) -> None:
    write(tmp_path / "data" / "config.toml", "port = 1\n")
    named = write(tmp_path / "mine.toml", f'osc_port = 2\ndata_dir = "{tmp_path / "data"}"\n')
    for given in (
        load_with_origins({}, {}, named),
        load_with_origins({}, {"DAW_BRIDGE_CONFIG": str(named)}),
    ):
        config, _ = given
        assert (config.port, config.osc_port, config.data_dir) == (8787, 2, tmp_path / "data")


def test_values_of_a_file_keep_their_types(tmp_path: Path) -> None:
    text = 'roots = ["/a", "/b"]\nosc_token_required = false\nmax_new_audio_s = 30\n'
    config = Config.load({"data_dir": write(tmp_path / "config.toml", text).parent}, {})
    assert config.roots == (Path("/a"), Path("/b"))
    assert not config.osc_token_required
    assert config.max_new_audio_s == 30.0


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("prot = 1", "unknown setting prot", "did you mean port?"),
        ("[serve]\nport = 1", "unknown setting serve", ""),
        ("port = ", "config.toml", "write lines"),
        ("port = 1.5", "port is 1.5", "whole number"),
        ("port = true", "port is True", "must be a number"),
        ("max_clients = []", "max_clients is", ""),
        ("roots = 5", "roots is 5", ""),
        ('data_dir = "/x"', "names another data_dir", "--data-dir"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(tmp_path: Path, text: str, says: str, hint: str) -> None:
    write(tmp_path / "config.toml", text)
    with pytest.raises(BridgeError, match=r"config\.toml") as caught:
        Config.load({"data_dir": tmp_path}, {})
    assert caught.value.code == "bad_request"
    assert says in caught.value.message
    assert hint in caught.value.hint


def test_the_nearest_name_is_suggested() -> None:
    with pytest.raises(BridgeError) as caught:
        Config.load({}, {"DAW_BRIDGE_OSC_PROT": "1"})
    assert caught.value.hint == "did you mean DAW_BRIDGE_OSC_PORT?"
    with pytest.raises(BridgeError) as caught:
        Config.load({"max_client": 1}, {})
    assert caught.value.hint == "did you mean max_clients?"


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_a_file_that_others_may_have_written_is_not_believed(tmp_path: Path) -> None:
    path = write(tmp_path / "config.toml", "port = 1\n", mode=0o664)
    for code, mode, text in (
        ("unavailable", 0o664, "port = 1\n"),
        ("unavailable", 0o602, "port = 1\n"),
        ("unavailable", 0o644, 'token = "a-secret-token"\n'),
    ):
        write(path, text, mode)
        with pytest.raises(BridgeError) as caught:
            Config.load({"data_dir": tmp_path}, {})
        assert caught.value.code == code
        assert "chmod 600" in caught.value.hint
    write(path, 'token = "a-secret-token"\n', mode=0o600)
    assert Config.load({"data_dir": tmp_path}, {}).token == "a-secret-token"


def test_a_named_file_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="cannot be read"):
        Config.load({}, {}, tmp_path / "none.toml")


def test_roots_are_a_path_list_and_resolved(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    listed = os.pathsep.join([str(tmp_path / "link"), str(tmp_path / "real")])
    config = Config.load({"data_dir": tmp_path / "data"}, {"DAW_BRIDGE_ROOTS": listed})
    own = (tmp_path / "data" / name for name in ("takes", "uploads", "recordings", "exports"))
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
