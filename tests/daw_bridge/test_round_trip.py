"""The whole protocol table over real sockets: what one transport can say the other can, too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daw_bridge.config import Config
from daw_bridge.ids import job_id, job_number
from daw_bridge.protocol.binary import BinaryFrame
from daw_bridge.protocol.messages import Call, Message, Peer
from daw_bridge.protocol.table import COMMAND_BY_NAME, COMMANDS, REPLY_BY_NAME, Arg, Command, Reply
from daw_bridge.service import Service
from tests.daw_bridge.browser import CHROMIUM, browser_wire
from tests.daw_bridge.conftest import FACTORY
from tests.daw_bridge.liblo import LIBLO, liblo_wires
from tests.daw_bridge.served import served
from tests.daw_bridge.table_values import calls, reply_values
from tests.daw_bridge.wires import Wire, wires

# The daemon's keep-alive draws a random number in its own thread while values are generated.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

_NO_LIBLO = pytest.mark.skipif(not LIBLO, reason="liblo is not installed")
NAMES = ("osc-udp", "osc-tcp", "websocket")
_NO_BROWSER = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
_FOREIGN = (
    pytest.param("liblo-udp", marks=_NO_LIBLO),
    pytest.param("liblo-tcp", marks=_NO_LIBLO),
    pytest.param("browser", marks=_NO_BROWSER),
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text("aä€😀", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=5,
)


@dataclass
class Script:
    """What the daemon answers to the next command, and what it has been told."""

    answers: list[tuple[Message, bytes]] = field(default_factory=list)
    arrived: list[Call] = field(default_factory=list)


@pytest.fixture(scope="module")
def script() -> Script:
    return Script()


@pytest.fixture(scope="module")
def connected(
    script: Script, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Wire]]:
    """The three transports of one daemon whose commands are answered by the script."""

    async def handle(self: Service, call: Call, peer: Peer) -> None:
        script.arrived.append(call)
        for message, payload in script.answers:
            peer.send({**message, "id": call.id}, payload)

    folder = tmp_path_factory.mktemp("round-trip")
    config = Config.load(
        {"port": 0, "osc_port": 0, "data_dir": folder, "engine_factory": f"{FACTORY}:create_engine"}
    )
    with ExitStack() as exits:
        with pytest.MonkeyPatch.context() as patch:  # the daemon keeps what it began with
            patch.setattr(Service, "handle", handle)
            app = exits.enter_context(served(config))
        own: dict[str, Wire] = exits.enter_context(wires(app))
        foreign: dict[str, Wire] = {**exits.enter_context(liblo_wires(app))}
        if CHROMIUM is not None:
            foreign["browser"] = exits.enter_context(browser_wire(app))
            while not script.arrived:  # its hello is on the way
                time.sleep(0.01)
        yield {**own, **foreign}


@st.composite
def _messages(draw: st.DrawFn, reply: Reply) -> tuple[Message, bytes]:
    message: Message = {"event" if reply.event else "reply": reply.name}
    message |= {arg.name: draw(_value(arg)) for arg in reply.args}
    if reply.items:
        each = REPLY_BY_NAME[reply.items]
        entry = st.fixed_dictionaries({arg.name: _value(arg) for arg in each.args})
        entries = draw(st.lists(entry, max_size=3))
        if reply.items_in:
            # An entry has the name of its job from the message that it is part of.
            entries = [{k: v for k, v in item.items() if k != "job"} for item in entries]
        message[reply.items_in or reply.name] = entries
    pcm = draw(st.binary(max_size=64)) if reply.name == "preview" else b""
    return message, pcm


def _value(arg: Arg) -> st.SearchStrategy[Any]:
    if arg.name == "job" and arg.osc:
        return st.integers(1, 2**32 - 1).map(job_id)
    if arg.name in ("channels", "sample_rate_hz", "revision", "offset_samples"):
        return st.integers(1, 8)
    return reply_values(arg) if arg.osc else _JSON


def _said_in_osc(call_id: str, reply: Reply, message: Message) -> list[Message]:
    """What a reply is in OSC, by the table: flat, one message for each entry of a list."""

    def flat(row: Reply, values: Message) -> Message:
        said = {arg.name: values.get(arg.name) for arg in row.args if arg.osc}
        return {"id": call_id, "reply": row.name, **said}

    if not reply.items:
        return [flat(reply, message)]
    entries = message[reply.items_in or reply.name]
    told = entries if len(entries) >= reply.items_from else []
    each = REPLY_BY_NAME[reply.items]
    return [*(flat(each, {**message, **entry}) for entry in told), flat(reply, message)]


def _same_in_json(call_id: str, message: Message, pcm: bytes, heard: Any) -> bool:
    if message.get("event") != "preview":
        return bool(heard == {**message, "id": call_id})
    assert isinstance(heard, BinaryFrame)
    return heard == BinaryFrame(
        "preview",
        job_number(message["job"]),
        message["offset_samples"],
        pcm,
        last=True,
        revision=message["revision"],
        sample_rate_hz=message["sample_rate_hz"],
        channels=message["channels"],
    )


@pytest.mark.parametrize("name", NAMES + _FOREIGN)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
@settings(max_examples=20)
@given(data=st.data())
def test_every_command_and_every_reply(
    connected: dict[str, Wire], script: Script, command: Command, name: str, data: st.DataObject
) -> None:
    """A command arrives with the values it was said with, its replies with theirs."""
    wire = connected[name]
    if wire.transport not in command.transports:
        return
    call = data.draw(calls(command))
    answers = {reply: data.draw(_messages(REPLY_BY_NAME[reply])) for reply in command.replies}
    answers["failed"] = data.draw(_messages(REPLY_BY_NAME["failed"]))
    script.answers = list(answers.values())
    script.arrived.clear()
    wire.say(call)
    for reply, (message, pcm) in answers.items():
        if wire.transport == "osc":
            for expected in _said_in_osc(call.id, REPLY_BY_NAME[reply], message):
                assert wire.hear() == expected
        else:
            assert _same_in_json(call.id, message, pcm, wire.hear())
    assert script.arrived == [call]


def test_all_replies_are_walked() -> None:
    walked = {"failed", *(name for command in COMMANDS for name in command.replies)}
    walked |= {REPLY_BY_NAME[name].items for name in walked} - {""}
    assert walked == set(REPLY_BY_NAME)


def test_all_transports_offer_the_same_but_audio() -> None:
    only = {command.name for command in COMMANDS if command.transports == ("websocket",)}
    assert only == {"upload", "stream"}


@pytest.fixture(scope="module")
def working(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Wire]]:
    """The three transports of one daemon that works, with the fake engine."""
    folder = tmp_path_factory.mktemp("working")
    config = Config.load(
        {"port": 0, "osc_port": 0, "data_dir": folder, "engine_factory": f"{FACTORY}:create_engine"}
    )
    with served(config) as app, wires(app) as all_wires:
        yield all_wires


def _name(message: Message | BinaryFrame) -> str:
    if isinstance(message, BinaryFrame):
        return message.kind
    return str(message.get("reply") or message["event"])


def _until(wire: Wire, *names: str) -> list[Any]:
    """What is heard up to one of these."""
    told = [wire.hear()]
    while _name(told[-1]) not in names:
        told.append(wire.hear())
    return told


def _ask(wire: Wire, command: str, **values: Any) -> Any:
    """The last of the replies to a command."""
    wire.say(Call("ask", command, values))
    return _until(wire, *COMMAND_BY_NAME[command].replies, "failed")[-1]


def test_hello_tells_the_same_everywhere(working: dict[str, Wire]) -> None:
    told = _ask(working["websocket"], "hello")
    assert set(told["commands"]) == set(COMMAND_BY_NAME)
    assert told["formats"] == ["float32", "int16", "int24", "flac"]
    assert set(told["transports"]) == {"websocket", "osc_udp", "osc_tcp"}
    assert told["limits"]["max_osc_packet_bytes"] == 1400
    for name in ("osc-udp", "osc-tcp"):
        heard = _ask(working[name], "hello")
        assert heard["commands"].split(",") == told["commands"]
        assert heard["formats"].split(",") == told["formats"]
        for key in ("transports", "limits"):
            pairs = dict(pair.split("=") for pair in heard[key].split(","))
            assert pairs == {item: str(value) for item, value in told[key].items()}


def test_a_render_is_told_alike(working: dict[str, Wire]) -> None:
    told: dict[str, list[str]] = {}
    for name, wire in working.items():
        wire.say(Call("7", "generate", {"seconds": 0.05, "prompt": "previews=2"}))
        heard = _until(wire, "done")
        told[name] = [_name(message) for message in heard]
        assert {message["id"] for message in heard if isinstance(message, dict)} == {"7"}
    expected = ["accepted", "progress", "preview", "preview", "progress", "done"]
    assert told == dict.fromkeys(NAMES, expected)


def test_one_job_belongs_to_all_transports(working: dict[str, Wire]) -> None:
    """Started over one, watched over the next and cancelled over the third, with one id."""
    for first, second, third in (NAMES, NAMES[1:] + NAMES[:1], NAMES[2:] + NAMES[:2]):
        maker, watcher, ender = working[first], working[second], working[third]
        maker.say(Call("1", "generate", {"seconds": 0.05, "prompt": "sleep=60"}))
        job = _until(maker, "progress")[-1]["job"]
        assert _ask(watcher, "watch", job=job)["state"] == "running"
        assert _ask(ender, "status")["running"] == job
        assert _ask(ender, "cancel", job=job)["job"] == job
        for wire in (maker, watcher):
            assert _until(wire, "cancelled")[-1]["job"] == job


def test_lists_are_alike(working: dict[str, Wire]) -> None:
    wire = working["websocket"]
    wire.say(Call("1", "generate", {"seconds": 0.05}))
    take = _until(wire, "done")[-1]["take"]
    for command, item in (("takes", "take"), ("jobs", "job"), ("models", "model")):
        listed = _ask(wire, command)[command]
        assert listed
        for name in ("osc-udp", "osc-tcp"):
            working[name].say(Call("2", command, {}))
            *entries, ending = _until(working[name], command)
            assert ending["count"] == len(entries) == len(listed)
            for told, known in zip(entries, listed, strict=True):
                said = {arg.name for arg in REPLY_BY_NAME[item].args if arg.osc}
                expected = {key: _without_null(item, key, known) for key in said}
                assert {key: told[key] for key in said} == expected
    for name in NAMES:
        working[name].say(Call("3", "rerender", {"take": take, "seed": 5}))
        assert _name(_until(working[name], "done", "failed")[-1]) == "done"


def test_a_rating_given_over_one_wire_is_told_over_all(working: dict[str, Wire]) -> None:
    maker = working["websocket"]
    maker.say(Call("1", "generate", {"seconds": 0.05}))
    take = _until(maker, "done")[-1]["take"]
    for stars, name in enumerate(NAMES, 1):
        heard = _ask(working[name], "rate", take=take, stars=stars, verdict="keep", note="ä")
        assert (heard["take"], heard["stars"], heard["verdict"]) == (take, stars, "keep")
        (listed,) = _ask(maker, "takes", limit=1)["takes"]
        assert (listed["stars"], listed["verdict"], listed["note"]) == (stars, "keep", "ä")
        for other in ("osc-udp", "osc-tcp"):
            working[other].say(Call("2", "takes", {"limit": 1}))
            told, _ = _until(working[other], "takes")
            assert (told["stars"], told["verdict"], told["note"]) == (stars, "keep", "ä")


def _without_null(item: str, key: str, known: Message) -> Any:
    (arg,) = (arg for arg in REPLY_BY_NAME[item].args if arg.name == key)
    return arg.absent if known[key] is None else known[key]
