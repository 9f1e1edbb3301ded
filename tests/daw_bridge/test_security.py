"""Who is let in: tokens, origins, hosts, frames and paths."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import struct
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pythonosc import slip
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from daw_bridge.app import App
from daw_bridge.client import Client
from daw_bridge.protocol.messages import Call
from daw_bridge.protocol.osc_codec import encode_call
from engine.spec import BridgeError
from tests.daw_bridge.conftest import MakeConfig


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def knock(app: App, **headers: str) -> ClientConnection:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await connect(app.url, additional_headers=names, proxy=None)


async def ask(connection: ClientConnection, text: str) -> dict[str, Any]:
    await connection.send(text)
    answer: dict[str, Any] = json.loads(await connection.recv())
    return answer


async def get(app: App, path: str, host: str | None = None, **headers: str) -> tuple[int, bytes]:
    sent = {"Host": host} if host else {}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    status, _, body = await fetch(app, "GET", path, sent)
    return status, body


async def request(
    app: App, method: str, path: str, headers: dict[str, str]
) -> tuple[int, dict[str, str]]:
    status, answered, _ = await fetch(app, method, path, headers)
    return status, answered


async def fetch(
    app: App, method: str, path: str, headers: dict[str, str]
) -> tuple[int, dict[str, str], bytes]:
    def ask() -> tuple[int, dict[str, str], bytes]:
        port = urlsplit(app.http_url).port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()

    return await asyncio.to_thread(ask)


async def test_token_in_the_header(app: App) -> None:
    async with await knock(app, **bearer(app.token)) as connection:
        assert (await ask(connection, '{"id": 5, "command": "ping"}'))["id"] == "5"
    for header in (bearer("wrong-token"), {"Authorization": f"Basic {app.token}"}):
        with pytest.raises(InvalidStatus) as caught:
            await knock(app, **header)
        assert caught.value.response.status_code == 403


@pytest.mark.parametrize(
    "first",
    [
        '{"id": "1", "command": "hello", "token": "wrong"}',
        '{"id": "1", "command": "hello"}',
        '{"id": "1", "command": "shutdown"}',
        '{"id": "1", "command": "hello", "token": "\\ud800"}',
        "no json",
        b"binary",
    ],
)
async def test_without_the_token_the_first_message_is_the_last(
    app: App, first: str | bytes
) -> None:
    async with await knock(app) as connection:
        await connection.send(first)
        answer = json.loads(await connection.recv())
        assert (answer["reply"], answer["code"]) == ("failed", "forbidden")
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        assert connection.close_code == 1008
    assert not app._stop.is_set()


async def test_token_in_the_address_is_no_token(app: App) -> None:
    async with connect(f"{app.url}?token={app.token}", proxy=None) as connection:
        assert (await ask(connection, '{"id": "1", "command": "ping"}'))["code"] == "forbidden"


async def test_client_that_says_nothing_is_sent_away(make_config: MakeConfig) -> None:
    async with App(make_config(hello_timeout_s=0.1)) as app, await knock(app) as connection:
        with pytest.raises(ConnectionClosed):
            await connection.recv()


async def test_wrong_token_tells_the_client_so(app: App) -> None:
    with pytest.raises(BridgeError) as caught:
        await Client(app.url, "wrong-token").__aenter__()
    assert caught.value.code == "forbidden"


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1.evil.example"]
)
async def test_pages_of_other_origins_are_refused(app: App, origin: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await knock(app, Origin=origin, **bearer(app.token))
    assert caught.value.response.status_code == 403
    assert (await get(app, "/health", Origin=origin))[0] == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none, cross-site"])
async def test_pictures_and_scripts_of_other_pages_are_refused(app: App, site: str) -> None:
    for path in ("/", "/health"):
        status, _ = await get(app, path, Sec_Fetch_Site=site, Sec_Fetch_Dest="image")
        assert status == 403
        status, _ = await get(app, path, Sec_Fetch_Site=site, Sec_Fetch_Dest="iframe")
        assert status == 403
        # Somebody who follows a link to the daemon sees its page; the other page does not.
        status, _ = await get(app, path, Sec_Fetch_Site=site, Sec_Fetch_Dest="document")
        assert status == 200
    with pytest.raises(InvalidStatus):
        await knock(app, Sec_Fetch_Site=site, Sec_Fetch_Dest="websocket", **bearer(app.token))


async def test_own_page_may_fetch(app: App) -> None:
    for site in ("same-origin", "none"):
        assert (await get(app, "/health", Sec_Fetch_Site=site, Sec_Fetch_Dest="empty"))[0] == 200


@pytest.mark.parametrize("method", ["OPTIONS", "POST", "PUT", "DELETE", "HEAD", "CONNECT"])
async def test_no_answer_lets_another_origin_read_it(app: App, method: str) -> None:
    """Neither a simple request nor the question that a browser asks before a bold one."""
    for name, value in (
        ("Origin", "http://evil.example"),
        ("Origin", app.http_url),
        ("Access-Control-Request-Private-Network", "true"),
    ):
        status, headers = await request(app, method, "/health", {name: value})
        assert status >= 400
        assert not [name for name in headers if name.lower().startswith("access-control")]
    status, headers = await request(app, "GET", "/health", {"Origin": app.http_url})
    assert status == 200
    assert not [name for name in headers if name.lower().startswith("access-control")]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize("required", [True, False])
async def test_a_page_that_posts_to_the_osc_port_says_nothing(
    make_config: MakeConfig, required: bool
) -> None:
    """A browser sends any body to any port; the line before it is what gives it away."""
    packet = bytes(slip.encode(encode_call(Call("1", "shutdown", {}))))
    sized = struct.pack(">I", len(packet)) + packet
    async with App(make_config(osc_token_required=required)) as app:
        for body in (packet, sized):
            reader, writer = await asyncio.open_connection("127.0.0.1", app.osc_tcp_port)
            head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            answer = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            assert answer == b""
        assert not app._stop.is_set()
        await get(app, "/health")


async def test_own_page_may_connect(app: App) -> None:
    async with await knock(app, Origin=app.http_url, **bearer(app.token)) as connection:
        assert (await ask(connection, '{"id": "1", "command": "ping"}'))["reply"] == "pong"


async def test_other_hosts_are_refused(app: App) -> None:
    port = urlsplit(app.http_url).port
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", "127.0.0.1:1"):
        for path in ("/", "/health", "/ws"):
            assert (await get(app, path, host))[0] == 403, host
    for host in (f"localhost:{port}", f"LOCALHOST:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"):
        assert (await get(app, "/health", host))[0] == 200, host


async def test_pages(app: App) -> None:
    status, body = await get(app, "/health")
    assert status == 200
    health = json.loads(body)
    assert health["name"] == "daw-bridge"
    assert app.token not in body.decode()
    status, body = await get(app, "/")
    assert status == 200
    assert b"<title>daw-bridge</title>" in body
    for path in ("/nothing", "/../../etc/passwd", "/ws", "//health"):
        assert (await get(app, path))[0] == 404


@pytest.mark.parametrize("message", ["x" * 5000, b"x" * 5000])
async def test_frame_over_the_limit_closes_the_connection(
    make_config: MakeConfig, message: str | bytes
) -> None:
    async with App(make_config(max_frame_bytes=4096)) as app:
        async with await knock(app, **bearer(app.token)) as connection:
            await connection.send(message)
            with pytest.raises(ConnectionClosedError):
                await connection.recv()
            assert connection.close_code == 1009
        async with Client(app.url, app.token) as client:
            await client.request("ping")


async def test_who_has_not_shown_the_token_sends_no_long_message(app: App) -> None:
    async with connect(app.url, proxy=None) as connection:
        await connection.send("x" * 100_000)
        with pytest.raises(ConnectionClosedError):
            await connection.recv()
        assert connection.close_code == 1009
    async with connect(app.url, proxy=None) as connection:
        hello = {"id": "1", "command": "hello", "token": app.token}
        assert (await ask(connection, json.dumps(hello)))["reply"] == "hello"
        assert (await ask(connection, " " * 1_000_000))["code"] == "bad_message"


async def test_frames_that_say_nothing_are_answered_and_survived(app: App) -> None:
    async with await knock(app, **bearer(app.token)) as connection:
        for message in ("no json", "[]", '{"id": "7"}', b"", b"DAWB", b"x" * 64, "[" * 10_000):
            await connection.send(message)
            answer = json.loads(await connection.recv())
            assert (answer["reply"], answer["code"]) == ("failed", "bad_message")
        assert (await ask(connection, '{"id": "1", "command": "ping"}'))["reply"] == "pong"


async def test_too_many_clients_are_sent_away(make_config: MakeConfig) -> None:
    async with App(make_config(max_clients=1)) as app, Client(app.url, app.token) as client:
        async with await knock(app, **bearer(app.token)) as second:
            with pytest.raises(ConnectionClosed):
                await second.recv()
            assert second.close_code == 1013
        await client.request("ping")


async def test_paths_outside_the_roots_are_refused(app: App, tmp_path: Path, clip: str) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(b"RIFF")
    root = Path(clip).parent
    (root / "link.wav").symlink_to(secret)
    async with Client(app.url, app.token) as client:
        for path in (root / "../secret.wav", root / "link.wav", secret, Path("/etc/passwd")):
            with pytest.raises(BridgeError) as caught:
                await client.submit({"task": "extend", "source": str(path), "seconds": 1})
            assert caught.value.code == "forbidden"
            assert str(root.resolve()) in caught.value.hint
            fields = {"task": "melody", "melody": clip, "seconds": 1, "context": str(path)}
            with pytest.raises(BridgeError) as caught:
                await client.submit(fields)
            assert caught.value.code == "forbidden"
        for path in (root / "none.wav", root):
            with pytest.raises(BridgeError) as caught:
                await client.submit({"task": "extend", "source": str(path), "seconds": 1})
            assert caught.value.code in ("not_found", "bad_audio")


async def test_a_full_disk_refuses_jobs_and_keeps_the_daemon(
    make_config: MakeConfig, clip: str
) -> None:
    config = make_config(min_free_disk_bytes=2**60)
    async with App(config) as app, Client(app.url, app.token) as client:
        with pytest.raises(BridgeError, match="bytes left") as caught:
            await client.submit({"task": "extend", "source": clip, "seconds": 1})
        assert caught.value.code == "unavailable"
        with pytest.raises(BridgeError, match="bytes left"):
            await client.request("upload", name="a.wav", size_bytes=10)
        await client.request("ping")


async def test_a_folder_swapped_for_a_link_while_the_job_waits_leads_nowhere(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    """The path was allowed when the job was accepted; the engine opens what lies there then."""
    folder = tmp_path / "clips" / "song"
    folder.mkdir(parents=True)
    (folder / "clip.wav").write_bytes(b"RIFF")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "clip.wav").write_bytes(b"RIFF")
    config = make_config("create_reading_engine")
    async with App(config) as app, Client(app.url, app.token) as client:
        await client.submit({"task": "generate", "prompt": "sleep=0.5", "seconds": 1})
        waiting = {"task": "extend", "source": str(folder / "clip.wav"), "seconds": 1}
        job = await client.submit(waiting)
        folder.rename(tmp_path / "clips" / "moved")
        folder.symlink_to(tmp_path / "secret")
        last = [event async for event in client.events(job)][-1]
    assert (last["event"], last["code"]) == ("failed", "forbidden")
