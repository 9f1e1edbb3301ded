"""The panel's files over HTTP, whom they are served to, and the command that opens it."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from daw_bridge.app import App
from daw_bridge.panel.pages import FILES, TABLE_ADDRESS, page
from daw_bridge.registration import PROOF_ROUNDS, PROOF_SALT, proof_of
from engine.spec import ROLES
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.served import ROOT, served
from tests.daw_bridge.test_security import fetch

PANEL = ROOT / "daw_bridge" / "panel"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
NONCE = "5" * 64


def test_the_table_names_every_file_and_no_other() -> None:
    there = {path.name for path in PANEL.iterdir() if path.suffix in TYPES}
    assert {name for name, _ in FILES.values()} == there
    assert len(FILES) == len(there)


async def test_every_file_is_served_as_what_it_is(app: App) -> None:
    for address, (name, _) in FILES.items():
        status, headers, body = await fetch(app, "GET", address, {})
        assert status == 200, address
        assert headers["Content-Type"] == TYPES[Path(name).suffix]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert body == (PANEL / name).read_bytes()
        assert app.token.encode() not in body
    status, headers, body = await fetch(app, "GET", TABLE_ADDRESS, {})
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert body == (ROOT / "plugins" / "protocol.json").read_bytes()


async def test_the_policy_lets_nothing_in_that_is_not_ours(app: App) -> None:
    port = urlsplit(app.http_url).port
    for address in (*FILES, TABLE_ADDRESS, "/health", "/nothing"):
        _, headers, _ = await fetch(app, "GET", address, {})
        parts = headers["Content-Security-Policy"].split("; ")
        policy = {part.split()[0]: part.split()[1:] for part in parts}
        assert policy["default-src"] == policy["script-src"] == policy["style-src"] == ["'self'"]
        assert policy["connect-src"] == [
            "'self'",
            f"ws://127.0.0.1:{port}",
            f"ws://localhost:{port}",
        ]
        for name in ("frame-ancestors", "object-src", "base-uri", "form-action", "trusted-types"):
            assert policy[name] == ["'none'"], name
        assert policy["require-trusted-types-for"] == ["'script'"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"


def test_no_markup_has_script_or_style_of_its_own() -> None:
    text = (PANEL / "index.html").read_text()
    assert re.findall(r"\s(on\w+|style)=", text) == []
    assert re.findall(r"<script[^>]*>[^<]", text) == []
    assert "<style" not in text
    scripts = "".join(path.read_text() for path in PANEL.glob("*.js"))
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "new Function"):
        assert forbidden not in scripts


@pytest.mark.parametrize(
    "address",
    [
        "/panel/",
        "/panel/main.js/",
        "/panel//main.js",
        "/panel/../registration.py",
        "/panel/%2e%2e/registration.py",
        "/panel/..%2fregistration.py",
        "/panel/pages.py",
        "/panel/main.js%00",
        "/panel/MAIN.JS",
        "/index.html",
        "/panel/icon.svg\\",
        "/server.json",
        "/token",
    ],
)
async def test_anything_else_is_not_there(app: App, address: str) -> None:
    assert page(address) is None
    status, _, body = await fetch(app, "GET", address, {})
    assert status == 404
    assert json.loads(body)["code"] == "not_found"


async def test_other_hosts_and_origins_get_no_file(app: App) -> None:
    for address in (*FILES, TABLE_ADDRESS, f"/proof?nonce={NONCE}"):
        for headers in (
            {"Host": "evil.example"},
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "script"},
            {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "empty"},
        ):
            assert (await fetch(app, "GET", address, headers))[0] == 403, (address, headers)
        assert (await fetch(app, "POST", address, {}))[0] >= 400


async def test_the_daemon_proves_that_it_has_the_token_without_showing_it(app: App) -> None:
    port = urlsplit(app.http_url).port
    status, _, body = await fetch(app, "GET", f"/proof?nonce={NONCE}", {})
    key = hashlib.pbkdf2_hmac("sha256", app.token.encode(), PROOF_SALT, PROOF_ROUNDS)
    expected = hmac.new(key, f"{port}:{NONCE}".encode(), "sha256").hexdigest()
    assert (status, json.loads(body)) == (200, {"proof": expected})
    assert app.token.encode() not in body
    assert proof_of(app.token, 1, NONCE) != expected  # that of another port
    for query in (
        "",
        "?nonce=",
        "?nonce=5",
        "?nonce=" + "5" * 129,
        "?nonce=" + "X" * 32,
        "?x=" + NONCE,
    ):
        assert (await fetch(app, "GET", f"/proof{query}", {}))[0] == 400, query


def test_the_page_knows_what_the_daemon_knows() -> None:
    fields, proof = (PANEL / "fields.js").read_text(), (PANEL / "proof.js").read_text()
    named = re.search(r"ROLES = (\[.*\])", fields)
    assert named is not None
    assert tuple(json.loads(named[1])) == ROLES
    assert f'SALT = "{PROOF_SALT.decode()}"' in proof
    assert f"ROUNDS = {PROOF_ROUNDS:_}" in proof


def _panel(data_dir: Path, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "daw_bridge", "panel", "--data-dir", str(data_dir), *flags]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, capture_output=True, text=True, env=variables, timeout=60)


@pytest.mark.skipif(os.name != "posix", reason="a browser that is a shell script")
def test_the_browser_is_opened_without_the_token_in_its_arguments(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {told}.new && mv {told}.new {told}\n')
    browser.chmod(0o755)
    config = make_config()
    with served(config) as app:
        ran = _panel(config.data_dir, BROWSER=f"{browser} %s")
        address = f"{app.http_url}/#token={app.token}"
        assert ran.returncode == 0, ran.stderr
        assert address in ran.stdout
        leads_there = config.data_dir / "panel.html"
        assert told.read_text() == leads_there.as_uri()
        assert stat.S_IMODE(leads_there.stat().st_mode) == 0o600
        assert f'content="0; url={address}"' in leads_there.read_text()
        told.unlink()
        ran = _panel(config.data_dir, "--no-open", "--json", BROWSER=f"{browser} %s")
        assert json.loads(ran.stdout) == {"url": address, "opened": False}
        assert not told.exists()


def test_without_a_daemon_the_command_says_what_to_do(tmp_path: Path) -> None:
    ran = _panel(tmp_path / "none", "--no-open")
    assert ran.returncode == 1
    assert "daw-bridge serve" in ran.stderr
    assert ran.stdout == ""
