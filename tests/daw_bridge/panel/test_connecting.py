"""The panel and its daemon: who is shown the token, a daemon that comes back, what it says."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from daw_bridge.app import App
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.panel.driver import (
    NOBODY,
    ConnectedPanel,
    OpenPanel,
    address_of,
    generate,
    make_take,
)
from tests.daw_bridge.served import served


def test_the_token_is_kept_out_of_sight(telling: App, connected_panel: ConnectedPanel) -> None:
    panel = connected_panel(telling)
    assert panel.page.url == f"{telling.http_url}/"
    assert telling.token not in panel.page.content()
    assert not [url for url in panel.requests if telling.token in url.partition("#")[0]]
    assert {urlsplit(url).netloc for url in panel.requests} == {urlsplit(telling.http_url).netloc}
    panel.page.reload()  # the tab knows it
    panel.connected()


def test_without_the_token_it_says_what_to_do(telling: App, open_panel: OpenPanel) -> None:
    panel = open_panel(telling.http_url)
    panel.page.get_by_text("daw-bridge panel").wait_for()
    assert not panel.page.locator("#main").is_visible()
    # A token of another daemon is not shown to this one: its proof is not the one expected.
    other = open_panel(f"{telling.http_url}/#token=not-the-right-token")
    other.page.get_by_text("who listens here does not know the key").wait_for()


@contextlib.contextmanager
def _stranger(port: int) -> Iterator[list[str]]:
    """Somebody else on the daemon's port, and all that they were told."""
    told: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.append(f"{self.requestline}\n{self.headers}")
            body = json.dumps({"proof": "0" * 64}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        allow_reuse_address = True

    server = Server(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_it_waits_for_a_daemon_that_restarts_and_tells_nobody_else(
    make_telling: MakeConfig, connected_panel: ConnectedPanel
) -> None:
    with served(make_telling()) as app:
        panel = connected_panel(app, allowed=NOBODY)
        take = make_take(panel)
        token, port = app.token, urlsplit(app.http_url).port
        assert port is not None
    panel.page.get_by_text("no daemon: waiting for it").wait_for()
    panel.task("generate")
    panel.send()
    panel.page.locator("#wrong").get_by_text("the daemon cannot be reached").wait_for()
    with _stranger(port) as told:
        panel.page.get_by_text("who listens here does not know the key").wait_for()
    assert told
    assert not [each for each in told if token in each or "Upgrade" in each]
    with served(make_telling(port=port)) as app:
        panel.connected()
        assert app.token == token
        assert make_take(panel, seed=1) != take  # commands, events and audio all work again
    assert panel.page.locator("#take-list .take").count() == 2


def test_what_the_daemon_refuses_is_shown_as_it_says_it(
    telling: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(telling)
    panel.task("extend")
    panel.fill("source", "/nowhere/groove.wav")
    panel.fill("seconds", "1")
    panel.send()
    problem = panel.page.locator(".problem")
    problem.wait_for()
    assert "/nowhere/groove.wav" in problem.inner_text()
    assert str(telling.config.allowed_roots[0]) in problem.locator(".hint").inner_text()
    assert problem.get_attribute("data-code") == "forbidden"
    problem.get_by_role("button", name="Dismiss").click()
    assert panel.page.locator(".problem").count() == 0


def test_a_job_that_fails_says_why(telling: App, connected_panel: ConnectedPanel) -> None:
    panel = connected_panel(telling)
    generate(panel, "refuse")
    row = panel.page.locator(".job[data-state=failed]")
    row.wait_for()
    assert "the clip is empty" in row.inner_text()
    assert "choose another" in row.inner_text()


def test_an_engine_that_cannot_start_says_why(
    make_config: MakeConfig, open_panel: OpenPanel
) -> None:
    with served(make_config("create_broken_engine")) as app:
        panel = open_panel(address_of(app))
        panel.page.locator("#engine[data-light=poor]").wait_for()
        panel.page.get_by_role("button", name="Machine").click()
        machine = panel.page.locator("#machine")
        machine.get_by_text("the model does not fit").wait_for()
        assert "close other programs" in machine.inner_text()


def test_the_machine(telling: App, connected_panel: ConnectedPanel) -> None:
    panel = connected_panel(telling)
    panel.page.locator("#engine[data-light=good]").wait_for()
    assert panel.page.locator("#engine").inner_text() == "ready on fake"
    panel.page.get_by_role("button", name="Machine").click()
    machine = panel.page.locator("#machine")
    for words in ("house", "abc", "fake", "up 0 min"):
        assert words in machine.inner_text()
    free = machine.get_by_role("button", name="Free the models' memory")
    loaded = "async () => (await part('state')).state.status.models_loaded"
    panel.until(loaded)
    free.click()
    panel.page.locator("#announcer").get_by_text("models are given back").wait_for()
    panel.until(f"async () => !(await ({loaded})())")
    assert free.is_disabled()
    machine.get_by_role("button", name="Close").click()
    assert not machine.is_visible()


def test_the_job_of_another_client_is_shown(telling: App, open_panel: OpenPanel) -> None:
    """Two pages on one daemon: what one asks for, the other sees."""
    one, other = open_panel(address_of(telling)), open_panel(address_of(telling))
    one.connected()
    other.connected()
    take = make_take(one)
    other.page.locator(f'[data-take="{take}"]').wait_for()
