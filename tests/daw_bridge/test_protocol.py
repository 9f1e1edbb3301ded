"""The table walked both ways, over each codec."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from daw_bridge.protocol.document import (
    JSON_PATH,
    MARKDOWN_PATH,
    protocol_json,
    protocol_markdown,
)
from daw_bridge.protocol.messages import (
    Call,
    CallError,
    check_call,
    read_json_call,
    write_json_call,
    write_json_message,
)
from daw_bridge.protocol.osc_codec import (
    decode_call,
    decode_reply,
    encode_call,
    encode_reply,
    shortest_float32,
    split_packet,
)
from daw_bridge.protocol.table import (
    COMMAND_BY_NAME,
    COMMANDS,
    MAX_OSC_PACKET_BYTES,
    REPLIES,
    REPLY_BY_NAME,
    Command,
    Reply,
)
from engine.spec import BridgeError
from tests.daw_bridge.table_values import calls, reply_values

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
@given(data=st.data())
def test_commands_round_trip(command: Command, data: st.DataObject) -> None:
    call = data.draw(calls(command))
    assert read_json_call(write_json_call(call)) == call
    if "osc" in command.transports:
        read = decode_call(encode_call(call, token="secret", reply_port=9000))
        assert read is not None
        assert (read.call, read.token, read.reply_port) == (call, "secret", 9000)


@pytest.mark.parametrize(
    "reply", [reply for reply in REPLIES if not reply.items], ids=lambda reply: reply.name
)
@given(data=st.data())
def test_replies_round_trip(reply: Reply, data: st.DataObject) -> None:
    values = {arg.name: data.draw(reply_values(arg)) for arg in reply.args if arg.osc}
    (packet,) = encode_reply({"id": "7", "reply": reply.name, **values})
    assert len(packet) < MAX_OSC_PACKET_BYTES
    assert decode_reply(packet) == {"id": "7", "reply": reply.name, **values}


@pytest.mark.parametrize("reply", [reply for reply in REPLIES if reply.items])
def test_lists_are_flat_in_osc(reply: Reply) -> None:
    each = REPLY_BY_NAME[reply.items]
    entries = [{arg.name: "x" for arg in each.args if arg.osc == "s"} for _ in range(3)]
    message = {"id": "7", "reply": reply.name, "job": "j-0001"}
    packets = encode_reply({**message, reply.items_in or reply.name: entries})
    names = [decode_reply(packet)["reply"] for packet in packets]
    assert names == [each.name] * 3 + [reply.name]
    if not reply.items_in:
        assert decode_reply(packets[-1])["count"] == 3
    for packet in packets:
        assert not any(isinstance(value, list) for value in OscMessage(packet).params)


def test_unknown_time_left_is_minus_one_in_osc() -> None:
    event = {"id": "7", "job": "j-0001", "event": "progress", "stage": "draft", "eta_s": None}
    (packet,) = encode_reply({**event, "fraction": 0.5})
    assert decode_reply(packet)["eta_s"] == -1.0


def test_long_texts_are_clipped_and_long_paths_refused() -> None:
    failure = {"reply": "failed", "code": "forbidden", "message": "ä" * 3000, "hint": "b" * 3000}
    (packet,) = encode_reply({"id": "7", **failure})
    assert len(packet) < MAX_OSC_PACKET_BYTES
    read = decode_reply(packet)
    assert read["message"].endswith("…")
    assert len(read["hint"]) > 400
    with pytest.raises(BridgeError) as caught:
        encode_reply({"id": "7", "event": "done", "path": "/" + "x" * 2000})
    assert caught.value.code == "too_large"


def test_every_reply_named_by_a_command_exists() -> None:
    for command in COMMANDS:
        assert set(command.replies) <= set(REPLY_BY_NAME)
        assert COMMAND_BY_NAME[command.name] is command


@given(st.floats(20, 400).map(lambda bpm: round(bpm, 3)))
@example(123.4)
@example(59.94)
def test_tempo_survives_32_bit_floats(bpm: float) -> None:
    (rounded,) = struct.unpack(">f", struct.pack(">f", bpm))
    assert shortest_float32(rounded) == bpm


def test_osc_clients_may_send_any_numeric_type() -> None:
    for tag, value in (("f", 123.4), ("d", 123.4), ("s", "123.4")):
        builder = OscMessageBuilder("/dawbridge/generate")
        for item, kind in (("1", "s"), ("seconds", "s"), (2, "i"), ("bpm", "s"), (value, tag)):
            builder.add_arg(item, kind)
        read = decode_call(builder.build().dgram)
        assert read is not None
        assert read.call.values == {"seconds": 2.0, "bpm": 123.4}


def _refused(call_id: str, name: str, values: dict[str, Any]) -> BridgeError:
    with pytest.raises(CallError) as caught:
        check_call(call_id, name, values, "osc")
    assert caught.value.call_id == call_id
    return caught.value.error


@pytest.mark.parametrize(
    ("name", "values", "code", "text"),
    [
        ("dance", {}, "bad_message", "unknown command 'dance'"),
        ("upload", {"name": "x", "size_bytes": 1}, "bad_message", "not for osc"),
        ("ping", {"loud": 1}, "bad_request", "no field 'loud'"),
        ("cancel", {}, "bad_request", "needs job"),
        ("extend", {"source": 5}, "bad_request", "source is '5'"),
        ("extend", {"source": "/a", "bpm": 3159345}, "bad_request", "bpm is '3159345'"),
        ("extend", {"source": "/a", "seconds": float("nan")}, "bad_request", "seconds is 'nan'"),
        ("jobs", {"limit": True}, "bad_request", "limit is 'True'"),
    ],
)
def test_bad_fields_are_refused_by_name(
    name: str, values: dict[str, Any], code: str, text: str
) -> None:
    error = _refused("9", name, values)
    assert error.code == code
    assert text in error.message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        "1",
        "null",
        '{"command": 1}',
        '{"id": [], "command": "ping"}',
        '{"id": "' + "x" * 65 + '", "command": "ping"}',
        '{"id": true, "command": "ping"}',
        '{"id": "1", "command": "generate", "seconds": NaN}',
        '{"id": "1"}',
        "[" * 100_000,
        '{"id": 1' + "0" * 5000 + "}",
    ],
)
def test_text_that_is_no_command_is_refused(text: str) -> None:
    with pytest.raises(CallError) as caught:
        read_json_call(text)
    assert caught.value.error.code == "bad_message"


def test_figures_that_are_no_number_become_null() -> None:
    text = write_json_message({"id": "1", "event": "done", "report": {"a": [float("nan"), 1.5]}})
    assert json.loads(text)["report"] == {"a": [None, 1.5]}


@given(st.binary(max_size=200))
@example(b"")
@example(b"/dawbridge/ping")
@example(b"/\0\0\0,sss\0\0\0\0")
@example(b"/a\0\0,[[[\0\0\0\0")
@example(b"/a\0\0,b\0\0\xff\xff\xff\xff")
def test_random_packets_give_documented_errors_only(packet: bytes) -> None:
    for candidate in (packet, b"/dawbridge/ping\0" + packet, b"#bundle\0" + packet):
        try:
            for message in split_packet(candidate):
                decode_call(message)
        except (BridgeError, CallError):
            pass


@pytest.mark.parametrize("size", [-4, 0, -(2**31), 5, 2**31 - 1])
def test_bundle_with_an_impossible_size_is_refused(size: int) -> None:
    packet = b"#bundle\0" + bytes(8) + struct.pack(">i", size)
    with pytest.raises(BridgeError):
        list(split_packet(packet))


def test_bundles_within_bundles() -> None:
    ping = encode_call(Call("1", "ping", {}))
    inner = OscBundleBuilder(IMMEDIATELY)
    inner.add_content(OscMessage(ping))
    outer = OscBundleBuilder(IMMEDIATELY)
    outer.add_content(inner.build())
    outer.add_content(OscMessage(ping))
    assert list(split_packet(outer.build().dgram)) == [ping, ping]
    deep = ping
    for _ in range(500):
        deep = b"#bundle\0" + bytes(8) + struct.pack(">i", len(deep)) + deep
    with pytest.raises(BridgeError, match="nested"):
        list(split_packet(deep))


def test_types_we_do_not_read_are_refused_and_shift_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # 'I' (infinitum) is skipped by the parser, which would make a key of the next value.
    packet = b"/dawbridge/ping\0,sIss\0\0\0" + b"1\0\0\0" + b"k\0\0\0" + b"v\0\0\0"
    with pytest.raises(CallError, match="type 'I'"):
        decode_call(packet)
    assert not caplog.records


def test_refusals_over_osc_know_where_to_go() -> None:
    builder = OscMessageBuilder("/dawbridge/dance")
    for item in ("5", "reply_port", 9123):
        builder.add_arg(item)
    with pytest.raises(CallError) as caught:
        decode_call(builder.build().dgram)
    assert caught.value.call_id == "5"
    assert getattr(caught.value, "reply_port", None) == 9123


def test_replies_are_never_answered() -> None:
    (packet,) = encode_reply({"id": "1", "reply": "pong"})
    assert decode_call(packet) is None


@pytest.mark.parametrize(
    ("path", "text"), [(JSON_PATH, protocol_json()), (MARKDOWN_PATH, protocol_markdown())]
)
def test_generated_documents_are_up_to_date(path: str, text: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == text, "run scripts/generate_protocol"


def test_generator_notices_old_documents() -> None:
    script = ROOT / "scripts" / "generate_protocol"
    done = subprocess.run([sys.executable, script, "--check"], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
