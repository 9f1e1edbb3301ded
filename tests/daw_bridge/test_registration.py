from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from daw_bridge.registration import (
    ServerInfo,
    announce,
    find_server,
    is_token,
    make_private_folder,
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


@owner_only
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o755, 0o700])
def test_nobody_else_may_write_into_the_folder(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)
    make_private_folder(folder)
    assert _mode(folder) == mode & 0o755
    make_private_folder(tmp_path / "new")
    assert _mode(tmp_path / "new") == 0o700


@owner_only
def test_a_token_behind_a_link_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("a-token-of-theirs")
    (tmp_path / "token").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BridgeError) as caught:
        token_of(tmp_path)
    assert caught.value.code == "unavailable"
    (tmp_path / "token").unlink()
    (tmp_path / "token").mkdir()
    with pytest.raises(BridgeError):
        token_of(tmp_path)


@owner_only
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs two users")
def test_what_belongs_to_another_user_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "token").write_text("a-token-of-theirs")
    os.chown(folder / "token", 12345, 12345)
    with pytest.raises(BridgeError) as caught:
        token_of(folder)
    assert caught.value.code == "unavailable"
    os.chown(folder, 12345, 12345)
    with pytest.raises(BridgeError, match="another user"):
        make_private_folder(folder)


def test_a_daemon_that_was_killed_is_not_looked_for_at_its_port(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    asked = []

    class Squatter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"pid": gone.pid}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Squatter) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"ws://127.0.0.1:{server.server_port}/ws"
        announce(tmp_path, ServerInfo(url, 2, gone.pid, "secret-token"))
        assert find_server(tmp_path) is None
        server.shutdown()
    assert asked == []


def test_given_token_wins_and_is_not_kept(tmp_path: Path) -> None:
    assert token_of(tmp_path, "given-token") == "given-token"
    assert not (tmp_path / "token").exists()


@pytest.mark.parametrize("token", ["short", "with space", "line\nbreak-x", "ümlautümlaut"])
def test_unusable_token_is_refused(tmp_path: Path, token: str) -> None:
    with pytest.raises(BridgeError):
        token_of(tmp_path, token)


@pytest.mark.parametrize("kept", ["", "short"])
def test_a_damaged_token_file_is_named(tmp_path: Path, kept: str) -> None:
    (tmp_path / "token").write_text(kept)
    with pytest.raises(BridgeError, match="token cannot be used") as caught:
        token_of(tmp_path)
    assert str(tmp_path / "token") in caught.value.message
    assert "remove it" in caught.value.hint


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
