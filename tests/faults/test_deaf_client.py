"""A client that asks for everything and reads nothing costs the others nothing."""

from __future__ import annotations

import asyncio
import json
import socket
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect

from daw_bridge.app import App
from daw_bridge.client import Client
from daw_bridge.transport import outbox
from tests.daw_bridge.conftest import MakeConfig

_KEPT_BYTES = 300_000  # more than one frame of a stream
_MANY = 400
_PATIENCE_S = 60.0


async def test_it_is_sent_away_in_the_end(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than the sockets hold is streamed to it, and then the ends of all jobs wait."""
    monkeypatch.setattr(outbox, "_LEAST_KEPT_BYTES", _KEPT_BYTES)
    async with (
        App(make_config(max_outbox_bytes=20_000)) as app,
        Client(app.url, app.token) as client,
    ):
        take = (await client.result(await client.submit(_asked(20.0))))["take"]
        address = urlsplit(app.url)
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.connect((address.hostname, address.port))
        token = {"Authorization": f"Bearer {app.token}"}
        deaf = await connect(
            app.url,
            sock=plain,
            max_queue=1,
            proxy=None,
            additional_headers=token,
            ping_interval=None,
        )
        await deaf.send('{"id": "a", "command": "subscribe"}')
        await deaf.send(f'{{"id": "b", "command": "stream", "take": "{take}"}}')
        assert (await client.request("status"))["clients"] == 2
        for _ in range(_MANY):
            # The others are served all the while.
            assert (await asyncio.wait_for(client.result(await client.submit(_asked())), 10))[
                "take"
            ]
            if (await client.request("status"))["clients"] == 1:
                break
        assert (await client.request("status"))["clients"] == 1
        deaf.transport.abort()
        assert (await client.request("ping"))["reply"] == "pong"


def _asked(seconds: float = 0.05) -> dict[str, object]:
    return {"task": "generate", "seconds": seconds, "prompt": "a " * 400}


async def test_nobody_is_pinged(make_config: MakeConfig) -> None:
    async with App(make_config()) as app, Client(app.url, app.token):
        assert app._websocket._server is not None
        (connection,) = app._websocket._server.connections
        assert connection.ping_interval is None


@pytest.mark.slow
async def test_who_reads_nothing_for_a_while_hears_the_end(make_config: MakeConfig) -> None:
    """Longer than the library would wait for the answer to a ping."""
    async with App(make_config()) as app:
        token = {"Authorization": f"Bearer {app.token}"}
        pausing = await connect(app.url, proxy=None, additional_headers=token, ping_interval=None)
        asked = {"id": "a", "command": "generate", "seconds": 0.05, "prompt": "sleep=42"}
        await pausing.send(json.dumps(asked))
        pausing.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(45.0)
        pausing.transport.resume_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(10.0):
            while '"done"' not in str(await pausing.recv()):
                pass
        await pausing.close()
