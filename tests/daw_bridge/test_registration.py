from __future__ import annotations

import json
import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from daw_bridge.registration import (
    ServerInfo,
    announce,
    find_server,
    is_token,
    token_of,
    withdraw,
)
from engine.spec import BridgeError

owner_only = pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_token_is_made_once(tmp_path: Path) -> None:
    token = token_of(tmp_path)
    assert len(token) >= 24
    assert token_of(tmp_path) == token


@owner_only
def test_secrets_are_for_their_owner_only(tmp_path: Path) -> None:
    token_of(tmp_path)
    announce(tmp_path, ServerInfo("ws://127.0.0.1:1/ws", 2, os.getpid(), "secret-token"))
    assert _mode(tmp_path / "token") == 0o600
    assert _mode(tmp_path / "server.json") == 0o600
    (tmp_path / "token").chmod(0o644)
    token_of(tmp_path)
    assert _mode(tmp_path / "token") == 0o600


def test_given_token_wins_and_is_not_kept(tmp_path: Path) -> None:
    assert token_of(tmp_path, "given-token") == "given-token"
    assert not (tmp_path / "token").exists()


@pytest.mark.parametrize("token", ["short", "with space", "line\nbreak-x", "ümlautümlaut"])
def test_unusable_token_is_refused(tmp_path: Path, token: str) -> None:
    with pytest.raises(BridgeError):
        token_of(tmp_path, token)


def test_without_a_daemon_none_is_found(tmp_path: Path) -> None:
    assert find_server(tmp_path) is None
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    announce(tmp_path, ServerInfo(f"ws://127.0.0.1:{port}/ws", 2, os.getpid(), "secret-token"))
    assert find_server(tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"url": "ws://127.0.0.1:xx/ws"}', "\x00"])
def test_damaged_file_is_no_daemon(tmp_path: Path, text: str) -> None:
    (tmp_path / "server.json").write_text(text)
    assert find_server(tmp_path) is None


def test_a_later_daemons_file_is_not_withdrawn(tmp_path: Path) -> None:
    announce(tmp_path, ServerInfo("ws://127.0.0.1:1/ws", 2, 111, "secret-token"))
    withdraw(tmp_path, 222)
    assert json.loads((tmp_path / "server.json").read_text())["pid"] == 111
    withdraw(tmp_path, 111)
    assert not (tmp_path / "server.json").exists()


def test_tokens_are_compared_whole() -> None:
    assert is_token("secret-token", "secret-token")
    for given in (None, "", "secret", "secret-token ", "\ud800"):
        assert not is_token(given, "secret-token")
