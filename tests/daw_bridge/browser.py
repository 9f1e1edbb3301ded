"""The WebSocket of a real browser, driven from here: one more client with the face of `wires`."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from daw_bridge.app import App
from daw_bridge.protocol.binary import BinaryFrame
from daw_bridge.protocol.messages import Call, Message

PATIENCE_S = 30.0
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_SCRIPT = Path(__file__).with_name("browser.js").read_text()
_TABLE = json.loads((Path(__file__).parents[2] / "plugins" / "protocol.json").read_text())
_QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --disable-dev-shm-usage"
)


class Page:
    """A page of the browser, in which JavaScript is evaluated."""

    def __init__(self, devtools: ClientConnection, url: str) -> None:
        self._devtools = devtools
        self._ids = itertools.count(1)
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session: str = attached["sessionId"]
        self._ask("Page.enable", self._session)
        self._ask("Page.navigate", self._session, url=url)
        while json.loads(devtools.recv(PATIENCE_S)).get("method") != "Page.loadEventFired":
            pass
        assert self.evaluate(_SCRIPT) == "ready"

    def evaluate(self, script: str) -> Any:
        """The value of an expression, awaited where it is a promise."""
        answer = self._ask(
            "Runtime.evaluate",
            self._session,
            expression=script,
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def call(self, function: str, *given: Any) -> Any:
        """A function of the page's `bridge`."""
        return self.evaluate(f"bridge.{function}({', '.join(json.dumps(each) for each in given)})")

    def open(self, url: str, token: str) -> str:
        """Open the WebSocket; `open` or `refused`."""
        return str(self.call("open", url, token, _TABLE))

    def _ask(self, method: str, session: str = "", **params: Any) -> Any:
        number = next(self._ids)
        asked: dict[str, Any] = {"id": number, "method": method, "params": params}
        self._devtools.send(json.dumps(asked | ({"sessionId": session} if session else {})))
        while True:
            told = json.loads(self._devtools.recv(PATIENCE_S))
            if told.get("id") == number:
                assert "error" not in told, told
                return told["result"]


class BrowserWire:
    """JSON and binary frames, written and read by the page."""

    transport = "websocket"

    def __init__(self, page: Page) -> None:
        self.page = page

    def say(self, call: Call) -> None:
        self.page.call("say", {"id": call.id, "command": call.command, **call.values})

    def hear(self) -> Message | BinaryFrame:
        told = self.page.call("hear")
        if "json" in told:
            message: Message = told["json"]
            return message
        frame = told["frame"]
        names = ("kind", "stream", "offset", "last", "revision", "sample_rate_hz", "channels")
        values = {name: frame[name] for name in names}
        return BinaryFrame(
            **values, data=base64.b64decode(frame["data"]), format=str(frame["format"])
        )


@contextmanager
def devtools() -> Iterator[ClientConnection]:
    """A browser without a screen or a history."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        log = Path(profile) / "browser.log"  # a pipe that nobody reads would stop the browser
        own = ("--remote-debugging-port=0", f"--user-data-dir={profile}")
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [CHROMIUM, *_QUIET.split(), *own],
                stderr=stream,
                stdout=subprocess.DEVNULL,
            )
        try:
            with connect(_address(process, log), max_size=None, proxy=None) as socket:
                yield socket
        finally:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where the browser listens, once it says so."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s and process.poll() is None:
        if found := re.search(r"DevTools listening on (\S+)\n", log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.05)
    raise AssertionError(f"the browser does not start: {log.read_text(errors='replace')[-1000:]}")


@contextmanager
def browser_wire(app: App) -> Iterator[BrowserWire]:
    """A page of the daemon's own that has shown the token."""
    with devtools() as socket:
        page = Page(socket, f"{app.http_url}/")
        assert page.open(app.url, app.token) == "open"
        yield BrowserWire(page)
