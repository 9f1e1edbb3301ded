"""A render, an upload and a stream in a real browser, and a page from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import random
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from daw_bridge.protocol.binary import BinaryFrame
from daw_bridge.protocol.messages import Call
from tests.daw_bridge.browser import CHROMIUM, BrowserWire, Page, browser_wire, devtools
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.served import served

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
_CHUNK_BYTES = 10_000


def _until(wire: BrowserWire, name: str) -> list[Any]:
    told: list[Any] = []
    while not told or _name(told[-1]) != name:
        told.append(wire.hear())
        assert _name(told[-1]) != "failed", told[-1]
    return told


def _name(told: Any) -> str:
    return told.kind if isinstance(told, BinaryFrame) else told.get("reply") or told["event"]


def test_it_renders_uploads_and_streams(make_config: MakeConfig) -> None:
    with served(make_config()) as app, browser_wire(app) as wire:
        _until(wire, "hello")
        wire.say(Call("1", "generate", {"seconds": 2.0, "seed": 5, "prompt": "previews=2"}))
        heard = _until(wire, "done")
        previews = [told for told in heard if _name(told) == "preview"]
        assert [struct.unpack("<4f", told.data)[-1] for told in previews] == [0.0, 1.0]
        wire.say(Call("2", "stream", {"take": heard[-1]["take"]}))
        _until(wire, "stream")
        frames: list[Any] = [wire.hear()]
        while not frames[-1].last:
            frames.append(wire.hear())
        made = Path(heard[-1]["files"][0]["path"]).read_bytes()
        assert made.endswith(b"".join(frame.data for frame in frames))
        assert (frames[0].sample_rate_hz, frames[0].channels) == (48_000, 2)
        assert sum(len(frame.data) for frame in frames) == 2 * 48_000 * 2 * 4

        clip = random.Random(1).randbytes(3 * _CHUNK_BYTES + 7)
        text = base64.b64encode(clip).decode()
        digest = wire.page.call("digest", text)
        assert digest == hashlib.sha256(clip).hexdigest()
        wire.say(Call("3", "upload", {"name": "a.wav", "size_bytes": len(clip), "sha256": digest}))
        number = _until(wire, "upload")[-1]["upload"]
        wire.page.call("upload", number, text, _CHUNK_BYTES)
        told = _until(wire, "uploaded")[-1]
        assert told["size_bytes"] == len(clip)
        assert clip in _files(make_config)


def _files(make_config: MakeConfig) -> list[bytes]:
    uploads = make_config().data_dir / "uploads"
    return [path.read_bytes() for path in uploads.rglob("*") if path.is_file()]


class _Strange(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def _strange_page(host: str) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Strange)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])  # of the same site, and of another
def test_a_page_from_elsewhere_is_refused_even_with_the_token(
    make_config: MakeConfig, host: str
) -> None:
    with served(make_config()) as app, _strange_page(host) as strange, devtools() as socket:
        assert Page(socket, strange).open(app.url, app.token) == "refused"
        assert Page(socket, f"{app.http_url}/").open(app.url, app.token) == "open"
