"""A whole daemon with a fake engine, driven over OSC on TCP connections."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pythonosc import slip

from daw_bridge.app import App
from daw_bridge.client import Client
from daw_bridge.protocol.framing import Framing, SizedFraming, SlipFraming
from daw_bridge.protocol.messages import Call, Message
from daw_bridge.protocol.osc_codec import decode_reply, encode_call
from daw_bridge.transport.osc_tcp import TcpPeer
from daw_bridge.transport.outbox import Frame, Outbox
from engine.spec import BridgeError
from tests.daw_bridge.conftest import MakeConfig

_PATIENCE_S = 10.0


class OscTcpClient:
    """A connection that sends commands and reads replies."""

    def __init__(
        self, app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, framing: Framing
    ) -> None:
        self.app = app
        self.reader = reader
        self.writer = writer
        self.framing = framing
        self._told: list[Message] = []

    def say(self, command: str, call_id: str = "1", **values: Any) -> None:
        token = values.pop("token", self.app.token)
        reply_port = values.pop("reply_port", None)
        self.raw(self.framing.wrap(encode_call(Call(call_id, command, values), token, reply_port)))

    def raw(self, data: bytes) -> None:
        self.writer.write(data)

    async def hear(self) -> Message:
        while not self._told:
            data = await asyncio.wait_for(self.reader.read(65536), _PATIENCE_S)
            if not data:
                raise EOFError
            for packet in self.framing.feed(data):
                assert isinstance(packet, bytes)
                self._told.append(decode_reply(packet))
        return self._told.pop(0)

    async def until(self, *names: str) -> Message:
        while (message := await self.hear())["reply"] not in names:
            pass
        return message


@contextlib.asynccontextmanager
async def osc_tcp(
    app: App, kind: type[SlipFraming | SizedFraming] = SlipFraming
) -> AsyncIterator[OscTcpClient]:
    reader, writer = await asyncio.open_connection("127.0.0.1", app.osc_tcp_port)
    try:
        yield OscTcpClient(app, reader, writer, kind(65536))
    finally:
        writer.close()


@pytest.mark.parametrize("kind", [SlipFraming, SizedFraming])
async def test_a_render_from_start_to_end(
    app: App, clip: str, kind: type[SlipFraming | SizedFraming]
) -> None:
    async with osc_tcp(app, kind) as osc:
        osc.say("extend", "x7", source=clip, seconds=0.05, prompt="previews=1")
        told = [await osc.hear()]
        while told[-1]["reply"] != "done":
            told.append(await osc.hear())
    assert [message["reply"] for message in told] == [
        *("accepted", "progress", "preview", "progress", "done")
    ]
    assert {message["id"] for message in told} == {"x7"}
    assert Path(told[-1]["path"]).is_file()


async def test_replies_are_framed_on_both_sides(app: App) -> None:
    async with osc_tcp(app) as osc:
        osc.raw(slip.encode(encode_call(Call("1", "ping", {}), app.token)))
        answer = await osc.reader.readuntil(b"\xc0/dawbridge/reply/pong\0")
        assert answer.startswith(b"\xc0/")
        assert (await osc.reader.readuntil(b"\xc0")).count(b"\xc0") == 1


async def test_port_is_that_of_udp_unless_told(make_config: MakeConfig) -> None:
    async with App(make_config()) as app:
        assert app.osc_tcp_port == app.osc_port
        async with Client(app.url, app.token) as client:
            async with osc_tcp(app) as osc:
                osc.say("ping")
                assert (await osc.hear())["reply"] == "pong"
                assert (await client.request("status"))["clients"] == 2
            while (await client.request("status"))["clients"] == 2:
                await asyncio.sleep(0.01)
    async with App(make_config(osc_port=app.osc_port, osc_tcp_port=0)) as other:
        assert other.osc_port == app.osc_port != other.osc_tcp_port


async def test_token_is_shown_once(app: App) -> None:
    async with osc_tcp(app) as osc:
        osc.say("ping", "1")
        osc.say("ping", "2", token=None)
        assert [(await osc.hear())["id"] for _ in range(2)] == ["1", "2"]
        osc.say("ping", "3", token="wrong-token")
        assert (await osc.hear())["code"] == "forbidden"
        with pytest.raises(EOFError):
            await osc.hear()


@pytest.mark.parametrize("first", ["ping", "dance", "shutdown"])
async def test_without_the_token_the_first_message_is_the_last(app: App, first: str) -> None:
    for token in (None, "wrong-token"):
        async with osc_tcp(app) as osc:
            osc.say(first, token=token)
            osc.say("ping", "2")
            failure = await osc.hear()
            assert failure["code"] == "forbidden"
            assert "server.json" in failure["hint"]
            with pytest.raises(EOFError):
                await osc.hear()
    assert not app._stop.is_set()


async def test_token_may_be_done_without(make_config: MakeConfig) -> None:
    async with App(make_config(osc_token_required="false")) as app, osc_tcp(app) as osc:
        osc.say("ping", token=None)
        assert (await osc.hear())["reply"] == "pong"


async def test_silent_and_foreign_connections_are_closed(make_config: MakeConfig) -> None:
    async with App(make_config(hello_timeout_s=0.1)) as app:
        for data in (b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"\xc0/dawb"):
            async with osc_tcp(app) as osc:
                osc.raw(data)
                with pytest.raises(EOFError):
                    await osc.until("pong")
        async with osc_tcp(app) as osc:
            osc.say("ping")
            await osc.hear()
            await asyncio.sleep(0.2)  # a client that is known may be silent
            osc.say("ping")
            assert (await osc.hear())["reply"] == "pong"


async def test_too_many_connections_are_closed(make_config: MakeConfig) -> None:
    async with App(make_config(max_clients=1)) as app, osc_tcp(app) as osc:
        osc.say("ping")
        await osc.hear()
        async with osc_tcp(app) as second:
            with pytest.raises(EOFError):
                await second.hear()
        osc.say("ping")
        assert (await osc.hear())["reply"] == "pong"


async def test_bad_packets_are_answered_and_survived(app: App) -> None:
    async with osc_tcp(app) as osc:
        osc.say("ping")
        await osc.hear()
        wrong = [b"x" * 70_000, b"hello", b"#bundle\0" + bytes(8) + b"\xff\xff\xff\xfc"]
        for packet in wrong:
            osc.raw(slip.encode(packet))
        codes = [(await osc.hear())["code"] for _ in wrong]
        assert codes == ["too_large", "bad_message", "bad_message"]
        osc.raw(b"\xc0a\xdbb\xc0")
        assert "escaped" in (await osc.hear())["message"]
        osc.say("ping", reply_port=9000)
        failure = await osc.hear()
        assert (failure["code"], failure["id"]) == ("bad_request", "1")
        assert "on the connection" in failure["hint"]
        osc.say("ping")
        assert (await osc.hear())["reply"] == "pong"
    async with osc_tcp(app, SizedFraming) as osc:
        osc.raw(b"\0\xff\xff\xff")
        assert (await osc.hear())["code"] == "too_large"
        with pytest.raises(EOFError):
            await osc.hear()


async def test_path_too_long_for_a_datagram_goes_over_tcp() -> None:
    path = "/clips/" + "x" * 2000
    outbox, framing = Outbox(10_000), SlipFraming(65536)
    TcpPeer(outbox, framing).send({"id": "1", "event": "done", "take": "t-0001", "path": path})
    outbox.put([framing.wrap(b"end")])
    sent: list[bytes | BridgeError] = []

    async def send(frame: Frame) -> None:
        assert isinstance(frame, bytes)
        sent.extend(framing.feed(frame))

    writing = asyncio.create_task(outbox.run(send))
    await outbox.flushed()
    writing.cancel()
    told, _ = sent
    assert isinstance(told, bytes)
    assert decode_reply(told)["path"] == path


async def test_client_that_vanishes_does_not_stop_its_job(app: App) -> None:
    async with osc_tcp(app) as osc:
        osc.say("generate", seconds=0.05, prompt="sleep=0.2")
        await osc.until("accepted")
    async with Client(app.url, app.token) as client:
        assert (await client.result("j-0001"))["take"] == "t-0001"
    assert app._watchers.job_count == 0


async def test_subscriber_hears_of_every_job(app: App) -> None:
    async with osc_tcp(app) as osc, Client(app.url, app.token) as client:
        osc.say("subscribe", "all", progress_hz=0.0)
        assert (await osc.hear())["expires_s"] == 0.0
        await client.result(await client.submit({"task": "generate", "seconds": 0.05}))
        done = await osc.hear()
        assert (done["reply"], done["id"], done["take"]) == ("done", "all", "t-0001")


async def test_client_that_does_not_read_holds_up_nobody(make_config: MakeConfig) -> None:
    config = make_config(max_outbox_bytes=50_000)
    async with App(config) as app, osc_tcp(app) as slow, osc_tcp(app) as osc:
        for _ in range(2000):
            slow.say("jobs", limit=500)
        osc.say("ping")
        assert (await osc.hear())["reply"] == "pong"
    # And the daemon stops although the slow one never reads.


@pytest.mark.skipif(not shutil.which("oscsend"), reason="liblo-tools is not installed")
async def test_liblo_renders_over_tcp(app: App, clip: str) -> None:
    sending = await asyncio.create_subprocess_exec(
        *("oscsend", f"osc.tcp://127.0.0.1:{app.osc_tcp_port}/", "/dawbridge/extend", "ssssssf"),
        *("q", "token", app.token, "source", clip, "bars", "2"),
    )
    assert await sending.wait() == 0
    async with Client(app.url, app.token) as client:
        while not (await client.request("jobs"))["jobs"]:
            await asyncio.sleep(0.01)
        done = await client.result("j-0001")
        assert done["recipe"]["request"]["bars"] == 2.0
