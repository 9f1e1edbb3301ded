"""The panel in a real browser, driven by Playwright, and what it did that it should not."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from daw_bridge.app import App
from daw_bridge.client import Client
from daw_bridge.registration import ServerInfo, page_address
from tests.daw_bridge.browser import CHROMIUM

PATIENCE_MS = 120_000  # a busy build server starts the real engine in a minute
# What a browser says by itself when nobody answers.
NOBODY = ("ERR_CONNECTION", "ERR_SOCKET_NOT_CONNECTED", "ERR_EMPTY_RESPONSE", "WebSocket")
_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio")

_PRELUDE = """
    const part = (name) => import(`/panel/${name}.js`);
    const pack = (samples) => {
        const bytes = new Uint8Array(samples.slice().buffer);
        let text = "";
        for (let n = 0; n < bytes.length; n += 32768) {
            text += String.fromCharCode(...bytes.subarray(n, n + 32768));
        }
        return btoa(text);
    };
"""


class Panel:
    """One page of the panel.

    Attributes:
        page: Playwright's page.
        problems: what the console complained about.
        requests: addresses that the page asked for.
        said: commands that it sent.
        jobs: what it asked for and the daemon accepted.
    """

    def __init__(self, page: Any, allowed: tuple[str, ...] = ()) -> None:
        self.page = page
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.said: list[dict[str, Any]] = []
        self.jobs: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.problems.append(f"{error} {error.stack}"))
        page.on("console", lambda told: self._console(told, allowed))
        page.on("websocket", self._listen)
        page.on("request", lambda request: self.requests.append(request.url))

    def _listen(self, socket: Any) -> None:
        socket.on("framesent", self._say)
        socket.on("framereceived", self._hear)

    def _hear(self, payload: str | bytes) -> None:
        if isinstance(payload, str) and (told := json.loads(payload)).get("reply") == "accepted":
            self.jobs.append(told["job"])

    def _say(self, payload: str | bytes) -> None:
        if isinstance(payload, str):
            self.said.append(json.loads(payload))

    def _console(self, told: Any, allowed: tuple[str, ...]) -> None:
        text = f"{told.text} {told.location.get('url', '')}"
        if told.type in ("error", "warning") and not any(part in text for part in allowed):
            self.problems.append(text)

    def run(self, script: str, given: Any = None) -> Any:
        """The value of a function of JavaScript.

        In it `part(name)` is a module of the page, and `pack(samples)` a text for `unpacked`.
        """
        return self.page.evaluate(
            f"async (given) => {{ {_PRELUDE} return ({script})(given); }}", given
        )

    def until(self, script: str) -> None:
        """Wait until a function of JavaScript says yes; `part(name)` as in `run`."""
        waiting = f"""async (patience_ms) => {{
            const until_ms = performance.now() + patience_ms;
            while (performance.now() < until_ms) {{
                if (await ({script})()) return true;
                await new Promise((resolve) => setTimeout(resolve, 30));
            }}
            return false;
        }}"""
        assert self.run(waiting, PATIENCE_MS), f"it never was: {script}"

    def accepted(self, number: int) -> str:
        """The id of a job that it asked for, counted from 0; waits for the answer."""
        until_s = time.monotonic() + PATIENCE_MS / 1000
        while len(self.jobs) <= number:
            assert time.monotonic() < until_s, "the daemon accepts nothing"
            self.page.wait_for_timeout(20)
        return self.jobs[number]

    def connected(self) -> None:
        """Wait until the daemon is there and has told of its takes."""
        self.page.get_by_text("connected", exact=True).wait_for()
        # Their list is filled by an answer of its own, and has no height before.
        self.page.locator("#take-list li").first.wait_for(state="attached")

    def task(self, name: str) -> None:
        """Choose a task."""
        self.page.locator(f'#tasks [data-task="{name}"]').click()

    def fill(self, name: str, value: str) -> None:
        """Type into a field of the request."""
        self.page.locator(f'#request [data-field="{name}"] input').first.fill(value)

    def send(self) -> None:
        """Send the request."""
        self.page.locator("#send").click()

    def tab_to(self, wanted: str) -> None:
        """Press Tab until what has this name or id has the focus."""
        script = """() => {
            const at = document.activeElement;
            return [at.id, at.getAttribute("aria-label"), at.textContent.trim(), at.title];
        }"""
        for _ in range(150):
            if wanted in self.page.evaluate(script):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not reach {wanted}")


def ask(app: App, command: str, **fields: Any) -> dict[str, Any]:
    """What the daemon answers to another client."""

    async def asked() -> dict[str, Any]:
        async with Client(app.url, app.token) as client:
            return await client.request(command, **fields)

    with ThreadPoolExecutor(1) as elsewhere:  # Playwright has a loop of its own here
        return elsewhere.submit(asyncio.run, asked()).result()


def generate(panel: Panel, prompt: str = "", seed: int = 0) -> None:
    """Ask for a second of music; the prompt is orders for the fake engine."""
    panel.task("generate")
    panel.fill("seconds", "1")
    panel.fill("prompt", prompt)
    panel.page.locator("#more").evaluate("more => more.open = true")
    panel.fill("seed", str(seed))
    panel.send()


def make_take(panel: Panel, prompt: str = "", seed: int = 0) -> str:
    """Render a take and wait until the page shows it."""
    asked = len(panel.jobs)
    generate(panel, prompt, seed)
    # Older takes may be on their way to the page, too: it is the one of this job that counts.
    job = panel.accepted(asked)
    panel.until(f"async () => (await part('state')).state.jobs.get('{job}')?.take")
    take = str(panel.run(f"async () => (await part('state')).state.jobs.get('{job}').take"))
    panel.until(f"async () => (await part('state')).state.takes[0]?.take === '{take}'")
    panel.until(f"async () => (await part('listen')).player.tracks.a?.take === '{take}'")
    panel.page.locator("#save a").wait_for(state="attached")
    return take


def samples_in_the_page(panel: Panel, side: str = "a") -> npt.NDArray[np.float32]:
    """What lies on a side, `[channels, samples]`."""
    return unpacked(
        panel.run(
            "async (side) => (await part('listen')).player.tracks[side].channels.map(pack)", side
        )
    )


def unpacked(channels: list[str]) -> npt.NDArray[np.float32]:
    """What `pack` made of the samples of each channel, `[channels, samples]`."""
    return np.stack([np.frombuffer(base64.b64decode(each), "<f4") for each in channels])


def address_of(app: App) -> str:
    """The page's address with the token."""
    return page_address(ServerInfo(app.url, app.osc_port, 0, app.token))


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; the test is skipped where there is none, or nothing to drive it."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with playwright.sync_playwright() as made:
        browser = made.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


OpenPanel = Callable[..., Panel]
ConnectedPanel = Callable[..., Panel]  # of an App, and what `OpenPanel` takes beside the address


@contextmanager
def panels(browser: Any) -> Iterator[OpenPanel]:
    """Open panels, and see at the end that none complained."""
    opened: list[tuple[Any, Panel]] = []

    def open_panel(
        address: str, size: tuple[int, int] = (1400, 900), allowed: tuple[str, ...] = ()
    ) -> Panel:
        width, height = size
        context = browser.new_context(viewport={"width": width, "height": height})
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        panel = Panel(context.new_page(), allowed)
        opened.append((context, panel))
        panel.page.goto(address)
        return panel

    try:
        yield open_panel
        assert [panel.problems for _, panel in opened] == [[] for _ in opened]
    finally:
        for context, _ in opened:
            context.close()
