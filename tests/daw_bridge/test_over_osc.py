"""A whole daemon with a fake engine, driven over OSC: by python, and by liblo's own tools."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import stat
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio
import soundfile
from pythonosc.osc_message_builder import OscMessageBuilder

from daw_bridge.app import App
from daw_bridge.client import Client
from daw_bridge.protocol.messages import Call, Message
from daw_bridge.protocol.osc_codec import decode_reply, encode_call
from daw_bridge.transport import osc as osc_transport
from tests.daw_bridge.conftest import MakeConfig

_PATIENCE_S = 10.0


class OscClient(asyncio.DatagramProtocol):
    """A UDP socket that sends commands and reads replies."""

    def __init__(self) -> None:
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        assert len(data) < 1400
        self._inbox.put_nowait(decode_reply(data))

    @property
    def port(self) -> int:
        return int(self.transport.get_extra_info("sockname")[1])

    def say(self, app: App, command: str, call_id: str = "1", **values: Any) -> None:
        token = values.pop("token", app.token)
        reply_port = values.pop("reply_port", None)
        reply_file = values.pop("reply_file", False)
        packet = encode_call(Call(call_id, command, values), token, reply_port, reply_file)
        self.raw(app, packet)

    def raw(self, app: App, packet: bytes) -> None:
        self.transport.sendto(packet, ("127.0.0.1", app.osc_port))

    async def hear(self) -> Message:
        return await asyncio.wait_for(self._inbox.get(), _PATIENCE_S)

    async def until(self, *names: str) -> Message:
        while (message := await self.hear())["reply"] not in names:
            pass
        return message

    async def silence(self, app: App) -> None:
        """Nothing has been sent to this socket before the answer to one more ping."""
        self.say(app, "ping", "silence")
        assert (await self.hear())["id"] == "silence"


async def open_osc() -> OscClient:
    loop = asyncio.get_running_loop()
    _, client = await loop.create_datagram_endpoint(OscClient, local_addr=("127.0.0.1", 0))
    return client


@pytest_asyncio.fixture
async def osc() -> AsyncIterator[OscClient]:
    client = await open_osc()
    yield client
    client.transport.close()


async def test_a_render_from_start_to_end(app: App, osc: OscClient, clip: str) -> None:
    osc.say(app, "extend", "x7", source=clip, seconds=0.05, prompt="previews=1")
    told = [await osc.hear()]
    while told[-1]["reply"] != "done":
        told.append(await osc.hear())
    assert [message["reply"] for message in told] == [
        *("accepted", "progress", "preview", "progress", "done")
    ]
    assert {message["id"] for message in told} == {"x7"}
    assert {message["job"] for message in told} == {"j-0001"}
    assert told[1]["eta_s"] == 1.5
    assert told[2]["length_samples"] == 2
    assert Path(told[-1]["path"]).is_file()


async def test_every_file_of_a_take_is_told(app: App, osc: OscClient, clip: str) -> None:
    osc.say(app, "accompany", source=clip, roles="bass,drums", stems=True)
    told = [await osc.hear()]
    while told[-1]["reply"] != "done":
        told.append(await osc.hear())
    files = {message["name"]: message for message in told if message["reply"] == "stem"}
    assert list(files) == ["mix", "drums", "bass"]
    for message in files.values():
        assert (message["id"], message["job"]) == ("1", "j-0001")
        assert soundfile.info(message["path"]).frames == message["length_samples"]
    assert files["mix"]["path"] == told[-1]["path"]


async def test_replies_may_go_to_another_port(app: App, osc: OscClient) -> None:
    other = await open_osc()
    other.say(app, "ping", "a", reply_port=osc.port)
    assert (await osc.hear())["reply"] == "pong"
    other.say(app, "dance", "b", reply_port=osc.port)  # refusals, too
    failure = await osc.hear()
    assert (failure["id"], failure["code"]) == ("b", "bad_message")
    other.say(app, "ping", "c", token="wrong-token", reply_port=osc.port)
    assert (await osc.hear())["code"] == "forbidden"
    other.transport.close()


async def test_token_is_needed_unless_it_is_not(make_config: MakeConfig, osc: OscClient) -> None:
    async with App(make_config()) as app:
        for token in (None, "wrong-token", ""):
            osc.say(app, "ping", token=token)
            failure = await osc.hear()
            assert failure["code"] == "forbidden"
            assert "server.json" in failure["hint"]
    async with App(make_config(osc_token_required="false")) as app:
        osc.say(app, "ping", token=None)
        assert (await osc.hear())["reply"] == "pong"


async def test_lists_status_and_cancel(app: App, osc: OscClient) -> None:
    osc.say(app, "generate", "1", seconds=0.05)
    take = (await osc.until("done"))["take"]
    osc.say(app, "generate", "2", seconds=0.05, prompt="sleep=60")
    job = (await osc.until("progress"))["job"]
    osc.say(app, "status", "3")
    status = await osc.until("status")
    assert (status["running"], status["queued"], status["engine"]) == (job, 0, "ready")
    osc.say(app, "cancel", "4", job=job)
    assert (await osc.until("cancelled"))["id"] == "2"
    for command, each, expected in (("jobs", "job", [job, "j-0001"]), ("takes", "take", [take])):
        osc.say(app, command, "5")
        entries = [await osc.until(each) for _ in expected]
        assert [entry[each] for entry in entries] == expected
        assert (await osc.hear())["count"] == len(expected)
    osc.say(app, "rerender", "6", take=take, seed=9)
    assert (await osc.until("done"))["take"] == "t-0002"


async def test_one_job_driven_by_osc_and_websocket(app: App, osc: OscClient) -> None:
    osc.say(app, "generate", "1", seconds=0.05, prompt="sleep=60")
    job = (await osc.until("progress"))["job"]
    async with Client(app.url, app.token) as client:
        await client.request("watch", job=job)
        await client.cancel(job)
        assert [event["event"] async for event in client.events(job)] == ["cancelled"]
    assert (await osc.until("cancelled"))["job"] == job


async def test_malformed_packets_are_answered_and_survived(app: App, osc: OscClient) -> None:
    good = encode_call(Call("1", "ping", {}), app.token)
    bad = [
        b"",
        b"hello",
        b"#bundle\0",
        b"#bundle\0" + bytes(8) + struct.pack(">i", -4),
        good[:-3],
        b"/dawbridge/ping\0,b\0\0\xff\xff\xff\xff",
        b"/dawbridge/ping\0,[[[\0\0\0\0",
        b"/other\0\0,s\0\0a\0\0\0",
        bytes(range(256)) * 200,
    ]
    for packet in bad:
        osc.raw(app, packet)
    for packet in bad[1:]:  # an empty datagram is none to every system
        assert (await osc.until("failed"))["code"] == "bad_message", packet
    osc.say(app, "ping")
    assert (await osc.until("pong"))["id"] == "1"


async def test_wrong_values_and_bpm(app: App, osc: OscClient, clip: str) -> None:
    osc.say(app, "loop", "1", source=clip, bars=4, bpm=3159345)
    failure = await osc.hear()
    assert failure["code"] == "bad_request"
    assert "bpm is '3159345'" in failure["message"]
    builder = OscMessageBuilder("/dawbridge/cancel")
    for item in ("2", "token", app.token, "job"):
        builder.add_arg(item)
    osc.raw(app, builder.build().dgram)
    failure = await osc.hear()
    assert (failure["id"], failure["code"]) == ("2", "bad_message")
    osc.say(app, "upload", "3", name="x", size_bytes=1)
    assert "WebSocket" in (await osc.hear())["hint"]
    osc.say(app, "extend", "4", source="/etc/passwd", seconds=1.0)
    assert (await osc.hear())["code"] == "forbidden"


async def test_an_error_that_ends_reading_opens_the_port_anew(
    app: App, osc: OscClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where what comes back from a client's closed port stops the event loop's
    reading; here the socket is taken from the loop by hand."""
    monkeypatch.setattr(osc_transport, "_ERRORS_END_READING", True)
    port = app.osc_port
    transport: Any = app._osc._transport
    loop: Any = asyncio.get_running_loop()
    loop._remove_reader(transport.get_extra_info("socket").fileno())
    osc.say(app, "ping", "lost")
    for _ in range(3):  # they come in flocks
        transport._protocol.error_received(ConnectionResetError(10054, "forcibly closed"))
    until_s = loop.time() + _PATIENCE_S
    heard: Message = {}
    while heard.get("id") != "found" and loop.time() < until_s:
        osc.say(app, "ping", "found")
        with contextlib.suppress(TimeoutError):
            heard = await asyncio.wait_for(osc.hear(), 0.2)
    assert (heard.get("reply"), app.osc_port) == ("pong", port)


async def test_daemon_does_not_talk_to_itself(app: App, osc: OscClient) -> None:
    osc.say(app, "dance", "1", reply_port=app.osc_port)
    osc.say(app, "ping", "1", reply_port=app.osc_port)
    await osc.silence(app)


async def test_long_path_does_not_fit(app: App, osc: OscClient, tmp_path: Path) -> None:
    deep = tmp_path / "clips" / "/".join(["d" * 200] * 5) / "a.wav"
    deep.parent.mkdir(parents=True)
    deep.write_bytes(b"RIFF")
    osc.say(app, "extend", "1", source=str(deep), seconds=0.05)
    assert (await osc.until("done"))["take"] == "t-0001"


async def test_bundle_of_commands(app: App, osc: OscClient) -> None:
    parts = [encode_call(Call(str(n), "ping", {}), app.token) for n in range(3)]
    packet = b"#bundle\0" + bytes(7) + b"\x01"
    osc.raw(app, packet + b"".join(struct.pack(">i", len(part)) + part for part in parts))
    assert [(await osc.hear())["id"] for _ in parts] == ["0", "1", "2"]


async def test_subscriber_hears_of_every_job_until_it_ends(app: App, osc: OscClient) -> None:
    other = await open_osc()
    osc.say(app, "subscribe", "all", expires_s=30.0, previews=False)
    assert (await osc.hear())["expires_s"] == 30.0
    osc.say(app, "generate", "own", seconds=0.05)
    await osc.until("done")
    other.say(app, "generate", "1", seconds=0.05, prompt="previews=3")
    told = [await osc.hear() for _ in range(3)]
    assert [message["reply"] for message in told] == ["progress", "progress", "done"]
    assert {(message["id"], message["job"]) for message in told} == {("all", "j-0002")}
    osc.say(app, "unsubscribe", "end")
    assert (await osc.hear())["reply"] == "unsubscribed"
    other.say(app, "generate", "2", seconds=0.05)
    await other.until("done")
    await other.until("done")
    await osc.silence(app)
    other.transport.close()


async def test_subscription_over_udp_ends_by_itself(app: App, osc: OscClient) -> None:
    other = await open_osc()
    osc.say(app, "subscribe", "all", expires_s=1.0)
    await osc.hear()
    await asyncio.sleep(1.05)
    other.say(app, "generate", "1", seconds=0.05)
    await other.until("done")
    await osc.silence(app)
    other.transport.close()


def _free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.skipif(
    not all(map(shutil.which, ("oscsend", "oscdump", "stdbuf"))),
    reason="liblo-tools is not installed",
)
async def test_liblo_renders_a_clip(app: App, clip: str) -> None:
    port = _free_udp_port()
    pipe = asyncio.subprocess.PIPE
    dump = await asyncio.create_subprocess_exec(
        "stdbuf", "-oL", "oscdump", str(port), stdout=pipe, stderr=asyncio.subprocess.DEVNULL
    )
    lines = dump.stdout
    assert lines is not None

    async def oscsend(command: str, types: str, *values: str) -> None:
        head = ("localhost", str(app.osc_port), f"/dawbridge/{command}")
        own = ("token", app.token, "reply_port", str(port))
        tags = "s" + "sssi" + types
        sending = await asyncio.create_subprocess_exec("oscsend", *head, tags, "q", *own, *values)
        assert await sending.wait() == 0

    async def line_with(text: str) -> str:
        while True:
            line = (await asyncio.wait_for(lines.readline(), _PATIENCE_S)).decode()
            if text in line:
                return line

    try:
        for _ in range(100):  # until oscdump listens
            await oscsend("ping", "")
            try:
                await asyncio.wait_for(line_with("pong"), 0.1)
                break
            except TimeoutError:
                continue
        await oscsend("extend", "sssfsf", "source", clip, "bars", "2", "bpm", "123.4")
        assert '"q" "j-0001"' in await line_with("/dawbridge/reply/accepted")
        # The same job, followed over the WebSocket; what it streams is what liblo is told of.
        async with Client(app.url, app.token) as client:
            finished = await client.result("j-0001")
            streamed = await client.stream(finished["take"])
        done = await line_with("/dawbridge/reply/done")
        assert "My-groove-extend-123.4bpm-2bars-seed0.wav" in done
        path = next(word for word in done.split('"') if word.endswith(".wav"))
        audio, _ = soundfile.read(path, dtype="float32", always_2d=True)
        assert streamed == audio.astype("<f4").tobytes()
    finally:
        dump.kill()
        await dump.communicate()


_PD_PATCH = """#N canvas 0 0 450 300 12;
#X obj 10 10 loadbang;
#X obj 10 35 t b b;
#X msg 200 60 connect 127.0.0.1 {port};
#X msg 10 120 7 token {token} seconds 0.05 bpm 123.4 prompt previews=1;
#X obj 10 150 oscformat dawbridge generate;
#X obj 10 175 list prepend send;
#X obj 10 200 list trim;
#X obj 10 230 netsend -u -b;
#X obj 80 255 oscparse;
#X obj 80 280 print REPLY;
#X connect 0 0 1 0;
#X connect 1 0 3 0;
#X connect 1 1 2 0;
#X connect 2 0 7 0;
#X connect 3 0 4 0;
#X connect 4 0 5 0;
#X connect 5 0 6 0;
#X connect 6 0 7 0;
#X connect 7 1 8 0;
#X connect 8 0 9 0;
"""


@pytest.mark.skipif(not shutil.which("pd"), reason="Pure Data is not installed")
async def test_pure_data_renders(make_config: MakeConfig, tmp_path: Path) -> None:
    """Pd says numbers as 32-bit floats, its ids included, and reads no arrays and no int64."""
    async with App(make_config(token="a-token-for-pd")) as app:
        patch = tmp_path / "client.pd"
        patch.write_text(_PD_PATCH.format(port=app.osc_port, token=app.token))
        options = ("-nogui", "-noaudio", "-nomidi", "-stderr", "-nrt", "-open", str(patch))
        null, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
        pd = await asyncio.create_subprocess_exec("pd", *options, stdout=null, stderr=pipe)
        lines = pd.stderr
        assert lines is not None
        told: list[str] = []
        try:
            while not told or " done " not in told[-1]:
                told.append((await asyncio.wait_for(lines.readline(), _PATIENCE_S)).decode())
                assert told[-1], "Pd ended"
        finally:
            pd.kill()
            await pd.communicate()
    replies = [line.split("dawbridge reply ")[1] for line in told if "REPLY" in line]
    assert replies[0].startswith("accepted 7 j-0001")
    assert replies[1].startswith("progress 7 j-0001 draft 0.25 1.5 1 4")
    assert replies[2].startswith("preview 7 j-0001 0 0 48000 2 2")
    assert "generate-123.4bpm-seed0.wav" in replies[-1]


async def test_the_newest_reply_can_be_a_file(app: App, osc: OscClient, clip: str) -> None:
    file = app.config.data_dir / "replies" / "a-1.json"
    osc.say(app, "extend", "a-1", source=clip, seconds=0.05, reply_file=True)
    done = await osc.until("done")
    told = json.loads(file.read_text())
    assert (told["event"], told["id"], told["path"]) == ("done", "a-1", done["path"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    osc.say(app, "extend", "a-1", source="/nowhere.wav", seconds=1, reply_file=True)
    await osc.until("failed")
    assert json.loads(file.read_text())["code"] == "forbidden"
    osc.say(app, "dance", "a-1", reply_file=True)  # refusals, too
    await osc.until("failed")
    assert json.loads(file.read_text())["code"] == "bad_message"


async def test_no_reply_file_without_the_token_or_outside_its_folder(
    app: App, osc: OscClient
) -> None:
    folder = app.config.data_dir / "replies"
    osc.say(app, "ping", "x", token="wrong-token", reply_file=True)
    assert (await osc.hear())["code"] == "forbidden"
    osc.say(app, "dance", "x", token="wrong-token", reply_file=True)
    assert (await osc.hear())["code"] == "bad_message"
    for name in ("../x", "a/b", ".x", "", "a.b"):
        osc.say(app, "ping", name, reply_file=True)
        assert (await osc.hear())["code"] == "bad_request"
        osc.say(app, "dance", name, reply_file=True)
        assert (await osc.hear())["code"] == "bad_message"
    assert list(folder.iterdir()) == []


async def test_who_subscribes_again_decides_anew_about_files(app: App, osc: OscClient) -> None:
    """From one address: the peer of before has a file, the one of now has none, and the reverse."""
    folder = app.config.data_dir / "replies"

    async def names_after_a_job_of(call_id: str, **how: object) -> set[str]:
        osc.say(app, "subscribe", call_id, **how)
        await osc.until("subscribed")
        async with Client(app.url, app.token) as other:
            await other.result(await other.submit({"task": "generate", "seconds": 0.05}))
        await osc.until("done")
        return {path.name for path in folder.iterdir()}

    assert await names_after_a_job_of("in-file", reply_file=True) == {"in-file.json"}
    (folder / "in-file.json").unlink()
    assert await names_after_a_job_of("../../escaped") == set()
    assert not list(app.config.data_dir.parent.rglob("escaped*"))
    assert await names_after_a_job_of("again", reply_file=True) == {"again.json"}


async def test_reply_files_of_before_are_swept(make_config: MakeConfig) -> None:
    config = make_config()
    old = config.data_dir / "replies" / "old.json"
    old.parent.mkdir(parents=True)
    old.write_text("{}")
    async with App(config):
        assert not old.exists()
